"""How long a plan takes and how much memory, from short samples of its own work.

One unit of each kind is computed on few random rows per class, then on twice as
many, until it takes long enough to be measured. Time at full size follows from
how it grew in the last step, as a power of the rows between 1 (linear) and 2
(quadratic). After a few seconds of sampling, kinds without a sample take theirs
from another one with the same generator.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from imprint_bench.config import Config
from imprint_bench.core.sampling import rows_of
from imprint_bench.data.embeddings.description import Description
from imprint_bench.data.embeddings.material import build_material
from imprint_bench.data.embeddings.timing import seconds_per_image
from imprint_bench.params import Source
from imprint_bench.sweep.bank import compute
from imprint_bench.sweep.executor import chosen_executor, workers
from imprint_bench.sweep.memory import class_sizes, peak_bytes
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.unit import Unit, units

FIRST_ROWS = 200  # per class
LONG_ENOUGH = 0.15  # seconds
SAMPLING_SECONDS = 4.0
WORKER_BYTES = 350 * 2**20  # a process with NumPy, SciPy, scikit-learn, pandas and torch
BYTES_PER_ROW = 120  # of a result in the store


@dataclass(frozen=True)
class Estimate:
    """What is expected of a plan.

    Attributes
    ----------
    embed_seconds, run_seconds : float
        Embedding on the processes of this machine, running on the workers of the executor.
    worker_bytes : float
        Largest memory of one worker.
    disk_bytes : float
        Embeddings and rows that will be written.
    trials : int
        To be computed.
    """

    embed_seconds: float
    run_seconds: float
    worker_bytes: float
    disk_bytes: float
    trials: int

    def __str__(self) -> str:
        return (
            f"Estimated from timed samples, for {self.trials} trials that the store lacks: "
            f"embedding {_duration(self.embed_seconds)}, running {_duration(self.run_seconds)}, "
            f"{self.worker_bytes / 2**30:.1f} GiB of memory per worker, "
            f"{self.disk_bytes / 2**20:.0f} MiB on disk."
        )


def estimate(
    configs: Sequence[Config], plan: Plan, descriptions: Sequence[Description], todo: np.ndarray
) -> Estimate:
    """Estimate what computing a plan takes.

    Parameters
    ----------
    configs : sequence of Config
        Of the sweeps that the plan joins; they run alike.
    plan : Plan
    descriptions : sequence of Description
        One or more for each pair of foundation model and dataset.
    todo : ndarray of shape (trials,), bool
        What is to be computed.
    """
    n_jobs = configs[0].n_jobs
    n_workers = chosen_executor(configs[0]).n_workers(n_jobs)
    by_pair = {(d.fm, d.dataset): d for d in descriptions}
    kinds: dict[tuple, list[Unit]] = {}
    for unit in units(plan, todo):
        length = by_pair[unit.key.fm, unit.key.dataset].length
        kind = (*unit.key[1:4], *unit.key[5:7], length, len(unit))
        kinds.setdefault(kind, []).append(unit)
    seconds, memory = _running(list(kinds.values()), by_pair)
    return Estimate(
        embed_seconds=sum(_embedding(configs, d) for d in by_pair.values()) / workers(n_jobs),
        run_seconds=seconds / n_workers,
        worker_bytes=memory + WORKER_BYTES,
        disk_bytes=sum(_array_bytes(d) for d in by_pair.values() if not d.cached)
        + BYTES_PER_ROW * float(todo.sum()),
        trials=int(todo.sum()),
    )


def _running(
    kinds: Sequence[Sequence[Unit]], descriptions: Mapping[tuple[str, str], Description]
) -> tuple[float, float]:
    """Return the seconds of one process for all units, and the bytes of the largest."""

    def description(kind: Sequence[Unit]) -> Description:
        return descriptions[kind[0].key.fm, kind[0].key.dataset]

    def n_values(kind: Sequence[Unit]) -> int:
        d = description(kind)
        return d.length * (sum(class_sizes(kind[0], d)) + d.n("test"))

    total = memory = 0.0
    per_value: dict[str, float] = {}  # of a generator: seconds per value of the embeddings
    until = time.monotonic() + SAMPLING_SECONDS
    for kind in sorted(kinds, key=n_values, reverse=True):
        gen = kind[0].key.gen
        if gen not in per_value:  # its largest kind
            memory = max(memory, peak_bytes(kind[0], description(kind)))
        if gen not in per_value or time.monotonic() < until:
            per_value[gen] = _seconds(kind[0], description(kind)) / n_values(kind)
        total += len(kind) * per_value[gen] * n_values(kind)
    return total, memory


class _Sample:
    """Random embeddings under the first labels of every class, in place of the real ones."""

    def __init__(self, labels: Mapping[str, np.ndarray], length: int, share: float) -> None:
        rng = np.random.default_rng(0)
        self._y = {split: _thinned(y, share) for split, y in labels.items()}
        self._X = {
            split: rng.normal(size=(len(y), length)).astype(np.float32)
            for split, y in self._y.items()
        }

    def X(self, split: str) -> np.ndarray:  # noqa: N802 - as `Embeddings`
        """Return random embeddings."""
        return self._X[split]

    def y(self, split: str) -> np.ndarray:
        """Return the labels that were kept."""
        return self._y[split]


def _thinned(labels: np.ndarray, share: float) -> np.ndarray:
    """Keep the given share of the labels of every class, and at least one of each."""
    by_class = [rows_of(labels, label) for label in np.unique(labels)]
    kept = [rows[: math.ceil(share * len(rows))] for rows in by_class]
    return labels[np.sort(np.concatenate(kept))]


def _seconds(unit: Unit, description: Description) -> float:
    """Return the seconds that a unit takes at full size."""
    labels, length = description.labels, description.length
    share = FIRST_ROWS * len(np.unique(labels["train"])) / len(labels["train"])
    before = 0.0
    while True:
        took = _timed(unit, _Sample(labels, length, min(share, 1.0)))
        if share >= 1.0:
            return took
        if before and took > LONG_ENOUGH:
            return took / share ** min(max(math.log2(took / before), 1.0), 2.0)
        before, share = took, 2 * share


def _timed(unit: Unit, arrays: _Sample) -> float:
    with threadpool_limits(1):  # as in a worker
        started = time.process_time()
        compute(unit, arrays)
        return max(time.process_time() - started, 1e-6)


def _embedding(configs: Sequence[Config], description: Description) -> float:
    """Return the seconds of one process that embedding a dataset takes."""
    if description.cached:
        return 0.0
    fm = _source([fm for config in configs for fm in config.fms], description.fm)
    dataset = _source([d for config in configs for d in config.datasets], description.dataset)
    settings = configs[0].embed
    per_image = seconds_per_image(build_material(fm, dataset, settings), settings)
    return per_image * (description.n("train") + description.n("test"))


def _source(sources: Sequence[Source], name: str) -> Source:
    return next(source for source in sources if source.name == name)


def _array_bytes(description: Description) -> float:
    return 4.0 * description.length * (description.n("train") + description.n("test"))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""How long a plan takes and how much memory, from short samples of its own work.

One unit of each kind is computed on few random rows, twice: with about 60 and
with about 120 rows per class. Time and memory at full size follow from how they
grew in between, as a power of the rows between 1 (linear) and 2 (quadratic).
"""

import math
import time
import tracemalloc
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from imprint_bench.config import Config
from imprint_bench.core.sampling import rows_of
from imprint_bench.data.dataset import build_dataset
from imprint_bench.data.embeddings import Description
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.params import Source
from imprint_bench.sweep.bank import compute
from imprint_bench.sweep.executor import workers
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.unit import Unit, units

SAMPLE_ROWS = (60, 120)  # per class
SAMPLE_IMAGES = 16
WORKER_BYTES = 350 * 2**20  # a process with NumPy, SciPy, scikit-learn, pandas and torch
BYTES_PER_ROW = 120  # of a result in the store


@dataclass(frozen=True)
class Estimate:
    """What is expected of a plan.

    Attributes
    ----------
    embed_seconds, run_seconds : float
        On the workers of the configuration.
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
    config: Config, plan: Plan, descriptions: Sequence[Description], todo: np.ndarray
) -> Estimate:
    """Estimate what computing a plan takes.

    Parameters
    ----------
    config : Config
    plan : Plan
    descriptions : sequence of Description
        One for each pair of foundation model and dataset.
    todo : ndarray of shape (trials,), bool
        What is to be computed.
    """
    n_workers = workers(config.n_jobs)
    by_pair = {(d.fm, d.dataset): d for d in descriptions}
    samples: dict[tuple, tuple[float, float]] = {}
    seconds, memory = 0.0, 0.0
    for unit in units(plan, todo, {pair: d.fingerprint for pair, d in by_pair.items()}):
        description = by_pair[unit.key.fm, unit.key.dataset]
        kind = (*unit.key[1:4], *unit.key[5:7], description.length, len(unit))
        if kind not in samples:
            samples[kind] = _full_size(unit, description)
        seconds += samples[kind][0]
        memory = max(memory, samples[kind][1])
    return Estimate(
        embed_seconds=sum(_embedding(config, d) for d in descriptions) / n_workers,
        run_seconds=seconds / n_workers,
        worker_bytes=memory + WORKER_BYTES,
        disk_bytes=sum(_array_bytes(d) for d in descriptions if not d.cached)
        + BYTES_PER_ROW * float(todo.sum()),
        trials=int(todo.sum()),
    )


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


def _full_size(unit: Unit, description: Description) -> tuple[float, float]:
    """Return seconds and bytes of a unit at full size."""
    labels = description.labels
    per_class = len(labels["train"]) / max(len(np.unique(labels["train"])), 1)
    shares = [min(1.0, rows / per_class) for rows in SAMPLE_ROWS]
    small, large = (_measured(unit, _Sample(labels, description.length, share)) for share in shares)
    if shares[1] == 1.0:
        return large
    return (
        _extrapolated(small[0], large[0], shares[1] / shares[0], 1 / shares[1]),
        _extrapolated(small[1], large[1], shares[1] / shares[0], 1 / shares[1]),
    )


def _measured(unit: Unit, arrays: _Sample) -> tuple[float, float]:
    tracemalloc.start()
    try:
        started = time.process_time()
        compute(unit, arrays)
        return time.process_time() - started, float(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


def _extrapolated(small: float, large: float, step: float, rest: float) -> float:
    """Continue the growth from `small` to `large` over a factor `step` by a factor `rest`."""
    power = math.log(max(large, 1e-9) / max(small, 1e-9)) / math.log(step) if step > 1 else 1.0
    return large * rest ** min(max(power, 1.0), 2.0)


def _embedding(config: Config, description: Description) -> float:
    """Return the seconds of one process that embedding a dataset takes."""
    if description.cached:
        return 0.0
    fm = _source(config.fms, description.fm)
    dataset = _source(config.datasets, description.dataset)
    model = build_foundation_model(fm)
    if model.arrays_for is not None:
        return 0.0
    images = build_dataset(dataset).images("test", 0, min(SAMPLE_IMAGES, description.n("test")))
    model.embed(images[:1])  # loads the network
    started = time.process_time()
    model.embed(images)
    per_image = (time.process_time() - started) / len(images)
    return per_image * (description.n("train") + description.n("test"))


def _source(sources: Sequence[Source], name: str) -> Source:
    return next(source for source in sources if source.name == name)


def _array_bytes(description: Description) -> float:
    return 4.0 * description.length * (description.n("train") + description.n("test"))


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"

"""What embedding costs beside the networks, alone and together, and what float16 changes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.jobs import config_of
from imprint_bench.config import Config
from imprint_bench.data.embeddings.batches import Batch, Done
from imprint_bench.data.embeddings.creation import create_all
from imprint_bench.params import Source
from imprint_bench.sweep.embedding import described, embed
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.run import run, store_of

Row = dict[str, Any]

MOBILENETS = "fm=[mobilenet_v1_025,mobilenet_v1_050,mobilenet_v1_075,mobilenet_v1_100]"
WITH_DATA = (MOBILENETS, "dataset=[mnist,cifar10,imagenet32]")
WITHOUT = ("fm=[pixels,random_conv]", "dataset=[digits]")
HALF_WITH_DATA = (
    "+sweep=paper/gen",
    "fm=[mobilenet_v1_050]",
    "dataset=[mnist]",
    "gen=[mean,kmeans]",
)
HALF_WITHOUT = ("+sweep=bench", "seeds=[0]", "gen=[mean,kmeans]")


class _Enough(Exception):  # noqa: N818 - ends an embedding that was only to be timed
    pass


def measure(overrides: Sequence[str], *, with_data: bool, batches: int, scratch: Path) -> list[Row]:
    """Return seconds in the network and in all else for every foundation model and dataset.

    Parameters
    ----------
    overrides : sequence of str
        Of the command line.
    with_data : bool
        Take the four MobileNets and real images instead of digits.
    batches : int
        Timed for each, in this process, after one that is not.
    scratch : Path
        Gets what is embedded.

    Returns
    -------
    list of dict
        `together` tells whether all foundation models embedded each batch in turn.
    """
    config = config_of([*(WITH_DATA if with_data else WITHOUT), *overrides])
    rows = []
    for dataset in config.datasets:
        alone = [(fm,) for fm in config.fms]
        for number, fms in enumerate([config.fms, *alone] if len(alone) > 1 else alone):
            folder = scratch / f"{dataset.name}-{number}"
            finished = _first_batches(config, fms, dataset, batches=batches, folder=folder)
            rows += _rows(finished, fms, dataset, together=len(fms) > 1)
    return rows


def compare_dtypes(overrides: Sequence[str], *, with_data: bool, scratch: Path) -> list[Row]:
    """Return how far accuracies on float16 embeddings differ from those on float32.

    Parameters
    ----------
    overrides, with_data, scratch
        As in `measure`.
    """
    accuracies = []
    for dtype in ("float32", "float16"):
        folder = scratch / dtype
        config = config_of(
            [
                *(HALF_WITH_DATA if with_data else HALF_WITHOUT),
                *(o for o in overrides if not o.startswith("paths.results")),
                *(f"paths.results='{folder}'", f"embed.dtype={dtype}", "n_jobs=-1"),
            ]
        )
        embeddings = embed(config)
        plan = make_plan(config, described(config))
        run(config, plan, embeddings, store_of(config))
        rows = plan.frame().merge(store_of(config).read(plan.ids)[["trial_id", "accuracy"]])
        n_bytes = sum(f.stat().st_size for f in (folder / "embeddings").rglob("*_embeddings.npy"))
        accuracies.append(rows["accuracy"].to_numpy())
    points = 100 * np.abs(accuracies[0] - accuracies[1])
    return [
        {
            "data": ", ".join(f"{d}/{fm}" for fm, d in embeddings),
            "trials": len(points),
            "equal": int((points == 0).sum()),
            "mean_points": float(points.mean()),
            "most_points": float(points.max()),
            "mean_accuracy": float(100 * accuracies[0].mean()),
            "mib_of_float16": n_bytes / 2**20,
        }
    ]


def _first_batches(
    config: Config, fms: Sequence[Source], dataset: Source, *, batches: int, folder: Path
) -> list[Done]:
    """Embed some batches of training images in this process, and return what each cost."""
    finished: list[Done] = []

    def each(function: Callable[[Batch], Done], items: Iterable[Batch]) -> Iterator[Done]:
        for number, batch in enumerate(items):
            if number > batches:
                raise _Enough
            finished.append(function(batch))
            yield finished[-1]

    settings = replace(config.embed, device="cpu", loaders=None)
    with suppress(_Enough):
        create_all(folder, fms, dataset, settings, each=each)
    return finished[1:] if len(finished) > 1 else finished  # the first loads libraries


def _rows(
    finished: Sequence[Done], fms: Sequence[Source], dataset: Source, *, together: bool
) -> Iterator[Row]:
    images = sum(len(done.batch) for done in finished)
    for i, fm in enumerate(fms):
        forward = sum(done.forward[i] for done in finished)
        other = sum(done.other[i] for done in finished)
        yield {
            "fm": fm.name,
            "dataset": dataset.name,
            "together": together,
            "images": images,
            "forward_seconds": forward,
            "other_seconds": other,
            "overhead": other / forward,
            "images_per_second": images / (forward + other),
        }

"""Sweeps to be measured: composed as on the command line, with their embeddings at hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.synthetic import InMemory, Sizes
from imprint_bench.command_line import check, parse
from imprint_bench.composing import compose
from imprint_bench.config import Config, read
from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.embeddings.cache import Embeddings
from imprint_bench.sweep.embedding import described, embed
from imprint_bench.sweep.joining import joined
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.unit import Unit, units

Pair = tuple[str, str]
ONE_PAIR = ("fm=[mobilenet_v1_050]", "dataset=[mnist]")
# Small enough for a test, and still every step of the harness.
QUICK_SWEEP = (
    *("gen=[mean,kmeans,all,least_squares]", "gen.kmeans.k=[1,5]", "task=[all,short]"),
    *("seeds=[0]", "agg.mnn.metric=[euclidean]", "agg.mnn.m=[3]"),
)
ONLY_ALL = ("~gen.kmeans", "~gen.kmedoids", "~gen.mean", "~agg.max")
PAPER = {
    "paper": (
        ("+sweep=paper/gen", *ONE_PAIR),
        ("+sweep=paper/agg", *ONE_PAIR, "agg.mnn.metric=[euclidean,cosine]"),
    ),
    "manhattan on all": (("+sweep=paper/agg", *ONE_PAIR, *ONLY_ALL, "agg.mnn.metric=[manhattan]"),),
    "mahalanobis on all": (
        ("+sweep=paper/agg", *ONE_PAIR, *ONLY_ALL, "agg.mnn.metric=[mahalanobis]"),
    ),
}


class Job(NamedTuple):
    """Sweeps that are measured as one.

    Attributes
    ----------
    name : str
    configs : tuple of Config
        With n_jobs 1.
    whole : bool
        Whether the reference path can compute all of it.
    embeddings : mapping from (fm, dataset) to Embeddings
    """

    name: str
    configs: tuple[Config, ...]
    whole: bool
    embeddings: Mapping[Pair, Embeddings]

    @property
    def data(self) -> str:
        """Datasets and foundation models, for a table."""
        return ", ".join(f"{dataset}/{fm}" for fm, dataset in self.embeddings)


def config_of(overrides: Sequence[str]) -> Config:
    """Return the configuration that a command line composes.

    Raises
    ------
    ConfigError
        If an override is wrong.
    """
    options = parse(overrides)
    check(options)
    (job,) = compose(options)
    return read(job.raw)


def jobs_of(overrides: Sequence[str], *, quick: bool) -> list[Job]:
    """Return the jobs that the command line asks for, embedded.

    Parameters
    ----------
    overrides : sequence of str
        With ``+sweep=NAME`` that sweep alone; else the sweep `bench` on digits, and
        with ``paths.data=FOLDER`` the paper's grids on MNIST too.
    quick : bool
        Take less of `bench`, and none of the paper's grids.
    """
    if any(override.startswith("+sweep=") for override in overrides):
        return [_job("custom", [tuple(overrides)], whole=False)]
    less = QUICK_SWEEP if quick else ()
    found = [_job("digits", [("+sweep=bench", *less, *overrides)], whole=True)]
    if has_data(overrides) and not quick:
        for name, sweeps in PAPER.items():
            found.append(_job(name, [(*s, *overrides) for s in sweeps], whole=False))
    return found


def has_data(overrides: Sequence[str]) -> bool:
    """Tell whether a folder with data is named, and no sweep to be taken instead of all."""
    names = {override.partition("=")[0] for override in overrides}
    return "paths.data" in names and "+sweep" not in names


def made_up_job(folder: Path, sizes: Sizes) -> Job:
    """Return the grid `paper/gen` on made-up embeddings, cached below `folder`."""
    arrays = InMemory(sizes)
    file = folder / "made_up.npz"
    parts: dict[str, Any] = {f"{split}_embeddings": arrays.X(split) for split in SPLITS}
    parts |= {f"{split}_labels": arrays.y(split) for split in SPLITS}
    np.savez(file, **parts)
    overrides = (
        *("+sweep=paper/gen", "fm=[precomputed]", "dataset=[precomputed]"),
        *(f"fm.precomputed.file='{file}'", f"paths.results='{folder}'"),
    )
    return _job("made up", [overrides], whole=False)


def planned(job: Job) -> tuple[Plan, list[Unit]]:
    """Return the plan of all sweeps of a job as one, as a multirun makes it, and its units."""
    plan = joined([make_plan(config, described(config)) for config in job.configs])
    return plan, units(plan, np.ones(len(plan), dtype=bool))


def _job(name: str, sweeps: Sequence[Sequence[str]], *, whole: bool) -> Job:
    configs = tuple(config_of([*overrides, "n_jobs=1"]) for overrides in sweeps)
    embeddings: dict[Pair, Embeddings] = {}
    for config in configs:
        embeddings |= embed(config)
    return Job(configs[0].name if name == "custom" else name, configs, whole, embeddings)

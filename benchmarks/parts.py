"""The parts of a run at full and at quick size, one after the other."""

from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import (
    embedding,
    gemm,
    growth,
    head_step,
    kmeans,
    machine,
    page,
    paths,
    prototypes,
    store,
    workers,
)
from benchmarks.head_step import Problem
from benchmarks.jobs import QUICK_SWEEP, Job, has_data, jobs_of, made_up_job
from benchmarks.synthetic import Sizes

Tables = dict[str, list[dict[str, Any]]]


class Size(NamedTuple):
    """How large everything is."""

    gemm: dict[str, Any]
    batches: int
    scaling: Sizes
    scaling_repeats: int
    store: dict[str, Any]
    page: dict[str, Any]
    kmeans: dict[str, int]
    growth: dict[str, Any]
    head_step: tuple[Problem, ...]
    matching: dict[str, Any]
    prototypes: tuple[prototypes.Problem, ...]


FULL = Size(
    gemm={"sizes": (512, 1024, 2048), "repeats": 5},
    batches=16,
    scaling=Sizes(train=2000, test=300, length=512),
    scaling_repeats=2,
    store={"n_trials": 500_000, "n_parts": 500},
    page={"n_rows": 500_000, "repeats": 5},
    kmeans={"n": 6000, "length": 512, "count": 2},
    growth={"base": growth.Base(rows=2000, length=512, k=16, tasks=4, test_rows=500), "repeats": 2},
    head_step=(
        Problem("mlp", {}, (8, 16, 1), c=100, d=10, batch=128, rounds=40, steps=64),
        Problem("mlp", {}, (8, 16, 1), c=100, d=50, batch=128, rounds=40, steps=64),
        Problem("resnet", {"depth": 8}, (32, 32, 3), c=100, d=50, batch=128, rounds=20, steps=1),
    ),
    matching={"sizes": ((10, 64), (100, 64), (1000, 64), (5000, 64)), "repeats": 3},
    prototypes=prototypes.FULL,
)
QUICK = Size(
    gemm={"sizes": (128, 256), "repeats": 2},
    batches=2,
    scaling=Sizes(train=40, test=20, length=32),
    scaling_repeats=1,
    store={"n_trials": 2000, "n_parts": 5, "overrides": QUICK_SWEEP},
    page={"n_rows": 40_000, "repeats": 1, "long": False},
    kmeans={"n": 300, "length": 32, "count": 1},
    growth={
        "base": growth.Base(rows=60, length=16, k=4, tasks=2, test_rows=40),
        "down": 1,
        "up": 1,
        "repeats": 1,
    },
    head_step=(Problem("mlp", {"hidden": [8]}, (2, 2, 1), c=6, d=3, batch=8, rounds=2, steps=1),),
    matching={"sizes": ((10, 4),), "repeats": 1},
    prototypes=prototypes.QUICK,
)


class Asked(NamedTuple):
    """What the command line asks for."""

    parts: tuple[str, ...]
    overrides: tuple[str, ...]
    quick: bool
    each: int | None  # trials of every stratum for the reference path
    scratch: Path  # a folder that is removed at the end

    @property
    def size(self) -> Size:
        """The sizes of everything."""
        return QUICK if self.quick else FULL

    @property
    def with_data(self) -> bool:
        """Whether the paper's grids are measured too."""
        return has_data(self.overrides) and not self.quick


def measure(asked: Asked, *, say: Callable[[str], None]) -> Iterator[Tables]:
    """Yield the tables of every part that was asked for, those of `paths` after each job.

    Parameters
    ----------
    asked : Asked
    say : callable
        Told what comes next.

    Raises
    ------
    ConfigError
        If an override is wrong.
    """
    jobs = jobs_of(asked.overrides, quick=asked.quick) if _needs_jobs(asked) else []
    if {"gemm", "paths"} & set(asked.parts):
        say("gemm")
        speeds = gemm.measure(**asked.size.gemm)
        yield {"gemm": speeds}
        yield from _paths(asked, jobs, gemm.peaks(speeds), say)
    others: dict[str, Callable[[], list[dict[str, Any]]]] = {
        "scaling": lambda: _scaling(asked, jobs),
        "embedding": lambda: embedding.measure(**_embedding(asked), batches=asked.size.batches),
        "dtypes": lambda: embedding.compare_dtypes(**_embedding(asked)),
        "store": lambda: store.measure(**asked.size.store),
        "page": lambda: page.measure(**asked.size.page),
        "kmeans": lambda: kmeans.measure(_problems(asked, jobs)),
        "growth": lambda: growth.measure(**asked.size.growth),
        "head_step": lambda: head_step.measure(asked.size.head_step),
        "matching": lambda: head_step.measure_matching(**asked.size.matching),
        "prototypes": lambda: prototypes.measure(asked.size.prototypes),
    }
    also = {"dtypes": "embedding", "matching": "head_step"}  # parts that come with another
    for name, part in others.items():
        if also.get(name, name) in asked.parts:
            say(name)
            yield {name: part()}


def machine_of(asked: Asked) -> dict[str, str]:
    """Return the machine, and whether the sizes were quick ones."""
    return machine.describe() | {"sizes": "quick" if asked.quick else "full"}


def _needs_jobs(asked: Asked) -> bool:
    return "paths" in asked.parts or (
        asked.with_data and bool({"scaling", "kmeans"} & set(asked.parts))
    )


def _paths(
    asked: Asked, jobs: list[Job], peaks: dict[str, float], say: Callable[[str], None]
) -> Iterator[Tables]:
    """Yield the tables of all jobs so far, after each."""
    found: Tables = defaultdict(list)
    for job in jobs if "paths" in asked.parts else ():
        say(f"paths: {job.name}")
        for name, rows in paths.measure(job, peaks=peaks, each=asked.each).items():
            found[name] += rows
        yield {name: rows for name, rows in found.items() if rows}


def _embedding(asked: Asked) -> dict[str, Any]:
    return {
        "overrides": asked.overrides,
        "with_data": asked.with_data,
        "scratch": asked.scratch,
    }


def _scaling(asked: Asked, jobs: list[Job]) -> list[dict[str, Any]]:
    job = jobs[1] if asked.with_data else made_up_job(asked.scratch, asked.size.scaling)
    return workers.measure(job, n_jobs=(1, 2), repeats=asked.size.scaling_repeats)


def _problems(asked: Asked, jobs: list[Job]) -> dict[str, np.ndarray]:
    """Return made-up classes, and with the paper's data two real ones."""
    found = kmeans.made_up(**asked.size.kmeans)
    if asked.with_data:
        for (fm, dataset), entry in jobs[1].embeddings.items():
            for label in np.unique(entry.y("train"))[:2]:
                rows = np.flatnonzero(entry.y("train") == label)
                found[f"{dataset}/{fm} {label}"] = entry.X("train")[rows]
    return found

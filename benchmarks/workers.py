"""Wall seconds of one job with one worker and with two, into fresh stores."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.fresh import fresh
from benchmarks.jobs import Job, planned
from imprint_bench.sweep.run import run, store_of


def measure(job: Job, *, n_jobs: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Return the wall seconds of a job by number of workers.

    They are those of `run`: units of work, their processes, rows written; without
    planning and embedding. Each is the fastest of `repeats`, in turns.
    """
    best = dict.fromkeys(n_jobs, float("inf"))
    trials = 0
    for _ in range(repeats):
        for n in n_jobs:
            measured = fresh(_run, job, n)
            trials, seconds = measured.result
            best[n] = min(best[n], seconds)
    return [
        {
            "job": job.name,
            "trials": trials,
            "n_jobs": n,
            "wall_seconds": best[n],
            "speedup": best[n_jobs[0]] / best[n],
        }
        for n in n_jobs
    ]


def _run(job: Job, n_jobs: int) -> tuple[int, float]:
    """Run a job into a folder that is removed; return its trials and wall seconds."""
    with tempfile.TemporaryDirectory() as folder:
        paths = dataclasses.replace(
            job.configs[0].paths, results=Path(folder), rows=Path(folder) / "rows"
        )
        config = dataclasses.replace(job.configs[0], n_jobs=n_jobs, paths=paths)
        plan, _ = planned(job)
        outcome = run(config, plan, job.embeddings, store_of(config))
    if outcome.failed or outcome.computed != len(plan):
        raise RuntimeError(f"{config.name}: {len(outcome.failed)} units of work failed")
    return len(plan), outcome.seconds

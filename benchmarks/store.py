"""Planning, writing, resuming, loading and reporting very many trials, with made-up rows."""

import dataclasses
import math
import tempfile
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.fresh import Measured, fresh
from benchmarks.jobs import config_of
from imprint_bench.analysis import paper
from imprint_bench.analysis.axes import TRAINING, read_by
from imprint_bench.analysis.build import Refusal, build
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.frames import rows_of_plan
from imprint_bench.analysis.tables import TABLES
from imprint_bench.config import Config
from imprint_bench.data.embeddings.description import Description
from imprint_bench.params import takes
from imprint_bench.registry import Registry
from imprint_bench.sweep.plan import Plan, group_columns, setting_columns
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.run import pending, store_of

FMS = 4  # the trials are spread over these, and over as many datasets as are needed
CLASSES = 10
PAPER = paper.__name__


class Step(NamedTuple):
    """What a step found, and the CPU seconds that it planned first."""

    trials: int
    parts: int
    planning_seconds: float


def measure(*, n_trials: int, n_parts: int, overrides: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return what each step takes, in a process of its own.

    The trials are those of the sweep `bench` with `overrides` on made-up datasets.
    The steps are to plan at least `n_trials` trials; to write a row for each of them
    in about `n_parts` parts; to resume, which plans and finds nothing to do; to load,
    which plans, reads all rows and joins them to the plan; and to report, which loads
    and makes every table and figure but those of the paper.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        config = _config(Path(folder), overrides)
        n_datasets = math.ceil(n_trials / len(made_up_plan(config, 1)))
        for name, step in STEPS.items():
            measured = fresh(step, config, n_datasets, n_parts)
            found.append(_row(name, measured))
        found[-1]["mib_on_disk"] = _mib(config.paths.rows)
    return found


def _row(name: str, measured: Measured) -> dict[str, Any]:
    step: Step = measured.result
    return {
        "step": name,
        "trials": step.trials,
        "parts": step.parts,
        "cpu_seconds": measured.cpu_seconds,
        "planning_cpu_seconds": step.planning_seconds,
        "wall_seconds": measured.wall_seconds,
        "peak_mib": measured.peak_mib,
        "before_mib": measured.before_mib,
    }


def _config(folder: Path, overrides: Sequence[str]) -> Config:
    config = config_of(["+sweep=bench", *overrides, "n_jobs=1"])
    paths = dataclasses.replace(config.paths, results=folder, rows=folder / "rows")
    return dataclasses.replace(config, paths=paths)


def _timed_plan(config: Config, n_datasets: int) -> tuple[Plan, float]:
    started = time.process_time()
    return made_up_plan(config, n_datasets), time.process_time() - started


def made_up_plan(config: Config, n_datasets: int) -> Plan:
    """Plan the sweep for foundation models and datasets that do not exist."""
    labels = {"train": np.repeat(np.arange(CLASSES), 60), "test": np.arange(CLASSES)}
    made_up = [
        Description(
            fm=f"fm{i}",
            dataset=f"dataset{j}",
            fingerprint=f"{j * FMS + i:064x}",
            labels=labels,
            length=512,
            weight_decay=1e-4,
            cached=True,
        )
        for j in range(n_datasets)
        for i in range(FMS)
    ]
    return make_plan(config, made_up)


def _planning(config: Config, n_datasets: int, n_parts: int) -> Step:
    plan, seconds = _timed_plan(config, n_datasets)
    return Step(len(plan), 0, seconds)


def _writing(config: Config, n_datasets: int, n_parts: int) -> Step:
    plan, seconds = _timed_plan(config, n_datasets)
    store, rng = store_of(config), np.random.default_rng(0)
    groups = [group_columns(group) for group in plan.groups]
    settings = [setting_columns(setting) for setting in plan.settings]
    bounds = np.linspace(0, len(plan), n_parts + 1).astype(int).tolist()
    store.prepare(n_rows=len(plan), n_parts=n_parts)
    for start, stop in pairwise(bounds):
        accuracies = rng.random((stop - start, CLASSES + 1)).tolist()
        rows = [
            {
                "trial_id": plan.ids[i].decode(),
                "status": "ok",
                **groups[plan.group_of[i]],
                **settings[plan.setting_of[i]],
                "data": "f" * 64,
                "accuracy": accuracy,
                "f1_macro": accuracy,
                "f1_weighted": accuracy,
                "f1": f1,
                "n_train": 600,
                "n_test": CLASSES,
                "n_proxies": 200,
                "k_effective": 20,
                "gen_seconds": 0.25,
                "timed_together": 3,
            }
            for i, (accuracy, *f1) in zip(range(start, stop), accuracies, strict=True)
        ]
        store.write(rows)
    return Step(len(plan), _n_parts(config), seconds)


def _resuming(config: Config, n_datasets: int, n_parts: int) -> Step:
    plan, seconds = _timed_plan(config, n_datasets)
    if pending(config, plan, store_of(config)).any():
        raise RuntimeError("the store lacks rows that were written")
    return Step(len(plan), _n_parts(config), seconds)


def _loading(config: Config, n_datasets: int, n_parts: int) -> Step:
    plan, seconds = _timed_plan(config, n_datasets)
    _rows(config, plan)
    return Step(len(plan), _n_parts(config), seconds)


def _reporting(config: Config, n_datasets: int, n_parts: int) -> Step:
    plan, seconds = _timed_plan(config, n_datasets)
    rows = _rows(config, plan)
    made = [
        *build(TABLES, _of_any_sweep(TABLES), rows, command=""),
        *build(FIGURES, _of_any_sweep(FIGURES), rows, command=""),
    ]
    if refused := [view.sentence for view in made if isinstance(view, Refusal)]:
        raise RuntimeError(refused[0])
    return Step(len(plan), _n_parts(config), seconds)


def _of_any_sweep(registry: Registry[Callable[..., Any]]) -> dict[str, dict[str, Any]]:
    """Return requests for what is made of any rows: the paper's views want those of its sweeps."""
    requests = of_rows_alone(registry)
    return {
        k: v
        for k, v in requests.items()
        if not registry[k].__module__.startswith(PAPER) and read_by(registry[k]) is not TRAINING
    }


def of_rows_alone(registry: Registry[Callable[..., Any]]) -> dict[str, dict[str, Any]]:
    """Return requests for the tables or figures that take nothing but the rows."""
    further = ("collapse", "samples", "prototypes", "matching_seconds")
    return {
        name: {}
        for name, function in registry.items()
        if not any(takes(function, w) for w in further)
    }


def _rows(config: Config, plan: Plan) -> pd.DataFrame:
    rows = rows_of_plan(plan.frame(), store_of(config).read(plan.ids))
    if len(rows) != len(plan) or (rows["status"] != "ok").any():
        raise RuntimeError("the store lacks rows that were written")
    return rows


STEPS: dict[str, Callable[[Config, int, int], Step]] = {
    "plan": _planning,
    "write": _writing,
    "resume": _resuming,
    "load": _loading,
    "report": _reporting,
}


def _n_parts(config: Config) -> int:
    return len(list(config.paths.rows.glob("*.parquet")))


def _mib(folder: Path) -> float:
    return sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 2**20

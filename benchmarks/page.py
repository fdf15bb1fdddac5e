"""The page of a study of very many made-up trials: writing it, opening it, filtering it."""

import math
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.fresh import fresh
from benchmarks.jobs import config_of
from benchmarks.store import made_up_plan, of_rows_alone
from imprint_bench.analysis.build import build
from imprint_bench.analysis.cells import number
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.frames import INSTANCE, method_columns
from imprint_bench.analysis.table import Table
from imprint_bench.analysis.tables import TABLES
from imprint_bench.report import write_report
from imprint_bench.report.ranking import ranking

# Every generator and norm, with as many neighbors as the tables of the paper have.
SWEEP = (
    *("+sweep=bench", "n_jobs=1", "agg.mnn.m=[1,3,5,20,50]"),
    *("agg.mnn.metric=[euclidean]", "agg.mnn.weighting=[distance]"),
)
# Made for each foundation model, too, so that a page is as long as one of a large study.
FOR_EACH_FM = ("best_configurations", "norms", "generators", "per_instance",
               "critical_difference", "accuracy_over_k", "figure6")  # fmt: skip
COMMAND = "python -m benchmarks --only page"
BROWSERS = ("chromium", "google-chrome")
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
LOADED = "performance.getEntriesByType('navigation')[0].loadEventEnd"
# What a callback of a frame puts off is done after that frame has been drawn.
REDRAWN = """() => new Promise((done) => {
  const box = document.querySelector("#explore fieldset[data-filter] input");
  const told = () => document.getElementById("explore-state").textContent;
  const before = told(), start = performance.now();
  box.click();
  if (told() === before) throw new Error("the filter changes nothing");
  requestAnimationFrame(() => setTimeout(() => done(performance.now() - start)));
})"""


class Written(NamedTuple):
    """A page: its size, what is on it, and the CPU seconds of making it."""

    page_mb: float
    rows: int
    instances: int
    tables: int
    pictures: int
    refused: int  # tables and figures that lack trials, or have too little to draw
    views_cpu_seconds: float  # all tables and figures
    page_cpu_seconds: float  # `write_report`
    ranking_cpu_seconds: float  # a part of the latter, measured by itself


def measure(*, n_rows: int, repeats: int, long: bool = True) -> list[dict[str, Any]]:
    """Return, in one row, what a page of at least `n_rows` made-up trials takes.

    It is written in a process of its own, with every table and figure that needs nothing
    but rows, and opened and filtered `repeats` times; of these the medians are returned.
    A long page has some tables and figures for each foundation model, too.
    """
    with tempfile.TemporaryDirectory() as folder:
        measured = fresh(_write, Path(folder), n_rows, long)
        opened = open_page(Path(folder) / "index.html", repeats=repeats)
    return [{**measured.result._asdict(), "peak_mib": measured.peak_mib, **opened}]


def made_up_rows(n_rows: int) -> pd.DataFrame:
    """Return at least `n_rows` rows of a report; configurations differ, and so do instances."""
    config = config_of(SWEEP)
    rows = made_up_plan(config, math.ceil(n_rows / len(made_up_plan(config, 1)))).frame()
    method, methods = number(rows[method_columns(rows)])
    instance, instances = number(rows[list(INSTANCE)])
    rng = np.random.default_rng(0)
    quality, ease = rng.normal(size=len(methods)), rng.normal(size=len(instances))
    logit = 1.5 + 0.5 * quality[method] + 0.8 * ease[instance] + 0.05 * rng.normal(size=len(rows))
    return rows.assign(
        accuracy=np.round(1 / (1 + np.exp(-logit)), 4),
        gen_seconds=rng.uniform(0.01, 0.1, len(rows)),
        status="ok",
        planned=True,
    )


def views(registry: Any, rows: pd.DataFrame, fms: Sequence[str]) -> list[Any]:
    """Return the tables or figures that take rows alone, and some for each of `fms`.

    Parameters
    ----------
    registry : Registry
        `TABLES` or `FIGURES`.
    rows : DataFrame
        One row per trial.
    fms : sequence of str
    """
    made = build(registry, of_rows_alone(registry), rows, command=COMMAND)
    for fm in fms:
        requests = {name: {"where": {"fm": fm}} for name in FOR_EACH_FM if name in registry}
        own = build(registry, requests, rows, command=COMMAND)
        made += [replace(v, name=f"{v.name}_{fm}", title=f"{v.title}: {fm}") for v in own]
    return made


def open_page(page: Path, *, repeats: int) -> dict[str, Any]:
    """Return milliseconds until a page has loaded, and until a click on a filter shows.

    They are wall time, so the load of the machine (tasks that run or wait) is said, too.
    All are None where Chromium or playwright is missing.
    """
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None or find_spec("playwright") is None:
        return dict.fromkeys(("browser", "load_average", "load_ms", "redraw_ms"))
    from playwright.sync_api import sync_playwright

    loads, redraws = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        for _ in range(repeats):
            with browser.new_context(viewport={"width": 1400, "height": 900}) as context:
                opened = context.new_page()
                opened.goto(page.as_uri())
                loads.append(opened.evaluate(LOADED))
                redraws.append(opened.evaluate(REDRAWN))
        version = f"Chromium {browser.version}"
        browser.close()
    return {
        "browser": version,
        "load_average": os.getloadavg()[0],
        "load_ms": float(np.median(loads)),
        "redraw_ms": float(np.median(redraws)),
    }


def _write(folder: Path, n_rows: int, long: bool) -> Written:
    rows = made_up_rows(n_rows)
    clock = [time.process_time()]
    fms = rows["fm"].unique().tolist() if long else []
    tables, figures = views(TABLES, rows, fms), views(FIGURES, rows, fms)
    clock.append(time.process_time())
    page = write_report(
        folder, name="made up", rows=rows, tables=tables, figures=figures,
        dropped=pd.DataFrame({"reason": []}), provenance={"command": COMMAND},
    )  # fmt: skip
    clock.append(time.process_time())
    ranking(rows)
    clock.append(time.process_time())
    n_tables = sum(isinstance(view, Table) for view in tables)
    n_pictures = sum(isinstance(view, Drawing) and view.picture is not None for view in figures)
    refused = len(tables) + len(figures) - n_tables - n_pictures
    n_instances = len(rows[list(INSTANCE)].drop_duplicates())
    return Written(
        page.stat().st_size / 1e6, len(rows), n_instances, n_tables, n_pictures, refused,
        *np.diff(clock).tolist(),
    )  # fmt: skip

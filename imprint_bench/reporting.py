"""The stage `report` of a study: tables, figures and a page from its rows."""

import datetime as dt
import logging
import os
import platform
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from imprint_bench import __version__
from imprint_bench.analysis.build import Refusal, build, check_requests
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.frames import rows_of_plan, select
from imprint_bench.analysis.rendering import to_text
from imprint_bench.analysis.tables import TABLES, group_columns
from imprint_bench.config import Config
from imprint_bench.durable import remove_unfinished
from imprint_bench.errors import ConfigError
from imprint_bench.params import takes
from imprint_bench.registry import Registry
from imprint_bench.report import write_report
from imprint_bench.sweep.collapse import collapse_of
from imprint_bench.sweep.embedding import left_out
from imprint_bench.sweep.marks import blamed, described_marks
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.run import Outcome, store_of
from imprint_bench.sweep.samples import samples

log = logging.getLogger(__name__)

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "pandas", "pyarrow", "joblib")
SHOWN = 20  # rows of a table in the terminal

Requests = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Launch:
    """How a study was started: the command, the composed YAML, and its place in a multirun."""

    command: str
    configuration: str
    subfolder: str = ""


@dataclass(frozen=True)
class Views:
    """The tables and figures of a study: their parameters by name."""

    tables: Requests
    figures: Requests

    @classmethod
    def of(cls, config: Config) -> "Views":
        """Return what a configuration asks for, with the settings of `report` filled in.

        Raises
        ------
        ConfigError
            If there is no such table or figure, or a parameter is wrong.
        """
        given = {"alpha": config.alpha, "allow_incomplete": config.allow_incomplete}

        def filled(registry: Registry[Any], requests: Mapping[str, Mapping[str, Any]]) -> Requests:
            made = {}
            for name, params in requests.items():
                function = registry.find(name, at=registry.noun)
                made[name] = {k: v for k, v in given.items() if takes(function, k)} | dict(params)
            check_requests(registry, made)
            return made

        return cls(filled(TABLES, config.tables), filled(FIGURES, config.figures))

    def check(self, plan: Plan) -> None:
        """Raise ConfigError for a table or figure of rows or axes that the plan lacks."""
        for noun, of_noun in (("table", self.tables), ("figure", self.figures)):
            for name, params in of_noun.items():
                if params.get("where") or params.get("per"):
                    try:
                        view = select(plan.frame(), params.get("where"))
                        group_columns(view, params.get("per") or [])
                    except ConfigError as error:
                        raise ConfigError(f"{noun}.{name}.{error}") from error


def report(
    config: Config,
    launch: Launch,
    views: Views,
    plan: Plan,
    outcome: Outcome,
    seconds: Mapping[str, float],
) -> list[Refusal]:
    """Write the report, show it in the terminal, and return what could not be made.

    Parameters
    ----------
    config : Config
    launch : Launch
    views : Views
    plan : Plan
    outcome : Outcome
        Of the stage `run`, if that was carried out.
    seconds : mapping from the name of a stage to what it took
    """
    rows = rows_of_plan(plan.frame(), store_of(config).read(plan.ids))
    started = time.monotonic()
    marked = described_marks(blamed(rows))
    run_all = without(launch.command, "stages=")
    if marked:  # what crashed or failed is tried again by this mode alone
        words = [word for word in run_all.split() if not word.startswith("mode=")]
        run_all = " ".join([*words, "mode=retry_failed"])
    given = {
        "collapse": cache(partial(collapse_of, config, plan)),
        "samples": cache(partial(samples, config)),
    }
    made_tables = build(TABLES, views.tables, rows, command=run_all, given=given)
    made_figures = build(FIGURES, views.figures, rows, command=run_all, given=given)
    folder = config.paths.reports / config.name
    remove_unfinished(folder)
    page = write_report(
        folder / launch.subfolder if launch.subfolder else folder,
        name=config.name,
        rows=rows,
        tables=made_tables,
        figures=made_figures,
        dropped=plan.dropped.rename(columns={"trials": "count"}),
        provenance=_provenance(launch, outcome, seconds, left_out(config)),
        failed=outcome.failed,
        marked=marked,
    )
    log.info("report written in %.1f s", time.monotonic() - started)
    for table in made_tables:
        text = table.sentence if isinstance(table, Refusal) else to_text(table, limit=SHOWN)
        log.info("\n%s", text)
    for figure in made_figures:
        text = figure.sentence if isinstance(figure, Refusal) else figure.finding
        log.info("\n%s: %s", figure.title, text)
    log.info("\nReport: %s", page)
    return [made for made in (*made_tables, *made_figures) if isinstance(made, Refusal)]


def without(command: str, *keys: str) -> str:
    """Return a command without its overrides of some keys."""
    return " ".join(word for word in command.split() if not any(key in word for key in keys))


def _provenance(
    launch: Launch, outcome: Outcome, seconds: Mapping[str, float], gaps: Mapping[str, str]
) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC)
    return {
        "command": launch.command,
        "written": f"{now:%Y-%m-%d %H:%M} UTC",
        "trials": {
            "computed now": f"{outcome.computed:,}",
            "found in the store": f"{outcome.found:,}",
        },
        **({"images left out": dict(gaps)} if gaps else {}),
        "time": {f"stage {stage}": f"{s:.1f} s" for stage, s in seconds.items()},
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count() or 1,
            "python": platform.python_version(),
        },
        "versions": {"imprint-bench": __version__} | {p: _version(p) for p in PACKAGES},
        "configuration": launch.configuration,
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

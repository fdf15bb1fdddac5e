"""One study from its configuration to its report: the stages in their order."""

import datetime as dt
import logging
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from imprint_bench import __version__
from imprint_bench.analysis.build import Refusal, build, check_requests
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.frames import rows_of_plan, select
from imprint_bench.analysis.rendering import to_text
from imprint_bench.analysis.tables import TABLES, group_columns
from imprint_bench.config import Config
from imprint_bench.data.description import Description
from imprint_bench.durable import remove_unfinished
from imprint_bench.errors import ConfigError, IncompleteError, RunFailed
from imprint_bench.execution import Shard
from imprint_bench.params import takes
from imprint_bench.registry import Registry
from imprint_bench.report import write_report
from imprint_bench.sweep.compaction import compact
from imprint_bench.sweep.estimate import estimate
from imprint_bench.sweep.executor import Executor, chosen_executor
from imprint_bench.sweep.executors.slurm import Slurm
from imprint_bench.sweep.marks import blamed, described_marks
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.rehearsal import rehearse
from imprint_bench.sweep.run import Outcome, described, embed, pending, run, store_of
from imprint_bench.sweep.store import Store
from imprint_bench.sweep.unit import share

log = logging.getLogger(__name__)

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "pandas", "pyarrow", "joblib")
SHOWN = 20  # rows of a table, or kinds of dropped combinations, in the terminal


@dataclass(frozen=True)
class Launch:
    """How a study was started: the command, the composed YAML, and its place in a multirun."""

    command: str
    configuration: str
    subfolder: str = ""


def carry_out(config: Config, launch: Launch) -> None:
    """Carry out the stages of a study that its configuration names.

    Raises
    ------
    ImprintError
        For the first mistake, before anything is computed where it can be known then.
    RunFailed
        If units of work failed; everything else is stored and reported.
    """
    tables, figures = _requests(config)
    executor = chosen_executor(config)
    rehearse(config)
    descriptions = described(config)
    plan = make_plan(config, descriptions)
    _check_views(plan, table=tables, figure=figures)
    if config.shard is not None:
        plan = share(plan, config.shard)
    store = store_of(config)
    if "plan" in config.stages:
        _log_plan(config, plan)
    if not {"embed", "run"} & set(config.stages) and "report" not in config.stages:
        log.info("%s", estimate(config, plan, descriptions, pending(config, plan, store)))
        return
    if "run" in config.stages:  # before embedding: a full disk is then known at once
        executor.check()
        compact(store)
        n_rows = int(pending(config, plan, store).sum())
        store.prepare(n_rows=n_rows, n_parts=len(set(plan.unit_of_group)))
    outcome, seconds = Outcome(), dict[str, float]()
    if {"embed", "run"} & set(config.stages):
        outcome, seconds = _embed_and_run(config, executor, descriptions, plan, store)
    refused: list[Refusal] = []
    if "report" in config.stages and config.shard is not None:
        _log_later_report(config.shard, launch)
    elif "report" in config.stages:
        rows = rows_of_plan(plan.frame(), store.read(plan.ids))
        refused = _report(config, launch, rows, plan, outcome, seconds, tables, figures)
    if outcome.failed or outcome.marked:
        raise RunFailed(_what_failed(outcome))
    if refused:
        names = ", ".join(refusal.name for refusal in refused)
        raise IncompleteError(f"report: results are missing for {names}; the page says which.")


def _embed_and_run(
    config: Config,
    executor: Executor,
    descriptions: Sequence[Description],
    plan: Plan,
    store: Store,
) -> tuple[Outcome, dict[str, float]]:
    """Return what the run gave, if it is asked for, and the seconds of each stage."""
    started = time.monotonic()
    embeddings = embed(config, descriptions)
    seconds = {"embed": time.monotonic() - started}
    if "run" not in config.stages:
        return Outcome(), seconds
    if isinstance(executor, Slurm) and config.shard is None:
        outcome = executor.run(config, plan, store)
    else:
        outcome = run(config, plan, embeddings, store)
    return outcome, seconds | {"run": outcome.seconds}


def _log_later_report(shard: Shard, launch: Launch) -> None:
    command = _without(launch.command, "stages=", "shard=")
    log.info("shard %s makes no report; after the last: %s stages=[report]", shard, command)


def _what_failed(outcome: Outcome) -> str:
    """Say what has no result, why, and what tries it again."""
    parts = []
    if outcome.marked:
        parts.append(
            f"{outcome.n_marked:,} trials crashed or failed; all others are stored, and "
            "mode=retry_failed runs these again:"
        )
        parts += [f"  {line}" for line in outcome.marked]
    if outcome.failed:
        parts.append(
            f"{len(outcome.failed)} units of work failed; the other rows are stored, and running "
            "again tries these again:"
        )
        parts += [f"  {sentence}" for sentence in outcome.failed[:SHOWN]]
    return "\n".join(parts)


def _without(command: str, *keys: str) -> str:
    """Return a command without its overrides of some keys."""
    return " ".join(word for word in command.split() if not any(key in word for key in keys))


Requests = dict[str, dict[str, Any]]


def _requests(config: Config) -> tuple[Requests, Requests]:
    """Return what tables and figures are asked for, with the report's settings filled in."""
    given = {"alpha": config.alpha, "allow_incomplete": config.allow_incomplete}

    def filled(registry: Registry[Any], requests: Mapping[str, Mapping[str, Any]]) -> Requests:
        made = {}
        for name, params in requests.items():
            function = registry.find(name, at=registry.noun)
            made[name] = {k: v for k, v in given.items() if takes(function, k)} | dict(params)
        check_requests(registry, made)
        return made

    return filled(TABLES, config.tables), filled(FIGURES, config.figures)


def _check_views(plan: Plan, **requests: Requests) -> None:
    """Refuse, before anything runs, a table or figure of rows or axes that the plan lacks."""
    for noun, of_noun in requests.items():
        for name, params in of_noun.items():
            if params.get("where") or params.get("per"):
                try:
                    view = select(plan.frame(), params.get("where"))
                    group_columns(view, params.get("per") or [])
                except ConfigError as error:
                    raise ConfigError(f"{noun}.{name}.{error}") from error


def _log_plan(config: Config, plan: Plan) -> None:
    dropped = plan.dropped
    log.info(
        "%s: %d trials in %d units of work; %d combinations dropped.",
        config.name, len(plan), len(set(plan.unit_of_group)), int(dropped["trials"].sum()),
    )  # fmt: skip
    if config.stages == ("plan",):
        for reason, group in dropped.groupby("reason", sort=True):
            log.info("  %d: %s", int(group["trials"].sum()), reason)
            for where, n in zip(group["where"][:SHOWN], group["trials"][:SHOWN], strict=True):
                log.info("      %s (%d)", where, n)
            if len(group) > SHOWN:
                log.info("      and %d more", len(group) - SHOWN)


def _report(
    config: Config,
    launch: Launch,
    rows: pd.DataFrame,
    plan: Plan,
    outcome: Outcome,
    seconds: Mapping[str, float],
    tables: Requests,
    figures: Requests,
) -> list[Refusal]:
    """Write the report, show it in the terminal, and return what could not be made."""
    started = time.monotonic()
    marked = described_marks(blamed(rows))
    run_all = _without(launch.command, "stages=")
    if marked:  # what crashed or failed is tried again by this mode alone
        words = [word for word in run_all.split() if not word.startswith("mode=")]
        run_all = " ".join([*words, "mode=retry_failed"])
    made_tables = build(TABLES, tables, rows, command=run_all)
    made_figures = build(FIGURES, figures, rows, command=run_all)
    folder = config.paths.reports / config.name
    remove_unfinished(folder)
    page = write_report(
        folder / launch.subfolder if launch.subfolder else folder,
        name=config.name,
        rows=rows,
        tables=made_tables,
        figures=made_figures,
        dropped=plan.dropped.rename(columns={"trials": "count"}),
        provenance=_provenance(launch, outcome, seconds),
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


def _provenance(launch: Launch, outcome: Outcome, seconds: Mapping[str, float]) -> dict[str, Any]:
    now = dt.datetime.now(dt.UTC)
    return {
        "command": launch.command,
        "written": f"{now:%Y-%m-%d %H:%M} UTC",
        "trials": {
            "computed now": f"{outcome.computed:,}",
            "found in the store": f"{outcome.found:,}",
        },
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

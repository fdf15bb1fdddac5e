"""The stage `report`: tables, figures and a page from the rows of a study, or of several."""

import datetime as dt
import logging
import os
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import pandas as pd

from imprint_bench import __version__
from imprint_bench.analysis.build import Refusal, build, check_requests
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.frames import group_columns, rows_of_plan, select
from imprint_bench.analysis.rendering import to_text
from imprint_bench.analysis.tables import TABLES
from imprint_bench.config import Config
from imprint_bench.durable import remove_unfinished
from imprint_bench.errors import ConfigError
from imprint_bench.params import takes
from imprint_bench.registry import Registry
from imprint_bench.report import write_report
from imprint_bench.report_sources import command_for, of_request, without_source
from imprint_bench.sweep.collapse import KEYS, collapse_of
from imprint_bench.sweep.embedding import left_out
from imprint_bench.sweep.marks import blamed, described_marks
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.run import Outcome, store_of
from imprint_bench.sweep.samples import samples

log = logging.getLogger(__name__)

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "pandas", "pyarrow", "joblib")
SHOWN = 20  # rows of a table in the terminal

Requests = dict[str, dict[str, Any]]
P = TypeVar("P")


@dataclass(frozen=True)
class Launch:
    """How a study was started: the command, the composed YAML, and its place in a multirun."""

    command: str
    configuration: str
    subfolder: str = ""


@dataclass(frozen=True)
class Views:
    """The tables and figures of a report: their parameters by name, and of which sweeps they are.

    Attributes
    ----------
    tables, figures : dict
        Parameters by name.
    sweeps : mapping from (group, name) to names of sweeps
        The parts of the report that a table or figure is made from; those of no entry are
        made from all.
    """

    tables: Requests
    figures: Requests
    sweeps: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Config) -> "Views":
        """Return what a configuration asks for, with the settings of `report` filled in.

        Raises
        ------
        ConfigError
            If there is no such table or figure, or a parameter is wrong.
        """
        given = {"alpha": config.alpha, "allow_incomplete": config.allow_incomplete}
        sweeps: dict[tuple[str, str], tuple[str, ...]] = {}

        def filled(registry: Registry[Any], requests: Mapping[str, Mapping[str, Any]]) -> Requests:
            made = {}
            for name, params in requests.items():
                at = f"{registry.noun}.{name}"
                function = registry.find(name, at=registry.noun)
                sweeps[registry.noun, name] = of_request(params, at=at)
                own = without_source(params)
                made[name] = {k: v for k, v in given.items() if takes(function, k)} | own
            check_requests(registry, made)
            return made

        return cls(filled(TABLES, config.tables), filled(FIGURES, config.figures), sweeps)

    def groups(self) -> list[tuple[str, Registry[Any], Requests]]:
        """Return tables and figures: the name of the group, its functions, what is asked for."""
        return [("table", TABLES, self.tables), ("figure", FIGURES, self.figures)]

    def check(self, plans: Mapping[str, Plan]) -> None:
        """Raise ConfigError for a table or figure of rows or axes that the plans lack.

        Parameters
        ----------
        plans : mapping from the name of a sweep to its plan
        """
        for noun, _, requests in self.groups():
            for name, params in requests.items():
                if params.get("where") or params.get("per"):
                    chosen = self.parts_of(noun, name, plans)
                    try:
                        frame = pd.concat([plan.frame() for plan in chosen], ignore_index=True)
                        group_columns(select(frame, params.get("where")), params.get("per") or [])
                    except ConfigError as error:
                        raise ConfigError(f"{noun}.{name}.{error}") from error

    def check_seeds(self, configs: Mapping[str, Config]) -> None:
        """Raise ConfigError for a table or figure of sweeps whose seeds differ.

        A median over other seeds is another median.
        """
        for noun, _, requests in self.groups():
            for name in requests:
                seeds = {
                    sweep: configs[sweep].seeds
                    for sweep in self.sweeps.get((noun, name), ())
                    if sweep in configs
                }
                if len({tuple(sorted(s)) for s in seeds.values()}) > 1:
                    told = ", ".join(f"{sweep} {list(s)}" for sweep, s in seeds.items())
                    raise ConfigError(
                        f"{noun}.{name}: its sweeps have different seeds ({told}); give them the "
                        "same."
                    )

    def parts_of(self, noun: str, name: str, parts: Mapping[str, P]) -> list[P]:
        """Return those parts of a report that a table or figure is made from."""
        named = [parts[sweep] for sweep in self.sweeps.get((noun, name), ()) if sweep in parts]
        return named or list(parts.values())


@dataclass(frozen=True)
class PartOfReport:
    """A sweep that has been computed, as far as the report needs it."""

    config: Config
    plan: Plan
    outcome: Outcome
    seconds: Mapping[str, float]
    configuration: str = ""

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row per trial of the plan, see `analysis.frames`."""
        return rows_of_plan(self.plan.frame(), store_of(self.config).read(self.plan.ids))

    @cached_property
    def collapse(self) -> pd.DataFrame:
        """NC1 of its instances, see `sweep.collapse`."""
        return collapse_of(self.config, self.plan)


def report(
    config: Config, launch: Launch, views: Views, parts: Mapping[str, PartOfReport]
) -> list[Refusal]:
    """Write the report, show it in the terminal, and return what could not be made.

    Parameters
    ----------
    config : Config
        Its name, paths and settings of `report` are those of the page.
    launch : Launch
    views : Views
    parts : mapping from the name of a sweep to PartOfReport
        One without a name, or several.
    """
    started = time.monotonic()
    every = list(parts.values())
    rows = _joined_rows(every)
    marked = described_marks(blamed(rows))
    run_all = without(launch.command, "stages=")
    if marked:  # what crashed or failed is tried again by this mode alone
        words = [word for word in run_all.split() if not word.startswith("mode=")]
        run_all = " ".join([*words, "mode=retry_failed"])
    made = {noun: _made(noun, registry, requests, views, parts, run_all)
            for noun, registry, requests in views.groups()}  # fmt: skip
    folder = config.paths.reports / config.name
    remove_unfinished(folder)
    page = write_report(
        folder / launch.subfolder if launch.subfolder else folder,
        name=config.name,
        rows=rows,
        tables=made["table"],
        figures=made["figure"],
        dropped=_dropped(parts),
        provenance=_provenance(launch, parts, rows),
        failed=list(dict.fromkeys(line for part in every for line in part.outcome.failed)),
        marked=marked,
    )
    log.info("report written in %.1f s", time.monotonic() - started)
    for table in made["table"]:
        text = _told(table) if isinstance(table, Refusal) else to_text(table, limit=SHOWN)
        log.info("\n%s", text)
    for figure in made["figure"]:
        text = _told(figure) if isinstance(figure, Refusal) else f"{figure.title}: {figure.finding}"
        log.info("\n%s", text)
    log.info("\nReport: %s", page)
    return [one for listed in made.values() for one in listed if isinstance(one, Refusal)]


def _dropped(parts: Mapping[str, PartOfReport]) -> pd.DataFrame:
    frames = [part.plan.dropped.assign(sweep=name) for name, part in parts.items()]
    return pd.concat(frames, ignore_index=True).rename(columns={"trials": "count"})


def _told(refusal: Refusal) -> str:
    return f"{refusal.title}: {refusal.sentence} The command: {refusal.command}"


def _made(
    noun: str,
    registry: Registry[Any],
    requests: Requests,
    views: Views,
    parts: Mapping[str, PartOfReport],
    command: str,
) -> list[Any]:
    """Return the tables or the figures of a report."""
    found: list[Any] = []
    for name, params in requests.items():
        own = views.parts_of(noun, name, parts)
        given = {
            "collapse": cache(partial(_joined_collapse, own)),
            "samples": cache(partial(samples, own[0].config)),
        }
        again = command_for(command, noun, name, of_parts=len(parts) > 1 or "" not in parts)
        found += build(registry, {name: params}, _joined_rows(own), command=again, given=given)
    return found


def _joined_rows(parts: Sequence[PartOfReport]) -> pd.DataFrame:
    """Return the rows of some sweeps, those of trials that they share once."""
    if len(parts) == 1:
        return parts[0].rows
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    return rows.drop_duplicates("trial_id", ignore_index=True)


def _joined_collapse(parts: Sequence[PartOfReport]) -> pd.DataFrame:
    frames = [part.collapse for part in parts]
    return pd.concat(frames, ignore_index=True).drop_duplicates(list(KEYS), ignore_index=True)


def without(command: str, *keys: str) -> str:
    """Return a command without its overrides of some keys."""
    return " ".join(word for word in command.split() if not any(key in word for key in keys))


def _provenance(
    launch: Launch, parts: Mapping[str, PartOfReport], rows: pd.DataFrame
) -> dict[str, Any]:
    every = list(parts.values())
    computed = sum(part.outcome.computed for part in every)
    done = int((rows["status"] == "ok").sum())
    gaps = {k: v for part in every for k, v in left_out(part.config).items()}
    times = {
        f"{f'{name}, ' if name else ''}stage {stage}": f"{s:.1f} s"
        for name, part in parts.items()
        for stage, s in part.seconds.items()
    }
    return {
        "command": launch.command,
        "written": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "trials": {
            "computed now": f"{computed:,}",
            "found in the store": f"{max(done - computed, 0):,}",
        },
        **({"sweeps": {n: f"{len(p.plan):,} trials" for n, p in parts.items()}}
           if len(parts) > 1 else {}),
        **({"images left out": gaps} if gaps else {}),
        "time": times,
        "machine": {
            "system": f"{platform.system()} {platform.machine()}",
            "cores": os.cpu_count() or 1,
            "python": platform.python_version(),
        },
        "versions": {"imprint-bench": __version__} | {p: _version(p) for p in PACKAGES},
        **({"configurations": {n: part.configuration for n, part in parts.items()}}
           if "" not in parts else {"configuration": launch.configuration}),
    }  # fmt: skip


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

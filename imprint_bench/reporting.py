"""The stage `report`: tables, figures and a page from the rows of a study, or of several."""

import datetime as dt
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pandas as pd

from imprint_bench import __version__
from imprint_bench.analysis.build import Refusal, build
from imprint_bench.analysis.rendering import to_text
from imprint_bench.durable import remove_unfinished
from imprint_bench.registry import Registry
from imprint_bench.report import write_report
from imprint_bench.report_sources import command_for
from imprint_bench.settings import Settings
from imprint_bench.sweep.marks import blamed, described_marks
from imprint_bench.sweep.run import Outcome
from imprint_bench.views import Requests, Views

log = logging.getLogger(__name__)

PACKAGES = ("numpy", "scipy", "scikit-learn", "torch", "torchvision", "pandas", "pyarrow", "joblib")
SHOWN = 20  # rows of a table in the terminal


@dataclass(frozen=True)
class Launch:
    """How a study was started: the command, the composed YAML, and its place in a multirun."""

    command: str
    configuration: str
    subfolder: str = ""


@dataclass(frozen=True)
class PartOfReport:
    """A sweep that has been computed, as far as the report needs it.

    Attributes
    ----------
    n_trials : int
        Of its plan.
    dropped : DataFrame
        Combinations that are no trials, see `Plan`.
    read_rows : callable
        ``() -> DataFrame``, one row per trial of the plan, see `analysis.frames`.
    outcome : Outcome
    seconds : mapping from the name of a stage to what it took
    configuration : str
        As YAML.
    given : mapping from a name to a function without arguments
        What tables and figures may ask for beside rows. Frames of several parts are
        joined; anything else is that of the first part.
    left_out : mapping
        Images that are not there, by data set.
    """

    n_trials: int
    dropped: pd.DataFrame
    read_rows: Callable[[], pd.DataFrame]
    outcome: Outcome
    seconds: Mapping[str, float]
    configuration: str = ""
    given: Mapping[str, Callable[[], Any]] = field(default_factory=dict)
    left_out: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def rows(self) -> pd.DataFrame:
        """One row per trial of the plan."""
        return self.read_rows()


def report(
    config: Settings, launch: Launch, views: Views, parts: Mapping[str, PartOfReport]
) -> list[Refusal]:
    """Write the report, show it in the terminal, and return what could not be made.

    Parameters
    ----------
    config : Settings
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
    frames = [part.dropped.assign(sweep=name) for name, part in parts.items()]
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
        given = {what: partial(_joined_given, own, what) for part in own for what in part.given}
        again = command_for(command, noun, name, of_parts=len(parts) > 1 or "" not in parts)
        found += build(registry, {name: params}, _joined_rows(own), command=again, given=given)
    return found


def _joined_rows(parts: Sequence[PartOfReport]) -> pd.DataFrame:
    """Return the rows of some sweeps, those of trials that they share once."""
    if len(parts) == 1:
        return parts[0].rows
    rows = pd.concat([part.rows for part in parts], ignore_index=True)
    return rows.drop_duplicates("trial_id", ignore_index=True)


def _joined_given(parts: Sequence[PartOfReport], name: str) -> Any:
    """Return what the parts give under a name: frames joined, or what the first one gives."""
    makers = [part.given[name] for part in parts if name in part.given]
    first = makers[0]()
    if not isinstance(first, pd.DataFrame) or len(makers) == 1:
        return first
    return pd.concat([first, *(m() for m in makers[1:])], ignore_index=True).drop_duplicates(
        ignore_index=True
    )


def without(command: str, *keys: str) -> str:
    """Return a command without its overrides of some keys."""
    return " ".join(word for word in command.split() if not any(key in word for key in keys))


def _provenance(
    launch: Launch, parts: Mapping[str, PartOfReport], rows: pd.DataFrame
) -> dict[str, Any]:
    every = list(parts.values())
    computed = sum(part.outcome.computed for part in every)
    done = int((rows["status"] == "ok").sum())
    gaps = {k: v for part in every for k, v in part.left_out.items()}
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
        **({"sweeps": {n: f"{p.n_trials:,} trials" for n, p in parts.items()}}
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

"""What comes last: one report of the sweeps that were computed, and what failed or is missing."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from imprint_bench.analysis.build import Refusal
from imprint_bench.errors import IncompleteError, RunFailed
from imprint_bench.execution import Shard
from imprint_bench.reporting import Launch, PartOfReport, report, without
from imprint_bench.settings import Settings
from imprint_bench.sweep.run import Outcome
from imprint_bench.views import Views

log = logging.getLogger(__name__)

SHOWN = 20  # failed units in the terminal


@dataclass(frozen=True)
class Page:
    """What is reported: where, how it was started, and which tables and figures."""

    config: Settings
    launch: Launch
    views: Views


def conclude(page: Page, parts: Mapping[str, PartOfReport]) -> None:
    """Make one report of some sweeps, if the page asks for one.

    Parameters
    ----------
    page : Page
    parts : mapping from the name of a sweep to PartOfReport
        One without a name, or several.

    Raises
    ------
    RunFailed
        If trials or units of work failed; everything else is stored and reported.
    IncompleteError
        If results that a table or figure needs are missing.
    """
    refused: list[Refusal] = []
    if "report" in page.config.stages and page.config.shard is not None:
        _log_later_report(page.config.shard, page.launch)
    elif "report" in page.config.stages:
        refused = report(page.config, page.launch, page.views, parts)
    outcomes = [part.outcome for part in parts.values()]
    failures = [_what_failed(o) for o in outcomes if o.failed or o.marked]
    if failures:
        raise RunFailed("\n".join(dict.fromkeys(failures)))
    if refused:
        names = ", ".join(refusal.name for refusal in refused)
        raise IncompleteError(f"report: results are missing for {names}; the page says which.")


def _log_later_report(shard: Shard, launch: Launch) -> None:
    command = without(launch.command, "stages=", "shard=")
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

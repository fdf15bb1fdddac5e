"""Finds the trials to blame where a unit of work fails, and lets the others keep their work.

A unit that killed its process, or raised, is split along what its trials share:
by `norm_pre` and k; then, once the proxies alone have been made without harm, by norms and
aggregation; then into chunks, down to single trials. Where the proxies of one k
and one task cannot be made, all trials on them are to blame. Every piece is a
call of its own; a single trial is blamed for a death only when it had a process
to itself (executors run such a call again, alone).
"""

import logging
import re
import traceback
from collections.abc import Callable, Generator, Hashable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.scoring import Setting
from imprint_bench.errors import CacheError, StoreError
from imprint_bench.sweep.bank import Row, compute
from imprint_bench.sweep.executor import Each, Failure
from imprint_bench.sweep.plan import Group, group_columns, setting_columns
from imprint_bench.sweep.proxies import class_proxies, joint_proxies, k_of
from imprint_bench.sweep.unit import Arrays, Unit, UnitData

CHUNKS = 16  # into which trials with equal norms and aggregation are split
PATIENCE = 500  # failed calls of one run, after which pieces are left for the next run
CRASHED, FAILED = "crashed", "failed"

log = logging.getLogger(__name__)

Trial = tuple[str, Group, Setting]


@dataclass(frozen=True)
class Piece:
    """Part of a unit of work, as one call.

    Attributes
    ----------
    unit : Unit
    proxies_only : bool
        Make the proxies and drop them, to see whether that goes well.
    made : bool
        Whether that has gone well.
    """

    unit: Unit
    proxies_only: bool = False
    made: bool = False

    @property
    def last(self) -> bool:
        """Whether a failure is the end of the search: it should not be another's fault."""
        return self.proxies_only or len(self.unit) == 1


@dataclass(frozen=True)
class Fault:
    """What a method raised: the fault of a trial, unlike that of a disk or a network."""

    reason: str
    trace: str


@dataclass(frozen=True)
class Verdict:
    """What became of the trials of a unit or of a part of it.

    Attributes
    ----------
    unit : Unit
    rows : list of dict
        Results, or marks of trials that are to blame; empty where it is not known.
    marked : bool
        Whether the rows are marks.
    reason : str
        Why there are no results.
    """

    unit: Unit
    rows: Sequence[Row] = ()
    marked: bool = False
    reason: str = ""


def verdicts(
    work: Sequence[Unit], arrays: Mapping[tuple[str, str], Arrays], each: Each
) -> Generator[Verdict, None, None]:
    """Compute units and yield what becomes of every trial, as soon as it is known.

    Parameters
    ----------
    work : sequence of Unit
        In the order in which they start.
    arrays : mapping from (fm, dataset) to Arrays
    each : Each
        Where calls run.
    """
    batches, failures, whole = [[Piece(unit) for unit in work]], 0, True
    while batches:
        batch = batches.pop()  # the latest: one search ends before the next begins
        if failures >= PATIENCE:
            reason = f"not searched further after {failures} failures in this run"
            yield from (Verdict(piece.unit, reason=reason) for piece in batch)
            continue
        for piece, result in _tried(batch, arrays, each, whole=whole):
            if isinstance(result, list):
                yield Verdict(piece.unit, result)
                continue
            if result is not None:
                failures += not whole
                log.debug("%s\n%s", result.reason, result.trace)
            if isinstance(result, Failure) and not result.died:
                yield Verdict(piece.unit, reason=result.reason)
            elif parts := split(piece, went_well=result is None):
                batches.append(parts)
            elif result is not None:
                status = CRASHED if isinstance(result, Failure) else FAILED
                yield Verdict(piece.unit, marks(piece.unit, status, result.reason), marked=True)
        if whole and batches:
            log.info("%d units of work failed; what is to blame is searched.", len(batches))
        whole = False


def split(piece: Piece, *, went_well: bool = False) -> list[Piece]:
    """Return what is to be tried next, nothing where all trials of the piece are to blame.

    Parameters
    ----------
    piece : Piece
        One that failed, or whose proxies alone were asked for.
    went_well : bool
        Whether these could be made.
    """
    unit = piece.unit
    if piece.proxies_only:
        if went_well:
            return _by_use(unit)
        parts = _parts(unit, lambda trial: trial[2].task)
        return [Piece(part) for part in parts] if len(parts) > 1 else []
    if len(unit) == 1:
        return []
    parts = _parts(unit, lambda trial: (trial[1].norm_pre, k_of(trial[1])))
    if len(parts) > 1:
        return [Piece(part, made=piece.made) for part in parts]
    return _by_use(unit) if piece.made else [Piece(unit, proxies_only=True)]


def attempt(item: tuple[Piece, Arrays]) -> list[Row] | Fault | None:
    """Compute a piece: its rows, or a Fault; None where only its proxies were to be made."""
    piece, arrays = item
    try:
        if piece.proxies_only:
            _make_proxies(piece.unit, arrays)
            return None
        return compute(piece.unit, arrays)
    except (OSError, CacheError, StoreError):
        raise
    except Exception as error:  # a method may raise anything
        first = str(error).splitlines()[0] if str(error) else ""
        return Fault(f"{type(error).__name__}: {first}", traceback.format_exc())


def marks(unit: Unit, status: str, reason: str) -> list[Row]:
    """Return a row without results for every trial of a unit: that it crashed or failed."""
    reason = re.sub(r" \(process \d+\)$", "", reason)
    return [
        {
            "trial_id": trial_id,
            "status": status,
            **group_columns(group),
            **setting_columns(setting),
            "data": unit.fingerprint,
            "accuracy": None,
            "reason": reason,
        }
        for trial_id, group, setting in unit.trials
    ]


def _tried(
    pieces: Sequence[Piece], arrays: Mapping[tuple[str, str], Arrays], each: Each, *, whole: bool
) -> Iterator[tuple[Piece, list[Row] | Fault | Failure | None]]:
    """Call `attempt` on every piece; those whose death would be the end get a second try."""
    groups: dict[bool, list[Piece]] = {False: [], True: []}
    for piece in pieces:
        groups[whole or piece.last].append(piece)
    for retry, group in groups.items():
        items = [(p, arrays[p.unit.key.fm, p.unit.key.dataset]) for p in group]
        with closing(each(attempt, items, retry=retry)) as results:
            for (piece, _), result in results:
                yield piece, result


def _make_proxies(unit: Unit, arrays: Arrays) -> None:
    make = joint_proxies if GENERATORS[unit.key.gen].scope == "task" else class_proxies
    for part in unit.by_norm_pre():
        for _ in make(part, UnitData(part, arrays)):
            pass


def _by_use(unit: Unit) -> list[Piece]:
    """Split a unit of one k by norms and aggregation, or into chunks where these are equal."""
    parts = _parts(unit, lambda trial: (trial[2].norm_post, trial[2].norm_inf, trial[2].agg))
    if len(parts) == 1:
        size = -(-len(unit) // CHUNKS)
        numbers = {trial_id: i // size for i, (trial_id, _, _) in enumerate(unit.trials)}
        parts = _parts(unit, lambda trial: numbers[trial[0]])
    return [Piece(part, made=True) for part in parts]


def _parts(unit: Unit, key: Callable[[Trial], Hashable]) -> list[Unit]:
    """Return the unit in parts, one for each value of `key`, with the tasks that each needs."""
    found: dict[Hashable, list[Trial]] = {}
    for trial in unit.trials:
        found.setdefault(key(trial), []).append(trial)
    if len(found) == 1:
        return [unit]
    return [_of_trials(unit, trials) for trials in found.values()]


def _of_trials(unit: Unit, trials: Sequence[Trial]) -> Unit:
    used = {setting.task for _, _, setting in trials}
    tasks = {name: task for name, task in unit.tasks.items() if name in used}
    return replace(unit, trials=trials, tasks=tasks)

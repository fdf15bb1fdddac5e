"""The stage `run`: what the store lacks of a plan is computed and written."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from imprint_bench.config import Config
from imprint_bench.data.embeddings.cache import Embeddings
from imprint_bench.settings import Settings
from imprint_bench.sweep.compaction import compact
from imprint_bench.sweep.embedding import Pair
from imprint_bench.sweep.executor import executor_of
from imprint_bench.sweep.marks import described_marks
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.planned import Planned
from imprint_bench.sweep.progress import progress_bar
from imprint_bench.sweep.splitting import Verdict, verdicts
from imprint_bench.sweep.store import Store
from imprint_bench.sweep.trial_ids import Index, missing
from imprint_bench.sweep.unit import Unit, units

log = logging.getLogger(__name__)

JOIN_EVERY = 1000  # parts written: so many are joined in a second, and read in half of one


@dataclass
class Outcome:
    """What running a plan gave.

    Attributes
    ----------
    computed, found : int
        Trials computed now, and trials that the store had.
    failed : list of str
        One sentence for each unit of work that failed and marked no trial.
    n_marked : int
        Trials of the plan that crashed or failed, now or earlier.
    marked : list of str
        A line for each kind of these, see `marks.described_marks`.
    seconds : float
    """

    computed: int = 0
    found: int = 0
    failed: list[str] = field(default_factory=list)
    n_marked: int = 0
    marked: list[str] = field(default_factory=list)
    seconds: float = 0.0


def store_of(config: Settings) -> Store:
    """Return the store of result rows of a configuration."""
    return Store(config.paths.rows, config.paths.results / "quarantine")


def pending(config: Settings, plan: Planned, store: Store) -> np.ndarray:
    """Return a mask of the trials that are to be computed, by the mode of the configuration.

    A trial that crashed or failed is stored too: `retry_failed` computes it again.
    """
    if config.mode == "overwrite":
        return np.ones(len(plan), dtype=bool)
    stored = store.stored()
    done = stored.ids[stored.ok] if config.mode == "retry_failed" else stored.ids
    return missing(plan.ids, done)


def run(config: Config, plan: Plan, embeddings: Mapping[Pair, Embeddings], store: Store) -> Outcome:
    """Compute what the store lacks of a plan, one part of rows per unit of work.

    Where a unit fails, the trials that are to blame are found and marked. Small parts
    are joined before and after.

    Raises
    ------
    StoreError
        If the store cannot be written; what was written before is whole.
    """
    started = time.monotonic()
    compact(store)
    todo = pending(config, plan, store)
    work = units(plan, todo)
    store.prepare(n_rows=int(todo.sum()), n_parts=len(work))
    outcome = Outcome(found=len(plan) - int(todo.sum()))
    log.info(
        "%d trials: %d in the store, %d to compute in %d units of work.",
        len(plan), outcome.found, int(todo.sum()), len(work),
    )  # fmt: skip
    with closing(verdicts(work, embeddings, executor_of(config))) as found:
        _keep(found, store, outcome, n_trials=int(todo.sum()))
    compact(store)
    marked = marked_rows(plan, store)
    outcome.n_marked, outcome.marked = len(marked), described_marks(marked)
    outcome.seconds = time.monotonic() - started
    return outcome


def outcome_of_part(outcome: Outcome, plan: Plan, todo: np.ndarray, store: Store) -> Outcome:
    """Return what a run that computed several plans as one gave one of them.

    Parameters
    ----------
    outcome : Outcome
        Of the run.
    plan : Plan
        One of those that were computed.
    todo : ndarray of shape (trials,), bool
        What `pending` gave for it before the run.
    store : Store
    """
    stored = store.stored()
    has = Index(stored.ids).holds(plan.ids)
    computed = Index(stored.ids[stored.ok]).holds(plan.ids[todo])
    marked = marked_rows(plan, store)
    return Outcome(
        computed=int(computed.sum()),
        found=len(plan) - int(todo.sum()),
        failed=[] if has.all() else outcome.failed,
        n_marked=len(marked),
        marked=described_marks(marked),
        seconds=outcome.seconds,
    )


def _keep(found: Iterator[Verdict], store: Store, outcome: Outcome, *, n_trials: int) -> None:
    """Write rows as they come, and note in `outcome` how many, and what failed."""
    n_parts = 0
    with progress_bar(total=n_trials, unit="trial", desc="run") as bar:
        for verdict in found:
            if verdict.rows:
                store.write(verdict.rows)
                outcome.computed += 0 if verdict.marked else len(verdict.rows)
                n_parts += 1
                if n_parts % JOIN_EVERY == 0:
                    compact(store)
            else:
                outcome.failed.append(f"{_name(verdict.unit)}: {verdict.reason}")
            bar.update(len(verdict.unit))


def marked_rows(plan: Planned, store: Store) -> pd.DataFrame:
    """Return the rows of the plan's trials that crashed or failed, whoever computed them."""
    stored = store.stored()
    blamed = Index(stored.ids[~stored.ok]).holds(plan.ids)
    return store.read(plan.ids[blamed]) if blamed.any() else pd.DataFrame()


def _name(unit: Unit) -> str:
    key = unit.key
    norm = "" if key.norm_pre is None else f", norm_pre {key.norm_pre}"
    shots = "" if key.n_shot is None else f", {key.n_shot} shots"
    seed = "" if key.seed is None else f", seed {key.seed}"
    return f"{key.gen} on {key.dataset}/{key.fm} ({len(unit)} trials{norm}{shots}{seed})"

"""The stage `run` of a sweep that trains: what the store lacks of a plan is trained and written."""

import logging
import re
import time
from contextlib import closing

import numpy as np

from imprint_bench.durable import remove_unfinished
from imprint_bench.errors import ConfigError
from imprint_bench.fixed.core.prototype_set import SetFailed
from imprint_bench.fixed.prototype_cache import cached_prototypes
from imprint_bench.sweep.compaction import compact
from imprint_bench.sweep.executor import Failure, executor_of, workers
from imprint_bench.sweep.marks import described_marks
from imprint_bench.sweep.progress import progress_bar
from imprint_bench.sweep.run import Outcome, marked_rows, pending
from imprint_bench.sweep.splitting import CRASHED, FAILED
from imprint_bench.sweep.store import Store
from imprint_bench.training.config import TrainingConfig
from imprint_bench.training.history import DivergedError
from imprint_bench.training.one_run import Row, Run, train_one
from imprint_bench.training.plan import TrainingPlan

log = logging.getLogger(__name__)

FOLDERS = ("checkpoints", "prototypes", "networks")  # of the results, written by workers


def runs_of(config: TrainingConfig, plan: TrainingPlan, chosen: np.ndarray) -> list[Run]:
    """Return the chosen runs, those of one dataset together.

    Parameters
    ----------
    config : TrainingConfig
    plan : TrainingPlan
    chosen : ndarray of shape (trials,), bool
    """
    datasets = {source.name: source for source in config.datasets}
    networks = {source.name: source for source in config.networks}
    found = [
        Run(
            trial_id=plan.ids[i].decode(),
            trial=trial,
            dataset=datasets[trial.dataset],
            network=networks[trial.network],
            recipe=config.recipes[trial.recipe],
            settings=config.train,
            fingerprint=plan.materials[trial.dataset].fingerprint,
            results=config.paths.results,
            progress=workers(config.n_jobs) == 1,
        )
        for i, trial in enumerate(plan.trials)
        if chosen[i]
    ]
    place = {source.name: i for i, source in enumerate(config.datasets)}
    return sorted(found, key=lambda run: place[run.trial.dataset])


def prepare_prototypes(config: TrainingConfig, plan: TrainingPlan) -> None:
    """Put every set of prototypes that the plan needs into the cache.

    Raises
    ------
    ConfigError
        For a wrong parameter, at the first set that it is found in.
    """
    wanted: dict[tuple, tuple] = {}
    for trial in plan.trials:
        chosen = trial.method.prototypes
        if chosen is not None and trial.method.first is None:
            c = len(plan.materials[trial.dataset].classes)
            key = (chosen.kind, c, trial.d, trial.seed, repr(sorted(chosen.params.items())))
            at = f"method.{trial.method.name}.head.fixed.prototypes"
            of = (chosen.kind, c, trial.d, trial.seed, chosen.params)
            wanted.setdefault(key, (config.paths.results, *of, at))
    items = list(wanted.values())
    with (
        closing(executor_of(config)(_prepare, items)) as made,
        progress_bar(total=len(items), unit="set", desc="prototypes") as bar,
    ):
        for _, result in made:
            if isinstance(result, Failure):
                _refuse_wrong_values(result)
                # Of a function that fails, the runs that need it will say so; the others go on.
                log.warning("%s", result.reason)
            bar.update()


def run(config: TrainingConfig, plan: TrainingPlan, store: Store) -> Outcome:
    """Train what the store lacks of a plan; every run's row is written as soon as it is done.

    A run that diverges or kills its process is marked; the others go on.

    Raises
    ------
    StoreError
        If the store cannot be written; what was written before is whole.
    """
    started = time.monotonic()
    for folder in FOLDERS:
        remove_unfinished(config.paths.results / folder)
    work = runs_of(config, plan, to_train(config, plan, store))
    outcome = Outcome(found=len(plan) - len(work))
    again = len(work) - int(pending(config, plan, store).sum())
    log.info(
        "%s: %d in the store, %d to train%s.", count(len(plan)), outcome.found + again, len(work),
        f", {again} of them again to keep their networks" if again else "",
    )  # fmt: skip
    with (
        closing(executor_of(config)(train_one, work)) as results,
        progress_bar(total=len(work), unit="run", desc="train") as bar,
    ):
        for one, result in results:
            _keep(one, result, store, outcome)
            bar.update()
    compact(store)
    marked = marked_rows(plan, store)
    outcome.n_marked, outcome.marked = len(marked), described_marks(marked)
    outcome.seconds = time.monotonic() - started
    return outcome


def to_train(config: TrainingConfig, plan: TrainingPlan, store: Store) -> np.ndarray:
    """Return a mask of the runs that are to be trained, by the mode of the configuration.

    With `train.keep`, a run whose network is not there is one of them.
    """
    todo = pending(config, plan, store)
    if config.train.keep:
        every = runs_of(config, plan, np.ones(len(plan), dtype=bool))
        there = {run.trial_id for run in every if run.network_file.is_file()}
        todo |= np.array([trial_id.decode() not in there for trial_id in plan.ids])
    return todo


def count(n: int) -> str:
    """Return a number of runs with its noun."""
    return f"{n:,} run{'' if n == 1 else 's'}"


def _refuse_wrong_values(failure: Failure) -> None:
    error = failure.error
    if isinstance(error, ConfigError) and not isinstance(error, SetFailed):
        raise error


def _prepare(item: tuple) -> None:
    """Make one set of prototypes, in a worker."""
    results, kind, c, d, seed, params, at = item
    cached_prototypes(results / "prototypes", kind, c, d, seed=seed, params=params, at=at)


def _keep(one: Run, result: Row | Failure, store: Store, outcome: Outcome) -> None:
    """Write what a run gave: its row, or the mark that it is to blame for."""
    if not isinstance(result, Failure):
        store.write([result])
        outcome.computed += 1
        return
    log.debug("%s\n%s", result.reason, result.trace)
    if result.died or isinstance(result.error, DivergedError) or result.error is None:
        status = CRASHED if result.died else FAILED
        store.write([_mark(one, status, result.reason)])
    else:
        outcome.failed.append(f"{one.label}: {result.reason}")


def _mark(one: Run, status: str, reason: str) -> Row:
    """Return a row without results: that the run crashed or failed."""
    return {
        "trial_id": one.trial_id,
        "status": status,
        **one.trial.columns(),
        "data": one.fingerprint,
        "accuracy": None,
        "reason": re.sub(r" \(process \d+\)$", "", reason),
    }

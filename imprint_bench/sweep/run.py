"""The stages of a sweep: embed, plan, run. Each takes the configuration and plain values."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from imprint_bench.config import Config
from imprint_bench.data.dataset import build_dataset
from imprint_bench.data.embeddings.cache import Embeddings, describe, find
from imprint_bench.data.embeddings.creation import create_all
from imprint_bench.data.embeddings.description import Description
from imprint_bench.data.embeddings.filling import Speed
from imprint_bench.data.fetching.downloads import Download, MissingFilesError, fetch
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.durable import remove_unfinished
from imprint_bench.params import Source
from imprint_bench.sweep.compaction import compact
from imprint_bench.sweep.executor import executor_of, strict, workers
from imprint_bench.sweep.marks import described_marks
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.splitting import Verdict, verdicts
from imprint_bench.sweep.store import Store
from imprint_bench.sweep.trial_ids import Index, missing
from imprint_bench.sweep.unit import Unit, units

log = logging.getLogger(__name__)

JOIN_EVERY = 1000  # parts written: so many are joined in a second, and read in half of one

Pair = tuple[str, str]


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


def store_of(config: Config) -> Store:
    """Return the store of result rows of a configuration."""
    return Store(config.paths.rows, config.paths.results / "quarantine")


def pairs(config: Config) -> list[tuple[Source, Source]]:
    """Return every pair of foundation model and dataset, in the order of the configuration."""
    return [(fm, dataset) for dataset in config.datasets for fm in config.fms]


def provide(config: Config) -> None:
    """Download the files of datasets and foundation models that are missing, if that is wanted.

    Raises
    ------
    DataError
        If a file is missing that cannot be had: no network, a wrong checksum, or a file
        that the network does not have.
    """
    if not config.embed.download or "embed" not in config.stages:
        return
    wanted: dict[Download, None] = {}
    builders: list[Callable[[], object]] = [
        *(partial(build_dataset, source) for source in config.datasets),
        *(partial(build_foundation_model, source) for source in config.fms),
    ]
    for build in builders:
        try:
            build()
        except MissingFilesError as error:
            wanted |= dict.fromkeys(error.downloads)
    if wanted:
        with _bar(unit="B", unit_scale=True, desc="download") as bar:
            fetch(list(wanted), progress=bar.update)


def described(config: Config) -> list[Description]:
    """Return what planning must know of every pair, without embedding anything.

    Raises
    ------
    DataError
        If a dataset or a network's file is missing.
    """
    root, settings = config.paths.embeddings, config.embed
    return [describe(root, fm, dataset, settings) for fm, dataset in pairs(config)]


def embed(config: Config) -> dict[Pair, Embeddings]:
    """Return the embeddings of every pair, from the cache or computed now."""
    root, settings = config.paths.embeddings, config.embed
    remove_unfinished(root)
    made: dict[Pair, Embeddings] = {}
    for fm, dataset in pairs(config):  # all before the first is computed: one may be refused
        found = None if settings.force else find(root, fm, dataset, settings)
        if found is not None:
            made[fm.name, dataset.name] = found
            for phrase in found.left_out:
                log.warning("%s/%s: without %s.", dataset.name, fm.name, phrase)
    for dataset in config.datasets:
        lacking = [fm for fm in config.fms if (fm.name, dataset.name) not in made]
        if len(lacking) < len(config.fms) and "run" not in config.stages:
            there = [fm.name for fm in config.fms if fm not in lacking]
            log.info("embeddings of %s by %s are in the cache.", dataset.name, ", ".join(there))
        if lacking:
            made |= _embedded(config, lacking, dataset)
    return made


def left_out(config: Config) -> dict[str, str]:
    """Return what is missing of cached embeddings because images could not be read, by pair."""
    gaps = {}
    for fm, dataset in pairs(config) if config.embed.on_error == "skip" else ():
        entry = find(config.paths.embeddings, fm, dataset, config.embed)
        if entry is not None and entry.left_out:
            gaps[f"{dataset.name}/{fm.name}"] = "; ".join(entry.left_out)
    return gaps


def _embedded(config: Config, fms: Sequence[Source], dataset: Source) -> dict[Pair, Embeddings]:
    """Embed a dataset with some foundation models, and log how fast each was."""
    if dataset.kind != "precomputed" and (built := build_dataset(dataset)).remark is not None:
        remark = built.remark()
        if remark:
            log.warning("%s: %s", dataset.name, remark)
    started = time.monotonic()
    with _bar(unit="embedding", desc=f"embed {dataset.name}") as bar:
        made, speeds = create_all(
            config.paths.embeddings,
            fms,
            dataset,
            config.embed,
            each=strict(config.n_jobs),
            progress=bar.update,
        )
    seconds, n_workers = time.monotonic() - started, workers(config.n_jobs)
    if speeds:
        images = max(speed.images for speed in speeds.values())
        log.info("embedded %s: %d images in %.1f s.", dataset.name, images, seconds)
    for name, speed in speeds.items():
        log.info("  %s: %s", name, _pace(speed, n_workers))
    return {(name, dataset.name): entry for name, entry in made.items()}


def _pace(speed: Speed, n_workers: int) -> str:
    """Say how many images per second a foundation model embedded, and where the time went."""
    spent = speed.forward + speed.other
    if not speed.forward:
        return f"{speed.images} rows taken over."
    per_second = speed.images / spent * (1 if speed.alone else n_workers)
    rest = speed.other / speed.forward
    return f"{per_second:,.0f} images per second; all but the network took {rest:.1%} of its time."


def pending(config: Config, plan: Plan, store: Store) -> np.ndarray:
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
    with _bar(total=n_trials, unit="trial", desc="run") as bar:
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


def marked_rows(plan: Plan, store: Store) -> pd.DataFrame:
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


def _bar(**options: Any) -> tqdm:
    """Return a progress bar that is silent when nobody watches."""
    return tqdm(disable=None, dynamic_ncols=True, smoothing=0.1, leave=False, **options)

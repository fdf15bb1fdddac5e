"""The stages of a sweep: embed, plan, run. Each takes the configuration and plain values."""

import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from tqdm import tqdm

from imprint_bench.config import Config
from imprint_bench.data.embeddings import Description, Embeddings, create, describe, find
from imprint_bench.durable import remove_unfinished
from imprint_bench.params import Source
from imprint_bench.sweep.bank import Row, compute
from imprint_bench.sweep.executor import Failure, each, strict
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.store import Store, missing
from imprint_bench.sweep.unit import Unit, units

log = logging.getLogger(__name__)

Pair = tuple[str, str]


@dataclass
class Outcome:
    """What running a plan gave.

    Attributes
    ----------
    computed, found : int
        Trials computed now, and trials that the store had.
    failed : list of str
        One sentence for each unit of work that failed.
    seconds : float
    """

    computed: int = 0
    found: int = 0
    failed: list[str] = field(default_factory=list)
    seconds: float = 0.0


def store_of(config: Config) -> Store:
    """Return the store of result rows of a configuration."""
    return Store(config.paths.rows, config.paths.results / "quarantine")


def pairs(config: Config) -> list[tuple[Source, Source]]:
    """Return every pair of foundation model and dataset, in the order of the configuration."""
    return [(fm, dataset) for dataset in config.datasets for fm in config.fms]


def described(config: Config) -> list[Description]:
    """Return what planning must know of every pair, without embedding anything.

    Raises
    ------
    DataError
        If a dataset or a network's file is missing.
    """
    return [describe(config.paths.embeddings, fm, dataset) for fm, dataset in pairs(config)]


def embed(config: Config, descriptions: Sequence[Description]) -> dict[Pair, Embeddings]:
    """Return the embeddings of every pair, from the cache or computed now."""
    root = config.paths.embeddings
    remove_unfinished(root)
    made = {}
    if not config.force_embedding:  # all before the first is computed: one may be refused
        for fm, dataset in pairs(config):
            made[fm.name, dataset.name] = find(root, fm, dataset, verify=config.verify_embeddings)
    for (fm, dataset), description in zip(pairs(config), descriptions, strict=True):
        if made.get((fm.name, dataset.name)) is None:
            made[fm.name, dataset.name] = _embedded(config, fm, dataset, description)
    return {pair: entry for pair, entry in made.items() if entry is not None}


def _embedded(config: Config, fm: Source, dataset: Source, description: Description) -> Embeddings:
    root, force = config.paths.embeddings, config.force_embedding
    started, images = time.monotonic(), description.n("train") + description.n("test")
    with _bar(total=images, unit="image", desc=f"embed {dataset.name}/{fm.name}") as bar:
        made = create(
            root, fm, dataset, force=force, each=strict(config.n_jobs), progress=bar.update
        )
    seconds = time.monotonic() - started
    log.info(
        "embedded %s with %s: %d images in %.1f s (%.0f per second).",
        dataset.name, fm.name, images, seconds, images / seconds,
    )  # fmt: skip
    return made


def pending(config: Config, plan: Plan, store: Store) -> np.ndarray:
    """Return a mask of the trials that are to be computed."""
    if config.mode == "overwrite":
        return np.ones(len(plan), dtype=bool)
    return missing(plan.ids, store.ids())


def run(config: Config, plan: Plan, embeddings: Mapping[Pair, Embeddings], store: Store) -> Outcome:
    """Compute what the store lacks of a plan, one part of rows per unit of work.

    Raises
    ------
    StoreError
        If the store cannot be written; what was written before is whole.
    """
    started = time.monotonic()
    todo = pending(config, plan, store)
    fingerprints = {pair: e.fingerprint for pair, e in embeddings.items()}
    work = [
        (unit, embeddings[unit.key.fm, unit.key.dataset])
        for unit in units(plan, todo, fingerprints)
    ]
    store.prepare(n_rows=int(todo.sum()), n_parts=len(work))
    outcome = Outcome(found=len(plan) - int(todo.sum()))
    log.info(
        "%d trials: %d in the store, %d to compute in %d units of work.",
        len(plan), outcome.found, int(todo.sum()), len(work),
    )  # fmt: skip
    with (
        _bar(total=int(todo.sum()), unit="trial", desc="run") as bar,
        closing(each(_compute, work, n_jobs=config.n_jobs)) as results,
    ):
        for (unit, _), result in results:
            if isinstance(result, Failure):
                outcome.failed.append(f"{_name(unit)}: {result.reason}")
                log.debug("%s\n%s", outcome.failed[-1], result.trace)
            else:
                store.write(result)
                outcome.computed += len(result)
            bar.update(len(unit))
    outcome.seconds = time.monotonic() - started
    return outcome


def _compute(item: tuple[Unit, Embeddings]) -> list[Row]:
    unit, embeddings = item
    return compute(unit, embeddings)


def _name(unit: Unit) -> str:
    key = unit.key
    shots = "" if key.n_shot is None else f", {key.n_shot} shots"
    seed = "" if key.seed is None else f", seed {key.seed}"
    return (
        f"{key.gen} on {key.dataset}/{key.fm} (norm_pre {key.norm_pre}{shots}{seed}, "
        f"{len(unit)} trials)"
    )


def _bar(**options: Any) -> tqdm:
    """Return a progress bar that is silent when nobody watches."""
    return tqdm(disable=None, dynamic_ncols=True, smoothing=0.1, leave=False, **options)

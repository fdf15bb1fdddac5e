"""Studies from their configurations to their reports: the stages in their order.

Studies that have units of work in common, as the sweeps of a paper do, are computed as
one plan; each then makes its own report, or they make one together.
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

import numpy as np

from imprint_bench.analysis.frames import rows_of_plan
from imprint_bench.config import Config
from imprint_bench.data.embeddings.cache import Embeddings
from imprint_bench.data.embeddings.description import Description
from imprint_bench.errors import CacheError
from imprint_bench.reporting import Launch, PartOfReport
from imprint_bench.sweep.collapse import collapse_of
from imprint_bench.sweep.compaction import compact
from imprint_bench.sweep.embedding import Pair, check_networks, described, embed, left_out, provide
from imprint_bench.sweep.estimate import estimate
from imprint_bench.sweep.executor import chosen_executor
from imprint_bench.sweep.executors.slurm import Slurm
from imprint_bench.sweep.joining import fits, joined
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.rehearsal import rehearse
from imprint_bench.sweep.run import Outcome, outcome_of_part, pending, run, store_of
from imprint_bench.sweep.samples import samples
from imprint_bench.sweep.shard import run_in_array
from imprint_bench.sweep.store import Store
from imprint_bench.sweep.trial_ids import Index
from imprint_bench.sweep.unit import share
from imprint_bench.views import Views

log = logging.getLogger(__name__)

SHOWN = 20  # kinds of dropped combinations in the terminal


@dataclass(frozen=True, eq=False)
class Study:
    """A configuration that has been checked as far as it can be before anything is computed.

    Attributes
    ----------
    config : Config
    launch : Launch
    views : Views
    descriptions : list of Description
        Of every pair of foundation model and dataset.
    plan : Plan
    """

    config: Config
    launch: Launch
    views: Views
    descriptions: Sequence[Description]
    plan: Plan


@dataclass(frozen=True)
class Done:
    """What the stages before the report gave a study, and the seconds that each took."""

    study: Study
    outcome: Outcome
    seconds: Mapping[str, float]


def prepare(config: Config, launch: Launch) -> Study:
    """Check and plan a study.

    Raises
    ------
    ImprintError
        For the first mistake.
    """
    views = Views.of(config)
    chosen_executor(config)
    rehearse(config)
    provide(config)
    descriptions = described(config)
    check_networks(config, descriptions)
    plan = make_plan(config, descriptions)
    views.check({"": plan})
    return Study(config, launch, views, descriptions, plan)


def together(studies: Sequence[Study]) -> list[list[Study]]:
    """Return the studies in groups, each to be computed as one plan.

    A study is added to others if it is run as they are, into the same store, has a unit
    of work in common with one of them, and calls alike only what is alike.
    """
    groups: list[list[Study]] = []
    for study in studies:
        for group in groups:
            if _run_alike(study.config, group[0].config) and fits(
                study.plan, [member.plan for member in group]
            ):
                group.append(study)
                break
        else:
            groups.append([study])
    return groups


def compute(studies: Sequence[Study]) -> list[Done]:
    """Carry out the stages before the report, of studies that `together` has put in one group.

    Raises
    ------
    ImprintError
        If something cannot be read or written, or the executor cannot be had.
    """
    config = studies[0].config
    plan, studies = _as_one(studies)
    store = store_of(config)
    if "plan" in config.stages:
        for study in studies:
            _log_plan(study)
    if config.stages == ("plan",):
        todo = pending(config, plan, store)
        every = [d for study in studies for d in study.descriptions]
        log.info("%s", estimate([study.config for study in studies], plan, every, todo))
    if not {"embed", "run"} & set(config.stages):
        return [Done(study, Outcome(), {}) for study in studies]
    if "run" in config.stages:  # before embedding: a full disk is then known at once
        chosen_executor(config).check()
        compact(store)
        n_rows = int(pending(config, plan, store).sum())
        store.prepare(n_rows=n_rows, n_parts=len(set(plan.unit_of_group)))
    return _embed_and_run(studies, plan, store)


def part_of_report(done: Done) -> PartOfReport:
    """Return what the report needs of a study."""
    config, plan = done.study.config, done.study.plan
    return PartOfReport(
        n_trials=len(plan),
        dropped=plan.dropped,
        read_rows=lambda: rows_of_plan(plan.frame(), store_of(config).read(plan.ids)),
        outcome=done.outcome,
        seconds=done.seconds,
        configuration=done.study.launch.configuration,
        given={
            "collapse": cache(partial(collapse_of, config, plan)),
            "samples": cache(partial(samples, config.datasets)),
        },
        left_out=left_out(config) if "report" in config.stages else {},
    )


def _run_alike(one: Config, other: Config) -> bool:
    """Tell whether nothing but their plans sets the runs of two configurations apart."""

    def how(config: Config) -> tuple[Any, ...]:
        paths = config.paths
        where = (paths.embeddings, paths.rows, config.executor, config.n_jobs, config.shard)
        return (*where, config.embed, config.stages, config.mode, config.raw.get("imports"))

    return how(one) == how(other)


def _as_one(studies: Sequence[Study]) -> tuple[Plan, Sequence[Study]]:
    """Return the plan of all studies, and each with its part of it, or of the shard."""
    plan, shard = joined([study.plan for study in studies]), studies[0].config.shard
    if shard is None:
        return plan, studies
    plan = share(plan, shard)
    return plan, [_within(study, plan) for study in studies]


def _within(study: Study, plan: Plan) -> Study:
    """Return a study with those of its trials that a plan has."""
    kept = Index(np.sort(plan.ids)).holds(study.plan.ids)
    return replace(study, plan=study.plan.part(np.flatnonzero(kept)))


def _embed_and_run(studies: Sequence[Study], plan: Plan, store: Store) -> list[Done]:
    """Return what the run gave each study, if it is asked for, and the seconds of each stage."""
    config = studies[0].config
    started = time.monotonic()
    embeddings: dict[Pair, Embeddings] = {}
    for study in studies:
        embeddings |= embed(study.config, embeddings)
    if config.embed.on_error == "skip":  # images were left out that the plan had counted
        there = replace(config.embed, force=False)
        known = [(replace(study.config, embed=there), study.launch) for study in studies]
        plan, studies = _as_one([prepare(*study) for study in known])
    _refuse_other_data(plan, embeddings)
    seconds = {"embed": time.monotonic() - started}
    if "run" not in config.stages:
        return [Done(study, Outcome(), seconds) for study in studies]
    before = [pending(config, study.plan, store) for study in studies]
    executor = chosen_executor(config)
    if isinstance(executor, Slurm) and config.shard is None:
        outcome = run_in_array(executor, [study.config for study in studies], plan, store)
    else:
        outcome = run(config, plan, embeddings, store)
    seconds |= {"run" if len(studies) == 1 else "run (of all jobs together)": outcome.seconds}
    if len(studies) == 1:
        return [Done(studies[0], outcome, seconds)]
    return [
        Done(study, outcome_of_part(outcome, study.plan, todo, store), seconds)
        for study, todo in zip(studies, before, strict=True)
    ]


def _refuse_other_data(plan: Plan, embeddings: Mapping[Pair, Embeddings]) -> None:
    """Raise CacheError if embeddings are not those that the plan is for."""
    for (fm, dataset), entry in embeddings.items():
        if plan.fingerprints.get((fm, dataset), entry.fingerprint) != entry.fingerprint:
            raise CacheError(
                f"embeddings {dataset}/{fm}: the data or the network changed after this run was "
                "planned; run again."
            )


def _log_plan(study: Study) -> None:
    plan, dropped = study.plan, study.plan.dropped
    log.info(
        "%s: %d trials in %d units of work; %d combinations dropped.",
        study.config.name, len(plan), len(set(plan.unit_of_group)), int(dropped["trials"].sum()),
    )  # fmt: skip
    if study.config.stages == ("plan",):
        for reason, group in dropped.groupby("reason", sort=True):
            log.info("  %d: %s", int(group["trials"].sum()), reason)
            for where, n in zip(group["where"][:SHOWN], group["trials"][:SHOWN], strict=True):
                log.info("      %s (%d)", where, n)
            if len(group) > SHOWN:
                log.info("      and %d more", len(group) - SHOWN)

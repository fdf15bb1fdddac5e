"""A study that trains, from its configuration to what its report needs."""

import logging
import time
from dataclasses import dataclass
from functools import partial

from imprint_bench.analysis.frames import rows_of_plan
from imprint_bench.data.dataset import build_dataset
from imprint_bench.reporting import Launch, PartOfReport
from imprint_bench.sweep.compaction import compact
from imprint_bench.sweep.embedding import fetch_missing
from imprint_bench.sweep.executor import chosen_executor
from imprint_bench.sweep.executors.slurm import Slurm
from imprint_bench.sweep.run import Outcome, store_of
from imprint_bench.sweep.samples import samples
from imprint_bench.training.config import TrainingConfig, check_device
from imprint_bench.training.estimate import estimate
from imprint_bench.training.geometry import matching_seconds, sets_in
from imprint_bench.training.plan import TrainingPlan, make_training_plan
from imprint_bench.training.rehearsal import rehearse
from imprint_bench.training.run import count, prepare_prototypes, run, to_train
from imprint_bench.training.shard import run_in_array, share
from imprint_bench.views import Views

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class TrainingStudy:
    """A configuration of a sweep that trains, checked and planned."""

    config: TrainingConfig
    launch: Launch
    views: Views
    plan: TrainingPlan


def prepare_training(config: TrainingConfig, launch: Launch) -> TrainingStudy:
    """Check and plan a study that trains.

    Raises
    ------
    ImprintError
        For the first mistake.
    """
    views = Views.of(config)
    elsewhere = _slurm_of(config) is not None
    if config.train.download and "embed" in config.stages:
        fetch_missing([partial(build_dataset, source) for source in config.datasets])
    if "run" in config.stages and not elsewhere:
        check_device(config.train.device)
    rehearse(config)
    plan = make_training_plan(config)
    views.check({"": plan})
    if config.shard is not None:
        plan = share(plan, config.shard)
    return TrainingStudy(config, launch, views, plan)


def compute_training(study: TrainingStudy) -> PartOfReport:
    """Carry out the stages before the report, and return what that needs.

    Raises
    ------
    ImprintError
        If something cannot be read or written, or the executor cannot be had.
    """
    config, plan, store = study.config, study.plan, store_of(study.config)
    seconds: dict[str, float] = {}
    if "plan" in config.stages:
        log.info(
            "%s: %s; %d combinations dropped.",
            config.name, count(len(plan)), int(plan.dropped["trials"].sum()),
        )  # fmt: skip
    if config.stages == ("plan",):
        for reason, n in plan.dropped.groupby("reason", sort=False)["trials"].sum().items():
            log.info("  %s dropped: %s", count(n), reason)
        log.info("%s", estimate(config, plan, to_train(config, plan, store)))
    if "run" in config.stages:  # before anything is computed: a full disk is then known at once
        chosen_executor(config).check()
        compact(store)
        n_rows = int(to_train(config, plan, store).sum())
        store.prepare(n_rows=n_rows, n_parts=n_rows)
    if {"embed", "run"} & set(config.stages):
        started = time.monotonic()
        prepare_prototypes(config, plan)
        seconds["prototypes"] = time.monotonic() - started
    if "run" not in config.stages:
        return _part(study, Outcome(), seconds)
    slurm = _slurm_of(config)
    outcome = (
        run(config, plan, store) if slurm is None else run_in_array(slurm, config, plan, store)
    )
    return _part(study, outcome, seconds | {"run": outcome.seconds})


def _slurm_of(config: TrainingConfig) -> Slurm | None:
    """Return the executor if it is to train in array tasks; a shard is trained here."""
    executor = chosen_executor(config)
    return executor if isinstance(executor, Slurm) and config.shard is None else None


def _part(study: TrainingStudy, outcome: Outcome, seconds: dict[str, float]) -> PartOfReport:
    config, plan = study.config, study.plan
    return PartOfReport(
        n_trials=len(plan),
        dropped=plan.dropped,
        read_rows=lambda: rows_of_plan(plan.frame(), store_of(config).read(plan.ids)),
        outcome=outcome,
        seconds=seconds,
        configuration=study.launch.configuration,
        given={
            "samples": partial(samples, config.datasets),
            "prototypes": partial(sets_in, config.paths.results / "prototypes"),
            "matching_seconds": lambda: matching_seconds,
        },
    )

"""A plan that trains in array tasks: its shards, and what each of them trains."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imprint_bench.execution import Shard
from imprint_bench.sweep.executors.slurm import Slurm
from imprint_bench.sweep.run import Outcome, store_of
from imprint_bench.sweep.store import Store
from imprint_bench.training.config import TrainingConfig, check_device, read_training
from imprint_bench.training.plan import TrainingPlan, make_training_plan
from imprint_bench.training.run import count, run, to_train

log = logging.getLogger(__name__)


def share(plan: TrainingPlan, shard: Shard) -> TrainingPlan:
    """Return the part of a plan that is one shard's: every N-th run, maybe none."""
    return plan.part(range(shard.number - 1, len(plan), shard.of))


def run_in_array(slurm: Slurm, config: TrainingConfig, plan: TrainingPlan, store: Store) -> Outcome:
    """Train what the store lacks of a plan in array tasks, and wait for all of them."""
    todo = to_train(config, plan, store)
    of = min(slurm.shards, len(plan))
    shards = [Shard(int(i) + 1, of) for i in np.unique(np.flatnonzero(todo) % of)]
    return slurm.run(
        train_shard,
        {shard: [_for_shard(config.raw, shard)] for shard in shards},
        config=config,
        plan=plan,
        todo=todo,
        store=store,
        told=count(int(todo.sum())),
    )


def train_shard(raws: Sequence[Mapping[str, Any]]) -> Outcome:
    """Train the shard that a plain configuration names; what an array task does.

    A run that an earlier array task did not finish goes on from its checkpoint.

    Parameters
    ----------
    raws : sequence of one mapping
    """
    (raw,) = raws
    config = read_training(raw)
    assert config.shard is not None  # `_for_shard` has set it
    check_device(config.train.device)
    log.info("%s: shard %s.", config.name, config.shard)
    return run(config, share(make_training_plan(config), config.shard), store_of(config))


def _for_shard(raw: Mapping[str, Any], shard: Shard) -> dict[str, Any]:
    """Return the configuration of an array task; data and prototypes are there."""
    settings = {**(raw.get("train") or {}), "download": False}
    return dict(raw) | {"shard": str(shard), "stages": ["run"], "train": settings}

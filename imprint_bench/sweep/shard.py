"""A plan that imprints in array tasks: its shards, and what each of them computes."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from imprint_bench.config import Config, read
from imprint_bench.data.embeddings.cache import Embeddings
from imprint_bench.execution import Shard
from imprint_bench.sweep.embedding import Pair, described, embed
from imprint_bench.sweep.executors.slurm import Slurm
from imprint_bench.sweep.joining import joined
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.run import Outcome, pending, run, store_of
from imprint_bench.sweep.store import Store
from imprint_bench.sweep.unit import deal, share

log = logging.getLogger(__name__)

Raws = Sequence[Mapping[str, Any]]


def run_in_array(slurm: Slurm, configs: Sequence[Config], plan: Plan, store: Store) -> Outcome:
    """Compute what the store lacks of a plan in array tasks, and wait for all of them.

    Parameters
    ----------
    slurm : Slurm
    configs : sequence of Config
        Of the sweeps that the plan joins.
    plan : Plan
    store : Store
    """
    todo = pending(configs[0], plan, store)
    of = min(slurm.shards, len(set(plan.unit_of_group)))
    shards = [Shard(int(i) + 1, of) for i in np.unique(deal(plan, of)[todo])]
    tasks = {shard: [for_shard(config.raw, shard) for config in configs] for shard in shards}
    return slurm.run(
        compute_shard, tasks, config=configs[0], plan=plan, todo=todo, store=store,
        told=f"{int(todo.sum())} trials",
    )  # fmt: skip


def compute_shard(raws: Raws) -> Outcome:
    """Compute the shard that plain configurations name; what an array task does.

    Parameters
    ----------
    raws : sequence of mapping
        Of the sweeps that run as one plan.
    """
    configs = [read(raw) for raw in raws]
    embeddings: dict[Pair, Embeddings] = {}
    plans = []
    for config in configs:
        embeddings |= embed(config)
        plans.append(make_plan(config, described(config)))
    config = configs[0]
    assert config.shard is not None  # `for_shard` has set it
    plan = share(joined(plans), config.shard)
    log.info("%s: shard %s.", ", ".join(c.name for c in configs), config.shard)
    return run(config, plan, embeddings, store_of(config))


def for_shard(raw: Mapping[str, Any], shard: Shard) -> dict[str, Any]:
    """Return the configuration of an array task; the embeddings are there, and stay."""
    return dict(raw) | {
        "shard": str(shard),
        "stages": ["run"],
        "embed": {**raw.get("embed", {}), "force": False, "verify": False, "download": False},
    }

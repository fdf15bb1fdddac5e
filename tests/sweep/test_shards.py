"""Shards of a plan: together the whole, whoever computes them and when."""

import numpy as np
import pandas as pd
import pytest

from imprint_bench.execution import Shard
from imprint_bench.reporting import Launch
from imprint_bench.studies import carry_out
from imprint_bench.sweep.unit import deal, share, units, weight

LAUNCH = Launch(command="python -m imprint_bench +sweep=x shard=1/2 stages=[run]", configuration="")


@pytest.fixture(scope="module")
def plan(sweep_in, tmp_path_factory):
    """Return the plan of the small sweep with four seeds: 36 units."""
    return sweep_in(tmp_path_factory.mktemp("plan"), seeds=[0, 1, 2, 3]).plan()


def work(plan):
    return units(plan, np.ones(len(plan), dtype=bool))


@pytest.mark.parametrize("n", [1, 3, 7])
def test_the_rows_of_all_shards_are_those_of_the_whole(sweep_in, whole, tmp_path, n):
    for i in reversed(range(1, n + 1)):
        outcome = sweep_in(tmp_path, shard=f"{i}/{n}").run()
        assert outcome.found == 0  # nothing of another shard
    sweep = sweep_in(tmp_path)
    pd.testing.assert_frame_equal(sweep.rows(), whole, check_exact=True)
    assert sweep.run().computed == 0


def test_a_shard_computes_what_the_store_lacks_of_its_own(sweep_in, whole, tmp_path):
    few = sweep_in(tmp_path, gen={"mean": {}, "fps": {"k": [3]}})
    n_few = few.run().computed
    shards = [sweep_in(tmp_path, shard=f"{i}/2").run() for i in (1, 2)]
    assert sum(outcome.found for outcome in shards) == n_few > 0
    assert sum(outcome.computed for outcome in shards) == len(whole) - n_few
    pd.testing.assert_frame_equal(sweep_in(tmp_path).rows(), whole, check_exact=True)
    assert sweep_in(tmp_path, shard="2/2").run().computed == 0


@pytest.mark.parametrize("n", [1, 2, 5, 36, 50])
def test_every_unit_is_in_one_shard(plan, n):
    shards = deal(plan, n)
    assert shards.shape == (len(plan),)
    assert set(shards) == set(range(min(n, 36)))
    for unit in work(plan):
        ids = {trial_id.encode() for trial_id, _, _ in unit.trials}
        assert len(set(shards[np.isin(plan.ids, list(ids))])) == 1


def test_shards_weigh_about_the_same(plan):
    sums = [sum(map(weight, work(share(plan, Shard(i, 3))))) for i in (1, 2, 3)]
    assert max(sums) - min(sums) <= max(map(weight, work(plan)))


def test_the_order_of_the_plan_does_not_move_a_trial_to_another_shard(sweep_in, plan, tmp_path):
    gens = sweep_in(tmp_path).config.raw["gen"]
    turned = {"seeds": [3, 1, 0, 2], "gen": dict(reversed(gens.items()))}
    other = sweep_in(tmp_path, **turned).plan()
    assert not np.array_equal(other.ids, plan.ids)
    here = dict(zip(plan.ids.tolist(), deal(plan, 5), strict=True))
    assert here == dict(zip(other.ids.tolist(), deal(other, 5), strict=True))


def test_a_share_is_a_plan_of_its_own(plan):
    part = share(plan, Shard(2, 5))
    assert set(part.ids.tolist()) == set(plan.ids[deal(plan, 5) == 1].tolist())
    assert set(part.unit_of_group) == {unit.key for unit in work(part)}
    same = plan.frame().set_index("trial_id").loc[part.ids.astype(str)]
    columns = [name for name in same if same[name].notna().any()]  # of the generators that it has
    own = part.frame().set_index("trial_id")
    assert set(own) == set(columns)
    pd.testing.assert_frame_equal(own[columns], same[columns], check_dtype=False)


def test_a_shard_without_units_does_nothing(sweep_in, tmp_path):
    sweep = sweep_in(tmp_path, shard="50/50")
    assert len(sweep.plan()) == 0
    outcome = sweep.run()
    assert (outcome.computed, outcome.found, outcome.failed) == (0, 0, [])


def test_a_shard_makes_no_report_and_says_which_command_does(sweep_in, tmp_path, caplog):
    caplog.set_level("INFO")
    config = sweep_in(tmp_path, shard="50/50", stages=["run", "report"]).config
    carry_out(config, LAUNCH)
    sentence = "shard 50/50 makes no report; after the last: python -m imprint_bench +sweep=x"
    assert caplog.messages[-1] == f"{sentence} stages=[report]"
    assert not (tmp_path / "reports").exists()

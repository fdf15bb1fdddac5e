"""Sweeps with work in common, computed as one plan."""

import numpy as np
import pandas as pd
import pytest

from imprint_bench.reporting import Launch
from imprint_bench.studies import compute, finish, prepare, together
from imprint_bench.sweep.joining import fits, joined

LAUNCH = Launch(command="python -m imprint_bench", configuration="")
SHORT = {"short": {"classes": [0, 1, 2]}}
ONE_GEN = {"gen": {"kmeans": {"k": [1, 5]}}}


def prepared(sweep_in, folder, *groups):
    return [prepare(sweep_in(folder, **g).config, LAUNCH) for g in groups]


def trials(plan):
    of = zip(plan.ids.tolist(), plan.group_of, plan.setting_of, strict=True)
    return {i: (plan.groups[g], plan.settings[s]) for i, g, s in of}


def test_a_joined_plan_has_every_trial_once_with_its_own_group_and_setting(sweep_in, tmp_path):
    parts = [
        {"gen": {"mean": {}, "kmeans": {"k": [1, 5]}}, "seeds": [0]},
        {"gen": {"kmeans": {"k": [5, 20]}}, "n_shot": ["all"], "task": SHORT},
        {"gen": {"fps": {"k": [2]}, "kmeans": {"k": [5]}}, "seeds": [1, 0], "agg": {"max": {}}},
    ]
    plans = [sweep_in(tmp_path, **part).plan() for part in parts]
    whole = joined(plans)
    assert len(whole) == len(set(whole.ids)) < sum(map(len, plans))
    assert trials(whole) == {key: value for plan in plans for key, value in trials(plan).items()}
    units = dict(zip(whole.groups, whole.unit_of_group, strict=True))
    assert all(units[g] == u for p in plans for g, u in zip(p.groups, p.unit_of_group, strict=True))
    assert set(whole.tasks["digits", "identity"]) == {"all", "odd", "short"}
    assert joined(plans[:1]) is plans[0]


def test_sweeps_run_as_one_give_the_rows_and_the_counts_of_each_by_itself(sweep_in, tmp_path):
    both = (
        {"gen": {"kmeans": {"k": [1, 5]}, "mean": {}, "all": {}}},
        {"gen": {"kmeans": {"k": [5, 8]}, "all": {}}, "task": SHORT | {"all": {"classes": "all"}}},
    )
    for groups in both:
        separate = sweep_in(tmp_path / "apart", **groups)
        separate.run()
    known = sweep_in(tmp_path / "one", gen={"mean": {}}, seeds=[0])
    known.run()
    studies = prepared(sweep_in, tmp_path / "one", *both)
    assert together(studies) == [studies]
    first, second = compute(studies)
    rows, apart = (s.rows().drop(columns="timed_together") for s in (known, separate))
    pd.testing.assert_frame_equal(rows, apart, check_exact=True)
    n = [len(study.plan) for study in studies]
    assert (first.part.outcome.found, first.part.outcome.computed) == (len(known.plan()), n[0] - 8)
    assert (second.part.outcome.found, second.part.outcome.computed) == (0, n[1])
    assert [*first.part.outcome.failed, *second.part.outcome.failed] == []
    again = compute(studies)
    found = [(done.part.outcome.found, done.part.outcome.computed) for done in again]
    assert found == [(n[0], 0), (n[1], 0)]


APART = {
    "no unit in common": ({"gen": {"fps": {"k": [3]}}}, {"gen": {"mean": {}}}),
    "other seeds": (ONE_GEN | {"seeds": [0]}, ONE_GEN | {"seeds": [1]}),
    "a task of two meanings": (
        ONE_GEN | {"task": SHORT},
        ONE_GEN | {"task": {"short": {"classes": [3, 4]}}},
    ),
    "a mapping of two meanings": (
        ONE_GEN | {"task": SHORT, "mapping": {"m": {"rename": {"labels": {0: 0, 1: 1, 2: 2}}}}},
        ONE_GEN | {"task": SHORT, "mapping": {"m": {"rename": {"labels": {0: 1, 1: 0, 2: 2}}}}},
    ),
    "a model of two meanings": (
        ONE_GEN | {"fm": {"f": {"random_conv": {"weights_seed": 0}}}},
        ONE_GEN | {"fm": {"f": {"random_conv": {"weights_seed": 1}}}},
    ),
    "other modes": (ONE_GEN | {"mode": "missing"}, ONE_GEN | {"mode": "overwrite"}),
    "other processes": (ONE_GEN | {"n_jobs": 1}, ONE_GEN | {"n_jobs": 2}),
}


@pytest.mark.parametrize("pair", APART.values(), ids=APART.keys())
def test_sweeps_that_cannot_or_need_not_be_one_stay_apart(pair, sweep_in, tmp_path):
    studies = prepared(sweep_in, tmp_path, *pair)
    assert together(studies) == [[study] for study in studies]


def test_names_of_two_meanings_do_not_fit_even_where_a_unit_is_shared(sweep_in, tmp_path):
    one, other, third = (
        sweep_in(tmp_path, **ONE_GEN, task=task).plan()
        for task in (SHORT, {"short": {"classes": [3, 4]}}, {"odd": {"classes": [1, 3]}})
    )
    assert not set(one.unit_of_group).isdisjoint(other.unit_of_group)
    assert not fits(other, [one])
    assert fits(third, [one])
    assert fits(third, [other])
    assert not fits(other, [third, one])


def test_shards_of_joined_sweeps_give_all_rows_and_none_twice(sweep_in, tmp_path):
    both = ({"gen": {"kmeans": {"k": [1, 5]}, "mean": {}}}, {"gen": {"kmeans": {"k": [5, 8]}}})
    computed = 0
    for i in (1, 2, 3):
        studies = prepared(sweep_in, tmp_path, *(g | {"shard": f"{i}/3"} for g in both))
        dones = compute(studies)
        ids = np.concatenate([done.study.plan.ids for done in dones])
        computed += len(set(ids.tolist()))
        for done in dones:
            finish(done)
    plan = joined([study.plan for study in prepared(sweep_in, tmp_path, *both)])
    assert computed == len(plan)
    assert set(plan.ids.tolist()) == set(sweep_in(tmp_path).store.ids().tolist())


def test_a_job_array_computes_joined_sweeps(sweep_in, tmp_path, monkeypatch):
    from pathlib import Path

    from imprint_bench.sweep.executors import slurm

    monkeypatch.setattr(slurm, "POLL", 0.1)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    local = {"executor": {"name": "slurm", "cluster": "local", "shards": 2}}
    both = (
        {"gen": {"kmeans": {"k": [1, 5]}, "mean": {}}} | local,
        {"gen": {"kmeans": {"k": [5, 8]}}} | local,
    )
    studies = prepared(sweep_in, tmp_path, *both)
    assert together(studies) == [studies]
    dones = compute(studies)
    assert [d.part.outcome.computed for d in dones] == [len(study.plan) for study in studies]
    plan = joined([study.plan for study in studies])
    assert set(plan.ids.tolist()) == set(sweep_in(tmp_path).store.ids().tolist())

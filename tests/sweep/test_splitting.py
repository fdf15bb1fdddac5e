"""Trials that kill their process or raise are found and marked; all others have their rows."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from imprint_bench import plugins
from imprint_bench.config import read
from imprint_bench.core.aggregation import AGGREGATIONS
from imprint_bench.core.generator import GENERATORS
from imprint_bench.errors import CacheError, RunFailed
from imprint_bench.reporting import Launch
from imprint_bench.studies import carry_out
from imprint_bench.sweep import splitting
from imprint_bench.sweep.embedding import described, embed
from imprint_bench.sweep.executor import each
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.run import run, store_of
from imprint_bench.sweep.splitting import Piece, split, verdicts
from imprint_bench.sweep.unit import units

TRIALS = 2000
GUILTY = [77, 1400]

# An aggregation and a generator that are deadly, or raise, for some values of a parameter. A
# file ends that; another one has a line for each time.
MODULE = '''
import os
from pathlib import Path
import numpy as np
from imprint_bench.core.aggregation import aggregation, class_maxima
from imprint_bench.core.generator import for_each_class

HERE = Path(__file__).parent


def harm(how, value):
    if (HERE / "mended").exists():
        return
    with (HERE / "harms").open("a") as file:
        file.write(f"{value}\\n")
    if how == "raise":
        raise ValueError(f"no luck with {value}")
    os._exit(1)


@aggregation("fragile")
def fragile(queries, proxies, labels, *, p: int, how: str, bad: str):
    """Return inner products with the first proxy of each class."""
    if str(p) in bad.split() and len(queries) > 50:
        harm(how, p)
    first = np.searchsorted(labels, np.unique(labels))
    return queries @ proxies[first].T


@for_each_class("deadly")
def deadly(X, *, k: int, how: str):
    """Return the first k rows of a class of any task but the toy's, unless k is 3."""
    if k == 3 and len(X) > 50:
        harm(how, k)
    return X[:k]
'''


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Return the file of a user's module, which this process forgets after the tests."""
    path = tmp_path_factory.mktemp("mine") / "module.py"
    path.write_text(MODULE)
    yield path
    AGGREGATIONS._entries.pop("fragile", None)
    GENERATORS._entries.pop("deadly", None)
    plugins._loaded.pop(str(path), None)


@pytest.fixture
def module(written):
    """Return the file of a user's module that does harm, and has done none."""
    for name in ("harms", "mended"):
        (written.parent / name).unlink(missing_ok=True)
    return written


@pytest.fixture
def at(plain, tmp_path, module):
    """Return a function that reads a small sweep with some groups replaced."""
    folders = {name: str(tmp_path / name) for name in plain["paths"]}
    small = {
        "imports": [str(module)],
        "gen": {"mean": {}},
        "task": {"all": {"classes": "all"}},
        "seeds": [0],
        "norm": {"pre": ["none"], "post": ["none"], "inf": ["none"]},
        "stages": ["run"],
        "n_jobs": 2,
        "paths": folders | {"results": str(tmp_path)},
    }
    return lambda **groups: read(plain | small | groups)


def fragile(values, how, bad=GUILTY):
    return {"fragile": {"p": list(values), "how": how, "bad": " ".join(map(str, bad))}}


def sweep(config):
    descriptions = described(config)
    plan = make_plan(config, descriptions)
    return run(config, plan, embed(config), store_of(config))


def harms(module):
    return (module.parent / "harms").read_text().split()


def fails(config):
    with pytest.raises(RunFailed) as caught:
        carry_out(config, Launch("python -m imprint_bench", "name: test\n"))
    assert caught.value.exit_code == 1
    return str(caught.value)


WHY = {
    "die": "its process died (out of memory, or a crash in compiled code)",
    "raise": "ValueError: no luck with ",
}


@pytest.mark.parametrize(("how", "status"), [("die", "crashed"), ("raise", "failed")])
def test_of_2000_trials_the_two_to_blame_are_marked_and_listed(at, module, how, status):
    config = at(agg=fragile(range(TRIALS), how))
    text = fails(config)
    lead = "2 trials crashed or failed; all others are stored, and mode=retry_failed runs these"
    assert text.startswith(lead)
    assert WHY[how] in text
    assert "agg_p=77" in text
    assert "1400: " in text
    rows = store_of(config).read().set_index("agg_p")
    assert len(rows) == TRIALS
    assert rows["status"].value_counts().to_dict() == {"ok": TRIALS - 2, status: 2}
    marked = rows[rows["status"] == status].sort_index()
    assert marked.index.tolist() == GUILTY
    assert marked["accuracy"].isna().all()
    assert all(reason.startswith(WHY[how]) for reason in marked["reason"])
    assert "(process" not in marked["reason"].iloc[0]
    assert rows.loc[rows["status"] == "ok", "reason"].isna().all()
    assert len(harms(module)) <= 16  # two a step: the unit, a chunk, a smaller one, the trial

    # The next run tries nothing, says the same and fails too; then they are tried again.
    assert fails(config) == text
    assert len(harms(module)) <= 16
    (module.parent / "mended").touch()
    assert fails(config) == text
    retry = at(agg=fragile(range(TRIALS), how), mode="retry_failed")
    outcome = sweep(retry)
    assert (outcome.computed, outcome.found, outcome.marked) == (2, TRIALS - 2, [])
    rows = store_of(config).read()
    assert len(rows) == TRIALS
    assert set(rows["status"]) == {"ok"}
    assert rows["accuracy"].eq(rows["accuracy"][0]).all()
    assert sweep(config).marked == []


@pytest.mark.parametrize(
    ("how", "status", "k", "n_jobs"),
    [("die", "crashed", [3], 2), ("raise", "failed", [1, 3], 1)],
    ids=["die", "raise"],
)
def test_rows_beside_one_that_dies_or_raises_are_those_of_an_undisturbed_sweep(
    at, module, tmp_path, how, status, k, n_jobs
):
    groups = {
        "gen": {"kmeans": {"k": k}},
        "agg": {"max": {}} | fragile([1, 2], how, bad=[2]),
        "norm": {"pre": ["none"], "post": ["quantile"], "inf": ["l2"]},
        "n_jobs": n_jobs,
    }
    disturbed = at(**groups)
    sweep(disturbed)
    (module.parent / "mended").touch()
    elsewhere = {n: str(tmp_path / "b" / n) for n in ("data", "embeddings", "rows", "reports")}
    undisturbed = at(**groups, paths={"results": str(tmp_path / "b")} | elsewhere)
    sweep(undisturbed)
    found, expected = (
        store_of(config).read().set_index("trial_id").sort_index().sort_index(axis=1)
        for config in (disturbed, undisturbed)
    )
    guilty = expected["agg_p"].eq(2).fillna(value=False)
    assert 0 < guilty.sum() < len(expected)
    assert set(found.loc[guilty, "status"]) == {status}
    drop = ["gen_seconds", "timed_together"]
    pd.testing.assert_frame_equal(
        found[~guilty].drop(columns=["reason", *drop]),
        expected[~guilty].drop(columns=drop),
        check_exact=True,
    )


@pytest.mark.parametrize(("how", "status"), [("die", "crashed"), ("raise", "failed")])
def test_where_proxies_cannot_be_made_their_trials_are_not_tried_one_by_one(
    at, module, how, status
):
    config = at(
        gen={"deadly": {"k": [1, 2, 3, 4], "how": how}},
        agg={"mnn": {"m": [1, 3, 5], "metric": ["euclidean"], "weighting": ["distance"]}},
        norm={"pre": ["none"], "post": ["none", "l2"], "inf": ["none", "l2"]},
    )
    sweep(config)
    rows = store_of(config).read()
    assert set(rows.loc[rows["gen_k"] == 3, "status"]) == {status}
    assert set(rows.loc[rows["gen_k"] != 3, "status"]) == {"ok"}
    assert rows["gen_k"].value_counts().to_dict() == dict.fromkeys([1, 2, 3, 4], 12)
    assert len(harms(module)) <= 5  # twice the unit, its k, twice the proxies alone


def test_units_of_one_trial_are_marked_without_further_search(at, module):
    config = at(agg=fragile([1], "die", bad=[1]))
    sweep(config)
    assert store_of(config).read()["status"].tolist() == ["crashed"]
    assert len(harms(module)) == 2  # the second time it had a process to itself


def test_a_later_result_replaces_a_mark_and_a_later_mark_a_result(at, module):
    config = at(agg=fragile([1, 2], "raise", bad=[2]), n_jobs=1)
    assert sweep(config).n_marked == 1
    (module.parent / "mended").touch()
    for mode in ("retry_failed", "overwrite"):
        assert sweep(at(agg=fragile([1, 2], "raise", bad=[2]), n_jobs=1, mode=mode)).n_marked == 0
    (module.parent / "mended").unlink()
    again = at(agg=fragile([1, 2], "raise", bad=[2]), n_jobs=1, mode="overwrite")
    assert sweep(again).n_marked == 1
    assert sorted(store_of(config).read()["status"]) == ["failed", "ok"]


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), CacheError("gone; embed.")])
def test_what_a_disk_does_is_no_trials_fault(at, monkeypatch, error):
    def broken(unit, arrays):
        raise error

    config = at(agg=fragile(range(5), "raise"), n_jobs=1)
    with monkeypatch.context() as patched:
        patched.setattr(splitting, "compute", broken)
        outcome = sweep(config)
    assert (outcome.computed, outcome.n_marked, len(outcome.failed)) == (0, 0, 1)
    assert str(error) in outcome.failed[0]
    assert len(store_of(config).ids()) == 0
    assert sweep(config).computed == 5


SWEEP = """
import json, sys
from imprint_bench.config import read
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.embedding import described, embed
from imprint_bench.sweep.run import run, store_of

config = read(json.loads(sys.argv[1]))
descriptions = described(config)
run(config, make_plan(config, descriptions), embed(config), store_of(config))
"""


def test_a_death_of_the_only_process_ends_the_run_and_all_finished_is_kept(at):
    """With n_jobs=1 trials run in the process that was started, which cannot outlive its death."""
    gens = {"kmeans": {"k": [5]}, "deadly": {"k": [3], "how": "die"}}  # in that order
    config = at(gen=gens, n_jobs=1)
    command = [sys.executable, "-c", SWEEP, json.dumps(config.raw)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (1, "")
    rows = store_of(config).read()
    assert rows[["gen", "status"]].to_numpy().tolist() == [["kmeans", "ok"]]
    outcome = sweep(at(gen=gens, n_jobs=2))
    assert (outcome.found, outcome.n_marked) == (1, 1)


def test_a_search_without_end_stops_and_the_next_run_goes_on(at, module, monkeypatch):
    monkeypatch.setattr(splitting, "PATIENCE", 10)
    values = range(10)
    norms = {"pre": ["none", "l2"], "post": ["none"], "inf": ["none"]}
    gens = {"kmeans": {"k": [1, 2]}, "mean": {}}  # 4 units of work, more than patience lasts for
    config = at(agg=fragile(values, "raise", bad=values), gen=gens, norm=norms, n_jobs=1)
    known = 0
    while (outcome := sweep(config)).failed:
        assert "not searched further after" in outcome.failed[0]
        assert known < outcome.n_marked == len(store_of(config).ids())
        known = outcome.n_marked
    assert known < outcome.n_marked
    assert set(store_of(config).read()["status"]) == {"failed"}


def unit_of(config, arrays):
    plan = make_plan(config, [arrays.describe()])
    (unit,) = units(plan, np.ones(len(plan), dtype=bool))
    return unit


def test_pieces_hold_every_trial_once_down_to_single_ones(config, digits):
    mnn = {"m": list(range(1, 41)), "metric": ["euclidean"], "weighting": ["distance"]}
    unit = unit_of(
        config(gen={"kmeans": {"k": [5, 8]}}, agg={"max": {}, "mnn": mnn}, seeds=[0],
               norm={"pre": ["none"], "post": ["none", "l2"], "inf": ["none", "l2"]}),
        digits,
    )  # fmt: skip
    steps, pieces = [], [Piece(unit)]
    while pieces:
        trials = [trial_id for piece in pieces for trial_id, _, _ in piece.unit.trials]
        assert len(set(trials)) == len(trials)
        for piece in pieces:
            assert set(piece.unit.tasks) == {s.task for _, _, s in piece.unit.trials}
        steps.append(pieces)
        pieces = [part for p in pieces for part in split(p, went_well=p.proxies_only)]
    assert {t for piece in steps[1] for t, _, _ in piece.unit.trials} == {
        t for t, _, _ in unit.trials
    }
    by_k, alone, by_use = steps[1:4]
    assert [len({g for _, g, _ in p.unit.trials}) for p in by_k] == [1, 1]
    assert [p.proxies_only for p in alone] == [True, True]
    assert {(s.norm_post, s.norm_inf, s.agg) for _, _, s in by_use[0].unit.trials} == {
        (s.norm_post, s.norm_inf, s.agg) for _, _, s in by_use[0].unit.trials[:1]
    }
    assert all(len(p.unit) == 1 for p in steps[-1])
    assert len(steps) <= 6


def test_two_faults_of_one_unit_cost_few_calls(config, digits, monkeypatch):
    calls = []
    compute = splitting.compute

    def counted(unit, arrays):
        calls.append(len(unit))
        if {s.params.get("m") for _, _, s in unit.trials} & {7, 31}:
            raise ValueError("no")
        return compute(unit, arrays)

    monkeypatch.setattr(splitting, "compute", counted)
    mnn = {"m": list(range(1, 81)), "metric": ["euclidean"], "weighting": ["distance"]}
    unit = unit_of(
        config(gen={"fps": {"k": [10]}}, agg={"mnn": mnn}, task={"all": {"classes": "all"}},
               norm={"pre": ["none"], "post": ["none"], "inf": ["none"]}, seeds=[0]),
        digits,
    )  # fmt: skip
    serial = lambda function, items, *, retry=True: each(function, items, n_jobs=1)  # noqa: E731
    found = list(verdicts([unit], {("pixels", "digits"): digits}, serial))
    assert sum(len(v.unit) for v in found if not v.marked) == 78
    assert sorted(v.rows[0]["agg_m"] for v in found if v.marked) == [7, 31]
    assert len(calls) <= 1 + 16 + 2 * 5

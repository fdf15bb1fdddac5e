"""The shared path gives what the definition gives, on every trial of a covering sample."""

from pathlib import Path

import numpy as np
import pytest
import yaml

from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.operands import Proxies, Queries
from imprint_bench.core.scoring import predictions
from imprint_bench.core.screening import screen_twins
from imprint_bench.core.setting import Setting, TaskRows
from imprint_bench.sweep.bank import compute
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.reference import one_trial
from imprint_bench.sweep.unit import units

MNN = {
    "m": [1, 3, 10],
    "metric": ["euclidean", "cosine", "manhattan", "mahalanobis"],
    "weighting": ["distance", "uniform"],
}
K = {"k": [1, 3, 8]}
CONF = Path(__file__).parents[2] / "conf" / "gen"


def grid(name):
    """Return the parameters of conf/gen/<name>.yaml with values of k that suit few rows."""
    params = yaml.safe_load((CONF / f"{name}.yaml").read_text())[name] or {}
    if "k" in params:
        params["k"] = [2] if name == "k_least_squares" else K["k"]
    return params


def rows_of(plan, arrays):
    everything = np.ones(len(plan), dtype=bool)
    return [row for u in units(plan, everything) for row in compute(u, arrays)]


def assert_equal_to_the_reference(plan, arrays, *, every=1):
    """Compare one in `every` trials, chosen by its id, with the plain computation."""
    by_id = {row["trial_id"]: row for row in rows_of(plan, arrays)}
    assert len(by_id) == len(plan)
    compared = 0
    for i in range(len(plan)):
        if int(plan.ids[i][:8], 16) % every:
            continue
        group, setting = plan.groups[plan.group_of[i]], plan.settings[plan.setting_of[i]]
        place = (group.dataset, group.mapping)
        expected = one_trial(
            group,
            setting,
            arrays=arrays,
            task=plan.tasks[place][setting.task],
            label_map=plan.labels[place].label_map,
        )
        row = by_id[plan.ids[i].decode()]
        assert row["accuracy"] == expected.accuracy, (group, setting)
        assert row["f1"] == expected.f1, (group, setting)
        compared += 1
    return compared


@pytest.mark.parametrize("gen", sorted(GENERATORS))
def test_every_norm_and_aggregation_equals_the_reference(gen, config, digits):
    plan = make_plan(
        config(gen={gen: grid(gen)}, agg={"max": {}, "mnn": MNN}, seeds=[3]),
        [digits.describe()],
    )
    assert assert_equal_to_the_reference(plan, digits, every=4 if gen == "all" else 3) >= 50


@pytest.mark.parametrize("gen", ["random", "kmeans", "least_squares"])
def test_n_shot_equals_the_reference(gen, config, digits):
    shots = config(
        gen={gen: grid(gen)},
        n_shot=[3, 10, 1000],
        norm={"pre": ["none"], "post": ["none", "quantile"], "inf": ["none", "l2"]},
        agg={"max": {}, "mnn": MNN | {"m": [1, 3]}},
    )
    plan = make_plan(shots, [digits.describe()])
    assert assert_equal_to_the_reference(plan, digits, every=10) >= 20


def test_a_mapping_that_joins_and_drops_classes_equals_the_reference(config, digits):
    rename = {"labels": {0: 1, 8: 1, 3: 0, 5: 0, 7: 2}}
    task = {"all": {"classes": "all"}, "two": {"classes": [2, 0]}}
    renamed = config(mapping={"pairs": {"rename": rename}}, task=task, gen={"fps": K, "mean": {}})
    plan = make_plan(renamed, [digits.describe()])
    assert assert_equal_to_the_reference(plan, digits) == len(plan)


def test_real_embeddings_equal_the_reference(config, mobilenet_mnist):
    """8-bit embeddings of a pretrained network, 150 rows per class."""
    plan = make_plan(
        config(
            gen={
                "kmeans": {"k": [5]},
                "mean": {},
                "all": {},
                "least_squares": grid("least_squares"),
            },
            agg={"max": {}, "mnn": MNN},
            task={"all": {"classes": "all"}, "odd": {"classes": [1, 3, 5, 7, 9]}},
            seeds=[0],
        ),
        [mobilenet_mnist.describe()],
    )
    assert assert_equal_to_the_reference(plan, mobilenet_mnist, every=8) >= 100


def test_rows_do_not_depend_on_which_other_trials_run(config, digits):
    both = config(gen={"kmeans": K, "fps": K}, agg={"max": {}, "mnn": MNN})
    one_task = {"odd": {"classes": [9, 7, 5, 3, 1]}}
    few = config(gen={"kmeans": {"k": [3]}}, agg={"mnn": {"m": [3]}}, task=one_task, seeds=[1])
    whole, part = make_plan(both, [digits.describe()]), make_plan(few, [digits.describe()])
    by_id = {row["trial_id"]: row for row in rows_of(whole, digits)}
    for row in rows_of(part, digits):
        other = by_id[row["trial_id"]]
        drop = ("gen_seconds", "timed_together")
        assert {k: v for k, v in row.items() if k not in drop} == {
            k: v for k, v in other.items() if k not in drop
        }


def test_a_block_of_queries_gives_what_all_together_give(config, digits, monkeypatch):
    plan = make_plan(config(agg={"max": {}, "mnn": MNN}, seeds=[0]), [digits.describe()])
    whole = [row["f1"] for row in rows_of(plan, digits)]
    monkeypatch.setattr("imprint_bench.core.exact_scoring.BLOCK_ENTRIES", 500)
    monkeypatch.setattr("imprint_bench.core.reducing.PRODUCTS", 500)
    monkeypatch.setattr("imprint_bench.core.operands.CHUNK", 20)
    assert [row["f1"] for row in rows_of(plan, digits)] == whole


def test_counts_of_a_row_are_those_of_its_task(config, digits):
    gens = {"kmeans": {"k": [8]}, "all": {}}
    plan = make_plan(config(gen=gens, n_shot=[5, "all"], seeds=[0]), [digits.describe()])
    y_train, y_test = digits.y("train"), digits.y("test")
    for row in rows_of(plan, digits):
        classes = {"all": range(10), "short": (0, 1, 2), "odd": (1, 3, 5, 7, 9)}[row["task"]]
        n_train = [min((y_train == c).sum(), row["n_shot"] or 10**6) for c in classes]
        per_class = n_train if row["gen"] == "all" else [min(8, n) for n in n_train]
        assert row["n_train"] == sum(n_train)
        assert row["n_test"] == np.isin(y_test, classes).sum()
        assert row["n_proxies"] == sum(per_class)
        assert row["k_effective"] == min(per_class)


def test_no_settings_give_no_predictions(digits):
    queries, proxies = Queries(digits.X("test")), Proxies([digits.X("train")[:3]])
    assert predictions(queries, proxies, {}, []) == {}


def test_float32_leaves_few_predictions_on_real_embeddings_in_doubt(mobilenet_mnist):
    X, y, queries = (
        mobilenet_mnist.X("train"),
        mobilenet_mnist.y("train"),
        mobilenet_mnist.X("test"),
    )
    tasks = {"all": TaskRows(np.arange(10), np.arange(len(queries)))}
    params = [{"m": m, "metric": x} for m in (1, 5, 20) for x in ("euclidean", "cosine")]
    aggs = [("max", ()), *(("mnn", tuple(p.items())) for p in params)]
    wanted = {Setting("all", post, "none", *agg) for post in ("none", "l2") for agg in aggs}
    proxies = Proxies([X[y == c] for c in range(10)])
    (screened,) = screen_twins(Queries(queries), [(proxies, wanted)], tasks)
    assert set(screened.found) == wanted
    assert np.mean([len(rows) for rows in screened.doubts.values()]) < 0.05 * len(queries)

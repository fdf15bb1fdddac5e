"""Training runs side by side: means over seeds, what is missing, and which row of the paper."""

import statistics

import numpy as np
import pandas as pd
import pytest

from imprint_bench.analysis.dl2pa.differences import Difference, difference, static_pairs, verdicts
from imprint_bench.analysis.dl2pa.published import (
    beside,
    paper_dataset,
    published,
    published_geometry,
    published_points,
    rho_in,
)
from imprint_bench.analysis.dl2pa.roles import ROLES, describe, role_of, scale_of
from imprint_bench.analysis.dl2pa.runs import runs
from imprint_bench.analysis.frames import rows_of_plan
from imprint_bench.errors import ConfigError, IncompleteError, StoreError

RESULTS = ["trial_id", "status", "accuracy", "class_accuracy", "epoch_change", "imbalance"]
COPIED = {"DNC", "Goto et al.", "Kasarla et al."}  # rows of table 3 from other papers


def cell(view, method, d):
    found = view.cells[(view.cells["method"] == method) & (view.cells["d"] == d)]
    assert len(found) == 1
    return found.iloc[0]


def failed(rows, method, d, seed=0, status="crashed"):
    """Return rows of which one trial has no result."""
    hit = (rows["method"] == method) & (rows["d"] == d) & (rows["seed"] == seed)
    assert hit.sum() == 1
    return rows.assign(
        status=rows["status"].mask(hit, status), accuracy=rows["accuracy"].mask(hit, np.nan)
    )


def test_a_cell_is_the_mean_and_the_sample_standard_deviation_over_seeds(pairs):
    rng = np.random.default_rng(0)
    rows = pairs.assign(accuracy=rng.integers(0, 1000, len(pairs)) / 1000)
    view = runs(rows)
    for method, d in [("psc_linear", 3), ("published_dynamic", 50), ("etf", 99)]:
        own = rows.loc[(rows["method"] == method) & (rows["d"] == d), "accuracy"].tolist()
        found = cell(view, method, d)
        assert found["accuracy_mean"] == pytest.approx(statistics.mean(own))
        assert found["accuracy_std"] == pytest.approx(statistics.stdev(own))
        assert found["n_seeds"] == 3
        assert found["n_classes"] == 100


def test_the_order_of_the_rows_does_not_matter(trained):
    shuffled = trained.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(runs(trained).cells, runs(shuffled).cells)


def test_a_method_that_the_plan_excludes_at_some_d_is_no_gap_there(pairs):
    cells = runs(pairs).cells
    assert len(cells) == 11 * 6 + 1
    assert cells.loc[cells["method"] == "etf", "d"].tolist() == [99]


def test_without_a_plan_nothing_tells_an_absent_method_from_a_gap(pairs):
    with pytest.raises(IncompleteError, match=r"5 of 72 cells .* etf on digit_pairs · mlp · quick"):
        runs(pairs.drop(columns="planned"))


def test_a_missing_result_is_refused_by_name_with_the_trial_and_what_retries_it(pairs):
    rows = failed(pairs, "hpn_static", 25)
    told = r"1 of 67 cells .* 1 crashed \(first: hpn static on .* d = 25 \(crashed\)\); .*retry"
    with pytest.raises(IncompleteError, match=told) as refusal:
        runs(rows)
    (trial,) = refusal.value.trials.to_dict("records")
    assert (trial["method"], trial["d"], trial["seed"]) == ("hpn_static", 25, 0)


def test_on_demand_the_cell_that_lacks_a_seed_is_left_out_alone(pairs):
    view = runs(failed(pairs, "hpn_static", 25), allow_incomplete=True)
    assert len(view.cells) == 66
    assert view.notes == ("1 of 67 cells (method on an instance) lack results and are left out.",)
    assert "hpn_static" not in set(view.rows.loc[view.rows["d"] == 25, "method"])


def test_rows_of_a_plan_whose_store_lacks_trials_are_refused(pairs):
    plan = pairs.drop(columns=[*RESULTS[1:], "planned", "cosine_max"])
    rows = rows_of_plan(plan, pairs.loc[1:, RESULTS])
    with pytest.raises(IncompleteError, match=r"1 of 67 cells .*: 1 missing"):
        runs(rows)


def test_where_nothing_is_left_the_refusal_says_so(pairs):
    rows = pairs.assign(status="failed", accuracy=np.nan)
    with pytest.raises(IncompleteError, match="nothing is left to show"):
        runs(rows, allow_incomplete=True)


@pytest.mark.parametrize("kind", ["imprinting", "none"])
def test_rows_that_train_nothing_are_no_training_runs(kind, study, pairs):
    with pytest.raises(IncompleteError, match=r"no training runs are in view; run a sweep of fix"):
        runs(study if kind == "imprinting" else pairs.head(0))


def test_rows_of_imprinting_among_them_are_left_out(study, pairs):
    both = runs(pd.concat([pairs, study], ignore_index=True))
    pd.testing.assert_frame_equal(both.cells, runs(pairs).cells, check_dtype=False)


def test_two_rows_of_one_trial_are_refused(pairs):
    with pytest.raises(StoreError, match=r"1 trials have two rows \(first: psc linear on digit_p"):
        runs(pd.concat([pairs, pairs.head(1)], ignore_index=True))


def test_a_parameter_that_goes_with_the_instance_makes_no_method(pairs):
    other = pairs.assign(dataset="other", lr=0.05)
    view = runs(pd.concat([pairs, other], ignore_index=True))
    assert set(view.cells["label"]) == set(runs(pairs).cells["label"])


def test_values_of_a_parameter_make_methods_of_one_name(pairs):
    more = pairs[pairs["method"] == "hpn_static"].assign(lr=0.05)
    labels = set(runs(pd.concat([pairs, more], ignore_index=True)).cells["label"])
    assert {"hpn static lr=0.01", "hpn static lr=0.05", "etf"} <= labels
    assert "hpn static" not in labels


def test_where_chooses_rows_and_a_wrong_one_is_refused(pairs):
    assert set(runs(pairs, where={"d": 99}).cells["d"]) == {99}
    with pytest.raises(ConfigError, match=r"where\.dd: no such column"):
        runs(pairs, where={"dd": 99})


def test_rho_of_a_trial_without_result_is_that_of_its_dataset(trained):
    tail = trained[trained["d"] == 64]
    rows = tail.assign(
        imbalance=tail["imbalance"].mask(tail["seed"] == 1),
        status=tail["status"].mask(tail["seed"] == 1, "failed"),
        accuracy=tail["accuracy"].mask(tail["seed"] == 1),
    )
    with pytest.raises(IncompleteError, match=r"results: 9 of 9 cells"):
        runs(rows)
    none = tail.assign(imbalance=None)
    assert set(runs(none).cells["imbalance"]) == {0.005, 0.01, 0.02}  # by the name


IPM = {"loss": "ipm", "head": "fixed", "head_scale": "1", "assignment": "static"}
CE = {"loss": "cross_entropy", "loss_uniformity": 0.0}


@pytest.mark.parametrize(
    ("parts", "role", "what"),
    [
        ({"head": "linear", **CE}, "PSC", "linear · CE"),
        ({"head": "cosine", "head_scale": "16.0", **CE}, "PSC", "cosine · CE, s = 16"),
        (
            {"head": "cosine", "head_scale": "learnable", **CE, "loss_uniformity": 0.01},
            "PSC*",
            "cosine · CE + 0.01 L_uni, s = learnable",
        ),
        ({**IPM, "prototypes": "word_vectors"}, "Word2Vec", "word vectors · static · IPM"),
        ({**IPM, "prototypes": "hpn", "loss": "hpn"}, "HPN", "hpn · static · HPN's loss"),
        (
            {**IPM, "prototypes": "simplex", "loss": "dot_regression"},
            "ETF",
            "simplex · static · DR",
        ),
        ({**IPM, "prototypes": "random"}, "other set, static", "random · static · IPM"),
        (
            {**IPM, "prototypes": "equidistributed", "assignment": "dynamic"},
            "DL2PA",
            "equidistributed · dynamic · IPM",
        ),
        (
            {**IPM, "prototypes": "hpn", "assignment": "dynamic"},
            "other set, dynamic",
            "hpn · dynamic · IPM",
        ),
        (
            {**IPM, "prototypes": "trained", "assignment": "dynamic"},
            "PSC's weights, dynamic",
            "trained · dynamic · IPM",
        ),
        (
            {**IPM, **CE, "prototypes": "equidistributed"},
            "fixed W + CE",
            "equidistributed · static · CE, s = 1",
        ),
        (
            {**IPM, **CE, "prototypes": "kasarla", "head_normalize_features": False},
            "fixed W + CE",
            "kasarla · static · CE, features as they are",
        ),
        (
            {**IPM, **CE, "prototypes": "equidistributed", "assignment": "dynamic"},
            "dynamic W + CE",
            "equidistributed · dynamic · CE, s = 1",
        ),
    ],
)
def test_what_a_method_is_made_of_decides_its_role_and_not_its_name(parts, role, what):
    methods = pd.DataFrame([{"prototypes": None, "assignment": None, "method": "psc"} | parts])
    assert role_of(methods).tolist() == [role]
    assert describe(methods).tolist() == [what]
    assert role in ROLES


def test_a_loss_without_logits_has_no_scale():
    methods = pd.DataFrame([{**IPM, "prototypes": "hpn"}, {**IPM, **CE, "prototypes": "hpn"}])
    assert scale_of(methods).tolist() == ["", "1"]


def test_the_numbers_of_the_paper_are_all_there():
    counts = {f"table{i}": len(published(f"table{i}")) for i in (1, 2, 3, 4, 5, 6, 8, 9)}
    assert counts == {
        "table1": 16 + 13, "table2": 10, "table3": 5 + 3 + 1 + 2, "table4": 12, "table5": 4,
        "table6": 27, "table8": 12, "table9": 6,
    }  # fmt: skip
    methods = {m for table in counts for m in published(table)["method"]}
    assert methods - COPIED <= set(ROLES)
    values = pd.concat([published(table)["accuracy_mean"] for table in counts])
    assert values.between(0.2, 0.9).all()
    assert len(published_geometry()) == 6
    assert len(published_points("figure2a")) == len(published_points("figure2c")) == 5


def test_some_numbers_of_the_paper_by_hand():
    one = published("table1").set_index(["dataset", "method", "d"])["accuracy_mean"]
    assert one["cifar100", "DL2PA", 50] == 0.6622
    assert one["imagenet_200", "PSC", 200] == 0.331
    nine = published("table9").set_index(["method", "d"])
    assert nine.loc[("fixed W + CE", 16), ["accuracy_mean", "accuracy_std"]].tolist() == [
        0.553,
        0.0076,
    ]
    six = published("table6").set_index(["dataset", "method", "rho"])["accuracy_mean"]
    assert six["stl10_lt", "PSC", 0.02] == 0.388


@pytest.mark.parametrize(
    ("name", "known", "rho"),
    [
        ("cifar100", "cifar100", None),
        ("CIFAR-100", "cifar100", None),
        ("cifar10", "", None),
        ("cifar10_small", "", None),
        ("cifar100_lt_005", "cifar100_lt", 0.005),
        ("svhn_lt_02", "svhn_lt", 0.02),
        ("stl10_lt_01", "stl10_lt", 0.01),
        ("mnist_lt", "", None),
        ("imagenet_lt", "imagenet_lt", None),
        ("imagenet_200", "imagenet_200", None),
        ("imagenet", "imagenet", None),
        ("imagenet32", "", None),
    ],
)
def test_a_dataset_is_the_papers_by_its_name(name, known, rho):
    assert paper_dataset(name) == known
    assert rho_in(name) == rho if rho else np.isnan(rho_in(name))


def test_the_papers_value_stands_beside_its_data_d_and_scale_alone():
    rows = pd.DataFrame(
        [("cifar100", "fixed W + CE", "1", 16), ("cifar100", "fixed W + CE", "16", 16),
         ("cifar100", "DL2PA", "", 64), ("cifar100", "DL2PA", "", 50),
         ("digit_pairs", "DL2PA", "", 64)],
        columns=["dataset", "role", "scale", "d"],
    ).assign(network="any", imbalance=np.nan)  # fmt: skip
    values, left = beside(rows, "table9")
    assert values["paper_mean"].fillna(0).tolist() == [0.553, 0, 0.6594, 0, 0]
    assert left[["method", "d"]].to_numpy().tolist() == [
        ["fixed W + CE", 32], ["fixed W + CE", 64], ["DL2PA", 16], ["DL2PA", 32],
    ]  # fmt: skip


def test_means_are_told_apart_by_two_standard_errors_of_the_difference():
    a = pd.Series({"accuracy_mean": 0.6, "accuracy_std": 0.03, "n_seeds": 9})
    b = pd.Series({"accuracy_mean": 0.55, "accuracy_std": 0.04, "n_seeds": 4})
    told = difference(a, b, 3)
    assert told.error == pytest.approx((0.01**2 + 0.02**2) ** 0.5)
    assert told.verdict == 1  # 0.05 > 2 x 0.02236
    assert difference(b, a, 3).verdict == -1
    assert difference(a, b.replace(0.55, 0.556), 3).verdict == 0  # 0.044 < 0.0447
    alone = a.replace(0.03, np.nan)
    assert difference(alone, b, 3).verdict == 1  # no standard error: every difference counts


def test_a_place_where_one_of_two_pairs_is_undecided_is_mixed():
    told = [Difference("5", -0.2, 0.01), Difference("3", 0.2, 0.01), Difference("3", 0.01, 0.01)]
    assert verdicts(told) == "worse at d = 5 (-20.0 points); mixed at d = 3 (+1.0 to +20.0)"
    alike = [Difference("10", 0.01, 0.01), Difference("9", 0.01, 0.01), Difference("9", 0.0, 0.01)]
    assert verdicts(alike) == (
        "within 2 standard errors at d = 9 (+0.0 to +1.0 points) and 10 (+1.0)"
    )


def test_a_dynamic_method_is_paired_with_its_own_prototypes_loss_and_scale_held_static(pairs):
    found = static_pairs(runs(pairs).cells)
    names = set(zip(found["label"], found["label_other"], strict=True))
    assert names == {
        ("published dynamic", "published static"),
        ("refined dynamic", "refined static"),
        ("dynamic ce 16", "fixed ce 16"),
    }
    at_3 = found[(found["d"] == 3) & (found["label"] == "published dynamic")].iloc[0]
    assert at_3["difference"] == pytest.approx(0.184)
    assert at_3["error"] == pytest.approx((2 * 0.005**2 / 3) ** 0.5)

import numpy as np
import pandas as pd
import pytest

from imprint_bench.analysis.build import build
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.frames import (
    average_ranks,
    best_of_groups,
    medians,
    method_columns,
    rows_of_plan,
    select,
    summarize,
)
from imprint_bench.analysis.labels import instance_labels, method_labels
from imprint_bench.analysis.tables import TABLES
from imprint_bench.errors import ConfigError, IncompleteError, StoreError
from imprint_bench.params import takes

KMEANS_L2 = "k-means 20 · l2/l2/l2 · max"
KMEANS_NONE = "k-means 20 · none/none/none · max"
MEAN = "mean · l2/l2/l2 · max"
LEAST_SQUARES = "least squares · none/none/none · max"


def by_label(rows: pd.DataFrame, **kwargs: object) -> pd.DataFrame:
    return summarize(medians(rows, **kwargs)).set_index("label")


def test_a_cell_is_the_median_over_seeds_and_not_the_mean(study):
    view = medians(study)
    table = view.accuracy.set_axis(method_labels(view.methods), axis=1)
    table.index = instance_labels(view.instances)
    assert table.loc["resnet18 · cifar10 · all", KMEANS_NONE] == 0.95
    assert table.shape == (3, 4)


def test_summary_is_what_was_computed_by_hand(study):
    summary = by_label(study)
    assert summary.loc[KMEANS_L2, "accuracy_mean"] == pytest.approx(0.70)
    assert summary.loc[KMEANS_L2, "accuracy_std"] == pytest.approx(np.sqrt(0.24 / 2))
    assert summary["average_rank"].to_dict() == pytest.approx(
        {KMEANS_L2: 2, KMEANS_NONE: 7 / 3, MEAN: 11 / 3, LEAST_SQUARES: 2}
    )
    assert set(summary["n_instances"]) == {3}


def test_best_of_a_group_is_the_best_rank_and_not_the_best_mean(study):
    summary = summarize(medians(study))
    best = best_of_groups(summary, ["gen"]).set_index("gen")
    assert best.loc["kmeans", "label"] == KMEANS_L2
    assert summary["accuracy_mean"].max() > best.loc["kmeans", "accuracy_mean"]


def test_ties_share_the_mean_rank():
    accuracy = pd.DataFrame([[0.5, 0.9, 0.5], [0.1, 0.2, 0.3]])
    assert average_ranks(accuracy).tolist() == [2.75, 1.5, 1.75]


def test_equal_accuracies_stay_equal_through_a_median_of_two_seeds(study):
    rows = study[study["seed"] < 2].copy()
    pair = {("kmeans", 0): 0.1 + 0.2, ("kmeans", 1): 0.3, ("mean", 0): 0.3, ("mean", 1): 0.3}
    rows["accuracy"] = [pair.get(x, 0.5) for x in zip(rows["gen"], rows["seed"], strict=True)]
    ranks = by_label(rows)["average_rank"]
    assert ranks[KMEANS_L2] == ranks[MEAN]


def test_a_weight_decay_that_follows_the_foundation_model_is_no_part_of_the_method(study):
    assert len(by_label(study).filter(like="least squares", axis=0)) == 1


def test_a_swept_weight_decay_makes_methods_of_its_own(study):
    more = study[study["gen"] == "least_squares"].assign(gen_weight_decay=1.0)
    more["trial_id"] += "x"
    labels = set(by_label(pd.concat([study, more])).index)
    swept = "least squares weight_decay=1 · none/none/none · max"
    assert labels == {KMEANS_L2, KMEANS_NONE, MEAN, LEAST_SQUARES, swept}


def test_a_new_parameter_column_tells_methods_apart_by_its_prefix(study):
    study["gen_trimmed"] = None
    more = study[study["gen"] == "mean"].assign(gen_trimmed=0.1, accuracy=0.5)
    labels = by_label(pd.concat([study, more], ignore_index=True)).index
    assert "mean trimmed=0.1 · l2/l2/l2 · max" in labels
    assert MEAN in labels


def test_a_measurement_is_no_parameter(study):
    assert "gen_seconds" not in method_columns(study)


def test_the_order_of_the_rows_does_not_matter(study):
    shuffled = study.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(summarize(medians(study)), summarize(medians(shuffled)))


def test_medians_agree_with_a_plain_group_by(study):
    rng = np.random.default_rng(0)
    study["accuracy"] = rng.integers(0, 1000, len(study)) / 1000
    view = medians(study)
    for i, instance in view.instances.iterrows():
        for m, method in view.methods.iterrows():
            same = (study["fm"] == instance["fm"]) & (study["dataset"] == instance["dataset"])
            same &= (study["gen"] == method["gen"]) & (study["norm_pre"] == method["norm_pre"])
            assert view.accuracy.loc[i, m] == np.median(study.loc[same, "accuracy"])


def test_missing_cells_are_refused_by_name_and_number(study):
    hole = (study["gen"] == "mean") & (study["dataset"] == "cifar10")
    with pytest.raises(
        IncompleteError, match=r"1 of 12 cells .*mean · l2/l2/l2 · max on resnet18 · cifar10"
    ):
        medians(study[~hole])


def test_a_cell_that_lacks_one_seed_is_not_complete(study):
    with pytest.raises(IncompleteError, match=r"1 of 12 cells"):
        medians(study.drop(index=0))


def test_a_failed_trial_is_a_missing_cell_and_its_status_is_told(study):
    study.loc[0, ["status", "accuracy"]] = ["crashed", np.nan]
    with pytest.raises(IncompleteError, match=r"1 crashed \(first: k-means 20 .* \(crashed\)\)"):
        medians(study)


def test_allow_incomplete_leaves_out_the_instance_and_says_so(study):
    view = medians(study.drop(index=0), allow_incomplete=True)
    assert len(view.instances) == 2
    assert view.notes == (
        "1 of 3 instances lack results (report.allow_incomplete=true) and are left out.",
    )


def test_without_any_complete_instance_there_is_one_sentence(study):
    with pytest.raises(IncompleteError, match="nothing is left to compare"):
        medians(study[study["seed"].ne(0) | study["gen"].ne("mean")], allow_incomplete=True)


def test_what_the_plan_excludes_by_its_rules_is_left_out_and_noted(study):
    excluded = (study["gen"] == "mean") & (study["dataset"] == "cifar10")
    results = ["trial_id", "status", "accuracy", "gen_seconds"]
    plan = study[~excluded].drop(columns=results[1:])
    view = medians(rows_of_plan(plan, study[results]))
    assert view.accuracy.shape == (3, 3)
    assert view.notes == (
        "1 of 4 configurations exist on some of the instances only and are left out "
        "(mean · l2/l2/l2 · max).",
    )


def test_a_planned_trial_without_a_row_in_the_store_is_missing(study):
    results = ["trial_id", "status", "accuracy", "gen_seconds"]
    plan = study.drop(columns=results[1:])
    rows = rows_of_plan(plan, study.loc[1:, results])
    assert rows["status"].value_counts().to_dict() == {"ok": len(study) - 1, "missing": 1}
    with pytest.raises(IncompleteError, match=r"1 missing"):
        medians(rows)


RESULTS = ["trial_id", "status", "accuracy", "gen_seconds"]


@pytest.mark.parametrize("status", ["crashed", "failed"])
def test_the_refusal_says_how_many_crashed_and_what_retries(study, status):
    study.loc[[0, 1], ["status", "accuracy"]] = [status, np.nan]
    sentence = rf"to compute them \(trials: 2 {status}; mode=retry_failed runs these again\), or "
    with pytest.raises(IncompleteError, match=sentence):
        medians(study)
    with pytest.raises(IncompleteError, match=r"run the sweep again to compute them, or set "):
        medians(study[study["status"] == "ok"])


def test_a_row_that_is_not_ok_has_no_accuracy_whatever_is_stored(study):
    stored = study[RESULTS].copy()
    stored.loc[0, ["status", "accuracy"]] = ["crashed", 99.0]
    rows = rows_of_plan(study.drop(columns=RESULTS[1:]), stored)
    assert pd.isna(rows["accuracy"][0])
    assert rows["accuracy"][1:].tolist() == study["accuracy"][1:].tolist()


def filled(registry, rows, given):
    """Return everything in a registry made of these rows, leaving out what is incomplete."""
    set_by_report = {"allow_incomplete": True}
    params = {
        n: {k: v for k, v in set_by_report.items() if takes(registry[n], k)} for n in registry
    }
    return build(registry, params, rows, command="run", given=given)


@pytest.mark.parametrize("registry", [TABLES, FIGURES], ids=["tables", "figures"])
@pytest.mark.parametrize("status", ["crashed", "failed"])
def test_no_table_or_figure_sees_a_row_that_is_not_ok(study, given, registry, status):
    """Whatever numbers such a row has, what is made is what a missing row gives."""
    plan = study.drop(columns=RESULTS[1:])
    absurd = study[RESULTS].copy()
    absurd.loc[0, ["status", "accuracy", "gen_seconds"]] = [status, 99.0, 1e9]
    made = filled(registry, rows_of_plan(plan, absurd), given)
    expected = filled(registry, rows_of_plan(plan, study.loc[1:, RESULTS]), given)
    assert [repr(m).replace(status, "missing") for m in made] == [repr(m) for m in expected]
    everything = filled(registry, rows_of_plan(plan, study[RESULTS]), given)
    assert [repr(m) for m in everything] != [repr(m) for m in expected]


def test_two_rows_of_one_trial_are_refused(study):
    with pytest.raises(StoreError, match=r"1 trials have two rows \(first: k-means 20"):
        medians(pd.concat([study, study.head(1)]))


def test_where_selects_values_lists_and_nulls(study):
    assert set(select(study, {"gen": ["mean", "kmeans"]})["gen"]) == {"mean", "kmeans"}
    assert set(select(study, {"gen_k": None})["gen"]) == {"mean", "least_squares"}
    assert len(select(study, {"gen_k": [20, None], "fm": "vit_b_16"})) == 12


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"gne": "mean"}, r"where.gne: no such column.*Did you mean 'gen'"),
        ({"gen": "kmean"}, r"where.gen: no row has 'kmean'.*Did you mean 'kmeans'"),
    ],
)
def test_a_wrong_where_is_named_with_its_remedy(study, where, message):
    with pytest.raises(ConfigError, match=message):
        select(study, where)


def test_no_rows_in_view_is_one_sentence(study):
    with pytest.raises(IncompleteError, match="no rows in view"):
        medians(study.head(0))


def test_labels_are_read_at_once(study):
    first = study.head(1)
    mnn = first.assign(agg="mnn", agg_m=5, agg_metric="euclidean", agg_weighting="distance")
    assert method_labels(mnn) == ["k-means 20 · l2/l2/l2 · mnn m=5 euclidean distance"]
    shot = first.assign(n_shot=5, mapping="3_in_1")
    assert instance_labels(shot) == ["resnet18 · mnist · 3_in_1 · all · 5-shot"]

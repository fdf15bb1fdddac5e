"""Claims compare methods on one instance alone; rows are made by hand, answers are obvious."""

import numpy as np
import pandas as pd
import pytest

from imprint_bench.analysis.axes import TRAINING
from imprint_bench.analysis.dl2pa.changes import figure4b
from imprint_bench.analysis.dl2pa.curves import figure4a
from imprint_bench.analysis.dl2pa.differences import static_pairs, weighted_pairs
from imprint_bench.analysis.dl2pa.long_tail_tables import table4, table5
from imprint_bench.analysis.dl2pa.runs import runs
from imprint_bench.analysis.dl2pa.tables import table1, table2, table3, table8, table9
from imprint_bench.analysis.frames import medians, rows_of_plan
from imprint_bench.analysis.rendering import to_text
from imprint_bench.analysis.trained import methods
from imprint_bench.errors import IncompleteError
from imprint_bench.report.ranking import ranking

EVEN = {"head": "fixed", "prototypes": "equidistributed", "loss": "ipm"}
DYNAMIC = EVEN | {"assignment": "dynamic"}
STATIC = EVEN | {"assignment": "static"}
HPN = STATIC | {"prototypes": "hpn"}
ETF = STATIC | {"prototypes": "simplex"}
COSINE = {"head": "cosine", "loss": "cross_entropy"}
LINEAR = {"head": "linear", "loss": "cross_entropy"}
PLACES = [("network", ("small", "big")), ("recipe", ("short", "long"))]
RHOS = (0.005, 0.01, 0.02)
STEPS = (-0.001, 0.0, 0.001)  # by seed: a standard deviation of 0.001


def trials(method: str, parts: dict, accuracy: float, **place: object) -> list[dict]:
    """Return the rows of three seeds of a method."""
    row = {
        "status": "ok", "planned": True, "dataset": "pairs", "network": "mlp", "recipe": "quick",
        "imbalance": None, "d": 99, "method": method, "lr": 0.1, "class_accuracy": [0.0] * 100,
        "prototypes": None, "assignment": None, "head_scale": None, **parts, **place,
    }  # fmt: skip
    return [row | {"seed": s, "accuracy": accuracy + step} for s, step in enumerate(STEPS)]


def frame(*parts: list[dict]) -> pd.DataFrame:
    rows = pd.DataFrame([row for part in parts for row in part])
    return rows.assign(trial_id=[f"t{i}" for i in range(len(rows))])


@pytest.mark.parametrize(("column", "names"), PLACES)
def test_what_another_network_or_recipe_reaches_is_no_difference_of_methods(column, names):
    """The second is 20 points better with every method: that says nothing about methods."""
    rows = frame(*(
        trials(name, parts, value + offset, **{column: place})
        for place, offset in zip(names, (0.0, 0.2), strict=True)
        for name, parts, value in (
            ("dyn", DYNAMIC, 0.5), ("hpn", HPN, 0.5), ("psc", COSINE | {"head_scale": "16"}, 0.55),
            ("even", COSINE | {"head_scale": "16", "loss_uniformity": 0.01}, 0.6),
        )
    ))  # fmt: skip
    finding = table1(rows).finding
    assert (
        f"d >= c - 1, over 2 {column}s: holds: at d = 99 the largest difference is 0.0 points (dyn "
        "over hpn), within 2 standard errors."
    ) in finding
    assert (
        f"DL2PA (the best of its sets, over 2 {column}s) against PSC cosine s = 16: worse at "
        "d = 99 (-5.0 points)."
    ) in finding
    assert f"PSC* against PSC, over 2 {column}s: better at d = 99 (+5.0 points)." in (
        table8(rows).finding
    )


@pytest.mark.parametrize(("column", "names"), PLACES)
def test_sets_that_disagree_with_one_network_are_told_apart(column, names):
    rows = frame(*(
        trials(name, parts, value, **{column: place})
        for place, own in zip(names, (0.5, 0.4), strict=True)
        for name, parts, value in (("dyn", DYNAMIC, 0.5), ("hpn", HPN, own))
    ))  # fmt: skip
    assert (
        "holds in part: at d = 99 the largest difference is 10.0 points (dyn over hpn), beyond"
    ) in table1(rows).finding


def test_where_networks_differ_the_place_is_mixed_and_not_undecided():
    rows = frame(*(
        trials(name, parts, value, network=network, d=5)
        for network, own in (("small", 0.4), ("big", 0.6))
        for name, parts, value in (("dyn", DYNAMIC, 0.5), ("sta", STATIC, own))
    ))  # fmt: skip
    finding = table1(rows).finding
    assert "over 2 networks: holds in part: mixed at d = 5 (-10.0 to +10.0 points)." in finding
    assert "over 2 networks: holds in part" not in (
        table1(rows[rows["network"] == "small"]).finding
    )


@pytest.mark.parametrize(("column", "names"), PLACES)
def test_the_dependence_on_an_unscaled_softmax_is_that_of_each_network(column, names):
    """Beaten at s = 16 with the first alone: a mean over both, or the best of both, says more."""
    rows = frame(*(
        trials(name, parts, value, **{column: place}, d=d)
        for d in (5, 10)
        for place, scaled in zip(names, (0.4, 0.6 if d == 10 else 0.4), strict=True)
        for name, parts, value in (
            ("dyn", DYNAMIC, 0.5), ("one", COSINE | {"head_scale": "1"}, 0.3),
            ("scaled", COSINE | {"head_scale": "16"}, scaled),
        )
    ))  # fmt: skip
    finding = table8(rows).finding
    assert finding.endswith(
        "The gain over PSC does not depend on an unscaled softmax at d = 5; at d = 10 it does."
    )
    assert (
        "PSC cosine s = 16: better at d = 5 (+10.0 points); mixed at d = 10 (-10.0 to +10.0)"
        in (finding)
    )
    assert table8(rows[rows["d"] == 10]).finding.endswith(
        "So the gain over PSC depends on an unscaled softmax (s = 1) at d = 10."
    )


def test_a_scale_that_was_not_run_at_some_d_does_not_speak_for_it():
    rows = frame(
        *(trials("dyn", DYNAMIC, 0.5, d=d) for d in (5, 10)),
        *(trials("one", COSINE | {"head_scale": "1"}, 0.3, d=d) for d in (5, 10)),
        trials("scaled", COSINE | {"head_scale": "16"}, 0.4, d=5),
    )
    assert table8(rows).finding.endswith("does not depend on an unscaled softmax at d = 5.")


@pytest.mark.parametrize(("column", "names"), PLACES)
def test_half_the_dimensions_are_compared_within_a_network(column, names):
    rows = frame(*(
        trials(name, parts, value + offset, **{column: place}, d=d)
        for place, offset in zip(names, (0.0, 0.2), strict=True)
        for name, parts, d, value in (("dyn", DYNAMIC, 50, 0.5), ("hpn", HPN, 100, 0.4))
    ))  # fmt: skip
    finding = table2(rows).finding
    for name in names:
        assert f"pairs · {name}: DL2PA at d = 50 is better than" in finding
    assert finding.count("(+10.0 points)") == 2


def test_table_3_compares_at_one_d_alone():
    rows = frame(
        trials("psc", LINEAR, 0.5, network="resnet50", d=512),
        trials("psc", LINEAR, 0.9, network="resnet50", d=2048),
        trials("dyn", DYNAMIC, 0.6, network="resnet50", d=512),
        trials("psc", LINEAR, 0.7, network="swin_t", d=512),
        trials("dyn", DYNAMIC, 0.6, network="swin_t", d=512),
    )
    assert table3(rows).finding == (
        "resnet50: DL2PA against PSC: better at d = 512 (+10.0 points). "
        "swin_t: DL2PA against PSC: worse at d = 512 (-10.0 points)."
    )


def long_tailed() -> pd.DataFrame:
    """Return a long tail at d = 4 and 9, where the simplex exists at 9 alone, of two networks.

    ETF reaches what DL2PA does at d = 9. At d = 4 DL2PA is 30 points better than at 9.
    """
    place = {"class_accuracy": [0.0] * 10}
    return frame(*(
        trials(name, parts, value + offset, network=network, d=d, dataset=f"mnist_lt_{rho}",
               imbalance=rho, **place)
        for rho in RHOS
        for network, offset in (("small", 0.0), ("big", 0.1))
        for name, parts, d, value in (
            ("etf", ETF, 9, 0.5), ("dyn", DYNAMIC, 9, 0.5), ("dyn", DYNAMIC, 4, 0.8),
            ("psc", LINEAR, 9, 0.4), ("psc", LINEAR, 4, 0.8),
        )
    ))  # fmt: skip


def test_over_rho_methods_are_compared_at_one_d_which_the_sentence_names():
    same = "within 2 standard errors at rho = 0.005 (+0.0 points), 0.01 (+0.0) and 0.02 (+0.0)."
    better = "better at rho = 0.005 (+10.0 points), 0.01 (+10.0) and 0.02 (+10.0)."
    assert table4(long_tailed()).finding == (
        f"DL2PA against PSC at d = 4, over 2 networks: {same} "
        f"DL2PA against PSC at d = 9, over 2 networks: {better} "
        f"DL2PA against ETF at d = 9, over 2 networks: {same}"
    )


def test_over_d_methods_are_compared_at_one_rho_which_the_sentence_names():
    finding = table5(long_tailed()).finding
    for rho in RHOS:
        assert f"DL2PA against ETF at rho = {rho}, over 2 networks: within 2" in finding
        assert (
            f"DL2PA against PSC at rho = {rho}, over 2 networks: better at d = 9 (+10.0 points); "
            "within 2 standard errors at d = 4 (+0.0)."
        ) in finding


def test_what_the_weights_of_classes_bring_is_said_on_the_same_prototypes():
    """At rho = 0.01 weights bring 5 points to both methods, and the dynamic one has 20 more."""
    plain, balanced = ({"loss_balanced": value} for value in (False, True))
    rows = frame(*(
        trials(name, parts | weights, value + gain, d=9, dataset=f"mnist_lt_{rho}", imbalance=rho)
        for rho, bonus in ((0.01, 0.05), (0.02, -0.05))
        for weights, gain in ((plain, 0.0), (balanced, bonus))
        for name, parts, value in (("etf", ETF, 0.4), ("dyn", DYNAMIC, 0.6))
    ), trials("psc", LINEAR, 0.5, d=9, dataset="mnist_lt_0.01", imbalance=0.01))  # fmt: skip
    sentence = (
        "What weighting the classes in the loss brings by itself (DL2PA's has it, PSC's has not), "
        "on the same prototypes: at d = 9 better at rho = 0.01 (+5.0 points); worse at rho = 0.02 "
        "(-5.0)."
    )
    assert table4(rows).finding.endswith(sentence)
    pairs = weighted_pairs(runs(rows).cells)
    assert sorted(pairs["difference"].round(6)) == [-0.05, -0.05, 0.05, 0.05]
    alone = rows[rows["loss_balanced"].ne(False)]
    assert "weighting" not in table4(alone).finding
    unlike = rows.assign(lr=rows["lr"].mask(rows["loss_balanced"].eq(True), 0.4))
    assert "weighting" not in table4(unlike).finding


def test_twins_are_of_one_instance():
    rows = frame(
        trials("dyn", DYNAMIC, 0.6, d=9), trials("sta", STATIC, 0.5, d=4),
        trials("sta", STATIC, 0.4, d=9, network="big"), trials("sta", STATIC, 0.3, d=9, lr=0.2),
    )  # fmt: skip
    cells = runs(rows.assign(planned=True)).cells
    assert static_pairs(cells).empty
    assert static_pairs(cells.iloc[:0]).empty
    assert weighted_pairs(cells).empty


def test_table_9_names_the_d_where_the_gain_depends_on_the_scale():
    rows = frame(
        trials("dyn", DYNAMIC, 0.5, d=5),
        trials("one", STATIC | {"loss": "cross_entropy", "head_scale": "1"}, 0.4, d=5),
        trials("scaled", STATIC | {"loss": "cross_entropy", "head_scale": "16"}, 0.6, d=5),
    )
    assert table9(rows).finding.endswith(
        "So the gain over fixed W + CE depends on an unscaled softmax (s = 1) at d = 5."
    )


@pytest.mark.parametrize("dataset", ["cifar10_small", "mnist_lt", "mnist_lt_005"])
def test_a_rho_of_1_is_balanced_and_is_never_shown(dataset):
    methods_at = [("dyn", DYNAMIC, 0.6), ("sta", STATIC, 0.5), ("psc", LINEAR, 0.55)]
    rows = frame(*(
        trials(name, parts, value, d=d, dataset=dataset, imbalance=1.0)
        for name, parts, value in methods_at
        for d in (5, 10)
    ))  # fmt: skip
    made = [table1(rows), table2(rows), table9(rows), methods(rows)]
    shown = [text for table in made for text in (to_text(table), table.finding)]
    for text in [*shown, figure4a(rows).caption, *figure4a(rows).data[""]["panel"]]:
        assert "rho" not in text.partition("Paper: ")[0]
    assert "imbalance" not in table1(rows).frame
    for table in (table4, table5):
        with pytest.raises(IncompleteError, match="no training runs on long-tailed data"):
            table(rows)
    lost = rows.assign(
        status=["failed", *rows["status"][1:]],
        accuracy=[np.nan, *rows["accuracy"][1:]],
        imbalance=[None, *rows["imbalance"][1:]],
    )
    with pytest.raises(IncompleteError, match=r"1 of 6 cells") as refusal:
        table1(lost)
    assert "rho" not in str(refusal.value)


def test_a_trial_without_a_result_is_of_the_instance_of_the_others():
    """It has no rho, which is known from results alone."""
    results = ["trial_id", "status", "accuracy", "imbalance"]
    rows = long_tailed()
    plan = rows.drop(columns=[*results[1:], "class_accuracy", "planned"])
    lacking = rows_of_plan(plan, rows.loc[1:, results])
    with pytest.raises(IncompleteError, match=r"results: 1 of 30 cells .* rho = 0\.005 · d = 9 \("):
        runs(lacking)
    with pytest.raises(IncompleteError, match=r"results: 1 of \d+ cells"):
        medians(lacking, where={"method": ["etf", "dyn"], "d": 9})
    everything = rows_of_plan(plan, rows[results])
    found, full = ranking(lacking), ranking(everything)
    assert found is not None
    assert full is not None
    assert len(found.instances) == len(full.instances) == 12


def test_the_axes_of_training_are_written_once():
    rows = frame(trials("dyn", DYNAMIC | {"loss_balanced": True, "head_gain": 2}, 0.5))
    assert TRAINING.place(rows) == ["dataset", "imbalance", "network", "recipe", "d"]
    assert TRAINING.place(rows, but=("d", "imbalance")) == ["dataset", "network", "recipe"]
    assert TRAINING.kinds(rows) == ["head", "prototypes", "assignment", "loss"]
    assert TRAINING.parameters(rows) == ["head_gain", "head_scale", "loss_balanced", "lr"]
    assert "imbalance" not in TRAINING.place(rows.drop(columns="imbalance"))


def test_the_table_of_methods_ranks_within_a_network_and_says_where_each_is_best():
    rows = frame(*(
        trials(name, parts, value + offset, network=network, d=d)
        for network, offset in (("small", 0.0), ("big", 0.2))
        for d in (5, 10)
        for name, parts, value in (("dyn", DYNAMIC, 0.6), ("psc", LINEAR, 0.5))
    ))  # fmt: skip
    table = methods(rows)
    assert table.finding == (
        "The highest accuracy is, at pairs · big, d = 5: dyn (80.0 %); pairs · big, d = 10: dyn "
        "(80.0 %); pairs · small, d = 5: dyn (60.0 %); pairs · small, d = 10: dyn (60.0 %)."
    )
    assert table.frame["average_rank"].tolist() == [1, 2, 1, 2]


def test_of_two_rho_under_one_name_the_table_of_methods_shows_which():
    rows = frame(*(
        trials("dyn", DYNAMIC, 0.5 + rho, dataset="mnist_lt", imbalance=rho, d=d)
        for rho in (0.01, 0.02) for d in (4, 9)
    ))  # fmt: skip
    assert methods(rows).frame[["imbalance", "d4"]].round(6).to_numpy().tolist() == [
        [0.01, 0.51], [0.02, 0.52],
    ]  # fmt: skip
    one = methods(long_tailed()).frame
    assert "imbalance" not in one


def test_figure_4b_says_one_sentence_over_all_panels_and_the_rest_in_the_caption():
    rows = frame(*(
        trials("dyn", DYNAMIC, 0.5, d=d, network=network, epoch_change=[None, first, 0.1, last])
        for network, least in (("big", 3), ("small", 5))
        for d, first, last in ((least, 0.9 if least == 3 else 0.7, 0.2), (50, 0.4, 0.0))
    ))  # fmt: skip
    drawing = figure4b(rows)
    assert drawing.finding == (
        "Classes that change, over 2 panels: at the smallest d (3 to 5) 70 to 90 % in the first "
        "update and 20 % in the last; at the largest d (50) 40 % in the first update and 0 % in "
        "the last."
    )
    assert drawing.caption.startswith(drawing.finding)
    assert (
        "pairs · small, equidistributed · dynamic, IPM: at the smallest d (5) 70 %"
        in drawing.caption
    )
    assert "The sum over all updates falls as d grows, in every panel." in drawing.caption
    rising = figure4b(rows.assign(d=rows["d"].replace({3: 60, 5: 70})))
    assert "does not always fall as d grows in: pairs · big, " in rising.caption

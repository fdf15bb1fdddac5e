import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from imprint_bench.analysis.comparing import critical_difference, diagram, pairwise
from imprint_bench.analysis.critical_difference import compare_frame, pairs_frame
from imprint_bench.analysis.rendering import show, to_csv, to_latex, to_markdown, to_text
from imprint_bench.core.bayesian import signed_rank_posterior
from imprint_bench.core.bootstrap import mean_bootstrap
from imprint_bench.errors import ConfigError, IncompleteError
from imprint_bench.params import check_params


def accuracies(k=4, n=20, step=0.02):
    rng = np.random.default_rng(0)
    scores = 0.8 - step * np.arange(k) + 0.03 * rng.normal(size=(n, k))
    return pd.DataFrame(scores.round(3), [f"i{i}" for i in range(n)], [*"abcdefgh"[:k]])


def changed(value):
    table = accuracies()
    table.iloc[3, 1] = value
    return table


def drawn(table, **settings):
    groups = pd.DataFrame({"name": table.columns[::-1], "note": "x"})
    given = {"groups": groups, "alpha": 0.05, **settings}
    return diagram("figure2", "Figure 2", "Names are short.", table, **given)


# The table of pairs


def test_pairs_of_the_hand_made_study(study):
    # k-means has 0.90 0.90 0.30, the mean 0.70 0.70 0.20: ahead by 0.2, 0.2, 0.1. Ranks of these
    # 2.5, 2.5, 1; Wilcoxon z = (0 - 3) / sqrt((2.5^2 + 2.5^2 + 1) / 4).
    row = pairwise(study).frame.set_index(["first", "second"]).loc[("k-means 20", "mean")]
    assert row[["wins", "ties", "losses"]].tolist() == [3, 0, 0]
    assert row["median_difference"] == pytest.approx(0.2)
    assert row["rank_biserial"] == 1
    assert row["p"] == pytest.approx(2 * scipy.stats.norm.sf(3 / (13.5 / 4) ** 0.5), rel=1e-9)
    assert row["adjusted_p"] == pytest.approx(3 * row["p"])
    assert row[["significant", "shown"]].tolist() == ["no", "a bar"]


def test_the_table_tells_of_the_pairs_that_the_diagram_shows(study):
    table, drawing = pairwise(study), critical_difference(study)
    pd.testing.assert_frame_equal(table.data["_exact"], drawing.data["_pairs"])
    assert table.caption.startswith(drawing.finding)
    assert len(pairwise(study, most=2).frame) == 1
    assert "The best 2 of 3 groups are compared." in pairwise(study, most=2).caption


def test_pairs_are_written_in_every_format(study):
    table = pairwise(study, rope=0.01)
    records = list(csv.DictReader(io.StringIO(to_csv(table))))
    assert [record["first"] for record in records] == table.frame["first"].tolist()
    record = next(r for r in records if (r["first"], r["second"]) == ("k-means 20", "mean"))
    assert record["median_difference_percent"] == "20.00"
    assert (record["p"], record["p_worse"]) == ("0.102", "0")
    for text in (to_text(table), to_markdown(table), to_latex(table)):
        assert "P(better)" in text
        assert "matched-pairs" in text or text.startswith(table.title)


def test_small_p_values_are_short():
    shown = {0.0: "<0.001", 0.000999: "<0.001", 0.001: "0.001", 0.0496: "0.050", 1.0: "1.000"}
    assert {value: show(value, "p") for value in shown} == shown
    assert show(None, "p") == "–"


def test_too_few_methods_make_an_empty_table_that_says_why(study):
    table = pairwise(study, where={"gen": "mean"})
    assert table.frame.empty
    assert "There is too little to test" in table.caption
    for write in (to_text, to_csv, to_markdown, to_latex):
        assert "losses" in write(table)


# The diagram


def test_the_diagram_brings_means_with_their_intervals():
    table = accuracies()
    drawing = drawn(table)
    assert list(drawing.data) == ["", "_groups", "_pairs"]
    groups = drawing.data["_groups"].set_index("name")
    pairs = drawing.data["_pairs"]
    for name in table:
        expected = [table[name].mean(), *mean_bootstrap(table[name])]
        found = groups.loc[name, ["accuracy_mean", "accuracy_low", "accuracy_high"]]
        assert found.tolist() == pytest.approx(expected, rel=1e-12)
        ends = ["", "_low", "_high"]
        first = pairs.loc[pairs["first"] == name, [f"mean_first{end}" for end in ends]]
        second = pairs.loc[pairs["second"] == name, [f"mean_second{end}" for end in ends]]
        for row in [*first.to_numpy(), *second.to_numpy()]:
            assert row.tolist() == pytest.approx(expected, rel=1e-12)
    assert groups["note"].eq("x").all()
    assert list(drawing.data[""]["instance"]) == list(table.index)


def test_the_diagram_says_what_was_found():
    drawing = drawn(accuracies(), notes=["Two instances are left out."])
    comparison = compare_frame(accuracies())
    significant = pairs_frame(comparison)["significant"].sum()
    assert drawing.finding == (
        f"Of 6 pairs of these methods {significant} differ significantly over the 20 instances "
        "(two-sided Wilcoxon signed-rank tests with Holm's correction, alpha 0.05)."
    )
    assert drawing.caption.startswith("Average ranks of 4 methods on 20 instances")
    assert drawing.caption.endswith(" Names are short. Two instances are left out.")


@pytest.mark.parametrize(
    ("table", "settings", "sentence"),
    [
        (accuracies(), {"procedure": "nemenyi"}, "(Nemenyi test, alpha 0.05)"),
        (accuracies(), {"procedure": "paper_compat"}, "identical methods counted as different"),
        (accuracies(step=0.0), {}, "The Friedman test finds no difference among them."),
        (accuracies() * 0 + 0.5, {}, "Of 6 pairs of these methods 0 differ"),
        (accuracies(3, step=0.02), {}, "Of 3 pairs of these methods 1 differs significantly over"),
        (accuracies(2, step=0.1), {}, "The two methods differ significantly over the 20"),
        (
            accuracies(2, step=0.0, n=9),
            {},
            "The two methods do not differ significantly over the 9",
        ),
        (accuracies(8, n=5), {}, "With so few instances and so many pairs the test cannot find"),
        (accuracies(2, n=2), {}, "The two methods do not differ"),
    ],
)
def test_the_finding_says_what_is_special(table, settings, sentence):
    drawing = drawn(table, **settings)
    assert drawing.picture is not None
    assert sentence in drawing.finding


def test_the_nemenyi_test_is_not_blamed_for_what_the_signed_rank_test_cannot_do():
    drawing = drawn(accuracies(8, n=5), procedure="nemenyi")
    assert "too large for Holm" not in drawing.caption
    assert "cannot find any" not in drawing.finding


def test_every_procedure_reaches_the_test(study):
    for procedure in ("wilcoxon_holm", "nemenyi", "paper_compat"):
        assert set(critical_difference(study, procedure=procedure).data["_pairs"]["procedure"]) == {
            procedure
        }


# The Bayesian comparison


def test_without_a_region_there_is_no_bayesian_comparison(study):
    assert not any(name.startswith("p_") for name in critical_difference(study).data["_pairs"])
    assert "Bayesian" not in critical_difference(study).caption


def test_with_a_region_every_pair_has_its_probabilities():
    table = accuracies()
    drawing = drawn(table, rope=0.01)
    assert "equivalent (within 1 points) or worse: Bayesian signed-rank test" in drawing.caption
    for pair in drawing.data["_pairs"].to_dict("records"):
        expected = signed_rank_posterior(table[pair["first"]], table[pair["second"]], rope=0.01)
        assert (pair["p_better"], pair["p_equivalent"], pair["p_worse"]) == expected
        assert pair["rope"] == 0.01


# Degenerate input


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        (accuracies(1), "There is too little to test: .* in view: 1 and 20"),
        (accuracies(n=1), "There is too little to test: .* in view: 4 and 1"),
        (accuracies().iloc[:0], "There is too little to test: .* in view: 4 and 0"),
        (accuracies().iloc[:, :0], "There is too little to test: .* in view: 0 and 20"),
        (changed(np.inf), r"Nothing was compared: scores: infinite 1 cell of 80 \(b on i3\)"),
        (
            accuracies().set_axis([*"aabc"], axis=1),
            "Nothing was compared: method names: 'a' stands",
        ),
        (
            pd.concat([accuracies(), accuracies()]),
            "Nothing was compared: instance names: 'i0' stands",
        ),
    ],
)
def test_what_cannot_be_compared_is_a_sentence_and_no_picture(table, sentence):
    drawing = drawn(table)
    assert drawing.picture is None
    assert re.match(sentence, drawing.finding)
    assert drawing.finding.endswith(".")
    assert list(drawing.data) == ["", "_groups"]


def test_missing_cells_are_named():
    with pytest.raises(IncompleteError, match=r"missing 1 cell of 80 \(b on i3\)"):
        drawn(changed(np.nan))


@pytest.mark.filterwarnings("ignore:invalid value")  # it has no standard deviation
def test_an_infinite_accuracy_in_the_rows_is_a_sentence(study):
    study.loc[study["gen"] == "mean", "accuracy"] = np.inf
    assert critical_difference(study).finding.startswith("Nothing was compared: scores: infinite")
    assert pairwise(study).caption.startswith("Nothing was compared: scores: infinite")


def test_one_group_of_all_configurations_is_too_little(study):
    assert "in view: 1 and 3" in critical_difference(study, per=[]).finding


@pytest.mark.parametrize("make", [critical_difference, pairwise])
@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"procedure": "nemeny"}, "procedure: expected one of .* Did you mean 'nemenyi'?"),
        ({"rope": -0.1}, r"rope: expected .*at least 0.*, got -0\.1"),
        ({"rope": "small"}, "rope: expected .*, got 'small'"),
        ({"most": 0}, "most: expected an int of at least 1, got 0"),
    ],
)
def test_a_wrong_parameter_is_refused_before_anything_is_made(make, params, message):
    with pytest.raises(ConfigError, match=message):
        check_params(make, params, at="figure.x")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"rope": 0.5, "alpha": 5}, "alpha: expected a number between 0 and 1, got 5"),
        ({"rope": 5}, "rope: expected a half-width from 0 to 1 .*, got 5; leave it out"),
    ],
)
def test_a_bad_level_or_region_is_one_sentence(params, message, study):
    for make in (critical_difference, pairwise):
        with pytest.raises(ConfigError, match=message):
            make(study, **params)

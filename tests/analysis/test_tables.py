import csv
import io
from dataclasses import replace

import pandas as pd
import pytest

from imprint_bench.analysis.build import Refusal, build
from imprint_bench.analysis.rendering import (
    to_csv,
    to_latex,
    to_markdown,
    to_text,
    write_table,
)
from imprint_bench.analysis.table import TEXT
from imprint_bench.analysis.tables import TABLES, best_configurations, norms, per_instance
from imprint_bench.errors import ConfigError


def test_best_configurations_are_what_was_computed_by_hand(study):
    table = best_configurations(study)
    frame = table.frame
    assert frame["generator"].tolist() == ["k-means", "mean", "least squares"]
    assert frame["norm_pre"].tolist() == ["l2", "l2", "none"]
    assert frame["accuracy_mean"].tolist() == pytest.approx([0.70, 1.6 / 3, 2.54 / 3])
    assert frame["average_rank"].tolist() == pytest.approx([2, 11 / 3, 2])
    assert frame["k"].isna().tolist() == [False, True, True]
    assert table.oracles == (2,)


def test_groups_may_be_split_by_another_axis(study):
    frame = best_configurations(study, per=["gen", "norm_post"]).frame
    assert frame[["generator", "norm_post"]].to_numpy().tolist() == [
        ["k-means", "l2"],
        ["k-means", "none"],
        ["mean", "l2"],
        ["least squares", "none"],
    ]


def test_an_unknown_axis_is_named_with_its_remedy(study):
    with pytest.raises(ConfigError, match=r"per: unknown axis 'norm_pots'.*'norm_post'"):
        best_configurations(study, per=["gen", "norm_pots"])


def test_norms_lists_every_triple_of_a_generator_best_first(study):
    frame = norms(study, where={"gen": "kmeans"}).frame
    # In view are the two k-means only: l2 wins on two instances of three.
    assert frame["norm_pre"].tolist() == ["l2", "none"]
    assert frame["average_rank"].tolist() == pytest.approx([4 / 3, 5 / 3])


def test_generators_shows_means_of_triples_across(study):
    table = TABLES["generators"](study)
    frame = table.frame.set_index("generator")
    assert frame.loc["k-means", "none/none/none"] == pytest.approx(0.85)
    assert frame.loc["k-means", "l2/l2/l2"] == pytest.approx(0.70)
    assert pd.isna(frame.loc["mean", "none/none/none"])


def test_per_instance_shows_the_best_configuration_of_each_generator(study):
    frame = per_instance(study).frame.set_index(["fm", "dataset"])
    assert frame.loc[("resnet18", "cifar10"), ["k-means 20", "mean"]].tolist() == [0.30, 0.20]
    assert "n_shot" not in [c.name for c in per_instance(study).columns]


def test_runtimes_are_medians_of_seconds(study):
    frame = TABLES["runtimes"](study).frame.set_index("generator")
    assert frame["seconds"].to_dict() == {"k-means": 40.0, "mean": 2.0, "least squares": 2.0}
    assert frame["n_trials"].to_dict() == {"k-means": 18, "mean": 9, "least squares": 9}


@pytest.mark.parametrize("name", list(TABLES))
def test_table_contract(name, everything, given_everything):
    before = everything.copy()
    (table,) = build(TABLES, {name: {}}, everything, command="make it", given=given_everything)
    assert table.command == "make it"
    assert table.name == name
    assert list(table.frame[[c.name for c in table.columns]]) == [c.name for c in table.columns]
    for column in table.columns:
        is_number = pd.api.types.is_numeric_dtype(table.frame[column.name])
        assert is_number == (column.kind != TEXT), column
    pd.testing.assert_frame_equal(everything, before)


def test_what_no_table_asks_for_is_not_computed(study, given):
    def never():
        raise AssertionError("computed though nobody needs it")

    (table,) = build(TABLES, {"norms": {}}, study, command="", given={"collapse": never})
    assert table.name == "norms"
    both = {"collapse": given["collapse"], "samples": never}
    (table,) = build(TABLES, {"neural_collapse": {}}, study, command="", given=both)
    assert sorted(table.frame["nc1_mean"]) == [1.0, 2.0, 3.0]


def test_text_is_aligned_with_oracles_below_a_rule(study):
    lines = to_text(best_configurations(study)).splitlines()
    assert lines[0] == "Best configurations"
    assert lines[2].split()[:4] == ["generator", "k", "accuracy", "%"]
    ends = {
        line.index(value) + 5 for line, value in zip(lines[4:6], ["70.00", "53.33"], strict=True)
    }
    assert len(ends) == 1
    assert set(lines[6]) == {"·"}
    assert lines[7].startswith("least squares")


def test_text_tells_how_many_rows_it_does_not_show(study):
    text = to_text(best_configurations(study), limit=1)
    assert "\nmean" not in text
    assert "least squares" in text
    assert text.endswith("1 more row in best_configurations.csv\n")


def test_csv_is_in_percent_with_two_decimals(study):
    records = list(csv.DictReader(io.StringIO(to_csv(best_configurations(study)))))
    assert records[0]["accuracy_mean_percent"] == "70.00"
    assert records[0]["accuracy_std_percent"] == "34.64"
    assert records[1]["k"] == ""
    assert records[1]["average_rank"] == "3.67"


def test_markdown_and_latex_escape_the_names_of_users(study):
    name = "a_b|<script>&50%$x$\\"
    study["dataset"] = study["dataset"].replace("mnist", name)
    table = per_instance(study)
    assert r"a\_b\|&lt;script&gt;&amp;50%$x$\\" in to_markdown(table)
    latex = to_latex(table)
    assert r"a\_b|\textless{}script\textgreater{}\&50\%\$x\$\textbackslash{}" in latex
    assert r"\toprule" in latex


def test_latex_numbers_its_tables_itself_and_can_refer_to_them(study):
    table = replace(best_configurations(study), title="Table A.1: generators", name="tableA1_x")
    lines = to_latex(table).splitlines()
    assert lines[1].startswith(r"\caption{Generators. The configuration with")
    assert lines[2] == r"\label{tab:tableA1-x}"


def test_control_characters_do_not_reach_the_terminal(study):
    study["fm"] = study["fm"].replace("resnet18", "a\x1b[31m\nb")
    text = to_text(per_instance(study))
    assert "\x1b" not in text
    assert r"a\x1b[31m\nb" in text


def test_a_table_is_written_in_three_formats(study, tmp_path):
    paths = write_table(best_configurations(study), tmp_path / "tables")
    assert [p.name for p in paths] == [f"best_configurations.{s}" for s in ("csv", "md", "tex")]
    assert {p.name for p in (tmp_path / "tables").iterdir()} == {p.name for p in paths}


def test_a_refused_table_says_why_and_gives_the_command(study):
    (made,) = build(TABLES, {"norms": None}, study.drop(index=0), command="python -m x +sweep=y")
    assert isinstance(made, Refusal)
    assert made.command == "python -m x +sweep=y"


@pytest.mark.parametrize(
    ("requests", "message"),
    [
        ({"normz": {}}, r"table: unknown table 'normz'.*Did you mean 'norms'"),
        ({"norms": {"wher": {}}}, r"table\.norms\.wher: no such parameter.*'where'"),
        (
            {"best_configurations": {"per": "gen"}},
            r"table\.best_configurations\.per: expected a",
        ),
    ],
)
def test_a_wrong_request_is_refused_before_anything_is_made(study, requests, message):
    with pytest.raises(ConfigError, match=message):
        build(TABLES, requests, study, command="")

import base64
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import imprint_bench.analysis
from imprint_bench.analysis.build import Refusal, build
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.table import COUNT, Column, Table
from imprint_bench.analysis.tables import TABLES
from imprint_bench.errors import StoreError
from imprint_bench.report import count_reasons, inline_svg, write_report
from imprint_bench.report.budget import shares
from imprint_bench.report.captions import sentences as captions
from imprint_bench.report.explorer import VALUES, explorer
from imprint_bench.report.parts import ENDINGS
from imprint_bench.report.pictures import pictures, small_png
from imprint_bench.report.ranking import Ranking, ranking
from imprint_bench.report.seeds import common_seeds
from imprint_bench.report.summary import summary_sentences

EVIL = "<script>alert(1)</script>"
COMMAND = "python -m imprint_bench +sweep=small"
SOME_TABLES = ("best_configurations", "per_instance")
ALL_TABLES = (*SOME_TABLES, "norms", "generators", "runtimes")
ALL_FIGURES = ("critical_difference", "accuracy_over_k", "montage", "nc1_over_d")


class Page(HTMLParser):
    """What a browser would see: elements, links, and the text outside scripts and styles."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.text = ""
        self.script = ""
        self.data = ""
        self.policy = ""
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        given = dict(attrs)
        self.handlers += [name for name in given if name.startswith("on")]
        if tag == "a":
            self.links.append(given["href"])
        if tag == "script":
            self.tags[-1] = "data" if "type" in given else "script"
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]

    def handle_data(self, data):
        if self.tags[-1:] == ["script"]:
            self.script += data
            self.tags.append("read")
        elif self.tags[-1:] == ["data"]:
            self.data += data
            self.tags.append("read")
        elif self.tags[-1:] != ["style"]:
            self.text += data


@pytest.fixture
def rows() -> pd.DataFrame:
    """Return two generators on four instances; k-means is better on three of them."""
    accuracy = {"kmeans": (0.9, 0.8, 0.7, 0.2), "mean": (0.6, 0.5, 0.4, 0.3)}
    return pd.DataFrame(
        [
            {
                "trial_id": f"{gen}{k}{i}",
                "status": "ok",
                "fm": "resnet18",
                "dataset": EVIL,
                "mapping": "none",
                "task": str(i),
                "n_shot": None,
                "seed": 0,
                "norm_pre": "l2",
                "gen": gen,
                "norm_post": "l2",
                "norm_inf": "l2",
                "agg": "max",
                "gen_k": k,
                "accuracy": values[i] - (0.05 if k == 5 else 0),
                "gen_seconds": 0.1,
            }
            for gen, values in accuracy.items()
            for k in ([5, 20] if gen == "kmeans" else [None])
            for i in range(4)
        ]
    ).astype({"gen_k": "Int64"})


def images(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a white and a black image of the dataset, which `montage` shows."""
    pair = [np.full((4, 4, 1), value, np.uint8) for value in (255, 0)]
    shown = pd.DataFrame({"dataset": EVIL, "source": None, "label": [0, 1], "row": [0, 1]})
    return shown.assign(name=[EVIL, None], n_classes=2, image=pair, problem=None)


def made(rows, tables=SOME_TABLES, figures=("critical_difference",)) -> dict[str, list]:
    """Return tables and figures as a study makes them."""
    collapse = rows[["fm", "dataset", "mapping", "task"]].drop_duplicates()
    collapse = collapse.assign(nc1=1.5, nc1_as_published=2.5)
    given = {"collapse": lambda: collapse, "samples": lambda: images(rows)}
    return {
        "tables": build(TABLES, dict.fromkeys(tables), rows, command=COMMAND, given=given),
        "figures": build(FIGURES, dict.fromkeys(figures), rows, command=COMMAND, given=given),
    }


def write(folder: Path, rows: pd.DataFrame, **kwargs: object) -> Path:
    parts = {} if {"tables", "figures"} <= set(kwargs) else made(rows)
    request = {
        "name": "small",
        "rows": rows,
        **parts,
        "dropped": pd.DataFrame({"reason": []}),
        "provenance": {"command": COMMAND, "time": "2026-01-02", "versions": {"numpy": "2.4.6"}},
    }
    return write_report(folder, **{**request, **kwargs})


def test_the_summary_says_what_was_run_and_what_came_out_in_three_sentences(rows, tmp_path):
    page = Page(write(tmp_path, rows))
    text = " ".join(page.text.split())
    assert "12 trials finished on 1 foundation model (resnet18), 1 dataset" in text
    assert "4 tasks (0, 1, 2, 3), with 1 seed." in text
    # Ranks of k-means 20: 1, 1, 1, 2; mean (0.9 + 0.8 + 0.7 + 0.2) / 4.
    assert (
        "The best average rank, 1.25, goes to the generator k-means 20 with norms l2/l2/l2" in text
    )
    assert "which reaches 65.00 ± 31.09 %." in text
    # Four instances are too few for any test to reject.
    assert "Of 3 pairs of these methods 0 differ significantly over the 4 instances" in text
    assert "alpha 0.05); the best imprinting, k-means 20, differs from none of the others." in text


def test_a_name_with_markup_is_shown_and_not_run(rows, tmp_path):
    page = Page(write(tmp_path, rows, name=EVIL, failed=[EVIL]))
    assert page.tags.count("script") == 1
    assert EVIL in page.text
    assert page.handlers == []


def test_only_the_script_of_the_page_may_run(rows, tmp_path):
    page = Page(write(tmp_path, rows))
    digest = base64.b64encode(hashlib.sha256(page.script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page.policy
    assert "default-src 'none'" in page.policy


def test_the_page_is_self_contained_and_what_it_links_to_is_there(rows, tmp_path):
    path = write(tmp_path / "report", rows, **made(rows, ALL_TABLES, ALL_FIGURES))
    page = Page(path)
    content = path.read_text(encoding="utf-8")
    assert not re.search(r'(src|href)="(https?:)?//', content)
    assert not set(page.tags) & {"link", "img", "iframe", "object"}
    files = [link for link in page.links if not link.startswith("#")]
    data = {"critical_difference": 3, "accuracy_over_k": 1, "montage": 1, "nc1_over_d": 1}
    pictures = len(data) - 1  # there is no line of NC1 without mappings that join classes
    assert set(data) == set(ALL_FIGURES)
    assert len(files) == 3 * len(ALL_TABLES) + 3 * pictures + sum(data.values())
    assert all((path.parent / link).is_file() for link in files)
    anchors = [link[1:] for link in page.links if link.startswith("#")]
    assert all(f'id="{anchor}"' in content for anchor in anchors)


def test_ids_inside_pictures_are_their_own(rows, tmp_path):
    parts = made(rows, ALL_TABLES, ALL_FIGURES)
    content = write(tmp_path, rows, **parts).read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', content)
    assert len(ids) == len(set(ids))
    assert all(f'id="{ref}"' in content for ref in re.findall(r'xlink:href="#([^"]+)"', content))


def test_inline_svg_drops_the_prolog_and_renames_references():
    svg = '<?xml version="1.0"?><svg width="100pt"><g id="a" clip-path="url(#b)"/></svg>'
    assert inline_svg(svg, "x") == (
        '<svg style="min-width: 100px" width="100pt"><g id="x-a" clip-path="url(#x-b)"/></svg>'
    )


def test_dropped_combinations_are_counted_by_reason():
    dropped = pd.DataFrame(
        {"reason": ["small", "large", "large"], "gen": ["mean", "fps", "mean"], "k": [1, 20, None]}
    )
    assert count_reasons(dropped) == [
        {"reason": "large", "count": 2, "example": "gen=fps, k=20.0"},
        {"reason": "small", "count": 1, "example": "gen=mean, k=1.0"},
    ]
    counted = count_reasons(dropped.assign(count=[5, 1, 1]))
    placed = count_reasons(pd.DataFrame({"reason": ["small"], "where": ["mnist all"]}))
    assert placed[0]["example"] == "mnist all"
    assert [entry["count"] for entry in counted] == [5, 2]


SWEEPS = pd.DataFrame(
    {
        "reason": ["same", "same", "small", "same"],
        "where": ["a all", "b all", "a all", "a all"],
        "count": [600, 40, 5, 600],
        "sweep": ["paper/gen", "paper/gen", "paper/gen", "paper/agg"],
    }
)


def test_dropped_combinations_of_several_sweeps_are_told_of_each_sweep():
    # What two sweeps leave out alike is left out by each: 600 + 40 and 600, 1,240 over both.
    assert count_reasons(SWEEPS) == [
        {
            "reason": "same",
            "count": 1240,
            "example": "a all",
            "sweeps": [("paper/gen", 640), ("paper/agg", 600)],
        },
        {"reason": "small", "count": 5, "example": "a all", "sweeps": [("paper/gen", 5)]},
    ]


def test_the_page_says_that_counts_of_dropped_combinations_are_over_all_sweeps(rows, tmp_path):
    text = " ".join(Page(write(tmp_path / "two", rows, dropped=SWEEPS)).text.split())
    assert "one that several sweeps left out counts in each of them" in text
    assert "same (paper/gen 640, paper/agg 600)" in text
    alone = SWEEPS[SWEEPS["sweep"] == "paper/gen"].assign(sweep="")
    text = " ".join(Page(write(tmp_path / "one", rows, dropped=alone)).text.split())
    assert "sweeps" not in text
    assert "640" in text


def test_failures_and_missing_results_are_told(rows, tmp_path):
    rows.loc[0, "status"] = "crashed"
    page = Page(write(tmp_path, rows, failed=["bank 3: out of memory."]))
    text = " ".join(page.text.split())
    assert "12 trials were planned, of which 1 crashed. 1 unit of work failed: see below." in text
    assert "There is no ranking, because results are missing" in text
    assert "bank 3: out of memory." in text
    assert COMMAND in text


def test_a_study_of_one_instance_has_a_sentence_in_place_of_the_test(rows, tmp_path):
    one = rows[rows["task"] == "0"]
    path = write(tmp_path, one)
    assert "There is too little to test" in Page(path).text
    assert not (tmp_path / "figures" / "critical_difference.svg").exists()


def test_provenance_shows_blocks_lists_and_the_command(rows, tmp_path):
    provenance = {"command": COMMAND, "configuration": "seeds: [0]\nk: 1", "versions": {"a_b": "1"}}
    content = write(tmp_path, rows, provenance=provenance).read_text(encoding="utf-8")
    assert f"<pre>{COMMAND}</pre>" in content
    assert "<pre>seeds: [0]\nk: 1</pre>" in content
    assert "<dt>a_b</dt>" in content


def test_configurations_of_several_sweeps_are_folded_and_keep_to_a_budget(rows, tmp_path):
    short, long = "k: 1\n" * 9, "weights: 2\n" * 400_000
    provenance = {"command": COMMAND, "configurations": {"paper/gen": short, EVIL: long}}
    path = write(tmp_path, rows, provenance=provenance)
    content = path.read_text(encoding="utf-8")
    assert "<summary>paper/gen, 9 lines</summary>" in content
    assert f"<pre>{short.strip()}</pre>" in content
    assert "400,000 lines</summary>" in content
    kept = content.count("weights: 2")
    assert 10_000 < kept < 100_000
    assert f"{400_000 - kept:,} more lines are left out of the page." in content
    assert path.stat().st_size < 1_000_000
    assert Page(path).tags.count("script") == 1


def test_pictures_of_images_are_in_the_page_and_small(rows, tmp_path):
    path = write(tmp_path, rows, **made(rows, (), ("montage",)))
    page = Page(path)
    assert page.tags.count("image") == 1
    assert "img-src data:" in page.policy
    assert f"Images of {EVIL}" in page.text
    assert path.stat().st_size < 100_000
    names = [file.name for file in (tmp_path / "figures").glob("montage_*")]
    assert len(names) == 4
    assert not set("".join(names)) & set("<>()/ %")


def test_the_same_input_gives_the_same_page(rows, tmp_path):
    assert write(tmp_path / "a", rows).read_bytes() == write(tmp_path / "b", rows).read_bytes()


def test_a_file_in_place_of_the_folder_is_one_sentence(rows, tmp_path):
    (tmp_path / "taken").write_text("")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        write(tmp_path / "taken", rows)


def sentences(rows: pd.DataFrame, tables: list, figures: list) -> list[str]:
    return summary_sentences(rows, tables, figures, ranking(rows))


@pytest.mark.parametrize("names", [("norms",), ("runtimes",), ()])
def test_without_its_table_the_best_is_read_from_another_ranking_or_from_the_rows(rows, names):
    parts = made(rows, names, ())
    run, best, certain = sentences(rows, parts["tables"], parts["figures"])
    assert run.startswith("12 trials finished")
    assert best == (
        "The best average rank, 1.25, goes to the generator k-means 20 with norms l2/l2/l2 and "
        "aggregation max, which reaches 65.00\xa0±\xa031.09\xa0%."
    )
    assert certain == "No significance test was made."


def test_the_best_imprinting_of_a_diagram_under_any_name_is_told_from_its_pairs(rows):
    pairs = [("least squares", "mean", 1.0, 3.0, True), ("least squares", "fps", 1.0, 2.0, False)]
    columns = ["first", "second", "rank_first", "rank_second", "significant"]
    pairs = pd.DataFrame([*pairs, ("fps", "mean", 2.0, 3.0, True)], columns=columns)
    drawing = Drawing("figure2", "", "", None, {"_pairs": pairs}, "Of 3 pairs 2 differ. More.")
    certain = sentences(rows, [], [drawing])[2]
    assert certain == (
        "Of 3 pairs 2 differ; the best imprinting, fps, differs from 1 of the 2 others."
    )


def test_sweeps_with_different_seeds_are_told_by_the_seeds_of_an_instance(rows):
    more = [
        rows.assign(seed=seed, n_shot=5, trial_id=rows["trial_id"] + f"s{seed}") for seed in (1, 2)
    ]
    run = sentences(pd.concat([rows, *more], ignore_index=True), [], [])[0]
    assert run.endswith("with 1 to 2 seeds of an instance.")
    assert sentences(rows, [], [])[0].endswith("with 1 seed.")


def test_an_oracle_under_a_name_of_its_own_is_not_the_best_imprinting(rows):
    columns = ["first", "second", "rank_first", "rank_second", "significant"]
    pairs = [("Oracle", "Qi", 1.0, 3.0, True), ("Oracle", "Ours", 1.0, 2.0, True)]
    pairs = pd.DataFrame([*pairs, ("Ours", "Qi", 2.0, 3.0, False)], columns=columns)
    labels = ["least squares · none/none/none · max", "mean · l2/l2/l2 · max", "k-means 20 · max"]
    groups = pd.DataFrame({"name": ["Oracle", "Qi", "Ours"], "label": labels})
    data = {"_pairs": pairs, "_groups": groups}
    certain = sentences(rows, [], [Drawing("figure2", "", "", None, data, "Of 3 pairs 2 differ.")])
    assert certain[2].endswith("the best imprinting, Ours, differs from 1 of the 2 others.")


def test_the_best_of_a_table_of_the_paper_is_named_with_its_k(rows):
    pair = {"generator": ["k-means", "mean"], "average_rank": [1.0, 2.0]}
    frame = pd.DataFrame(pair | {"accuracy_mean": [0.9, 0.8], "accuracy_std": [0.1, 0.2]})
    columns = tuple(Column(name, name) for name in frame)
    for name in ("k", "gen_k"):
        own = frame.assign(**{name: pd.array([20, None], dtype="Int64")})
        table = Table("table2", "", "", (*columns, Column(name, "k", COUNT)), own)
        assert "goes to the generator k-means 20, which" in sentences(rows, [table], [])[1]


def test_a_summary_without_any_result_has_three_sentences(rows):
    rows["status"], rows["accuracy"] = "missing", np.nan
    parts = made(rows, ("norms",))
    assert ranking(rows) is None
    assert sentences(rows, parts["tables"], parts["figures"])[1:] == [
        "There is no ranking, because no trial has a result.",
        "No significance test was made, because results are missing.",
    ]


def grid(rng: np.random.Generator, **axes: list) -> pd.DataFrame:
    """Return a row for each combination of values, with an accuracy of its own."""
    frame = pd.MultiIndex.from_product(axes.values(), names=axes.keys()).to_frame(index=False)
    fixed = {"mapping": "identity", "n_shot": None, "norm_inf": "l2", "norm_post": "l2"}
    frame = frame.assign(**{k: v for k, v in fixed.items() if k not in axes})
    frame = frame.assign(status="ok", agg="max", accuracy=rng.integers(400, 900, len(frame)) / 1000)
    return frame.assign(trial_id=[str(i) for i in range(len(frame))], planned=True)


PLACES = {"fm": ["a", "b"], "dataset": ["x", "y"], "task": ["all", "odd", "even"]}
METHODS = {"gen": ["mean", "fps", "least_squares"], "norm_pre": ["l2", "none"], "seed": [0, 1, 2]}


def test_the_ranking_of_a_complete_study_is_that_of_the_table(rows):
    rows = grid(np.random.default_rng(1), **PLACES, **METHODS)
    frame = made(rows, ("best_configurations",), ())["tables"][0].frame.set_index("generator")
    best = ranking(rows).best.set_index("generator").loc[frame.index]
    for column in ("norm_pre", "average_rank", "accuracy_mean", "accuracy_std", "n_instances"):
        assert best[column].tolist() == frame[column].tolist()


def test_instances_with_a_handful_of_configurations_have_no_say_in_the_choice():
    rng = np.random.default_rng(2)
    rows = grid(rng, **PLACES, **METHODS | {"norm_pre": ["l2", "none", "a", "b", "c"]})
    rows.loc[(rows["gen"] == "mean") & (rows["norm_pre"] == "l2"), "accuracy"] = 0.95
    draws = [f"d_in_1-2-{n}" for n in range(9)]
    few = grid(rng, **PLACES, mapping=draws, **METHODS | {"gen": ["mean"]})
    few["accuracy"] = 0.99
    alone, both = ranking(rows), ranking(pd.concat([rows, few], ignore_index=True))
    assert both.best["label"].tolist() == alone.best["label"].tolist()
    assert both.best["average_rank"].tolist() == alone.best["average_rank"].tolist()
    instances = both.instances
    assert instances.groupby("setting")["main"].agg(["size", "all"]).to_dict("index") == {
        "all rows": {"size": 12, "all": True},
        "d_in_1-2, all rows": {"size": 108, "all": False},
    }
    assert sorted(instances["variant"].unique())[1] == "d_in_1-2-0, all rows"
    drawn = pd.DataFrame(both.accuracy[~instances["main"]], columns=both.best["gen"])
    assert (drawn["mean"] == 0.99).all()
    assert drawn["fps"].isna().all()


def test_a_failed_trial_takes_no_configuration_out_and_leaves_its_cell_empty():
    rows = grid(np.random.default_rng(3), **PLACES, **METHODS)
    rows.loc[(rows["gen"] == "mean") & (rows["norm_pre"] == "l2"), "accuracy"] = 0.95
    hit = rows.index[(rows["gen"] == "mean") & (rows["norm_pre"] == "l2")][0]
    rows.loc[hit, "status"], rows.loc[hit, "accuracy"] = "crashed", np.nan
    found = ranking(rows)
    first = found.best.iloc[0]
    assert (first["gen"], first["norm_pre"], first["average_rank"]) == ("mean", "l2", 1.0)
    assert (first["n_instances"], np.isnan(found.accuracy[:, 0]).sum()) == (11, 1)


def test_a_generator_that_is_on_some_instances_only_is_ranked_there():
    rows = grid(np.random.default_rng(4), **PLACES, **METHODS)
    rows = rows[(rows["gen"] != "fps") | (rows["fm"] == "a")]
    rows.loc[rows["gen"] == "fps", "accuracy"] = 0.95
    best = ranking(rows).best.set_index("generator")
    assert best["n_instances"].to_dict() == {"fps": 6, "mean": 12, "least squares": 12}
    assert best.loc["fps", "average_rank"] == 1.5  # its two configurations share the first place


def test_generators_on_all_main_instances_come_before_those_on_some(tmp_path):
    rows = grid(np.random.default_rng(4), **PLACES, **METHODS | {"gen": ["mean", "all", "fps"]})
    few = rows["gen"].isin(["fps"]) & (rows["fm"] == "b")
    rows = rows[~few].reset_index(drop=True)
    rows.loc[rows["gen"] == "fps", "accuracy"] = 0.95
    oracle = rows[rows["gen"] == "all"].assign(gen="least_squares", accuracy=0.99)
    oracle["trial_id"] += "-oracle"
    rows = pd.concat([rows, oracle], ignore_index=True)
    best = ranking(rows).best
    assert best["gen"].iloc[0] == "least_squares"
    assert (best["gen"].iloc[-1], best["everywhere"].tolist()) == ("fps", [True] * 3 + [False])
    assert best["average_rank"].idxmin() != best.index[-1]
    assert best["average_rank"].iloc[-1] < best["average_rank"].iloc[1]
    data = explorer(ranking(rows))
    names = [g["name"] for g in data["generators"]]
    assert (sorted(names[:2]), names[2:]) == (["all", "mean"], ["least squares", "fps"])
    assert [g["everywhere"] for g in data["generators"]] == [True, True, True, False]
    assert names[data["chosen"]] == names[0]
    assert "fps" not in sentences(rows, [], [])[1]
    text = Page(write(tmp_path, rows, tables=[], figures=[])).text
    assert "with the lowest average rank there" in text
    assert "1 generator has no such configuration: it stands for that of" in text


def test_in_half_of_a_study_what_has_all_results_stands_for_its_generator():
    rows = grid(np.random.default_rng(4), **PLACES, **METHODS | {"gen": ["mean", "fps"]})
    late = (rows["gen"] == "mean") & (rows["norm_pre"] == "none")
    early = late & (rows["fm"] == "a") & (rows["dataset"] == "x")
    rows.loc[late, "accuracy"] = 0.99
    rows.loc[late & ~early, ["status", "accuracy"]] = ["missing", np.nan]
    found = ranking(rows)
    best = found.best.set_index("gen")
    assert best["n_instances"].to_dict() == {"mean": 12, "fps": 12}
    assert best.loc["mean", "norm_pre"] == "l2"
    assert best["everywhere"].all()
    assert not np.isnan(found.accuracy).any()
    assert "Because" not in " ".join(captions(found))


def test_a_caption_tells_of_missing_results_and_of_generators_on_no_common_instances():
    rows = grid(np.random.default_rng(3), **PLACES, **METHODS)
    rows.loc[0, ["status", "accuracy"]] = ["crashed", np.nan]
    assert captions(ranking(rows))[1] == (
        "Because results are missing, this rank is over 11 of them."
    )
    apart = rows[(rows["gen"] == "fps") ^ (rows["fm"] == "a")]
    assert captions(ranking(apart))[0].startswith(
        "No generator has a configuration on all 12 instances: each stands for"
    )


def test_where_oracles_alone_are_on_all_instances_the_first_imprinting_is_chosen():
    rows = grid(np.random.default_rng(4), **PLACES, **METHODS)
    rows = rows[(rows["gen"] == "least_squares") | (rows["fm"] == "a")]
    data = explorer(ranking(rows))
    assert [g["oracle"] for g in data["generators"]] == [True, False, False]
    assert data["chosen"] == 1


def test_the_page_carries_the_medians_of_the_best_configurations(rows, tmp_path):
    page = Page(write(tmp_path, rows, tables=[], figures=[]))
    data = json.loads(page.data)
    assert [g["name"] for g in data["generators"]] == ["k-means 20", "k-means 5", "mean"]
    assert data["accuracy"][0] == [0.9, 0.8, 0.7, 0.2]
    assert data["axes"]["dataset"] == [EVIL]
    assert "<" not in page.data


def test_more_instances_than_a_page_can_carry_are_a_sentence(tmp_path, rows):
    found = ranking(rows)
    n = VALUES // 3 + 1
    many = pd.concat([found.instances] * (n // 4 + 1), ignore_index=True)
    data = explorer(Ranking(found.best, many, np.tile(found.accuracy, (n // 4 + 1, 1))))
    assert data["accuracy"] is None
    assert data["n_instances"] == len(many)


def test_what_lacks_results_lists_the_trials_and_the_command_until_it_is_made(rows, tmp_path):
    missing = pd.DataFrame({"fm": ["a", "b"], "task": ["all", "odd"]})
    refusal = Refusal("norms", "Norms", "2 trials lack results.", COMMAND, missing)
    content = write(tmp_path, rows, tables=[refusal], figures=[]).read_text(encoding="utf-8")
    assert '<a href="tables/norms_missing.csv">the 2 trials without a result (CSV)</a>' in content
    assert f"<pre>{COMMAND}</pre>" in content
    listed = tmp_path / "tables" / "norms_missing.csv"
    assert listed.read_text() == "fm,task\na,all\nb,odd\n"
    write(tmp_path, rows, **made(rows, ("norms",), ()))
    assert not listed.exists()


def test_files_of_what_can_no_longer_be_made_are_removed_and_no_others(rows, tmp_path):
    figures = [replace(f, name="figure1") for f in made(rows, (), ("accuracy_over_k",))["figures"]]
    others = [replace(f, name=name) for f in figures for name in ("figure11", "figure1_best")]
    exact = {"_exact": pd.DataFrame({"n": [1]})}
    tables = [replace(t, name="table1", data=exact) for t in made(rows, ("norms",), ())["tables"]]
    further = [replace(t, name=name) for t in tables for name in ("table1_flips", "table12")]
    write(tmp_path, rows, tables=[*tables, *further], figures=[*figures, *others])
    (tmp_path / "figures" / "figure1_notes.txt").write_text("mine")
    before = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*")}
    refused = [Refusal(n, n, "Results are missing.", COMMAND) for n in ("table1", "figure1")]
    kinds = {"tables": [refused[0], *further], "figures": [refused[1], *others]}
    write(tmp_path, rows, **kinds)
    after = {file.relative_to(tmp_path).as_posix() for file in tmp_path.rglob("*.*")}
    assert before - after == {
        *(f"tables/table1{end}" for end in (".csv", ".md", ".tex", "_exact.csv")),
        *(f"figures/figure1{end}" for end in (".svg", ".pdf", ".png", ".csv")),
    }
    assert len(after) == len(before) - 8


def test_an_earlier_picture_goes_where_there_is_too_little_to_draw(rows, tmp_path):
    figures = made(rows, (), ("accuracy_over_k",))["figures"]
    write(tmp_path, rows, tables=[], figures=figures)
    empty = [replace(f, picture=None, finding="Nothing to draw.") for f in figures]
    write(tmp_path, rows, tables=[], figures=empty)
    files = sorted(file.name for file in (tmp_path / "figures").iterdir())
    assert files == ["accuracy_over_k.csv"]


def test_every_ending_that_a_table_or_figure_gives_its_data_is_known():
    folder = Path(imprint_bench.analysis.__file__).parent
    sources = [file.read_text(encoding="utf-8") for file in folder.rglob("*.py")]
    found = {end for text in sources for end in re.findall(r'"(_[a-z]+)": ', text)}
    assert {"_pairs", "_flips"} <= found
    assert found - {"_low", "_high"} <= set(ENDINGS)  # these two are columns


def test_no_table_or_figure_is_named_like_a_file_of_another():
    for registry in (TABLES, FIGURES):
        files = {f"{name}{end}" for name in registry for end in ENDINGS if end}
        assert not files & set(registry)


def test_every_part_has_the_command_that_makes_it(rows, tmp_path):
    parts = made(rows)
    tables = [replace(t, command=f"make {t.name}") for t in parts["tables"]]
    figures = [replace(f, command=f"make {f.name}") for f in parts["figures"]]
    content = write(tmp_path, rows, tables=tables, figures=figures).read_text(encoding="utf-8")
    for part in (*tables, *figures):
        assert content.count(f"<pre>make {part.name}</pre>") == 1


def test_a_table_and_a_figure_of_one_name_have_ids_of_their_own(rows, tmp_path):
    table = Table("same", "A", "", (Column("n", "n", COUNT),), pd.DataFrame({"n": [1]}))
    figure = Drawing("same", "B", "", None, {}, "Nothing to draw.")
    content = write(tmp_path, rows, tables=[table], figures=[figure]).read_text(encoding="utf-8")
    ids = re.findall(r'\bid="([^"]+)"', content)
    assert len(ids) == len(set(ids))
    assert {"table-same", "figure-same"} <= set(ids)


def test_long_tables_share_the_page_and_say_how_many_rows_are_in_the_file(rows, tmp_path):
    frame = pd.DataFrame({f"c{i}": range(999) for i in range(40)})
    columns = tuple(Column(name, name, COUNT) for name in frame)
    tables = [Table(name, name, "", columns, frame) for name in ("a", "b")]
    small = Table("c", "c", "", columns[:1], frame[["c0"]])
    path = write(tmp_path, rows, tables=[*tables, small], figures=[])
    content = path.read_text(encoding="utf-8")
    # 24,000 cells: 999 of the small table, and half of the rest, 287 rows, for each of the others.
    assert content.count("712 more rows are in the CSV file.") == 2
    assert len((tmp_path / "tables" / "a.csv").read_text().splitlines()) == 1000
    assert path.stat().st_size < 2_000_000


@pytest.mark.parametrize("budget", [0, 7, 100, 1000])
def test_shares_keep_to_the_budget_and_give_the_small_ones_all(budget):
    sizes = [90, 0, 3, 400, 41]
    given = shares(sizes, budget)
    assert sum(given) <= budget
    assert all(g <= s for g, s in zip(given, sizes, strict=True))
    level = max(given)
    assert all(g == s or g >= level - 1 for g, s in zip(given, sizes, strict=True))


def noise_png(side: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(out, format="PNG")
    return out.getvalue()


def test_a_large_picture_becomes_a_small_image_of_the_same_width(tmp_path):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    svg.write_text('<svg width="504pt">' + "<path/>" * 40_000 + "</svg>")
    png.write_bytes(noise_png(600))
    (markup,) = pictures([("figure-a", 'A "big" one', svg, png)])
    found = re.fullmatch(
        r'<img src="data:image/png;base64,([^"]+)" alt="A &#34;big&#34; one" width="672" '
        r'style="min-width: 504px">',
        markup,
    )
    assert len(found[1]) <= 200_000
    assert base64.b64decode(found[1]).startswith(b"\x89PNG")


def test_an_image_is_never_made_smaller_than_one_can_read():
    from PIL import Image

    with Image.open(io.BytesIO(small_png(noise_png(500), limit=10))) as image:
        assert 100 < image.width <= 160


def test_many_pictures_share_what_a_page_may_take(tmp_path):
    svg, png = tmp_path / "a.svg", tmp_path / "a.png"
    svg.write_text('<svg width="504pt">' + "<path/>" * 26_000 + "</svg>")
    png.write_bytes(noise_png(300))
    made = pictures([(f"figure-{i}", "", svg, png) for i in range(14)])
    assert {text[:4] for text in made} == {"<img"}
    assert sum(map(len, made)) <= 2_500_000


def test_names_that_differ_by_a_number_are_in_its_order_and_the_main_setting_is_first():
    n_shot = {"n_shot": [10, 2, 1]}
    rows = grid(np.random.default_rng(5), **PLACES, **METHODS)
    few = grid(np.random.default_rng(5), **PLACES, **n_shot, **METHODS | {"gen": ["mean"]})
    settings = explorer(ranking(pd.concat([rows, few], ignore_index=True)))["axes"]["setting"]
    assert settings == ["all rows", "1-shot", "2-shot", "10-shot"]


def test_sweeps_with_seeds_of_their_own_may_share_instances():
    rng = np.random.default_rng(6)
    first = grid(rng, **PLACES, **METHODS | {"gen": ["mean", "fps"]})
    second = grid(rng, **PLACES, **METHODS | {"gen": ["all"], "seed": [7, 8]})
    second["trial_id"] += "-second"
    found = ranking(pd.concat([first, second], ignore_index=True))
    assert found.best["n_instances"].tolist() == [12, 12, 12]
    assert not np.isnan(found.accuracy).any()


def joined() -> pd.DataFrame:
    """Return a sweep of three seeds, and another of one configuration with two seeds more."""
    rng = np.random.default_rng(7)
    first = grid(rng, **PLACES, **METHODS)
    second = grid(rng, **PLACES, **{"gen": ["mean"], "norm_pre": ["l2"], "seed": [0, 7, 8]})
    second = second[(second["fm"] == "a") & (second["seed"] != 0)]
    second["trial_id"] += "-second"
    return pd.concat([first, second], ignore_index=True)


def test_seeds_that_another_sweep_brings_for_some_configurations_are_left_out(tmp_path):
    rows = joined()
    alone, both = ranking(rows[rows["seed"] < 7]), ranking(rows)
    pd.testing.assert_frame_equal(both.best, alone.best)
    np.testing.assert_array_equal(both.accuracy, alone.accuracy)
    own = rows[(rows["seed"] < 7) & (rows["gen"] == "mean")]
    mine = both.best.index.get_loc(both.best.index[both.best["gen"] == "mean"][0])
    norm = both.best["norm_pre"].iloc[mine]
    medians = own[own["norm_pre"] == norm].groupby(["dataset", "fm", "task"])["accuracy"].median()
    keys = list(both.instances[["dataset", "fm", "task"]].itertuples(index=False, name=None))
    assert both.accuracy[:, mine].tolist() == [round(medians[key], 12) for key in keys]


def test_a_trial_that_failed_counts_among_the_seeds_of_its_instance():
    rows = joined()
    hit = rows.index[(rows["gen"] == "fps") & (rows["norm_pre"] == "l2") & (rows["seed"] == 1)]
    rows.loc[hit, "status"], rows.loc[hit, "accuracy"] = "crashed", np.nan
    alone, both = ranking(rows[rows["seed"] < 7]), ranking(rows)
    np.testing.assert_array_equal(both.accuracy, alone.accuracy)


def test_which_seeds_count_is_said_where_others_are_there(tmp_path):
    rows = joined()
    rows.loc[(rows["gen"] == "mean") & (rows["norm_pre"] == "l2"), "accuracy"] = 0.99
    text = Page(write(tmp_path / "joined", rows, tables=[], figures=[])).text
    # The mean stands with l2, and on the six instances of network a it has seeds 7 and 8, too.
    assert "Where there are further seeds (6 cells), they are left out." in text
    assert "the seeds that are there" not in text
    plain = Page(write(tmp_path / "plain", rows[rows["seed"] < 7], tables=[], figures=[])).text
    assert "further seeds" not in plain
    other = rows[(rows["gen"] != "fps") | (rows["seed"] == 2)]
    text = Page(write(tmp_path / "other", other, tables=[], figures=[])).text
    assert "some of these lack (12 cells), the median is over the seeds that are there" in text


def test_the_seeds_of_an_instance_are_those_of_most_of_its_configurations():
    # Instance 0: {1, 2} twice, {1, 2, 3} once, {3} once. Instance 1: {4} and {5, 6}, once each.
    cells = {0: (1, 2), 1: (2, 1), 2: (3, 1, 2), 3: (3,), 14: (4,), 15: (5, 6)}
    cell, seed = np.array([(c, s) for c, seeds in cells.items() for s in seeds]).T
    counts, own = common_seeds(cell, cell // 10, seed)
    assert {c: tuple(seed[counts & (cell == c)]) for c in cells} == cells | {2: (1, 2)}
    assert set(cell[own]) == {3, 14}

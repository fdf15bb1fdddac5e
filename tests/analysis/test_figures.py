import io
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from imprint_bench.analysis.build import build
from imprint_bench.analysis.drawing import write_drawing
from imprint_bench.analysis.figures import (
    FIGURES,
    accuracy_over_k,
    critical_difference,
)
from imprint_bench.analysis.lines import spread


@pytest.fixture
def several_k(study) -> pd.DataFrame:
    """The study with k-means at k = 5 as well, a tenth below k = 20."""
    less = study[study["gen"] == "kmeans"].assign(gen_k=5)
    less["accuracy"] -= 0.1
    return pd.concat([study, less.astype({"gen_k": "Int64"})], ignore_index=True)


def test_the_diagram_compares_the_best_configuration_of_each_group(study):
    drawing = critical_difference(study)
    groups = drawing.data["_groups"].set_index("name")["label"]
    assert groups["k-means 20"] == "k-means 20 · l2/l2/l2 · max"
    scores = drawing.data[""].set_index("instance")
    assert scores.loc["vit_b_16 · mnist · all"].to_dict() == {
        "k-means 20": 0.90,
        "least squares": 0.95,
        "mean": 0.70,
    }
    assert len(drawing.data["_pairs"]) == 3
    assert drawing.finding.startswith("Of 3 pairs")


def test_only_the_best_are_drawn_when_there_are_many(study):
    drawing = critical_difference(study, most=2)
    assert list(drawing.data["_groups"]["name"]) == ["least squares", "k-means 20"]
    assert "The best 2 of 3 groups are compared." in drawing.caption


@pytest.mark.parametrize(
    ("where", "count"), [({"gen": "mean"}, "1 and 3"), ({"fm": "vit_b_16"}, "3 and 1")]
)
def test_too_little_to_test_is_one_sentence(study, where, count, tmp_path):
    drawing = critical_difference(study, where=where)
    assert drawing.picture is None
    assert f"in view: {count}. What is compared is set by `per`" in drawing.finding
    assert [p.suffix for p in write_drawing(drawing, tmp_path)] == [".csv", ".csv"]


def test_accuracy_over_k_is_the_mean_of_the_best_ranked_configuration(several_k):
    # At k = 5 the sums of ranks are 11.5 with l2 and 13 without norms, the means 0.60 and 0.75.
    data = accuracy_over_k(several_k).data[""].set_index(["gen", "k"])
    assert data.loc[("kmeans", 5), "accuracy_mean"] == pytest.approx(0.60)
    assert data.loc[("kmeans", 20), "accuracy_mean"] == pytest.approx(0.70)
    assert data.loc[("kmeans", 20), "label"] == "k-means 20 · l2/l2/l2 · max"
    assert accuracy_over_k(several_k).finding == (
        "The highest mean accuracy, 70.00 %, is that of k-means with k = 20."
    )


def test_one_k_makes_no_line(study):
    drawing = accuracy_over_k(study)
    assert drawing.picture is None
    assert drawing.finding.startswith("There is no generator with two values of k")


def test_no_two_names_of_lines_overlap(several_k):
    figure = accuracy_over_k(several_k).picture
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    boxes = sorted(
        (text.get_window_extent(renderer) for text in figure.axes[0].texts), key=lambda b: b.y0
    )
    assert len(boxes) == 3
    assert all(low.y1 <= high.y0 + 1 for low, high in pairwise(boxes))
    assert max(b.x1 for b in boxes) <= figure.bbox.x1


def test_spread_keeps_the_order_and_the_distance():
    values = np.random.default_rng(0).normal(size=30).tolist()
    places = spread(values, 0.2)
    assert np.argsort(places).tolist() == np.argsort(values).tolist()
    assert np.diff(sorted(places)).min() >= 0.2 - 1e-12
    assert np.mean(places) == pytest.approx(np.mean(values))


def test_spread_leaves_alone_what_is_apart():
    assert spread([3.0, 1.0, 2.0], 0.5) == [3.0, 1.0, 2.0]


@pytest.mark.parametrize("name", ["critical_difference", "accuracy_over_k"])
def test_a_name_with_markup_is_text_in_the_picture(name, several_k, tmp_path):
    evil = "<script>alert(1)</script>$\\frac$"
    several_k["gen"] = several_k["gen"].replace("mean", evil)
    paths = write_drawing(FIGURES[name](several_k), tmp_path)
    svg = next(p for p in paths if p.suffix == ".svg").read_text()
    tree = ElementTree.parse(io.StringIO(svg))
    assert not [e for e in tree.iter() if e.tag.endswith("script")]
    assert evil in "".join(tree.getroot().itertext())


@pytest.mark.parametrize("name", list(FIGURES))
def test_figure_contract(name, everything, given_everything, tmp_path):
    before = everything.copy()
    drawings = build(FIGURES, {name: {}}, everything, command="make it", given=given_everything)
    for drawing in drawings:
        assert drawing.name == name or drawing.name.startswith(f"{name}_")  # one per dataset
        assert drawing.caption.endswith(".")
        suffixes = {path.suffix for path in write_drawing(drawing, tmp_path)}
        assert suffixes == {".svg", ".pdf", ".png", ".csv"}
    assert len({drawing.name for drawing in drawings}) == len(drawings) > 0
    assert {drawing.command for drawing in drawings} == {"make it"}
    pd.testing.assert_frame_equal(everything, before)

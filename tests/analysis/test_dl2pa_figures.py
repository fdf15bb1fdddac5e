"""Figures 2 to 4 of DL2PA, on sets and runs whose answer is known by hand."""

import io
from itertools import combinations
from xml.etree import ElementTree

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from imprint_bench.analysis.build import Refusal, build
from imprint_bench.analysis.critical_difference import METADATA, SAVING
from imprint_bench.analysis.dl2pa import curves
from imprint_bench.analysis.dl2pa.geometry import (
    closest_pair,
    gaussian_points,
    mean_cosines,
)
from imprint_bench.analysis.drawing import write_drawing
from imprint_bench.analysis.figures import FIGURES

ALL = [f"dl2pa_figure{n}" for n in ("2a", "2b", "2c", "3a", "3b", "3c", "3d", "4a", "4b")]
OF_ROWS = [name for name in ALL if name[-2:] in ("3b", "3d", "4a", "4b")]


def made(number: str, rows: pd.DataFrame, given=None, **params):
    (drawing,) = build(
        FIGURES, {f"dl2pa_figure{number}": params}, rows, command="x", given=given or {}
    )
    return drawing


def test_the_mean_cosine_of_gaussian_points_is_near_its_approximation(given):
    drawing = made("2a", pd.DataFrame(), given)
    data = drawing.data[""].set_index(["std", "mean"])["mean_cosine"]
    for std in (0.1, 0.5):  # 1 / (1 + 2 std^2 / |mu|^2), |mu|^2 = 3 x 2^2
        assert data[std, 2.0] == pytest.approx(1 / (1 + 2 * std**2 / 12), abs=0.01)
    assert data[1.0, 0.0] == pytest.approx(0, abs=0.01)
    prototypes = drawing.data[""].query("std.isna()")["mean_cosine"]
    assert prototypes.tolist() == pytest.approx([-1 / 99] * 2, abs=1e-4)
    assert "(in the paper about 1.00, 0.96, 0.91, 0.87)" in drawing.finding
    assert "nan" not in drawing.caption


def test_cosines_of_points_agree_with_loops():
    points = gaussian_points(12, 3, mean=0.4, std=1.0, draw=0)
    assert np.linalg.norm(points, axis=1) == pytest.approx(np.ones(12))
    by_pair = {(i, j): points[i] @ points[j] for i, j in combinations(range(12), 2)}
    assert closest_pair(points)[:2] == max(by_pair, key=by_pair.__getitem__)
    others = [np.mean([points[0] @ points[j] for j in range(1, 12)])]
    assert mean_cosines(points)[:1] == pytest.approx(others)


def test_of_pairs_that_are_as_close_the_first_is_marked_whatever_the_rounding():
    axes = np.concatenate([np.eye(3), -np.eye(3)])
    noise = np.random.default_rng(0).normal(scale=1e-13, size=axes.shape)
    assert closest_pair(axes)[:2] == closest_pair(axes + noise)[:2] == (0, 1)


def test_a_draw_of_gaussian_points_is_the_same_every_time():
    first = gaussian_points(5, 3, mean=1.0, std=0.5, draw=3)
    np.testing.assert_array_equal(first, gaussian_points(5, 3, mean=1.0, std=0.5, draw=3))
    assert not np.allclose(first, gaussian_points(5, 3, mean=1.0, std=0.5, draw=4))


def test_figure_2b_marks_the_closest_pair_of_each_set(given):
    drawing = made("2b", pd.DataFrame(), given, c=30)
    for _, own in drawing.data[""].groupby("set"):
        vectors = own[["x", "y", "z"]].to_numpy()
        marked = vectors[own["closest"].to_numpy()]
        assert len(marked) == 2
        cosines = [a @ b for a, b in combinations(vectors, 2)]
        assert marked[0] @ marked[1] == pytest.approx(max(cosines))
        assert np.degrees(np.arccos(max(cosines))) == pytest.approx(own["degrees"].iloc[0])
    assert len(drawing.picture.axes) == 2


def test_figure_2c_has_the_papers_draws_beside(given):
    drawing = made("2c", pd.DataFrame(), given)
    data = drawing.data[""]
    drawn = data[data["set"] == "Gaussian points"]
    assert sorted(drawn["paper"].dropna()) == [0.00005, 0.00007, 0.00012, 0.0006]
    first = drawn.iloc[0]
    assert first["low"] <= first["distance"] <= first["high"]
    elsewhere = made("2c", pd.DataFrame(), given, c=20)
    assert elsewhere.data[""]["paper"].isna().all()


def test_figure_3a_is_flat_for_the_simplex():
    def simplex(name, c, d, **params):
        centered = np.eye(c) - 1 / c
        vectors = centered / np.linalg.norm(centered, axis=1, keepdims=True)
        return type("Set", (), {"vectors": vectors})

    drawing = made("3a", pd.DataFrame(), {"prototypes": lambda: simplex}, c=10, d=[10])
    assert drawing.data[""]["mean_cosine"].to_numpy() == pytest.approx(np.full(50, -1 / 9))
    low, high = drawing.picture.axes[0].get_ylim()
    assert high - low > 0.005  # rounding is not blown up


def test_figure_3c_has_what_was_measured():
    drawing = made("3c", pd.DataFrame(), {"matching_seconds": lambda: lambda c: c / 1000}, c=[5, 2])
    assert drawing.data[""].to_numpy().tolist() == [[2, 0.002], [5, 0.005]]
    assert drawing.finding == (
        "One Hungarian matching takes 0.002 s for 2 classes, 0.005 s for 5 classes."
    )


@pytest.mark.parametrize("number", ["2a", "2b", "2c", "3a", "3c"])
def test_a_figure_without_what_it_is_made_from_says_so(number, pairs):
    refusal = made(number, pairs)
    assert isinstance(refusal, Refusal)
    assert refusal.title == f"DL2PA figure {number}"
    assert "which a report of fixed/geometry gives" in refusal.sentence


def lines_of(axes) -> list:
    return [line for line in axes.get_lines() if len(line.get_xdata()) > 1]


def test_figure_3b_has_a_line_per_d_over_the_updates_per_epoch(trained):
    drawing = made("3b", trained)
    data = drawing.data[""]
    at_5 = data[data["d"] == 5].set_index("x")["y"]
    assert at_5.to_dict() == pytest.approx({0.5: 0.66, 1.0: 0.67, 2.0: 0.69})
    assert [len(line.get_xdata()) for line in lines_of(drawing.picture.axes[0])] == [3, 3]
    assert drawing.finding == (
        "The best updates per epoch: d = 5: 2 (69.0 %, 2.0 points over 1); d = 10: 2 (74.0 %, 2.0 "
        "points over 1). It is more than 2 standard errors above updates per epoch = 1 in 2 of 2 "
        "lines."
    )
    assert "backwards" in drawing.caption


def test_figure_3d_has_lambda_0_beside_its_logarithmic_axis(trained):
    drawing = made("3d", trained)
    assert set(drawing.data[""]["x"]) == {0.0, 0.01, 0.1}
    (first, *_) = lines_of(drawing.picture.axes[0])
    x = first.get_xdata()
    assert np.diff(x)[1] == pytest.approx(1)  # a decade
    assert np.diff(x)[0] > 0
    labels = [t.get_text() for t in drawing.picture.axes[0].get_xticklabels()]
    assert labels == ["0", "0.01", "0.1"]
    assert "lambda: d = 5: 0.1 (67.0 %, 2.0 points over 0)" in drawing.finding


def test_figure_4a_draws_dynamic_solid_and_its_static_twin_dashed_in_one_color(pairs):
    drawing = made("4a", pairs)
    data = drawing.data[""]
    assert set(data["line"]) == {
        "equidistributed · CE, s = 16", "equidistributed · IPM", "gaussian potential · IPM",
    }  # fmt: skip
    assert "psc_linear" not in set(data["label"])
    lines = lines_of(drawing.picture.axes[0])
    styles = sorted((line.get_color(), line.get_linestyle()) for line in lines)
    assert len(lines) == 6
    assert [style for _, style in styles] == ["-", "--"] * 3
    assert "Dynamic beats static assignment at d << c (d <= c / 10): holds" in drawing.finding


def test_figure_4b_is_the_mean_change_of_each_epoch_over_seeds(pairs):
    drawing = made("4b", pairs)
    data = drawing.data[""]
    one = data[(data["label"] == "refined dynamic") & (data["d"] == 25)].set_index("x")
    # The first epoch has no update; then 0.5 / 5 + 0.01 x seed, 0.1 / 5 and 0.
    assert one["y"].to_dict() == pytest.approx({2: 0.11, 3: 0.02, 4: 0.0})
    assert one["margin"].to_dict() == pytest.approx({2: 0.01, 3: 0.0, 4: 0.0})
    assert drawing.finding == (
        "Classes that change, over 3 panels: at the smallest d (3) 30 % in the first update and "
        "0 % in the last; at the largest d (99) 6 % in the first update and 0 % in the last."
    )
    assert "falls as d grows" in drawing.caption
    assert len(drawing.picture.axes) == 3


def test_epochs_as_arrays_and_trials_without_them_are_read(pairs):
    as_arrays = pairs.assign(
        epoch_change=[
            np.array([np.nan if v is None else v for v in values], dtype=float)
            if isinstance(values, list)
            else values
            for values in pairs["epoch_change"]
        ]
    )
    pd.testing.assert_frame_equal(made("4b", as_arrays).data[""], made("4b", pairs).data[""])


@pytest.mark.parametrize(
    ("number", "what"),
    [
        ("3b", "two values of updates_per_epoch"),
        ("3d", "two values of lambda"),
        ("4a", "dynamic and with static assignment"),
        ("4b", "changes of its epochs"),
    ],
)
def test_too_little_to_draw_is_one_sentence(number, what, pairs):
    drawing = made(number, pairs[pairs["method"] == "psc_linear"])
    assert drawing.picture is None
    assert drawing.finding.startswith("There is too little to draw: it takes ")
    assert what in drawing.finding
    assert "Saadabadi" in drawing.caption


@pytest.mark.parametrize("name", OF_ROWS)
def test_rows_of_imprinting_make_no_figure_of_training(name, study):
    (refusal,) = build(FIGURES, {name: {}}, study, command="x")
    assert isinstance(refusal, Refusal)
    assert "no training runs are in view" in refusal.sentence


@pytest.mark.parametrize("name", ALL)
def test_nothing_is_cut_off_or_overlaps_the_legend(name, trained, given):
    (drawing,) = build(FIGURES, {name: {}}, trained, command="x", given=given)
    figure = drawing.picture
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    legends = [legend.get_window_extent(renderer) for legend in figure.legends]
    axes = [axes.get_tightbbox(renderer) for axes in figure.axes]
    for box in [*legends, *axes]:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    for legend in legends:
        assert min(box.y0 for box in axes) >= legend.y1 - 1


@pytest.mark.parametrize("name", OF_ROWS)
def test_names_with_markup_are_text(name, trained, tmp_path):
    evil = "_<b>$\\frac$&"
    (drawing,) = build(
        FIGURES, {name: {}}, trained.replace({"dataset": {"digit_pairs": evil}}), command="x"
    )
    with mpl.rc_context(SAVING):
        drawing.picture.savefig(tmp_path / "figure.svg", metadata=METADATA["svg"])
    svg = (tmp_path / "figure.svg").read_bytes()
    text = "".join(ElementTree.parse(io.BytesIO(svg)).getroot().itertext())
    assert evil in text
    assert drawing.caption.startswith(drawing.finding)
    assert drawing.title.startswith(f"DL2PA figure {name[-2:]}: ")


def test_equal_rows_give_equal_files(pairs, tmp_path):
    for folder in ("a", "b"):
        write_drawing(made("4a", pairs), tmp_path / folder)
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


def test_a_line_over_updates_goes_from_the_least_to_the_most():
    frame = pd.DataFrame(
        {"dataset": "x", "imbalance": None, "network": "n", "recipe": "r", "d": 3, "what": "w",
         "label": [f"updates_per_epoch={x:g}" for x in (10.0, 4.0, 0.5)], "n_seeds": 2,
         "accuracy_mean": [0.3, 0.2, 0.1], "accuracy_std": 0.0, "group": 0, "x": [10.0, 4.0, 0.5]}
    )  # fmt: skip
    data = curves.curves(frame, frame["d"].map("d = {}".format), frame["group"])
    assert data["x"].tolist() == [0.5, 4.0, 10.0]
    assert data["y"].tolist() == [0.1, 0.2, 0.3]

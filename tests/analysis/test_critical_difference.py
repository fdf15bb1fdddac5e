import itertools
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from imprint_bench.analysis.critical_difference import (
    caption,
    compare_frame,
    draw,
    layout,
    pairs_frame,
    save,
)
from imprint_bench.analysis.diagram_layout import APART, FAN, label_lines
from imprint_bench.analysis.diagram_parts import bar_levels, spread, text_width
from imprint_bench.core.statistics import compare
from imprint_bench.errors import DataError, IncompleteError, StoreError

GENERATORS = ["k-means 20", "k-medoids 5", "mean", "fps 20", "covariance max 10"]
NORMS = ["l2/quantile/l2", "none/none/none", "l2/l2/l2"]
AGGREGATIONS = ["max", "5-nn distance"]


def names(k):
    product = list(itertools.product(GENERATORS, NORMS, AGGREGATIONS))
    return [" · ".join(product[(7 * i) % 30]) for i in range(k)]


def frame(k, *, seed=0, n=40, effect=0.01):
    rng = np.random.default_rng(seed)
    scores = 0.8 + 0.05 * rng.normal(size=(n, 1)) - effect * np.sort(rng.exponential(size=k))
    scores = np.round(scores + 0.02 * rng.normal(size=(n, k)), 3)
    return pd.DataFrame(scores, index=[f"instance {i}" for i in range(n)], columns=names(k))


def renamed(k):
    """Return a table whose methods have names as long as they get."""
    long = "k-medoids 20 · none/quantile/none · mnn m=50 mahalanobis distance"
    return frame(k).set_axis([f"{long} {i}" for i in range(k)], axis=1)


def merged(k):
    table = frame(k)
    table.iloc[:, 2] = table.iloc[:, 3]
    table.iloc[:, 4] = table.iloc[:, 3]
    return table


COMPARISONS = {
    **{f"{k} methods": compare_frame(frame(k)) for k in range(2, 31)},
    **{f"{k} long names": compare_frame(renamed(k)) for k in (2, 7, 20, 30)},
    "crowded": compare_frame(frame(30, effect=0.0, n=200)),
    "clear": compare_frame(frame(30, effect=1.0)),
    "merged": compare_frame(merged(8)),
    "all equal": compare_frame(frame(5) * 0),
    "nemenyi": compare_frame(frame(7), procedure="nemenyi"),
    "nemenyi, few instances": compare_frame(frame(12, n=2), procedure="nemenyi"),
    "paper_compat": compare_frame(merged(6), procedure="paper_compat"),
    "long": compare(frame(3).to_numpy(), ["a" * 90, "b", "c d" * 20]),
}


@pytest.fixture(params=COMPARISONS)
def comparison(request):
    return COMPARISONS[request.param]


# Layout


def test_no_two_texts_overlap_and_all_lie_on_the_page(comparison):
    plan = layout(comparison)
    for a, b in itertools.combinations(plan.texts, 2):
        apart = (
            a.right <= b.left or b.right <= a.left or a.bottom <= b.top or b.bottom <= a.top
        )  # fmt: skip
        assert apart, (a, b)
    for box in plan.texts:
        assert box.left >= 0
        assert box.right <= plan.width
        assert box.top >= 0
        assert box.bottom <= plan.height


def test_no_line_crosses_a_text_or_another_line(comparison):
    plan = layout(comparison)
    pieces = [
        (i, min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1))
        for i, line in enumerate(plan.leaders)
        for (x0, y0), (x1, y1) in itertools.pairwise(line[1:])  # below the fan: level or upright
    ]
    for i, left, right, top, bottom in pieces:
        for box in plan.texts:
            assert right <= box.left or box.right <= left or bottom <= box.top or box.bottom <= top
        for j, left_2, right_2, top_2, bottom_2 in pieces:
            meet = left <= right_2 and left_2 <= right and top <= bottom_2 and top_2 <= bottom
            assert i == j or not meet
    fans = [line[1][0] for line in plan.leaders]
    assert (np.diff(plan.points) >= 0).all()
    assert (np.diff(fans) >= APART - 1e-9).all()  # same order as on the axis: none cross


def test_bars_cover_exactly_their_members(comparison):
    plan = layout(comparison)
    lanes = [line[1][0] for line in plan.leaders]
    assert [(bar.first, bar.last) for bar in plan.bars] == list(comparison.bars)
    for bar in plan.bars:
        covered = [i for i, x in enumerate(lanes) if bar.dots[0] <= x <= bar.dots[-1]]
        assert covered == list(range(bar.first, bar.last + 1))
        assert bar.dots == tuple(lanes[bar.first : bar.last + 1])
        for i in covered:  # every member's line runs through the bar before it turns
            assert plan.leaders[i][1][1] < bar.y < plan.leaders[i][2][1]


def test_bars_of_one_level_keep_apart_and_levels_are_as_few_as_can_be(comparison):
    plan = layout(comparison)
    for one, two in itertools.combinations(plan.bars, 2):
        if one.y == two.y:
            assert one.last < two.first or two.last < one.first
            assert max(one.dots[0], two.dots[0]) - min(one.dots[-1], two.dots[-1]) >= APART - 1e-9
    depth = [sum(b.first <= i <= b.last for b in plan.bars) for i in range(len(plan.points))]
    assert len({bar.y for bar in plan.bars}) == max(depth)


def test_the_best_is_on_the_left_and_every_name_stands_beside_its_rank(comparison):
    plan = layout(comparison)
    shown = {box.text for box in plan.texts}
    for group, rank, line in zip(
        comparison.groups, comparison.group_ranks, plan.leaders, strict=True
    ):
        first = label_lines(group)[0]
        assert set(label_lines(group)) <= shown
        row = [box.text for box in plan.texts if box.y == line[-1][1]]
        assert {first, f"{rank:.2f}"} <= set(row)
    assert list(plan.points) == sorted(plan.points)
    assert plan.axis[0] <= plan.points[0]
    assert plan.points[-1] <= plan.axis[1]
    to_left = [line[-1][0] < line[-2][0] for line in plan.leaders]
    assert to_left == [i < (len(to_left) + 1) // 2 for i in range(len(to_left))]


def test_the_width_grows_with_the_longest_label():
    scores = frame(4).to_numpy()
    widths = [layout(compare(scores, ["a", "b", "c", "d" * n])).width for n in (10, 40, 80)]
    assert np.diff(widths).tolist() == pytest.approx(
        [30 * text_width("dddddddddd") / 10, 40 * text_width("dddddddddd") / 10], rel=0.01
    )


def test_points_on_the_axis_are_to_scale():
    comparison = COMPARISONS["12 methods"]
    plan = layout(comparison)
    numbers = {
        int(box.text): box.x for box in plan.texts if box.text.isdigit() and box.y < plan.axis[2]
    }
    expected = np.interp(comparison.group_ranks, list(numbers), list(numbers.values()))
    np.testing.assert_allclose(plan.points, expected)


def test_the_ruler_is_as_long_as_the_critical_difference():
    comparison = COMPARISONS["nemenyi"]
    plan = layout(comparison)
    ranks, points = comparison.group_ranks, plan.points
    unit = (points[-1] - points[0]) / (ranks[-1] - ranks[0])
    assert (plan.ruler[1] - plan.ruler[0]) / unit == pytest.approx(comparison.critical_difference)


def test_lines_are_spread_only_where_they_are_crowded():
    crowded = layout(COMPARISONS["crowded"])
    assert FAN[0] <= crowded.leaders[0][1][1] - crowded.axis[2] <= FAN[1]
    plan = layout(compare([[3, 2, 1]] * 9, ["a", "b", "c"]))
    assert [line[0][0] for line in plan.leaders] == [line[1][0] for line in plan.leaders]


@pytest.mark.parametrize("seed", range(20))
def test_spread_is_the_least_squares_solution(seed):
    from scipy.optimize import minimize

    points = np.sort(np.random.default_rng(seed).uniform(0, 40, size=6))
    gaps = [{"type": "ineq", "fun": lambda x, i=i: x[i + 1] - x[i] - 10} for i in range(5)]
    best = minimize(lambda x: np.square(x - points).sum(), 10.0 * np.arange(6), constraints=gaps)
    result = spread(points.tolist(), 10)
    assert (np.diff(result) >= 10 - 1e-9).all()
    np.testing.assert_allclose(result, best.x, atol=1e-2)


def test_bar_levels_leave_no_gap_and_reuse_levels():
    assert bar_levels([]) == []
    assert bar_levels([(0, 1), (1, 2), (2, 3)]) == [0, 1, 0]
    assert bar_levels([(0, 9), (1, 10), (2, 11), (10, 12)]) == [0, 1, 2, 0]


def test_a_long_label_of_identical_methods_gets_a_line_each():
    assert label_lines(["mean + max", "mean + 1-nn"]) == ["mean + max = mean + 1-nn"]
    assert label_lines(names(2)) == [names(2)[0], f"= {names(2)[1]}"]
    assert label_lines(["two\nlines\tand \x00 more"]) == ["two lines and more"]


def test_notes_say_what_the_picture_alone_would_hide():
    texts = [box.text for box in layout(compare_frame(frame(5, effect=0.0))).texts]
    assert any(re.fullmatch(r"Friedman test: no difference found \(p = 0\.\d+\)", t) for t in texts)
    texts = [box.text for box in layout(COMPARISONS["paper_compat"]).texts]
    assert any(text.startswith("paper_compat") for text in texts)


# Drawing


@pytest.mark.parametrize(
    "name", ["2 methods", "30 methods", "30 long names", "merged", "nemenyi", "long"]
)
def test_drawn_texts_stay_within_their_boxes(name):
    comparison = COMPARISONS[name]
    plan = layout(comparison)
    figure = draw(comparison, plan)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    scale = 72 / figure.dpi
    (axes,) = figure.axes
    assert len(axes.texts) == len(plan.texts)
    for text, box in zip(axes.texts, plan.texts, strict=True):
        drawn = text.get_window_extent(canvas.get_renderer())
        assert box.left - 0.5 <= drawn.x0 * scale
        assert drawn.x1 * scale <= box.right + 0.5
        assert abs(plan.height - box.y - (drawn.y0 + drawn.y1) / 2 * scale) < 2
        assert drawn.height * scale <= box.height + 1


def test_names_are_never_read_as_mathematics(tmp_path):
    odd = ["cost $x_1$", "a_b^c \\frac"]
    svg = save(draw(compare([[3, 2], [5, 4]], odd)), tmp_path / "cd")[0].read_text(encoding="utf-8")
    for name in odd:
        assert f">{name}</text>" in svg


def test_saved_files_are_equal_for_equal_figures_and_carry_no_date(tmp_path):
    comparison = COMPARISONS["6 methods"]
    one = save(draw(comparison), tmp_path / "one" / "cd.v1")
    two = save(draw(comparison), tmp_path / "two" / "cd.v1")
    assert [path.name for path in one] == ["cd.v1.svg", "cd.v1.pdf", "cd.v1.png"]
    for a, b in zip(one, two, strict=True):
        assert a.read_bytes() == b.read_bytes()
    assert sorted(p.name for p in (tmp_path / "one").iterdir()) == sorted(p.name for p in one)
    assert b"<dc:date>" not in one[0].read_bytes()
    assert b"CreationDate" not in one[1].read_bytes()
    assert one[2].read_bytes().startswith(b"\x89PNG")


def test_text_stays_text_in_the_svg_and_is_anchored_at_its_line(tmp_path):
    comparison = COMPARISONS["6 methods"]
    svg = save(draw(comparison), tmp_path / "cd")[0].read_text(encoding="utf-8")
    for group in comparison.groups:
        assert f">{label_lines(group)[0]}</text>" in svg
    first = re.search(rf'<text style="([^"]*)"[^>]*>{re.escape(comparison.groups[0][0])}<', svg)
    assert "text-anchor: end" in first[1]


def test_a_file_in_the_place_of_the_folder_gets_one_sentence(tmp_path):
    (tmp_path / "figures").write_text("")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        save(draw(COMPARISONS["2 methods"]), tmp_path / "figures" / "cd")


# Frames and captions


def test_a_frame_is_compared_by_name():
    table = frame(5)
    shuffled = table.sample(frac=1, random_state=1).sample(frac=1, axis=1, random_state=2)
    assert compare_frame(shuffled) == compare_frame(table)
    assert compare_frame(table) == compare(table.to_numpy(), names(5))


def test_missing_cells_are_named_or_their_instances_left_out():
    table = frame(4)
    table.iloc[3, 1] = np.nan
    with pytest.raises(IncompleteError, match=rf"1 cell of 160 \({names(2)[1]} on instance 3\)"):
        compare_frame(table)
    comparison = compare_frame(table, allow_incomplete=True)
    assert comparison.dropped == ("instance 3",)
    assert replace(comparison, dropped=()) == compare_frame(table.drop("instance 3"))
    assert "1 instance left out, for lack of a score: instance 3." in caption(comparison)


@pytest.mark.parametrize("kind", [object, "Float64", "Float32"])
def test_nullable_columns_are_read(kind):
    table = frame(3).astype(kind)
    table.iloc[0, 0] = None
    assert compare_frame(table, allow_incomplete=True).n_instances == 39


def test_an_infinite_score_is_named():
    table = frame(3)
    table.iloc[2, 1] = np.inf
    with pytest.raises(DataError, match=rf"infinite 1 cell of 120 \({names(2)[1]} on instance 2"):
        compare_frame(table)


def test_too_few_whole_instances_get_one_sentence():
    table = frame(3, n=4)
    table.iloc[1:, 0] = np.nan
    with pytest.raises(IncompleteError, match=r"^scores: 1 of 4 instances have a score for every"):
        compare_frame(table, allow_incomplete=True)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (pd.DataFrame(), "0 methods"),
        (frame(1), "1 method"),
        (frame(3, n=1), "1 instance"),
        (frame(2).set_axis(["a", "a"], axis=1), "'a' stands there 2 times"),
        (pd.concat([frame(2), frame(2)]), "'instance 0' stands there 2 times"),
        (frame(2).astype(str) + "x", "not a table of numbers"),
    ],
)
def test_a_bad_frame_gets_one_sentence(table, message):
    with pytest.raises(DataError, match=message):
        compare_frame(table)


def test_pairs_frame_has_a_row_per_pair_and_everything_about_it():
    comparison = COMPARISONS["12 methods"]
    table = pairs_frame(comparison)
    assert len(table) == 66
    assert table["significant"].sum() == sum(pair.significant for pair in comparison.pairs)
    assert (table["shown"] == "table").sum() == len(comparison.hidden)
    assert (table["wins"] + table["ties"] + table["losses"] == 40).all()
    assert (table["interval_low"] <= table["median_difference"]).all()
    assert (table["median_difference"] <= table["interval_high"]).all()
    assert table[["n_instances", "alpha", "procedure"]].drop_duplicates().to_numpy().tolist() == [
        [40, 0.05, "wilcoxon_holm"]
    ]


def test_the_caption_gives_every_number():
    comparison = COMPARISONS["12 methods"]
    text = caption(comparison)
    differing = sum(pair.significant for pair in comparison.pairs)
    assert "Average ranks of 12 methods on 40 instances" in text
    assert "(alpha = 0.05)" in text
    assert f"chi-squared = {comparison.friedman.chi2:.2f}, p < 0.001" in text
    assert f"Of 66 pairs {differing} differ significantly" in text


def test_the_caption_counts_hidden_pairs():
    comparison = next(c for c in COMPARISONS.values() if c.hidden)
    assert f"; {len(comparison.hidden)} of the others cannot be joined by a bar" in (
        caption(comparison)
    )


@pytest.mark.parametrize(
    ("comparison", "sentence"),
    [
        (compare_frame(frame(5, effect=0.0)), "finds no difference, so one bar joins all methods."),
        (COMPARISONS["all equal"], "All methods have the same scores."),
        (COMPARISONS["nemenyi"], "The critical difference is "),
        (COMPARISONS["paper_compat"], "For comparison with published numbers (paper_compat)"),
        (COMPARISONS["clear"], "Of 435 pairs "),
        (compare([[2, 1], [4, 3]], ["a", "b"]), "The two methods do not differ significantly"),
        (compare_frame(frame(7), procedure="nemenyi"), "differ significantly in the Nemenyi test"),
        (compare_frame(frame(12, n=6)), "no p-value below 0.014, too large for Holm's correction"),
    ],
)
def test_the_caption_says_what_is_special(comparison, sentence):
    assert sentence in caption(comparison)

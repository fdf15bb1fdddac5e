"""Lines over a number: every one can be told from all others, in the picture and the legend."""

import pandas as pd

from imprint_bench.analysis.dl2pa.curve_pictures import draw_curves


def curves(n, dashed=lambda i: False):
    return pd.DataFrame(
        [
            {"panel": "", "line": f"method {i}", "place": i, "dashed": dashed(i), "series": i,
             "x": d, "y": i / n, "margin": 0.0}
            for i in range(n)
            for d in (3.0, 5.0)
        ]
    )  # fmt: skip


def looks(lines):
    return [(line.get_color(), line.get_marker(), repr(line._dash_pattern)) for line in lines]


def test_lines_whose_color_comes_again_are_dashed():
    figure = draw_curves(curves(13), x="d", y="accuracy")
    drawn = looks(figure.axes[0].lines)
    assert len(drawn) == len(set(drawn)) == 13
    solid = {dash for _, _, dash in drawn[:7]}
    assert len(solid) == 1
    assert solid.isdisjoint(dash for _, _, dash in drawn[7:])
    (legend,) = figure.legends
    assert [look[:2] for look in looks(legend.get_lines())] == [look[:2] for look in drawn]
    assert [line.is_dashed() for line in legend.get_lines()] == [False] * 7 + [True] * 6


def test_where_dashes_mean_something_nothing_else_is_dashed():
    figure = draw_curves(curves(9, dashed=lambda i: i == 8), x="d", y="accuracy")
    assert [line.is_dashed() for line in figure.axes[0].lines] == [False] * 8 + [True]
    assert [text.get_text() for text in figure.legends[0].get_texts()][-2:] == ["dynamic", "static"]


def test_a_panel_has_the_ticks_of_its_own_points():
    few = curves(2).assign(panel="few")
    many = curves(2).assign(panel="many")
    many.loc[many["x"] == 5.0, "x"] = 99.0
    figure = draw_curves(pd.concat([few, many], ignore_index=True), x="d", y="accuracy")
    labels = [[t.get_text() for t in axes.get_xticklabels()] for axes in figure.axes]
    assert labels == [["3", "5"], ["3", "99"]]
    widths = [axes.get_xlim()[1] - axes.get_xlim()[0] for axes in figure.axes]
    assert widths[0] < widths[1] / 3

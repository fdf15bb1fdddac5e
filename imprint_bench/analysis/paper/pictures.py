"""Pictures of accuracy over k and over n: drawn from plain frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imprint_bench.analysis.labels import ALL_ROWS
from imprint_bench.analysis.panels import (
    LINE,
    axes_are,
    legend_below,
    line_with_band,
    matrix,
    style_of,
    ticks,
)

HOLLOW = ("o", "s", "D", "^", "v")  # markers of generators without k
DASHED: Any = {"color": "0.35", "linestyle": (0, (5, 3)), "lw": 1.0}
ALONE = 3.6  # inches of a panel that has the figure for itself
GAP = 0.6  # decades between the largest n and all rows


def draw_generators_over_k(data: pd.DataFrame) -> Figure:
    """Draw accuracy over k: a row of panels per foundation model, a line per generator.

    Parameters
    ----------
    data : DataFrame
        `fm` and `panel` (row and column), `gen`, `generator` (name), `k` (null: has none),
        `accuracy` in [0, 1].
    """
    data = _with_titles(data)
    rows, columns = _names(data["fm"]), _names(data["panel"])
    figure, panels = matrix(rows, columns, height=ALONE if len(rows) * len(columns) == 1 else 1.75)
    entries = _generator_styles(data)
    ks = sorted(int(k) for k in data["k"].dropna().unique())
    found = dict(list(data.groupby(["fm", "panel"])))
    for place, axes in panels.items():
        if place not in found:
            axes.set_visible(False)
            continue
        for (gen, name), line in found[place].groupby(["gen", "generator"]):
            _draw_generator(axes, line, entries[str(name)], level=gen == ALL_ROWS)
        across = min(len(columns), 3) if len(rows) == 1 else len(columns)
        ticks(axes, np.log10(ks).tolist(), [str(k) for k in ks], n_panels=across)
    axes_are(figure, panels, x="k, proxies per class", y="accuracy (%)")
    legend_below(figure, entries)
    return figure


def _generator_styles(data: pd.DataFrame) -> dict[str, Line2D]:
    """Return how each generator is drawn, by name: lines, then hollow markers, then levels."""
    lines = data[data["k"].notna()]
    last = lines[lines["k"] == lines["k"].max()].groupby("generator")["accuracy"].mean()
    with_k = sorted(_names(lines["generator"]), key=lambda name: -last.get(name, 0.0))
    every = _names(data.loc[data["gen"] == ALL_ROWS, "generator"])
    without = [n for n in _names(data["generator"]) if n not in {*with_k, *every}]
    styles = {}
    for i, name in enumerate(with_k):
        color, marker = style_of(i)
        styles[name] = Line2D([], [], color=color, marker=marker, markersize=4, lw=LINE)
    for i, name in enumerate(without):
        marker = HOLLOW[i % len(HOLLOW)]
        styles[name] = Line2D([], [], color="black", marker=marker, ls="", mfc="none", ms=8)
    for name in every:
        styles[name] = Line2D([], [], **DASHED)
    return styles


def _draw_generator(axes: Axes, line: pd.DataFrame, like: Line2D, *, level: bool) -> None:
    """Draw one generator in one panel, in the style of its entry in the legend."""
    line = line.sort_values("k")
    y = 100 * line["accuracy"].to_numpy(dtype=float)
    if level:
        axes.axhline(y[0], **DASHED)
        return
    x = np.log10(line["k"].fillna(1).to_numpy(dtype=float))
    artist = Line2D(x, y)
    artist.update_from(like)
    axes.add_line(artist)
    axes.autoscale_view()


def draw_over_n(data: pd.DataFrame) -> Figure:
    """Draw accuracy of k-means over n per class, a line per k, with its interval as a band.

    Parameters
    ----------
    data : DataFrame
        `fm` and `panel` (row and column), `k`, `n` (null: all rows, which have a place of
        their own on the right), `accuracy` in [0, 1], `margin` (NaN: no band).
    """
    data = _with_titles(data)
    rows, columns = _names(data["fm"]), _names(data["panel"])
    figure, panels = matrix(rows, columns, height=2.4 if len(rows) == 1 else 1.75)
    ns = sorted(int(n) for n in data["n"].dropna().unique())
    places, labels = np.log10(ns).tolist(), [str(n) for n in ns]
    if data["n"].isna().any():
        places, labels = [*places, places[-1] + GAP], [*labels, "all"]
    x_of = dict(zip(labels, places, strict=True))
    ks = sorted(int(k) for k in data["k"].unique())
    found = dict(list(data.groupby(["fm", "panel"])))
    for place, axes in panels.items():
        if place not in found:
            axes.set_visible(False)
            continue
        for i, k in enumerate(ks):
            line = found[place][found[place]["k"] == k]
            _draw_shots(axes, line.sort_values("n", na_position="last"), x_of, *style_of(i))
        across = min(len(columns), 3) if len(rows) == 1 else len(columns)
        ticks(axes, places, labels, n_panels=across)
    axes_are(figure, panels, x="n, training rows per class", y="accuracy (%)")
    entries: dict[str, Artist] = {}
    for i, k in enumerate(ks):
        color, marker = style_of(i)
        entries[f"k = {k}"] = Line2D([], [], color=color, marker=marker, markersize=4, lw=LINE)
    legend_below(figure, entries)
    return figure


def _draw_shots(
    axes: Axes, line: pd.DataFrame, x_of: dict[str, float], color: str, marker: str
) -> None:
    """Draw one line; the step to all rows, which has no length on the axis, is dotted."""
    x = np.array([x_of["all" if pd.isna(n) else str(int(n))] for n in line["n"]])
    y = 100 * line["accuracy"].to_numpy(dtype=float)
    margin = 100 * line["margin"].to_numpy(dtype=float)
    n_shots = int(line["n"].notna().sum())
    line_with_band(axes, x[:n_shots], y[:n_shots], margin[:n_shots], color=color, marker=marker)
    if 0 < n_shots < len(x):
        axes.plot(x[n_shots - 1 :], y[n_shots - 1 :], color=color, ls=":", lw=1)
    if n_shots < len(x):
        axes.errorbar(
            x[-1:], y[-1:], margin[-1:], color=color, marker=marker, ms=3.5, elinewidth=1, capsize=2
        )


def _with_titles(data: pd.DataFrame) -> pd.DataFrame:
    """Return the data with the foundation model in the title of a panel where there is one only."""
    fms = data["fm"].unique()
    if len(fms) > 1 or not fms[0]:
        return data
    return data.assign(panel=f"{fms[0]}\n" + data["panel"].astype(str))


def _names(values: pd.Series) -> Sequence[str]:
    return sorted(map(str, values.unique()))

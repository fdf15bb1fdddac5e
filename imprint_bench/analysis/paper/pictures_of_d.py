"""Pictures over d, the number of classes under each label: drawn from plain frames."""

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import BoundaryNorm, ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imprint_bench.analysis.lines import label_ends
from imprint_bench.analysis.panels import (
    LINE,
    SMALL,
    TEXT,
    WIDTH,
    axes_are,
    legend_below,
    line_with_band,
    matrix,
    shortened,
    style_of,
    ticks,
    tidy,
)

# Dark to light, also in grey and for colour-blind readers; its lightest end is pale on white.
SHADES = ("viridis", 0.0, 0.92)
EVERY = 5  # of more than ten k, these multiples have a number
METHOD_STYLES = {  # color of the method, dashed where k is the best one
    "mean": (0, "-"),
    "least squares": (1, "-"),
    "k-means, best k": (0, "--"),
    "k-least-squares, best k": (1, "--"),
}


def draw_collapse(data: pd.DataFrame, dots: pd.DataFrame) -> Figure:
    """Draw NC1 over d by both measures, and in a strip beside each the whole datasets.

    Parameters
    ----------
    data : DataFrame
        `measure`, `line` (name), `fm`, `d`, `value` (mean) and `margin` (NaN: no band).
    dots : DataFrame
        `place` (name), `fm`, and a column per measure: `nc1`, `nc1_as_published`.
    """
    measures, style = list(data["measure"].unique()), _styles(data, dots)
    figure = Figure(figsize=(WIDTH, 3.5), layout="constrained")
    widths = [3.0, 1.2] if len(dots) else [1.0]
    grid = figure.subplots(1, 2 * len(widths), squeeze=False, width_ratios=widths * 2)[0]
    ds = sorted(int(d) for d in data["d"].unique())
    for i, measure in enumerate(measures):
        axes = grid[i * len(widths)]
        tidy(axes)
        axes.set_title(measure, fontsize=TEXT)
        for line, points in data[data["measure"] == measure].groupby("line"):
            x, y, margin = (points[c].to_numpy(dtype=float) for c in ("d", "value", "margin"))
            color, marker = style[line]
            line_with_band(axes, x, y, margin, color=color, marker=marker)
        ticks(axes, ds, [str(d) for d in ds], n_panels=3)
        axes.set_xlabel("d, classes per label", fontsize=SMALL)
        if len(dots):
            values = dots.assign(value=dots[["nc1", "nc1_as_published"][i]])
            _draw_strip(grid[i * 2 + 1], axes, values, style)
        axes.set_ylim(bottom=0)
    grid[0].set_ylabel("NC1", fontsize=TEXT)
    entries: dict[str, Artist] = {}
    for name, (color, marker) in style.items():
        if name not in set(data["fm"]) - set(data["line"]):  # its lines have longer names
            entries[name] = Line2D([], [], color=color, marker=marker, markersize=4, lw=LINE)
    legend_below(figure, entries, across=4)
    return figure


def _styles(data: pd.DataFrame, dots: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """Return color and marker of every line, and of every foundation model for its dots."""
    style = {line: style_of(i) for i, line in enumerate(sorted(data["line"].unique()))}
    for line, fm in sorted(zip(data["line"], data["fm"], strict=True)):
        style.setdefault(fm, style[line])
    for fm in sorted(dots["fm"].unique()):
        style.setdefault(fm, style_of(len(style)))
    return style


def _draw_strip(
    strip: Axes, beside: Axes, dots: pd.DataFrame, style: dict[str, tuple[str, str]]
) -> None:
    """Draw the dots of whole datasets, on the axis of NC1 of the panel beside."""
    strip.sharey(beside)
    tidy(strip)
    places = sorted(dots["place"].unique())
    fms = sorted(dots["fm"].unique())
    for j, fm in enumerate(fms):
        own = dots[dots["fm"] == fm]
        shift = 0.12 * (j - (len(fms) - 1) / 2)  # dots of equal height stay apart
        x = [places.index(place) + shift for place in own["place"]]
        color, marker = style[fm]
        strip.plot(x, own["value"], marker, color=color, mfc="none", ms=4.5, ls="")
    strip.set_xticks(range(len(places)), labels=[shortened(name) for name in places], rotation=90)
    for text in strip.get_xticklabels():
        text.set(parse_math=False)
    strip.set_title("datasets", fontsize=SMALL)
    strip.set_xlim(-0.6, len(places) - 0.4)
    strip.tick_params(axis="y", labelleft=False, length=0)
    strip.spines["left"].set_color("0.8")


def draw_k_by_d(lines: pd.DataFrame, whole: pd.DataFrame) -> Figure:
    """Draw accuracy over k: a panel per foundation model, a line per d and per whole dataset.

    Parameters
    ----------
    lines : DataFrame
        `panel` (name), `fm`, `d`, `k`, `accuracy` (mean, in [0, 1]), `margin` (NaN: no band).
    whole : DataFrame
        `fm`, `line` (name), `k`, `accuracy`.
    """
    panels = sorted(lines["panel"].unique())
    across = min(2, len(panels))
    figure, found = matrix([""], panels, height=2.9, across=across)
    ds, ks = (sorted(int(v) for v in lines[c].unique()) for c in ("d", "k"))
    shades = mpl.colormaps[SHADES[0]](np.linspace(*SHADES[1:], len(ds)))
    for (_, panel), axes in found.items():
        own = lines[lines["panel"] == panel]
        for d, shade in zip(ds, shades, strict=True):
            line = own[own["d"] == d].sort_values("k")
            x, y, margin = (line[c].to_numpy(dtype=float) for c in ("k", "accuracy", "margin"))
            line_with_band(axes, x, 100 * y, 100 * margin, color=mpl.colors.to_hex(shade))
        for _, line in whole[whole["fm"].isin(own["fm"])].groupby("line"):
            axes.plot(
                line["k"].astype(float), 100 * line["accuracy"], color="black", ls=":", lw=LINE
            )
        numbered = [k for k in ks if len(ks) <= 2 * EVERY or k in (ks[0], ks[-1]) or not k % EVERY]
        ticks(axes, ks, [str(k) if k in numbered else "" for k in ks], n_panels=across + 1)
    axes_are(figure, found, x="k, proxies per class", y="accuracy (%)")
    _shade_bar(figure, list(found.values()), shades, ds)
    figure.draw_without_rendering()  # what a line of text takes is known once panels have a size
    for (_, panel), axes in found.items():
        own = whole[whole["fm"].isin(lines.loc[lines["panel"] == panel, "fm"])]
        ends = [
            (100 * float(line.sort_values("k")["accuracy"].iloc[-1]), shortened(str(name)), "black")
            for name, line in own.groupby("line")
        ]
        label_ends(axes, ends, size=SMALL)
    return figure


def _shade_bar(figure: Figure, axes: list[Axes], shades: np.ndarray, ds: list[int]) -> None:
    """Say which shade is which d."""
    places = np.arange(len(ds) + 1) - 0.5
    colors = ListedColormap(shades)
    bar = figure.colorbar(
        ScalarMappable(BoundaryNorm(places, len(ds)), colors), ax=axes, aspect=35, pad=0.02
    )
    bar.set_ticks(range(len(ds)), labels=[str(d) for d in ds])
    bar.ax.tick_params(labelsize=SMALL, length=0)
    bar.set_label("d, classes per label", fontsize=TEXT)


def draw_methods_over_d(data: pd.DataFrame) -> Figure:
    """Draw accuracy over d: a panel per foundation model, lines of one proxy and of the best k.

    Parameters
    ----------
    data : DataFrame
        `panel` (name), `method` (a key of `METHOD_STYLES`), `d`, `accuracy` (mean, in [0, 1]),
        `margin` (NaN: no band).
    """
    panels = sorted(data["panel"].unique())
    across = min(2, len(panels))
    figure, found = matrix([""], panels, height=2.3, across=across)
    ds = sorted(int(d) for d in data["d"].unique())
    entries: dict[str, Artist] = {}
    for i, (method, (color_of, dash)) in enumerate(METHOD_STYLES.items()):
        points = data[data["method"] == method]
        color, marker = style_of(color_of)[0], style_of(i)[1]
        for panel, line in points.groupby("panel"):
            line = line.sort_values("d")
            x, y, margin = (line[c].to_numpy(dtype=float) for c in ("d", "accuracy", "margin"))
            line_with_band(
                found["", str(panel)],
                x,
                100 * y,
                100 * margin,
                color=color,
                marker=marker,
                style=dash,
            )
        if len(points):
            entries[method] = Line2D(
                [], [], color=color, marker=marker, ls=dash, markersize=4, lw=LINE
            )
    for axes in found.values():
        ticks(axes, ds, [str(d) for d in ds], n_panels=across)
    axes_are(figure, found, x="d, classes per label", y="accuracy (%)")
    legend_below(figure, entries, across=4)
    return figure

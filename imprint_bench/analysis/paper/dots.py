"""Pictures whose dots are single instances: gains against NC1, and seconds."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from imprint_bench.analysis.collapse import MEASURES
from imprint_bench.analysis.labels import spell_seconds
from imprint_bench.analysis.panels import SMALL, TEXT, WIDTH, legend_below, style_of, tidy
from imprint_bench.analysis.paper.fits import line_of, worth

TITLES = {"nc1": "NC1 by eq. (1)", "nc1_as_published": "NC1 as published"}
PAPER: Any = {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "pad": 2}
GOLDEN = 0.618034  # its multiples spread evenly, and the same way every time


def draw_gains(dots: pd.DataFrame) -> Figure:
    """Draw the gain against NC1 by both measures, with the line through all dots.

    Parameters
    ----------
    dots : DataFrame
        `fm`, `d` (null: a whole dataset), `gain` in percentage points, `nc1`, `nc1_as_published`.
    """
    fms = sorted(dots["fm"].unique())
    figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
    grid = figure.subplots(1, len(MEASURES), sharey=True)
    for axes, measure in zip(grid, MEASURES, strict=True):
        tidy(axes)
        axes.set_title(TITLES[measure], fontsize=TEXT)
        positive = dots.loc[dots[measure] > 0, measure].tolist()
        _numbered(axes, [*positive, 1.0], steps=(1, 2, 5))  # the threshold is always in view
        axes.axvline(1, color="0.6", lw=0.8)
        axes.axhline(0, color="0.6", lw=0.8)
        for i, fm in enumerate(fms):
            own = dots[(dots["fm"] == fm) & (dots[measure] > 0)]
            color, marker = style_of(i)
            for joining, fill in ((True, color), (False, "none")):
                some = own[own["d"].notna() == joining]
                axes.plot(some[measure], some["gain"], marker, color=color, mfc=fill, ms=5, ls="")
        _draw_line(axes, dots, measure)
        axes.set_xlabel("NC1", fontsize=TEXT)
        axes.margins(y=0.08)
    low, high = grid[0].get_ylim()  # of all panels: one may lack dots of the other
    grid[0].set_ylim(low, high + 0.22 * (high - low))  # room for the text
    grid[0].set_ylabel("gain of k = 5 over k = 1 (points)", fontsize=TEXT)
    entries = {}
    for i, fm in enumerate(fms):
        color, marker = style_of(i)
        entries[fm] = Line2D([], [], color=color, marker=marker, ls="", ms=5)
    kinds = {True: ("d classes per label", "0.35"), False: ("whole dataset", "none")}
    for joining, (name, fill) in kinds.items():
        if (dots["d"].notna() == joining).any():
            entries[name] = Line2D([], [], color="0.35", marker="o", mfc=fill, ls="", ms=5)
    legend_below(figure, entries, across=4)
    return figure


def _draw_line(axes: Axes, dots: pd.DataFrame, measure: str) -> None:
    """Draw the fitted line over the range of the dots, and write what it is worth."""
    line = line_of(dots, measure)
    if np.isfinite(line["slope"]):
        nc1 = dots.loc[dots[measure] > 0, measure]
        x = np.array([nc1.min(), nc1.max()])
        y = line["intercept"] + line["slope"] * np.log10(x)
        axes.plot(x, y, color="0.25", ls=(0, (5, 3)), lw=1.2)
    place: Any = {"transform": axes.transAxes, "va": "top"}
    axes.text(0.03, 0.98, worth(line), fontsize=SMALL, bbox=PAPER, **place)


def draw_seconds(data: pd.DataFrame) -> Figure:
    """Draw a box per configuration and a dot per instance, on a logarithmic axis of seconds.

    Parameters
    ----------
    data : DataFrame
        `name` (of the configuration, in the order of drawing), `fm` and `seconds`.
    """
    names, fms = list(data["name"].unique()), sorted(data["fm"].unique())
    figure = Figure(figsize=(WIDTH, 0.45 * len(names) + 1.1), layout="constrained")
    axes = figure.subplots()
    tidy(axes)
    axes.grid(axis="x", color="0.9", lw=0.6)
    axes.grid(visible=False, axis="y")
    _numbered(axes, data["seconds"].tolist(), steps=(1,))
    groups = [data.loc[data["name"] == name] for name in names]
    for y, group in enumerate(groups):
        _draw_box(axes, y, group["seconds"].to_numpy(dtype=float))
        for i, fm in enumerate(fms):
            own = group.loc[group["fm"] == fm, "seconds"]
            color, marker = style_of(i)
            jitter = (np.arange(len(own)) * GOLDEN + i / len(fms)) % 1 - 0.5
            axes.plot(own, y + 0.4 * jitter, marker, color=color, mfc="none", ms=3.5, mew=0.8)
        middle = spell_seconds(group["seconds"].median())
        place = axes.get_yaxis_transform()
        axes.text(1.01, y, middle, transform=place, va="center", fontsize=SMALL)
    axes.set_yticks(range(len(names)), labels=names)
    axes.invert_yaxis()
    axes.set_xlabel("seconds of generating the proxies of one task", fontsize=TEXT)
    entries = {}
    for i, fm in enumerate(fms):
        color, marker = style_of(i)
        entries[fm] = Line2D([], [], color=color, marker=marker, mfc="none", ls="", ms=4.5)
    legend_below(figure, entries, across=4)
    return figure


def _numbered(axes: Axes, values: list[float], *, steps: tuple[int, ...]) -> None:
    """Make the x axis logarithmic, with plain numbers at these steps of every decade."""
    axes.set_xscale("log")
    low, high = min(values) / 1.3, max(values) * 1.3
    decades = range(int(np.floor(np.log10(low))) - 1, int(np.ceil(np.log10(high))) + 1)
    every = [step * 10.0**e for e in decades for step in steps]
    places = [place for place in every if low <= place <= high]
    axes.set_xlim(low, high)
    axes.set_xticks(places, labels=[f"{place:g}" for place in places])
    axes.minorticks_off()


def _draw_box(axes: Axes, y: float, values: np.ndarray) -> None:
    """Draw quartiles, median and whiskers of one configuration."""
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    inside = values[(values >= low - 1.5 * (high - low)) & (values <= high + 1.5 * (high - low))]
    gray: Any = {"color": "0.45", "lw": 1}
    axes.fill_between([low, high], y - 0.3, y + 0.3, facecolor="0.93", edgecolor="0.45", lw=1)
    axes.hlines([y, y], [inside.min(), high], [low, inside.max()], **gray)
    axes.vlines([inside.min(), inside.max()], y - 0.15, y + 0.15, **gray)
    axes.vlines(middle, y - 0.3, y + 0.3, color="black", lw=1.6)

"""Pictures of curves of training runs: drawn from plain frames."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from imprint_bench.analysis.panels import (
    LINE,
    axes_are,
    dashes_of,
    legend_below,
    line_with_band,
    matrix,
    style_of,
    ticks,
)

ZERO = 0.6  # decades between 0, which no logarithmic axis has, and the least value
ALONE = 3.5  # inches of a panel that has the figure for itself
BESIDE = 2.4


def draw_curves(data: pd.DataFrame, *, x: str, y: str, markers: bool = True) -> Figure:
    """Draw a line with its band per name: a panel each where there are several.

    Parameters
    ----------
    data : DataFrame
        `panel`, `line` (name), `place` (number of its color), `dashed`, `series` (what one line
        connects), `x`, `y` (a fraction) and `margin` (NaN: no band).
    x, y : str
        What the axes show.
    markers : bool
        Whether every point has one, at places of its own on a logarithmic axis; without them the
        axis is linear.
    """
    names = list(dict.fromkeys(data["panel"]))
    figure, panels = matrix([""], names, height=ALONE if len(names) == 1 else BESIDE)
    values = sorted(data["x"].unique().tolist())
    places = dict(zip(values, _places(values) if markers else values, strict=True))
    entries: dict[str, Artist] = {}
    repeats = not data["dashed"].any()  # dashes then tell lines of one color apart
    for (_, panel), axes in panels.items():
        own = data[data["panel"] == panel]
        for (name, dashed, _), line in own.groupby(["line", "dashed", "series"], sort=False):
            place = int(line["place"].iloc[0])
            color, marker = style_of(place)
            style = dashes_of(place) if repeats else "--" if dashed else "-"
            at = line["x"].map(places).to_numpy(dtype=float)
            mean, margin = (100 * line[c].to_numpy(dtype=float) for c in ("y", "margin"))
            shown = marker if markers else ""
            line_with_band(axes, at, mean, margin, color=color, marker=shown, style=style)
            entries[str(name)] = Line2D(
                [],
                [],
                color=color,
                marker=shown,
                markersize=4,
                lw=LINE,
                ls=style if repeats else "-",
            )
        if markers:
            shown_at = sorted(own["x"].unique().tolist())
            labels = [f"{v:g}" for v in shown_at]
            ticks(axes, [places[v] for v in shown_at], labels, n_panels=min(len(names), 3))
        else:
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if data["dashed"].any():
        for name, style in (("dynamic", "-"), ("static", "--")):
            entries[name] = Line2D([], [], color="0.35", ls=style, lw=LINE)
    axes_are(figure, panels, x=x, y=y)
    legend_below(figure, entries)
    return figure


def _places(values: list[float]) -> list[float]:
    """Return the decimal logarithms of values, 0 a step below the least."""
    positive = [v for v in values if v > 0]
    low = float(np.log10(min(positive))) if positive else 0.0
    return [float(np.log10(v)) if v > 0 else low - ZERO for v in values]

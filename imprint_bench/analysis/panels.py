"""Small multiples: panels with names, axes of few words, one legend below all.

Sizes are for a page: the figure is as wide as its text, and no text is smaller than 7 pt.
"""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from imprint_bench.analysis.lines import COLORS, MARKERS

WIDTH = 7.2  # inches of a figure
NARROWEST = 1.7  # inches of a panel
ACROSS = 3  # panels beside each other, where there is one row of them
TEXT, SMALL = 8.5, 7.5  # points of titles and of what stands at the axes
LETTER, SPACE = 0.062, 0.05  # inches of a letter of small text, and between two tick labels
LONGEST = 24  # letters of a name that has no panel's width for itself
SWATCH = 7  # letters that the sign before an entry of a legend and the space behind it take
LINE = 1.3  # points of a line of data

LineStyle: TypeAlias = str | tuple[int, tuple[float, ...]]
DASHES: tuple[LineStyle, ...] = ("-", (0, (3.5, 1.5)), (0, (1, 1)))

Panels = dict[tuple[str, str], Axes]


def style_of(i: int) -> tuple[str, str]:
    """Return color and marker number i; 49 pairs differ, and seven of them by both."""
    color, shift = i % len(COLORS), i // len(COLORS)
    return COLORS[color], MARKERS[(color + shift) % len(MARKERS)]


def dashes_of(i: int) -> LineStyle:
    """Return how line number i is dashed: those after the seventh, whose color comes again, are."""
    return DASHES[i // len(COLORS) % len(DASHES)]


def matrix(
    rows: Sequence[str], columns: Sequence[str], *, height: float = 1.75, across: int = ACROSS
) -> tuple[Figure, Panels]:
    """Return a figure with a panel per row and column, and the panels by name.

    Parameters
    ----------
    rows, columns : sequence of str
        Names. A single row is broken into lines of at most `across` panels.
    height : float
        Inches of a panel.
    across : int
    """
    single = len(rows) == 1
    n_columns = min(across, len(columns)) if single else len(columns)
    n_rows = -(-len(columns) // n_columns) if single else len(rows)
    size = (max(WIDTH, NARROWEST * n_columns), height * n_rows + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(n_rows, n_columns, squeeze=False)
    if single:
        places = [((rows[0], name), axes) for name, axes in zip(columns, grid.flat, strict=False)]
        for axes in grid.flat[len(columns) :]:
            axes.remove()
    else:
        names = [(row, column) for row in rows for column in columns]
        places = list(zip(names, grid.flat, strict=True))
        for row, axes in zip(rows, grid[:, 0], strict=True):
            name = shortened(row, int(height / LETTER))
            axes.set_ylabel(name, fontsize=TEXT, parse_math=False)
    most = int(size[0] / n_columns / LETTER)
    for (_, column), axes in places if single else places[: len(columns)]:
        lines = [shortened(line, most) for line in column.split("\n")]
        axes.set_title("\n".join(lines), fontsize=TEXT, parse_math=False)
    for _, axes in places:
        tidy(axes)
    return figure, dict(places)


def tidy(axes: Axes) -> None:
    """Leave of the frame of a panel what is read."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL)
    axes.margins(x=0.04)


def axes_are(figure: Figure, panels: Panels, *, x: str, y: str) -> None:
    """Name the axes of all panels: x below the lowest of each column, y once."""
    lowest: dict[int, Axes] = {}
    for axes in panels.values():
        spec = axes.get_subplotspec()
        if spec is not None:
            lowest[spec.colspan.start] = axes
    for axes in lowest.values():
        axes.set_xlabel(x, fontsize=TEXT)
    figure.supylabel(y, fontsize=TEXT)


def shortened(name: str, most: int = LONGEST) -> str:
    """Return a name of at most so many letters, with an ellipsis where some are missing."""
    return name if len(name) <= most else name[: max(most - 1, 1)] + "…"


def legend_below(figure: Figure, entries: Mapping[str, Artist], *, across: int = 5) -> None:
    """Write one legend below all panels.

    Parameters
    ----------
    figure : Figure
    entries : Mapping[str, Artist]
        What is drawn, by name, in the order of reading.
    across : int
        Entries beside each other, at most.
    """
    longest = max(map(len, entries), default=0) + SWATCH
    across = max(1, min(across, len(entries), int(WIDTH / (LETTER * longest))))
    legend = figure.legend(
        list(entries.values()),
        ["name"] * len(entries),  # a label that starts with _ would be taken for a private one
        loc="outside lower center",
        ncols=across,
        fontsize=SMALL,
        frameon=False,
    )
    for text, name in zip(legend.get_texts(), entries, strict=True):
        text.set(text=name, parse_math=False)


def ticks(axes: Axes, places: Sequence[float], labels: Sequence[str], *, n_panels: int) -> None:
    """Put a tick at every place, and its label where there is room for it.

    Parameters
    ----------
    axes : Axes
    places : sequence of float
        In ascending order.
    labels : sequence of str
    n_panels : int
        How many panels share the width of the figure.
    """
    inches = WIDTH / n_panels - 0.55
    axes.set_xticks(list(places), labels=thinned(places, labels, inches=inches))
    axes.minorticks_off()


def thinned(places: Sequence[float], labels: Sequence[str], *, inches: float) -> list[str]:
    """Return the labels of ticks, emptied where one would touch another.

    The first and the last are kept, then powers of ten, then what fits.

    Examples
    --------
    >>> thinned([0.0, 0.1, 1.0], ["1", "2", "10"], inches=1.0)
    ['1', '', '10']
    """
    span = (max(places) - min(places)) or 1.0
    ends = {0, len(places) - 1}

    def weight(i: int) -> tuple[bool, bool, int]:
        return i not in ends, labels[i].strip("0") != "1", i

    kept: list[int] = []
    for i in sorted(range(len(places)), key=weight):
        room = [
            abs(places[i] - places[j]) / span * inches
            - LETTER * (len(labels[i]) + len(labels[j])) / 2
            for j in kept
        ]
        if all(gap >= SPACE for gap in room):
            kept.append(i)
    return [label if i in kept else "" for i, label in enumerate(labels)]


def line_with_band(
    axes: Axes,
    x: np.ndarray,
    y: np.ndarray,
    margin: np.ndarray,
    *,
    color: str,
    marker: str = "",
    style: LineStyle = "-",
) -> None:
    """Draw a line with its interval as a band; a NaN margin has none."""
    axes.fill_between(x, y - margin, y + margin, color=color, alpha=0.18, lw=0)
    axes.plot(x, y, color=color, marker=marker, ls=style, markersize=3.5, lw=LINE)

"""Critical-difference diagrams: compare the methods of a table, draw the outcome, save it."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from imprint_bench.analysis.diagram_caption import caption
from imprint_bench.analysis.diagram_layout import layout
from imprint_bench.analysis.diagram_parts import FONT_SIZE, Layout
from imprint_bench.core.comparison import Comparison, Procedure
from imprint_bench.core.rank_tests import as_floats
from imprint_bench.core.statistics import compare
from imprint_bench.durable import atomic
from imprint_bench.errors import IncompleteError

__all__ = ["caption", "compare_frame", "draw", "layout", "pairs_frame", "save"]

ACCENT = "#0072B2"  # blue of Okabe and Ito's palette; in grey it is as dark as the lines
QUIET = "#555555"
POINTS_PER_INCH = 72
PNG_DPI = 300
LARGE = 60.0  # square inches from which half of that is sharp enough, and four times as fast
# Nothing of the day or the machine goes into a file, so that equal figures are equal files.
METADATA: Mapping[str, dict[str, Any]] = {
    "svg": {"Date": None},
    "pdf": {"CreationDate": None},
    "png": {"Software": None},
}
# Text stays text: it can be searched, and edited in the SVG.
SAVING: Any = {
    "svg.fonttype": "none",
    "svg.hashsalt": "imprint_bench",
    "pdf.fonttype": 42,
    "savefig.bbox": None,
}


def compare_frame(
    frame: pd.DataFrame,
    *,
    alpha: float = 0.05,
    allow_incomplete: bool = False,
    procedure: Procedure = "wilcoxon_holm",
) -> Comparison:
    """Compare the columns of a table.

    Parameters
    ----------
    frame : DataFrame
        Index: instances; columns: methods; values: median accuracies.
    alpha : float
        Significance level.
    allow_incomplete : bool
        Leave out instances that a method lacks, instead of refusing; they are
        then named in `Comparison.dropped`.
    procedure : {"wilcoxon_holm", "nemenyi", "paper_compat"}
        See `imprint_bench.core.statistics.compare`.

    Raises
    ------
    IncompleteError
        For missing cells, or too few instances without any.
    ConfigError, DataError
        As in `compare`.
    """
    scores = as_floats(frame.astype(object).where(frame.notna(), np.nan).to_numpy())
    instances = [_spelled(label) for label in frame.index]
    names = [_spelled(label) for label in frame.columns]
    dropped: list[str] = []
    if allow_incomplete:
        whole = ~np.isnan(scores).any(axis=1)
        dropped = [name for name, keep in zip(instances, whole, strict=True) if not keep]
        instances = [name for name, keep in zip(instances, whole, strict=True) if keep]
        scores = scores[whole]
        if dropped and len(instances) < 2:
            raise IncompleteError(
                f"scores: {len(instances)} of {len(instances) + len(dropped)} instances have a "
                "score for every method; at least two are needed. Repeat the sweep, or compare "
                "fewer methods."
            )
    compared = compare(scores, names, alpha=alpha, instances=instances, procedure=procedure)
    return replace(compared, dropped=tuple(dropped))


def pairs_frame(comparison: Comparison) -> pd.DataFrame:
    """Return one row per pair of methods: tests, decision, effect sizes, how the diagram tells.

    The columns are the attributes of `Pair`, then `n_instances`, `alpha` and `procedure`.
    """
    frame = pd.DataFrame([asdict(pair) for pair in comparison.pairs])
    return frame.assign(
        n_instances=comparison.n_instances,
        alpha=comparison.alpha,
        procedure=comparison.procedure,
    )


def draw(comparison: Comparison, layout: Layout | None = None) -> Figure:
    """Draw the critical-difference diagram.

    Parameters
    ----------
    comparison : Comparison
        What to show.
    layout : Layout, optional
        Where; by default as the function `layout` says.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Not known to pyplot, so there is nothing to close.

    References
    ----------
    J. Demsar, "Statistical comparisons of classifiers over multiple data sets",
    JMLR 7, 2006, figure 1.
    """
    plan = _layout(comparison) if layout is None else layout
    figure = Figure(figsize=(plan.width / POINTS_PER_INCH, plan.height / POINTS_PER_INCH))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, plan.width), ylim=(plan.height, 0))
    axes.set_axis_off()
    left, right, y = plan.axis
    marks = [[(t.x, y), (t.x, y - (5 if t.major else 3))] for t in plan.ticks]
    axes.add_collection(LineCollection(marks, colors="black", linewidths=0.8))
    axes.plot([left, right], [y, y], color="black", linewidth=1, solid_capstyle="projecting")
    axes.add_collection(LineCollection(plan.leaders, colors=QUIET, linewidths=0.7))
    axes.plot(plan.points, [y] * len(plan.points), "o", color="black", markersize=3, zorder=4)
    for bar in plan.bars:
        axes.plot(
            bar.dots,
            [bar.y] * len(bar.dots),
            "o-",
            color=ACCENT,
            linewidth=2.2,
            markersize=4.8,
            markeredgewidth=0,
            zorder=3,
        )
    if plan.ruler is not None:
        start, end, height = plan.ruler
        axes.plot([start, end], [height] * 2, "|-", color="black", linewidth=1, markersize=6)
    for box in plan.texts:
        axes.text(
            box.x,
            box.y,
            box.text,
            ha=box.align,
            va="center_baseline",
            size=FONT_SIZE,
            color="black",
            parse_math=False,
        )
    return figure


_layout = layout  # `draw` has a parameter of that name


def save(figure: Figure, path: Path) -> list[Path]:
    """Write `figure` as SVG, PDF and PNG, each in one atomic step.

    Equal figures give equal files. Text stays text in SVG and PDF; the PDF
    carries its font, the SVG names it, and a viewer without it takes another
    one: the layout leaves 6 % of room for that, and every text is anchored on
    the side of its line.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
        Any figure.
    path : Path
        Without suffix.

    Returns
    -------
    paths : list of Path
        The three files.

    Raises
    ------
    StoreError
        If a file cannot be written.
    """
    paths = []
    width, height = figure.get_size_inches()
    dpi = PNG_DPI if width * height <= LARGE else PNG_DPI // 2
    with mpl.rc_context(SAVING):
        for kind, metadata in METADATA.items():
            target = path.parent / f"{path.name}.{kind}"
            with atomic(target) as file:
                figure.savefig(file, format=kind, metadata=metadata, dpi=dpi)
            paths.append(target)
    return paths


def _spelled(label: object) -> str:
    """Return the text of a label; the levels of a MultiIndex are joined."""
    return " / ".join(map(str, label)) if isinstance(label, tuple) else str(label)

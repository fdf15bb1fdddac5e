"""Figures of the results: growth of cost, and CPU seconds of both paths."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

FORMATS = ("svg", "png")
TITLES = {
    "rows": "training rows of one class, N",
    "length": "length of an embedding, l",
    "k": "proxies per class, k",
    "tasks": "tasks on one dataset",
    "test_rows": "test rows",
}
STYLES: dict[str, dict[str, Any]] = {
    "proxies": {"marker": "o", "linestyle": "--"},
    "bank": {"marker": "s", "linestyle": "-"},
}
PANEL = 3.6  # inches


def growth(table: pd.DataFrame) -> Figure:
    """Draw CPU seconds over each axis, both logarithmic, with the fitted exponents."""
    axes_there = [axis for axis in TITLES if axis in set(table["axis"])]
    figure, panels = _panels(len(axes_there))
    for panel, axis in zip(panels, axes_there, strict=True):
        of_axis = table[table["axis"] == axis]
        for (kind, gen, slope), curve in of_axis.groupby(["kind", "gen", "exponent"], sort=False):
            panel.plot(
                curve["x"], curve["cpu_seconds"], label=f"{gen}, {kind}: {slope:.2f}",
                markersize=4, **STYLES[str(kind)],
            )  # fmt: skip
        panel.set(xscale="log", yscale="log", xlabel=TITLES[axis], ylabel="CPU seconds")
        sizes = sorted(set(of_axis["x"]))
        panel.set_xticks(sizes, [f"{size:,}" for size in sizes])
        panel.set_xticks([], minor=True)
        panel.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
        panel.grid(which="major", alpha=0.3)
    return figure


def paths(generators: pd.DataFrame) -> Figure:
    """Draw the CPU seconds of both paths by generator, one panel per job."""
    jobs = list(dict.fromkeys(generators["job"]))
    figure, panels = _panels(len(jobs))
    for panel, job in zip(panels, jobs, strict=True):
        of_job = generators[generators["job"] == job]
        for shift, (column, label) in enumerate(
            {
                "reference_whole_cpu_seconds": "reference path, all trials",
                "shared_cpu_seconds": "shared path",
            }.items()
        ):
            if of_job[column].notna().any():
                places = [i + 0.4 * shift for i in range(len(of_job))]
                panel.barh(places, of_job[column], height=0.4, label=label)
        panel.set_yticks([i + 0.2 for i in range(len(of_job))], of_job["gen"])
        panel.set(xscale="log", xlabel="CPU seconds", title=job)
    labels = panels[0].get_legend_handles_labels()
    figure.legend(*labels, loc="outside upper center", fontsize=8, ncols=2)
    return figure


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as SVG and PNG, equal for equal results."""
    with mpl.rc_context({"svg.hashsalt": name}):
        for suffix in FORMATS:
            metadata = {"Date": None} if suffix == "svg" else None
            figure.savefig(folder / f"{name}.{suffix}", dpi=120, metadata=metadata)


def _panels(n: int) -> tuple[Figure, list[Axes]]:
    """Return a figure of `n` panels, at most three in a row."""
    columns = min(n, 3)
    rows = -(-n // columns)
    figure = Figure(figsize=(1.4 * PANEL * columns, PANEL * rows), layout="constrained")
    FigureCanvasAgg(figure)  # no display is needed
    panels = figure.subplots(rows, columns, squeeze=False)
    flat = list(panels.flat)
    for unused in flat[n:]:
        unused.set_axis_off()
    return figure, flat[:n]

"""Pictures of sets of vectors: drawn from plain frames."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from matplotlib.ticker import NullLocator

from imprint_bench.analysis.lines import COLORS
from imprint_bench.analysis.panels import (
    LINE,
    SMALL,
    TEXT,
    WIDTH,
    axes_are,
    legend_below,
    matrix,
    style_of,
    tidy,
)

ACCENT = COLORS[1]  # of what a reader shall look at
DASHED: Any = {"color": "0.35", "linestyle": (0, (5, 3)), "lw": 1.0}
LEAST = 0.005  # cosine that a panel of average cosines has room for, up and down
AROUND = 0.07  # of the radius of a sphere, between its closest pair and the ring around it
ABOVE = 20.0  # degrees from which a sphere is seen above the middle of its closest pair


def draw_mean_cosines(data: pd.DataFrame) -> Figure:
    """Draw the mean cosine over the mean: a line per standard deviation, prototypes dashed.

    Parameters
    ----------
    data : DataFrame
        `line` (name), `std` (null: prototypes), `mean`, `mean_cosine`.
    """
    figure, axes = _single(3.4)
    entries: dict[str, Artist] = {}
    for i, (name, line) in enumerate(data.groupby("line", sort=False)):
        own: Any = DASHED if line["std"].isna().all() else {"color": style_of(i)[0], "lw": LINE}
        (entries[str(name)],) = axes.plot(line["mean"], line["mean_cosine"], **own)
    axes.set_xlabel("mean of each value", fontsize=TEXT)
    axes.set_ylabel("mean cosine", fontsize=TEXT)
    legend_below(figure, entries)
    return figure


def draw_spheres(data: pd.DataFrame) -> Figure:
    """Draw sets of points on the sphere beside each other, the closest pair of each marked.

    Parameters
    ----------
    data : DataFrame
        `set`, `x`, `y`, `z`, `closest` (bool), `degrees` (between the closest pair).
    """
    names = data["set"].unique()
    figure = Figure(figsize=(WIDTH, 3.9), layout="constrained")
    for i, name in enumerate(names):
        own = data[data["set"] == name]
        axes = figure.add_subplot(1, len(names), i + 1)
        _draw_sphere(axes, own)
        degrees = f"closest pair {own['degrees'].iloc[0]:.1f}° apart"
        axes.set_title(f"{name}\n{degrees}", fontsize=TEXT, parse_math=False)
    dot: Any = {"marker": "o", "ls": "", "ms": 4}
    entries: dict[str, Artist] = {
        "closest pair": Line2D([], [], color=ACCENT, **dot),
        "near side": Line2D([], [], color=COLORS[0], **dot),
        "far side": Line2D([], [], color=COLORS[0], alpha=0.25, **dot),
    }
    legend_below(figure, entries)
    return figure


def _draw_sphere(axes: Axes, points: pd.DataFrame) -> None:
    """Draw one set, seen in parallel from the side of its closest pair."""
    vectors = points[["x", "y", "z"]].to_numpy(dtype=float)
    closest = points["closest"].to_numpy(dtype=bool)
    across, up, toward = _view(vectors[closest].sum(axis=0))
    x, y, depth = vectors @ across, vectors @ up, vectors @ toward
    circle = np.linspace(0, 2 * np.pi, 181)
    axes.plot(np.cos(circle), np.sin(circle), color="0.7", lw=0.8)
    for latitude in np.radians((-60, -30, 0, 30, 60)):
        ring = np.stack([
            np.cos(latitude) * np.cos(circle), np.cos(latitude) * np.sin(circle),
            np.full_like(circle, np.sin(latitude)),
        ], axis=1)  # fmt: skip
        front = ring @ toward > 0
        axes.plot(
            np.where(front, ring @ across, np.nan), np.where(front, ring @ up, np.nan),
            color="0.88", lw=0.6,
        )  # fmt: skip
    near = depth > 0
    axes.scatter(x[~near], y[~near], s=11, color=COLORS[0], alpha=0.25, lw=0)
    axes.scatter(x[near & ~closest], y[near & ~closest], s=17, color=COLORS[0], lw=0)
    axes.scatter(x[closest], y[closest], s=22, color=ACCENT, edgecolor="white", lw=0.4, zorder=3)
    pair = np.stack([x[closest], y[closest]])
    radius = float(np.ptp(pair, axis=1) @ np.ptp(pair, axis=1)) ** 0.5 / 2 + AROUND
    middle = float(pair[0].mean()), float(pair[1].mean())
    axes.add_patch(Circle(middle, radius, facecolor="none", edgecolor=ACCENT, lw=1.1))
    axes.set_aspect("equal")
    axes.set_axis_off()


def _view(middle: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the directions across, up and toward the eye, near that of a point."""
    length = np.linalg.norm(middle)
    point = middle / length if length > 0 else np.array([1.0, 0.0, 0.0])
    azimuth = np.arctan2(point[1], point[0])
    height = np.clip(np.arcsin(np.clip(point[2], -1, 1)), *np.radians([ABOVE - 90, 90 - ABOVE]))
    sin_a, cos_a, sin_h, cos_h = np.sin(azimuth), np.cos(azimuth), np.sin(height), np.cos(height)
    across = np.array([-sin_a, cos_a, 0.0])
    up = np.array([-sin_h * cos_a, -sin_h * sin_a, cos_h])
    return across, up, np.array([cos_h * cos_a, cos_h * sin_a, sin_h])


def draw_distances(data: pd.DataFrame) -> Figure:
    """Draw smallest distances on a logarithmic axis, a row per set; hollow: the paper's.

    Parameters
    ----------
    data : DataFrame
        `set`, `distance`, `low`, `high` (null: no range), `paper` (null in rows of ours).
    """
    figure, axes = _single(2.3)
    names = data.loc[data["distance"].notna(), "set"].tolist()
    place = {name: -i for i, name in enumerate(names)}
    entries: dict[str, Artist] = {}
    for row in data.to_dict("records"):
        y = place[row["set"]]
        if pd.notna(row["paper"]):
            dot: Any = {"marker": "D", "ms": 5, "mfc": "none", "color": "black", "ls": ""}
            (entries["paper"],) = axes.plot(row["paper"], y, **dot)
            continue
        if pd.notna(row["low"]):
            axes.plot([row["low"], row["high"]], [y, y], color=COLORS[0], lw=2.5, alpha=0.35)
        (entries["here"],) = axes.plot(row["distance"], y, "o", color=COLORS[0], ms=6)
    axes.set_xscale("log")
    axes.set_yticks([place[name] for name in names], labels=names)
    axes.set_ylim(0.6 - len(names), 0.4)
    axes.grid(axis="x", color="0.9", lw=0.6)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("smallest cosine distance", fontsize=TEXT)
    legend_below(figure, dict(sorted(entries.items())))
    return figure


def draw_sorted(data: pd.DataFrame, *, level: float) -> Figure:
    """Draw average cosines in ascending order: a panel per d, a line per set.

    Parameters
    ----------
    data : DataFrame
        `d`, `line` (name), `rank`, `mean_cosine`.
    level : float
        Where the vectors of a set lie that sum to zero.
    """
    panels_of = {f"d = {d}": own for d, own in data.groupby("d", sort=False)}
    figure, panels = matrix([""], list(panels_of), height=2.9)
    names = list(dict.fromkeys(data["line"]))
    entries: dict[str, Artist] = {}
    for (_, panel), axes in panels.items():
        axes.axhline(level, **DASHED)
        axes.update_datalim([(1, level - LEAST), (1, level + LEAST)])  # differences, not rounding
        own = dict(list(panels_of[panel].groupby("line", sort=False)))
        flat = [name for name, line in own.items() if np.ptp(line["mean_cosine"]) < LEAST / 5]
        for name, line in own.items():
            # Flat lines lie on each other: the first is the widest.
            width = LINE * (2 * (len(flat) - flat.index(name)) - 1 if name in flat else 1)
            color, _ = style_of(names.index(name))
            axes.plot(line["rank"], line["mean_cosine"], color=color, lw=width)
            entries[str(name)] = Line2D([], [], color=color, lw=2 * LINE)
    axes_are(figure, panels, x="prototype, in ascending order", y="average cosine to the others")
    legend_below(figure, {name: entries[name] for name in names})
    return figure


def draw_seconds(data: pd.DataFrame) -> Figure:
    """Draw seconds over the number of classes, both on logarithmic axes.

    Parameters
    ----------
    data : DataFrame
        `c`, `seconds`.
    """
    figure, axes = _single(3.2)
    axes.plot(data["c"], data["seconds"], color=COLORS[0], marker="o", ms=4.5, lw=LINE)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="both", color="0.9", lw=0.6)
    axes.set_xlabel("c, classes", fontsize=TEXT)
    axes.set_ylabel("seconds of one matching", fontsize=TEXT)
    return figure


def _single(height: float) -> tuple[Figure, Axes]:
    """Return a figure with one panel."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    tidy(axes)
    axes.tick_params(labelsize=SMALL)
    return figure, axes

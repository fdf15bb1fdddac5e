"""Line figures whose lines carry their names."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's palette: told apart by colour-blind readers; markers tell it in grey.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LOG_FROM = 8  # from this ratio of the largest to the smallest k, the axis is logarithmic
LEADING = 1.35  # height of a line of text, relative to its size


def draw_over_k(data: pd.DataFrame) -> Figure:
    """Draw mean accuracy over k, one line per generator; methods without k are dashed.

    Parameters
    ----------
    data : DataFrame
        Columns `generator`, `k` (null: has none) and `accuracy_mean`, in [0, 1].
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    ends: list[tuple[float, str, str]] = []
    lines = data[data["k"].notna()]
    for i, (name, line) in enumerate(lines.groupby("generator")):
        color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
        y = 100 * line["accuracy_mean"]
        axes.plot(line["k"].astype(float), y, color=color, marker=marker, markersize=5, lw=1.4)
        ends.append((float(y.iloc[-1]), str(name), color))
    for name, value in data[data["k"].isna()][["generator", "accuracy_mean"]].to_numpy():
        axes.axhline(100 * value, color="0.35", linestyle=(0, (5, 3)), lw=1)
        ends.append((100 * float(value), str(name), "0.25"))
    ks = sorted(lines["k"].unique())
    if ks[-1] / ks[0] >= LOG_FROM:
        axes.set_xscale("log")
    axes.set_xticks([float(k) for k in ks], labels=[str(k) for k in ks])
    axes.minorticks_off()
    axes.set_xlabel("k, proxies per class")
    axes.set_ylabel("mean accuracy (%)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    label_ends(axes, ends)
    return figure


def draw_over_d(data: pd.DataFrame) -> Figure:
    """Draw mean NC1 over d, one line per name, with a band as wide as its confidence interval.

    Parameters
    ----------
    data : DataFrame
        Columns `line` (name), `d`, `nc1` (mean) and `margin` (half the width; NaN: no band).
    """
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.add_subplot()
    ends: list[tuple[float, str, str]] = []
    for i, (name, line) in enumerate(data.groupby("line", sort=False)):
        color, marker = COLORS[i % len(COLORS)], MARKERS[i % len(MARKERS)]
        d, y, margin = (line[c].to_numpy(dtype=float) for c in ("d", "nc1", "margin"))
        axes.fill_between(d, y - margin, y + margin, color=color, alpha=0.2, lw=0)
        axes.plot(d, y, color=color, marker=marker, markersize=5, lw=1.4)
        ends.append((float(y[-1]), str(name), color))
    ds = sorted(data["d"].unique())
    axes.set_xticks([float(d) for d in ds], labels=[str(d) for d in ds])
    axes.set_xlabel("d, original classes per label")
    axes.set_ylabel("NC1")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", lw=0.6)
    axes.set_axisbelow(True)
    label_ends(axes, ends)
    return figure


def label_ends(axes: Axes, ends: list[tuple[float, str, str]], *, size: float = 9) -> None:
    """Write the name of each line at its right end, moved apart where they would overlap.

    Parameters
    ----------
    axes : Axes
        Its limits are final.
    ends : list of (y, name, color)
        Of every line.
    size : float
        Of the text, in points.
    """
    low, high = axes.get_ylim()
    points = axes.get_window_extent().height / axes.figure.dpi * 72
    step = LEADING * size / points * (high - low)  # height of a line of text
    places = spread([y for y, _, _ in ends], step)
    for (y, name, color), place in zip(ends, places, strict=True):
        axes.annotate(
            name,
            xy=(1.0, y),
            xytext=(1.03, place),
            xycoords=axes.get_yaxis_transform(),
            textcoords=axes.get_yaxis_transform(),
            color="0.1",
            fontsize=size,
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": color, "lw": 0.8, "shrinkA": 0, "shrinkB": 0},
            parse_math=False,
        )


def spread(values: list[float], step: float) -> list[float]:
    """Return places near `values`, in the same order, that are at least `step` apart.

    Neighbors that would come too close are moved together, so that the mean of
    their places is the mean of their values.

    Examples
    --------
    >>> spread([1.0, 1.0, 5.0], step=1.0)
    [0.5, 1.5, 5.0]
    """
    order = sorted(range(len(values)), key=lambda i: values[i])
    blocks: list[tuple[float, int]] = []  # mean of the places, number of places
    for i in order:
        mean, size = values[i], 1
        while blocks and mean - blocks[-1][0] < step * (size + blocks[-1][1]) / 2:
            other, n = blocks.pop()
            mean, size = (mean * size + other * n) / (size + n), size + n
        blocks.append((mean, size))
    places = [mean + step * (j - (size - 1) / 2) for mean, size in blocks for j in range(size)]
    out = [0.0] * len(values)
    for i, place in zip(order, places, strict=True):
        out[i] = place
    return out

"""Where everything of a critical-difference diagram goes, computed without a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from math import ceil, floor

from imprint_bench.analysis.diagram_parts import (
    LINE,
    Align,
    Bar,
    Layout,
    TextBox,
    Tick,
    bar_levels,
    spread,
    text_width,
)
from imprint_bench.core.comparison import Comparison

ROW_GAP = 3.5  # between labels
MARGIN = 6.0
COLUMN_GAP = 7.0  # between a name, its rank and its line
UNIT = 48.0  # wished width of one rank on the axis
AXIS_WIDTHS = (210.0, 390.0)  # least and largest
LEAD = 10.0  # the least length of a line towards its label
TICK = 5.0
APART = 10.0  # between the vertical lines of two neighbors
FAN = (14.0, 30.0)  # least and largest height in which crowded lines are spread
BAR_STEP = 8.5
LONG_LABEL = 200.0  # identical methods beyond this width get a line each


@dataclass(frozen=True)
class _Scale:
    """From which to which rank the axis goes, and where it lies."""

    low: int
    high: int
    unit: float  # width of one rank
    start: float  # x of `low`

    def x(self, rank: float) -> float:
        """Return where a rank lies."""
        return self.start + (rank - self.low) * self.unit


@dataclass(frozen=True)
class _Columns:
    """Where the labels begin: the better half left of the axis, the others right of it.

    A label is a name and a rank; ranks stand in a column of their own, next to
    the lines.
    """

    n_left: int
    left: float  # x where the lines of the left half end
    right: float
    rank_width: float

    def line_end(self, i: int) -> float:
        """Return the x at which the line of method `i` ends."""
        return self.left if i < self.n_left else self.right

    def texts(
        self, labels: Sequence[list[str]], ranks: Sequence[str], rows: Sequence[float]
    ) -> list[TextBox]:
        """Return the boxes of the names, line by line, and of the ranks beside them."""
        boxes = []
        for i, (lines, rank, y) in enumerate(zip(labels, ranks, rows, strict=True)):
            side = -1 if i < self.n_left else 1
            align: Align = "right" if side < 0 else "left"
            edge = self.line_end(i) + side * COLUMN_GAP / 2
            # Decimal points stand below each other on both sides.
            boxes.append(_text(rank, edge if side < 0 else edge + self.rank_width, y, "right"))
            x = edge + side * (self.rank_width + COLUMN_GAP)
            boxes += [_text(line, x, y + n * LINE, align) for n, line in enumerate(lines)]
        return boxes


def layout(comparison: Comparison) -> Layout:
    """Place everything of the critical-difference diagram of `comparison`.

    The best method is on the left. The better half has its labels left of the
    axis, the best on top; the other half right of it, the last on top, so that
    no two lines cross. Where ranks are crowded, the lines are spread before
    they reach the bars, so that every dot can be seen.

    Parameters
    ----------
    comparison : Comparison
        From `compare`.

    Returns
    -------
    layout : Layout
        As wide as the longest labels ask for.
    """
    labels = [label_lines(group) for group in comparison.groups]
    scale = _scale(comparison.group_ranks)
    points = [scale.x(rank) for rank in comparison.group_ranks]
    lanes = spread(points, APART)
    top, ruler, above = _ruler(comparison, scale)
    axis_y = top + 2 * LINE + TICK
    fan_y = axis_y + _fan_height(points, lanes)
    bars = _bars(comparison.bars, lanes, fan_y + BAR_STEP / 2)
    below = max([bar.y + BAR_STEP for bar in bars], default=fan_y) + LINE / 2
    ranks = [f"{rank:.2f}" for rank in comparison.group_ranks]
    columns = _Columns(
        n_left=(len(labels) + 1) // 2,
        left=lanes[0] - LEAD,
        right=lanes[-1] + LEAD,
        rank_width=max(map(text_width, ranks)),
    )
    rows = _rows(labels, columns.n_left, below)
    ticks, numbers = _ticks(scale, axis_y)
    names = columns.texts(labels, ranks, rows)
    title = _text(
        "Average rank (1 = best)", scale.x((scale.low + scale.high) / 2), top + LINE / 2, "center"
    )
    texts = [*above, title, *numbers, *names]
    texts += _notes(comparison, texts)
    leaders = [
        ((point, axis_y), (lane, fan_y), (lane, y), (columns.line_end(i), y))
        for i, (point, lane, y) in enumerate(zip(points, lanes, rows, strict=True))
    ]
    return Layout(
        width=0.0,
        height=max(box.bottom for box in texts) + MARGIN,
        axis=(scale.start, scale.x(scale.high), axis_y),
        ticks=ticks,
        points=tuple(points),
        leaders=tuple(leaders),
        bars=bars,
        ruler=ruler,
        texts=tuple(texts),
    ).fitted(MARGIN)


def label_lines(group: Sequence[str]) -> list[str]:
    """Return the label of identical methods: on one line, or on one each where that is long.

    Examples
    --------
    >>> label_lines(["mean + max", "mean + 1-nn"])
    ['mean + max = mean + 1-nn']
    """
    names = [_one_line(name) for name in group]
    joined = " = ".join(names)
    if len(names) == 1 or text_width(joined) <= LONG_LABEL:
        return [joined]
    return [names[0], *(f"= {name}" for name in names[1:])]


def _scale(ranks: Sequence[float]) -> _Scale:
    low = floor(min(ranks))
    high = max(ceil(max(ranks)), low + 1)
    least = max(AXIS_WIDTHS[0], len(ranks) * APART)
    width = max(least, min((high - low) * UNIT, AXIS_WIDTHS[1]))
    return _Scale(low, high, unit=width / (high - low), start=0.0)


def _fan_height(points: Sequence[float], lanes: Sequence[float]) -> float:
    """Return the height in which lines get from their points to their lanes, not too flatly."""
    shift = max(abs(lane - point) for point, lane in zip(points, lanes, strict=True))
    return TICK if shift < 0.5 else min(max(FAN[0], shift / 3), FAN[1])


def _ruler(
    comparison: Comparison, scale: _Scale
) -> tuple[float, tuple[float, float, float] | None, list[TextBox]]:
    """Return where the axis may begin, and the Nemenyi critical difference to scale above it."""
    if comparison.critical_difference is None:
        return MARGIN, None, []
    y = MARGIN + LINE / 2
    end = scale.start + comparison.critical_difference * scale.unit
    text = f"critical difference {comparison.critical_difference:.2f}"
    return MARGIN + LINE + 4, (scale.start, end, y), [_text(text, end + COLUMN_GAP, y, "left")]


def _ticks(scale: _Scale, axis_y: float) -> tuple[tuple[Tick, ...], list[TextBox]]:
    """Return a tick per rank and, with room, per half; and as many numbers as fit."""
    room = text_width(str(scale.high)) + COLUMN_GAP
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 1000) if s * scale.unit >= room)
    numbered = range(-(-scale.low // step) * step, scale.high + 1, step)
    parts = 2 if step == 1 and scale.unit > 20 else 1
    marks = [scale.low + i / parts for i in range((scale.high - scale.low) * parts + 1)]
    ticks = tuple(Tick(scale.x(mark), major=mark in numbered) for mark in marks)
    y = axis_y - TICK - LINE / 2
    return ticks, [_text(str(rank), scale.x(rank), y, "center") for rank in numbered]


def _bars(
    bars: Sequence[tuple[int, int]], lanes: Sequence[float], first_y: float
) -> tuple[Bar, ...]:
    return tuple(
        Bar(first, last, first_y + level * BAR_STEP, tuple(lanes[first : last + 1]))
        for (first, last), level in zip(bars, bar_levels(bars), strict=True)
    )


def _rows(labels: Sequence[list[str]], n_left: int, first_y: float) -> list[float]:
    """Return the y of each label's first line: left from the best down, right from the last."""
    heights = [len(lines) * LINE + ROW_GAP for lines in labels]
    left = list(accumulate(heights[: n_left - 1], initial=first_y))
    right = list(accumulate(heights[:n_left:-1], initial=first_y))[::-1]
    return [*left, *right][: len(labels)]


def _notes(comparison: Comparison, texts: Sequence[TextBox]) -> list[TextBox]:
    """Return what a reader of the picture must know, below everything else."""
    notes = []
    if not comparison.rejected and len(comparison.names) > 2:
        notes.append(f"Friedman test: no difference found (p = {comparison.friedman.p:.2g})")
    if comparison.procedure == "paper_compat":
        notes.append("paper_compat: dense ranks; identical methods count as different")
    middle = (min(box.left for box in texts) + max(box.right for box in texts)) / 2
    end = max(box.bottom for box in texts) + ROW_GAP
    return [_text(note, middle, end + LINE * (i + 0.5), "center") for i, note in enumerate(notes)]


def _text(text: str, x: float, y: float, align: Align) -> TextBox:
    return TextBox(text, x, y, align, text_width(text))


def _one_line(name: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in name).split())

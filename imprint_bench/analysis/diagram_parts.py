"""What a critical-difference diagram is made of, and how its parts are kept apart.

Lengths are in points (1/72 inch); x grows to the right, y grows downwards from
the top edge, as on a page.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

Align = Literal["left", "center", "right"]

FONT_SIZE = 9.0
LINE = 11.5  # height of a line of text
ROOM = 1.06  # a viewer may lack the font that was measured, and take a slightly wider one


@dataclass(frozen=True)
class TextBox:
    """One line of text and the box that is kept free for it; (x, y) is where it is anchored.

    The anchor is vertically in the middle; horizontally it is the side named by `align`.
    """

    text: str
    x: float
    y: float
    align: Align
    width: float
    height: float = LINE

    @property
    def left(self) -> float:
        """Left edge of the box."""
        return self.x - {"left": 0.0, "center": self.width / 2, "right": self.width}[self.align]

    @property
    def right(self) -> float:
        """Right edge of the box."""
        return self.left + self.width

    @property
    def top(self) -> float:
        """Upper edge of the box."""
        return self.y - self.height / 2

    @property
    def bottom(self) -> float:
        """Lower edge of the box."""
        return self.y + self.height / 2


@dataclass(frozen=True)
class Bar:
    """A bar over groups `first` to `last`, with a dot at the line of each member."""

    first: int
    last: int
    y: float
    dots: tuple[float, ...]


@dataclass(frozen=True)
class Tick:
    """A mark on the axis; minor ones are shorter and have no number."""

    x: float
    major: bool


@dataclass(frozen=True)
class Layout:
    """All that is drawn.

    Attributes
    ----------
    width, height : float
        Of the picture.
    axis : (float, float, float)
        Left end, right end, and y of the axis.
    ticks : tuple of Tick
        Marks of the axis.
    points : tuple of float
        Where the average rank of each group lies on the axis.
    leaders : tuple of tuple of (float, float)
        For each group the corners of the line from the axis to its label.
    bars : tuple of Bar
        Packed into the fewest levels.
    ruler : (float, float, float) or None
        Left end, right end and y of the critical difference, for Nemenyi.
    texts : tuple of TextBox
        Title of the axis, numbers, names, average ranks and notes.
    """

    width: float
    height: float
    axis: tuple[float, float, float]
    ticks: tuple[Tick, ...]
    points: tuple[float, ...]
    leaders: tuple[tuple[tuple[float, float], ...], ...]
    bars: tuple[Bar, ...]
    ruler: tuple[float, float, float] | None
    texts: tuple[TextBox, ...]

    def fitted(self, margin: float) -> "Layout":
        """Return the layout moved and widened so that all lies `margin` inside both sides."""
        ruler = self.ruler[:2] if self.ruler else ()
        left = min([*ruler, self.axis[0], *(box.left for box in self.texts)]) - margin
        right = max([*ruler, self.axis[1], *(box.right for box in self.texts)]) + margin
        return Layout(
            width=right - left,
            height=self.height,
            axis=(self.axis[0] - left, self.axis[1] - left, self.axis[2]),
            ticks=tuple(replace(tick, x=tick.x - left) for tick in self.ticks),
            points=tuple(x - left for x in self.points),
            leaders=tuple(tuple((x - left, y) for x, y in line) for line in self.leaders),
            bars=tuple(replace(b, dots=tuple(x - left for x in b.dots)) for b in self.bars),
            ruler=(self.ruler[0] - left, self.ruler[1] - left, self.ruler[2])
            if self.ruler
            else None,
            texts=tuple(replace(box, x=box.x - left) for box in self.texts),
        )


def text_width(text: str) -> float:
    """Return the width of `text` in matplotlib's current font, in points, with some room."""
    font = FontProperties(size=FONT_SIZE)
    return ROOM * float(text_to_path.get_text_width_height_descent(text, font, False)[0])


def spread(points: Sequence[float], apart: float) -> list[float]:
    """Move ascending points as little as possible so that neighbors are `apart` or more.

    Least squares under the constraint, by pooling adjacent violators.

    Examples
    --------
    >>> spread([0.0, 1.0, 50.0], apart=11.0)
    [-5.0, 6.0, 50.0]
    """
    pools: list[tuple[float, int]] = []  # mean of what is left of the points, and their number
    for i, point in enumerate(points):
        mean, size = point - i * apart, 1
        while pools and pools[-1][0] > mean:
            other, n = pools.pop()
            mean, size = (mean * size + other * n) / (size + n), size + n
        pools.append((mean, size))
    flat = [mean for mean, size in pools for _ in range(size)]
    return [x + i * apart for i, x in enumerate(flat)]


def bar_levels(bars: Sequence[tuple[int, int]]) -> list[int]:
    """Give each bar the highest level that is free: as few levels as bars that overlap.

    Examples
    --------
    >>> bar_levels([(0, 2), (1, 4), (3, 5)])
    [0, 1, 0]
    """
    ends: list[int] = []  # last member of the last bar on each level
    levels = []
    for first, last in sorted(bars):
        free = next((i for i, end in enumerate(ends) if end < first), len(ends))
        ends[free : free + 1] = [last]
        levels.append(free)
    return levels

"""Which decisions an error within a bound cannot change."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from imprint_bench.core.aggregation import SMALLEST, predict
from imprint_bench.core.neighbors import CLASS_MASK, nearest_keys, votes
from imprint_bench.core.noise import bits_without_noise

UNIT = 2.0**-24  # largest relative error of rounding to float32

Decision = tuple[np.ndarray, np.ndarray]  # predictions, and where they are certain


def product_error(length: int) -> float:
    """Return a bound on the error of a float32 inner product, relative to the rows' lengths.

    It holds for any order of the additions, for rows that were rounded to float32,
    and for a result that is rounded a few times more; the last few units are room
    for a factor, a sum, and ties in float64.

    References
    ----------
    N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 2002, section 3.1.
    """
    units = (length + 16) * UNIT
    return units / (1 - units) if units < 0.5 else np.inf


def decide_maxima(values: np.ndarray, error: np.ndarray) -> Decision:
    """Return the classes with the largest values and whether the errors leave them so.

    Parameters
    ----------
    values : ndarray of shape (n, C)
        Scores of the classes.
    error : ndarray of shape (n, C)
        Bounds on their errors.

    Examples
    --------
    >>> decide_maxima(np.array([[1.0, 3.0], [1.0, 1.1]]), np.full((2, 2), 0.1))
    (array([1, 1]), array([ True, False]))
    """
    picked = values.argmax(axis=1)
    rows = np.arange(len(values))
    lowest = values[rows, picked] - error[rows, picked]
    others = values + error
    others[rows, picked] = -np.inf
    return picked, lowest > others.max(axis=1)


@dataclass(frozen=True)
class Nearest:
    """The proxies nearest to every query: what ranks them, and their classes.

    Attributes
    ----------
    values : ndarray of shape (n, depth), float64
        What ranks them, the nearest first, largest first.
    classes : ndarray of shape (n, depth), int64
    """

    values: np.ndarray
    classes: np.ndarray

    @classmethod
    def merged(cls, lists: Sequence[np.ndarray], *, depth: int) -> "Nearest":
        """Merge the lists of a task's classes, each of shape (n, any), float32."""
        top = np.max([part.max(axis=1) for part in lists], axis=0).astype(np.float64)[:, None]
        keys = nearest_keys([top - part for part in lists], depth=depth)
        return cls(top - (keys & ~CLASS_MASK).view(np.float64), keys & CLASS_MASK)


def decide_votes(
    nearest: Nearest,
    distances: np.ndarray,
    error: np.ndarray,
    uses: Collection[tuple[int, str]],
    *,
    n_classes: int,
) -> dict[tuple[int, str], Decision]:
    """Let the nearest proxies vote and tell which results the errors leave as they are.

    An error may exchange the last proxies that vote with the first that do not, where
    their distances are closer than it. If all of them are of one class, that changes
    no more than their weights; else a vote of the nearest of them may be lost to
    another class. And an error changes the weights of all that vote.

    Parameters
    ----------
    nearest : Nearest
        One more than the largest m, or all there are.
    distances : ndarray of shape (n, depth)
        To these proxies, ascending.
    error : ndarray of shape (n, depth)
        Bounds on their errors.
    uses : collection of (m, weighting)
    n_classes : int
    """
    keys = bits_without_noise(distances) | nearest.classes
    bounds = _Bounds(nearest.classes, distances, error)
    decided: dict[tuple[int, str], Decision] = {}
    for weighting in sorted({w for _, w in uses}):
        ms = sorted({m for m, w in uses if w == weighting})
        scores_of_m = votes(keys, ms=ms, weighting=weighting, n_classes=n_classes)
        for m, scores in zip(ms, scores_of_m, strict=True):
            bound = bounds.of_votes(m, weighting)
            decided[m, weighting] = predict(scores), (bound == 0) | (_lead(scores) > 2 * bound)
    return decided


class _Bounds:
    """By how much errors of the distances may change the votes for any class."""

    def __init__(self, classes: np.ndarray, distances: np.ndarray, error: np.ndarray) -> None:
        self.nearest, self.farthest = distances - error, distances + error
        changes = (classes[:, 1:] != classes[:, :-1]).cumsum(axis=1)
        self._changes = np.pad(changes, ((0, 0), (1, 0)))  # of class, from the first proxy on
        with np.errstate(divide="ignore"):
            most = np.where(self.nearest > 0, 1 / (self.nearest + SMALLEST), np.inf)
        self._most, self._least = most, 1 / (self.farthest + SMALLEST)
        # Of all that vote up to each: the weights may be larger or smaller by that much.
        self._shift = (most - self._least).cumsum(axis=1)

    def of_votes(self, m: int, weighting: str) -> np.ndarray:
        """Return the bound for the sums of the first `m`, of shape (n,); 0 is exact."""
        count, first, last, known = self._exchangeable(m)
        same = known & (self._at(self._changes, first) == self._at(self._changes, last))
        if weighting == "uniform":
            return np.where(same, 0, count).astype(np.float64)
        shift = self._shift[:, min(m, self._shift.shape[1]) - 1]
        most, least = self._at(self._most, first), self._at(self._least, last)
        with np.errstate(invalid="ignore"):  # infinite where a proxy may be at distance zero
            exchanged = np.where(count > 0, count * np.where(same, most - least, most), 0)
        return np.where(np.isfinite(exchanged + shift), exchanged + shift, np.inf)

    def _exchangeable(self, m: int) -> tuple[np.ndarray, ...]:
        """Return how many of the first `m` may be others, the first and last place, if known."""
        n, depth = self.nearest.shape
        if m >= depth:
            nothing = np.zeros(n, dtype=np.intp)
            return nothing, nothing, nothing, np.ones(n, dtype=bool)
        inside = (self.farthest[:, :m] >= self.nearest[:, m, None]).sum(axis=1)
        reach = self.farthest[:, :m].max(axis=1)
        outside = (self.nearest[:, m:] <= reach[:, None]).sum(axis=1)
        # Where that takes in the end of the list, what comes after it may be of any class.
        known = (inside == 0) | (outside < depth - m)
        first = np.minimum(m - inside, depth - 1)
        return inside, first, np.where(inside > 0, m + outside - 1, first), known

    @staticmethod
    def _at(values: np.ndarray, place: np.ndarray) -> np.ndarray:
        return np.take_along_axis(values, place[:, None], axis=1)[:, 0]


def _lead(scores: np.ndarray) -> np.ndarray:
    """Return by how much the largest score of every row exceeds the second."""
    if scores.shape[1] == 1:
        return np.full(len(scores), np.inf)
    best = np.partition(scores, scores.shape[1] - 2, axis=1)[:, -2:]
    return best[:, 1] - best[:, 0]

"""All distances between the rows of a class: in float32, and in float64 where that decides."""

from functools import cached_property

import numpy as np

from imprint_bench.core.generators.centered import SINGLE_UNIT, Array, center
from imprint_bench.core.noise import without_noise

CACHED = 2**16  # distances that are finished while they lie in the cache
CANCELLED = 1e-3  # share of the longest row: below it, distances may be those of equal rows
FEW = 32  # rows whose sums of distances are measured in float64, one cluster at a time
LARGE = 0.4  # share of the rows from which on it is faster to take all than to pick them


class Distances:
    """Euclidean distances between rows, and what k-medoids decides by them.

    Every decision is that of float64. A matrix of float32 distances with a bound on
    their errors leaves few candidates; only these are measured in float64. Where it
    leaves many, because rows repeat each other, the matrix is made in float64.

    Parameters
    ----------
    X : ndarray of shape (n, l), float32 or float64
        n >= 2.
    """

    def __init__(self, X: Array) -> None:
        self.data = center(X)
        self._X = X
        self._in_double = not self.data.safe

    @cached_property
    def exact(self) -> Array:
        """All distances in float64, symmetric with a diagonal of zero."""
        rows, everything = self.data.rows, np.arange(len(self.data.rows))
        self._in_double = True
        distances = _finished(rows @ rows.T, self.data.squares)
        return self._zero_between_repetitions(distances, everything, everything)

    @cached_property
    def single(self) -> Array:
        """All distances in float32."""
        squares = self.data.squares.astype(np.float32)
        return _finished(self.data.single @ self.data.single.T, squares)

    @cached_property
    def error(self) -> Array:
        """A bound on the errors of the float32 distances of each row, of shape (n,), float64."""
        distances = self.single
        np.fill_diagonal(distances, np.inf)
        nearest = distances.min(axis=1).astype(np.float64)
        np.fill_diagonal(distances, 0)
        # |sqrt(a) - sqrt(b)| <= |a - b| / sqrt(a), with the bound on the squares
        bound = self.data.bound(self.data.rows).astype(np.float64)
        return np.divide(bound, nearest, out=np.full(len(bound), np.inf), where=nearest > 0)

    def central(self, k: int) -> Array:
        """Return the `k` rows with the smallest sums of distances to all, ascending."""
        everything = np.arange(len(self.data.rows))
        low, high = self._sums(everything)
        chosen = np.flatnonzero(low <= np.partition(high, k - 1)[k - 1])
        order = np.argsort(self._exact_sums(everything, chosen), kind="stable")
        return chosen[order[:k]]

    def nearest_of(self, medoids: Array) -> Array:
        """Return for every row the position of its nearest medoid; ties go to the first."""
        if self._in_double:
            return self.exact[medoids].argmin(axis=0)
        distances = self.single[medoids]
        labels = distances.argmin(axis=0)
        if len(medoids) == 1:
            return labels
        smallest = np.partition(distances, 1, axis=0)[:2].astype(np.float64)
        doubtful = np.flatnonzero(smallest[1] - smallest[0] <= 2 * self.error)
        labels[doubtful] = self._between(doubtful, medoids).argmin(axis=1)
        return labels

    def center_of(self, rows: Array, medoid: int) -> int:
        """Return the row with the smallest sum of distances to `rows`, which it is one of.

        It is `medoid` if none is better, or if that is none of the rows.
        """
        place = np.flatnonzero(rows == medoid)
        if not len(place):
            return medoid
        low, high = self._sums(rows)
        chosen = np.flatnonzero(low <= high.min())
        sums = high.copy()  # of rows that are not chosen, too large anyhow
        if len(chosen) > 1:
            sums[chosen] = self._exact_sums(rows, chosen)
        best = chosen[sums[chosen].argmin()]
        return int(rows[best]) if sums[best] < sums[place[0]] else medoid

    def _sums(self, rows: Array) -> tuple[Array, Array]:
        """Return bounds on the sums of distances among some rows."""
        if self._in_double:
            sums = without_noise(self.exact[np.ix_(rows, rows)].sum(axis=1))
            return sums, sums
        chosen = np.zeros(len(self.single), dtype=np.float32)
        chosen[rows] = 1
        # A product costs less than half of picking rows and columns and adding up.
        if len(rows) > LARGE * len(chosen):
            sums = (self.single @ chosen)[rows]
        else:
            sums = self.single[rows] @ chosen
        slack = len(rows) * self.error[rows] + (len(rows) + 16) * SINGLE_UNIT * sums
        return sums - slack, sums + slack

    def _exact_sums(self, rows: Array, chosen: Array) -> Array:
        """Return the sums of distances of some of the rows to all of them, in float64."""
        return without_noise(self._added_up(rows, chosen))

    def _added_up(self, rows: Array, chosen: Array) -> Array:
        if len(chosen) <= FEW and not self._in_double:
            return self._between(rows[chosen], rows).sum(axis=1)
        if len(chosen) <= max(FEW, len(rows) // 8) and not self._in_double:
            parts = np.array_split(chosen, len(chosen) // FEW + 1)
            return np.concatenate([self._added_up(rows, part) for part in parts])
        return self.exact[np.ix_(rows[chosen], rows)].sum(axis=1)

    def _between(self, some: Array, others: Array) -> Array:
        """Return distances in float64."""
        squares, rows = self.data.squares, self.data.rows
        squared = squares[some, None] + squares[others] - 2 * (rows[some] @ rows[others].T)
        return self._zero_between_repetitions(np.sqrt(np.maximum(squared, 0)), some, others)

    def _zero_between_repetitions(self, distances: Array, some: Array, others: Array) -> Array:
        """Set distances between equal rows to zero, which cancellation keeps them from."""
        near = distances < CANCELLED * np.sqrt(self.data.scale)
        if near.any():
            number = self._numbers
            distances[near & (number[some][:, None] == number[others])] = 0
        return distances

    @cached_property
    def _numbers(self) -> Array:
        """A number for each row, the same for equal rows."""
        seen: dict[bytes, int] = {}  # a tenth of the time of np.unique(axis=0)
        rows = self._X + 0.0  # without negative zeros
        return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows])


def _finished(products: Array, squares: Array) -> Array:
    """Turn inner products of rows into distances, in place."""
    step = max(1, CACHED // len(products))
    for start in range(0, len(products), step):
        block = products[start : start + step]
        block *= -2
        # Both norms are added in one go: in two, (i, j) and (j, i) would round differently.
        block += squares[start : start + step, None] + squares
        np.sqrt(np.maximum(block, 0, out=block), out=block)
    np.fill_diagonal(products, 0)
    return products

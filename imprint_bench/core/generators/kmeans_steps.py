"""The two steps of k-means, each decision of which is certain or refused.

k-means is a long chain of comparisons. As long as every comparison is decided by
more than rounding can change, any correct computation takes the same path, so the
result is that of scikit-learn. A comparison that is closer raises `Undecided`.
"""

from dataclasses import dataclass

import numpy as np

from imprint_bench.core.generators.centered import Array, Centered

MAX_ITERATIONS = 300
CACHED = 2**16  # numbers of a block of rows that stays in the cache
TOLERANCE = 1e-4  # of the mean variance of the features


class Undecided(Exception):  # noqa: N818 - not an error: the reference implementation decides
    """Two alternatives are closer than rounding, or a cluster has become empty."""


@dataclass(frozen=True)
class Clustering:
    """Rows divided into clusters.

    Attributes
    ----------
    labels : ndarray of shape (n,), intp
        Cluster of each row.
    centers : ndarray of shape (k, l), float64
        Cluster centers.
    n_iter : int
        Number of iterations; 0 where there was nothing to iterate.
    """

    labels: Array
    centers: Array
    n_iter: int


def trials(k: int) -> int:
    """Return the number of candidates that greedy k-means++ draws for each pick."""
    return 2 + int(np.log(k))


def plus_plus(data: Centered, *, n_picks: int, n_trials: int, seed: int) -> Array:
    """Return the row numbers picked by greedy k-means++.

    The draws are those of scikit-learn: one for the first pick and `n_trials` for
    each of the others, so the picks for a smaller `n_picks` are the first of these.

    Parameters
    ----------
    data : Centered
        The rows.
    n_picks, n_trials : int
        Number of picks; number of candidates for each pick.
    seed : int
        Seed of a `numpy.random.RandomState`.

    Returns
    -------
    picks : ndarray of shape (n_picks,), intp

    Raises
    ------
    Undecided
        If rounding decides which candidates are drawn, or which is best.

    References
    ----------
    D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding",
    SODA 2007, sections 2.2 and 6 (greedy choice among several candidates).
    """
    if not data.safe:
        raise Undecided
    n = len(data.rows)
    draw = np.random.RandomState(seed)  # scikit-learn's stream
    picks = [int(draw.choice(n, p=np.ones(n) / n))]
    gaps = _squared_distances(data, np.array(picks))[0]  # to the nearest pick
    slack = data.spacing * n * data.scale
    while len(picks) < n_picks:
        total = gaps.cumsum()
        levels = draw.uniform(size=n_trials) * total[-1]
        if np.abs(total - levels[:, None]).min() <= slack:
            raise Undecided
        candidates = np.unique(total.searchsorted(levels))
        after = np.minimum(_squared_distances(data, candidates), gaps)
        left = after.sum(axis=1)
        best = int(left.argmin())
        equal = candidates[left <= left[best] + slack]
        if (data.rows[equal] != data.rows[candidates[best]]).any():
            raise Undecided
        picks.append(int(candidates[best]))
        gaps = after[best]
    return np.array(picks)


def lloyd(data: Centered, start: Array) -> Clustering:
    """Return the clustering at which Lloyd's iteration from `start` ends.

    Parameters
    ----------
    data : Centered
        The rows.
    start : ndarray of shape (k, l), float64
        Centered rows to start from, k >= 2.

    Returns
    -------
    clustering : Clustering
        With centers in the coordinates of `data`, mean at the origin.

    Raises
    ------
    Undecided
        If a cluster becomes empty or rounding decides where a row belongs.

    References
    ----------
    S. P. Lloyd, "Least squares quantization in PCM", IEEE Transactions on
    Information Theory 28, 1982.
    """
    n, width = data.rows.shape
    tolerance = TOLERANCE * float(data.squares.sum()) / (n * width)
    nearest = NearestCenters(data, start)
    sums = _sums(data, np.arange(n), nearest.labels, k=len(start))
    changed = np.arange(n)
    for iteration in range(1, MAX_ITERATIONS + 1):
        counts = np.bincount(nearest.labels, minlength=len(start))
        if not counts.all():
            raise Undecided
        if not len(changed):
            return Clustering(nearest.labels, nearest.centers, iteration)
        shift = nearest.move(sums / counts[:, None])
        slack = 2 * data.spacing * (len(start) * shift * data.scale) ** 0.5
        if abs(shift - tolerance) <= slack:
            raise Undecided
        before = nearest.labels.copy()
        nearest.update()
        if shift < tolerance or iteration == MAX_ITERATIONS:
            break
        changed = np.flatnonzero(nearest.labels != before)
        sums += _sums(data, changed, nearest.labels[changed], left=before[changed], k=len(start))
    return Clustering(nearest.labels, nearest.centers, iteration)


class NearestCenters:
    """The nearest center of every row while the centers move.

    It knows a lower bound on the distance of every row to every center and an upper
    bound on that to its own. A moving center loosens the bounds by the length of its
    way; only rows for which they no longer decide are measured anew, in float32 with
    a bound on the error, and in float64 where that does not decide either.

    Attributes
    ----------
    labels : ndarray of shape (n,), intp
        Number of the nearest center.
    centers : ndarray of shape (k, l), float64
        Where the centers are, in the coordinates of the rows.

    References
    ----------
    C. Elkan, "Using the triangle inequality to accelerate k-means", ICML 2003, section 3.
    """

    def __init__(self, data: Centered, centers: Array) -> None:
        self.data = data
        self.centers = centers
        self.labels = np.zeros(len(data.rows), dtype=np.intp)
        self._lower = np.empty((len(centers), len(data.rows)), dtype=np.float32)
        self._upper = np.empty(len(data.rows), dtype=np.float32)
        # Distances that differ by more have squares that float64 tells apart: see `_settle`.
        self._guard = np.float32(2 * (data.spacing * data.scale) ** 0.5)
        self._measure(np.arange(len(data.rows)))

    def move(self, centers: Array) -> float:
        """Move the centers and return the sum of their squared ways; `update` must follow."""
        squares = ((centers - self.centers) ** 2).sum(axis=1)
        # The bounds are float32: each step adds what rounding may take from them.
        rounding = 2.0**-20 * self.data.scale**0.5
        ways = np.where(squares > 0, np.sqrt(squares) * (1 + 2.0**-20) + rounding, 0)
        ways = ways.astype(np.float32)
        self._lower -= ways[:, None]
        self._upper += ways[self.labels]
        self.centers = centers
        return float(squares.sum())

    def update(self) -> None:
        """Find the nearest center of the rows that may have another one now."""
        near = self._lower <= self._upper + self._guard
        self._measure(np.flatnonzero(near.sum(axis=0, dtype=np.uint16) != 1))

    def _measure(self, rows: Array) -> None:
        """Set bounds and labels of some rows from their distances to all centers."""
        if not len(rows):
            return
        halves = np.einsum("ij,ij->i", self.centers, self.centers) / 2
        everything = len(rows) == len(self.labels)
        single = self.data.single if everything else self.data.single[rows]
        squares = self.centers.astype(np.float32) @ single.T
        np.subtract(halves.astype(np.float32)[:, None], squares, out=squares)
        squares *= 2
        squares += self.data.squares[rows].astype(np.float32)
        error = self.data.bound(self.centers)[rows]
        labels = squares.argmin(axis=0)
        upper = np.sqrt(np.maximum(squares.min(axis=0), 0) + error)
        lower = np.sqrt(np.maximum(squares - error, 0))
        near = lower <= upper + self._guard
        doubtful = np.flatnonzero(near.sum(axis=0, dtype=np.uint16) != 1)
        labels[doubtful] = self._settle(rows[doubtful], halves)
        upper[doubtful] = np.sqrt(
            np.maximum(squares[labels[doubtful], doubtful], 0) + error[doubtful]
        )
        self._lower[:, rows] = lower
        self._upper[rows] = upper
        self.labels[rows] = labels

    def _settle(self, rows: Array, halves: Array) -> Array:
        """Return the nearest centers of some rows, compared in float64."""
        scores = halves - self.data.rows[rows] @ self.centers.T
        lowest = np.partition(scores, 1, axis=1)
        if (lowest[:, 1] - lowest[:, 0]).min(initial=np.inf) <= self.data.spacing * self.data.scale:
            raise Undecided
        return scores.argmin(axis=1)


def _sums(
    data: Centered, rows: Array, labels: Array, *, left: Array | None = None, k: int
) -> Array:
    """Return the sums of some rows by label, less those by what they `left`, of shape (k, l)."""
    signs = np.zeros((k, len(rows)))
    signs[labels, np.arange(len(rows))] = 1
    if left is not None:
        signs[left, np.arange(len(rows))] = -1
    return signs @ (data.rows if len(rows) == len(data.rows) else data.rows[rows])


def _squared_distances(data: Centered, picks: Array) -> Array:
    """Return the squared distances of some rows to all, float64 of shape (p, n)."""
    distances = np.empty((len(picks), len(data.rows)))
    points = -2 * data.rows[picks]
    step = max(1, CACHED // data.rows.shape[1])
    for start in range(0, len(data.rows), step):
        # Few points: one product each, on rows in the cache, beats a matrix product.
        block = data.rows[start : start + step]
        for point, row in zip(points, distances, strict=True):
            np.dot(block, point, out=row[start : start + step])
    distances += data.squares[picks, None]
    distances += data.squares
    return np.maximum(distances, 0, out=distances)

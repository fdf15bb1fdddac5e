"""Which class is trained towards which prototype: the matching; when it is made, `rules` say."""

import numpy as np
from numpy.typing import ArrayLike

from imprint_bench.fixed.core.rules import Initial
from imprint_bench.seeding import stream

Array = np.ndarray
EQUAL = 1e-9  # costs that differ by less than this share of what they may be are equal


def assign(
    means: ArrayLike,
    prototypes: ArrayLike,
    *,
    seen: ArrayLike | None = None,
    previous: ArrayLike | None = None,
) -> Array:
    """Match classes to prototypes so that the inner products with their means sum to most.

    Parameters
    ----------
    means : array_like of shape (c, d)
        Mean feature of every class, finite; rows of classes not seen are not read.
    prototypes : array_like of shape (c, d)
    seen : array_like of bool, shape (c,), or None
        Classes that have a mean; None means all. The others get what is left: their
        previous prototype where it is free, then the free ones in ascending order.
    previous : array_like of int, shape (c,), or None
        Assignment in force; it stays if none is better.

    Returns
    -------
    assignment : ndarray of shape (c,), int64
        Prototype of each class, a permutation.

    Raises
    ------
    ValueError
        If shapes do not fit, a mean is not finite, or `previous` is no permutation.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype
    Assignment", CVPR 2024, equation 9; scipy's `linear_sum_assignment` solves it.

    Examples
    --------
    >>> assign([[0.0, 1.0], [1.0, 0.2]], [[1.0, 0.0], [0.0, 1.0]])
    array([1, 0])
    """
    Q, W = np.asarray(means, dtype=np.float64), np.asarray(prototypes, dtype=np.float64)
    if Q.ndim != 2 or Q.shape != W.shape:
        raise ValueError(f"assign: expected means and prototypes of one shape (c, d), got "
                         f"{Q.shape} and {W.shape}.")  # fmt: skip
    c = len(Q)
    known = np.ones(c, dtype=bool) if seen is None else np.asarray(seen, dtype=bool)
    if known.shape != (c,):
        raise ValueError(f"assign: expected seen of shape ({c},), got {known.shape}.")
    before = None if previous is None else permutation_of(previous, c)
    rows = np.flatnonzero(known)
    if not np.isfinite(Q[rows]).all():
        bad = rows[~np.isfinite(Q[rows]).all(axis=1)][0]
        raise ValueError(f"assign: the mean of class {bad} is not finite.")
    gains = Q[rows] @ W.T
    found = _matched(gains)
    if before is not None:
        kept = gains[np.arange(len(rows)), before[rows]].sum()
        gained = gains[np.arange(len(rows)), found].sum()
        if gained - kept <= EQUAL * np.linalg.norm(Q[rows], axis=1).sum():
            return before
    return _filled(rows, found, before, c)


def permutation_of(values: ArrayLike, c: int) -> Array:
    """Return `values` as int64 if they are the numbers below `c`, each once.

    Raises
    ------
    ValueError
        If they are not.
    """
    found = np.asarray(values)
    if found.shape != (c,) or not np.array_equal(np.sort(found), np.arange(c)):
        raise ValueError(f"assignment: expected a permutation of {c} prototypes, got {values!r}.")
    return found.astype(np.int64)


def change_fraction(previous: ArrayLike, current: ArrayLike) -> float:
    """Return the share of classes whose prototype differs between two assignments, in [0, 1].

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 4b.

    Examples
    --------
    >>> change_fraction([0, 1, 2, 3], [0, 1, 3, 2])
    0.5
    """
    return float(np.mean(np.asarray(previous) != np.asarray(current)))


def initial_assignment(initial: Initial, c: int, *, seed: int = 0) -> Array:
    """Return the assignment with which training starts.

    Parameters
    ----------
    initial : "identity" or "random"
    c : int
        Number of classes.
    seed : int
        Of the random permutation.

    Returns
    -------
    assignment : ndarray of shape (c,), int64
    """
    if initial == "identity":
        return np.arange(c)
    return stream(seed, "assignment", c).permutation(c)


def _matched(gains: Array) -> Array:
    """Return the column of each row, no column twice, whose values sum to most."""
    from scipy.optimize import linear_sum_assignment  # takes long to import

    return linear_sum_assignment(gains, maximize=True)[1].astype(np.int64)


def _filled(rows: Array, found: Array, before: Array | None, c: int) -> Array:
    """Return the assignment of all classes, given that of `rows`."""
    assignment = np.full(c, -1, dtype=np.int64)
    assignment[rows] = found
    free = np.ones(c, dtype=bool)
    free[found] = False
    if before is not None:
        stays = (assignment < 0) & free[before]
        assignment[stays] = before[stays]
        free[before[stays]] = False
    assignment[assignment < 0] = np.flatnonzero(free)
    return assignment

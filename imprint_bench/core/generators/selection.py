"""Generators whose proxies are rows of the class: all, random, cov_max, fps."""

import numpy as np

from imprint_bench.core.generator import for_each_class
from imprint_bench.core.generators.centered import Array, center
from imprint_bench.params import PositiveInt


@for_each_class("all", every_row=True)
def every_row(X: Array) -> Array:
    """Return every embedding of one class.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings of one class, n >= 1.

    Returns
    -------
    proxies : ndarray of shape (n, l)
        A copy of `X`.

    Examples
    --------
    >>> every_row(np.array([[1.0], [2.0]])).ravel().tolist()
    [1.0, 2.0]
    """
    return X.copy()


@for_each_class("random", nested=True)
def random_rows(X: Array, *, k: PositiveInt, rng: np.random.Generator) -> Array:
    """Draw `k` embeddings of one class without replacement.

    They are the first `k` of one permutation, so those for a smaller `k` come first.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings of one class, n >= 1.
    k : int
        Number of proxies wanted, k >= 1. A class of fewer than `k` embeddings
        gives all it has.
    rng : numpy.random.Generator
        Draws one permutation.

    Returns
    -------
    proxies : ndarray of shape (min(k, n), l)
        Rows of `X`, in the order they were drawn.

    Examples
    --------
    >>> rows = np.arange(5.0)[:, None]
    >>> random_rows(rows, k=9, rng=np.random.default_rng(0)).shape
    (5, 1)
    """
    return X[rng.permutation(len(X))[:k]]


@for_each_class("cov_max", nested=True)
def covariance_maximizers(X: Array, *, k: PositiveInt) -> Array:
    """Pick the `k` embeddings of one class that vary most in common with the others.

    An embedding counts as a variable, its features as observations. The picks
    have the largest column sums of the n x n covariance matrix, largest first;
    ties go to the lowest index. The matrix is not formed: with every row
    centered over its features, R, the sums are R (R^T 1) / (l - 1).

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings of one class, n >= 1.
    k : int
        Number of proxies wanted, k >= 1. A class of fewer than `k` embeddings
        gives all it has.

    Returns
    -------
    proxies : ndarray of shape (min(k, n), l)
        Rows of `X`.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 3.1.

    Examples
    --------
    >>> rows = np.array([[0.0, 1.0], [0.0, 5.0], [0.0, 3.0]])
    >>> covariance_maximizers(rows, k=2).tolist()
    [[0.0, 5.0], [0.0, 3.0]]
    """
    residuals = X.astype(np.float64)
    residuals -= residuals.mean(axis=1, keepdims=True)
    sums = residuals @ residuals.sum(axis=0)  # times l - 1, which changes no order
    return X[np.argsort(-sums, kind="stable")[:k]]


@for_each_class("fps", nested=True)
def farthest_points(X: Array, *, k: PositiveInt, rng: np.random.Generator) -> Array:
    """Pick `k` embeddings of one class, each far from those picked before.

    Greedy farthest-point sampling: the first pick is drawn at random, and every
    further pick is the embedding whose Euclidean distance to its nearest
    earlier pick is largest. Ties go to the lowest index. Where two embeddings
    repeat each other, a repetition is picked only when nothing else is left.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings of one class, n >= 1.
    k : int
        Number of proxies wanted, k >= 1. A class of fewer than `k` embeddings
        gives all it has.
    rng : numpy.random.Generator
        Draws the first pick and nothing else.

    Returns
    -------
    proxies : ndarray of shape (min(k, n), l)
        Rows of `X`, in the order they were picked.

    References
    ----------
    T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance",
    Theoretical Computer Science 38, 1985, section 2.

    Examples
    --------
    >>> line = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> proxies = farthest_points(line, k=2, rng=np.random.default_rng(0))
    >>> sorted(proxies.ravel().tolist())
    [0.0, 10.0]
    """
    first = int(rng.integers(len(X)))
    return X[_farthest(X, n_picks=min(k, len(X)), first=first)]


def _farthest(X: Array, *, n_picks: int, first: int) -> list[int]:
    """Return the row numbers of the picks.

    The running minimum is kept in float32 with a bound on its error; only the rows
    that may be the farthest are measured in float64, from their differences.
    """
    data = center(X)
    error = data.bound(data.rows)
    picked = [first]
    gaps = np.full(len(X), np.inf)  # squared distance to the nearest pick, roughly
    left = np.ones(len(X), dtype=bool)
    left[first] = False
    while len(picked) < n_picks:
        last = picked[-1]
        products = data.single @ data.single[last]
        np.minimum(gaps, data.squares + data.squares[last] - 2.0 * products, out=gaps)
        least = np.where(left, gaps - error, -np.inf).max()
        rivals = np.flatnonzero(left & (gaps + error >= least))
        exact = _gaps(X, rivals, picked)
        picked.append(int(rivals[exact.argmax()]))
        left[picked[-1]] = False
    return picked


def _gaps(X: Array, rows: Array, picked: list[int]) -> Array:
    """Return the squared distances of some rows to their nearest pick, float64."""
    few = X[rows].astype(np.float64)
    nearest = np.full(len(rows), np.inf)
    for pick in X[picked].astype(np.float64):
        difference = few - pick
        np.minimum(nearest, np.einsum("ij,ij->i", difference, difference), out=nearest)
    return nearest

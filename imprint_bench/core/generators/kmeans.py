"""k-means: the centers of the clusters of a class, equal to scikit-learn's and cheaper."""

import warnings
from collections.abc import Iterable

import numpy as np

from imprint_bench.core.generator import for_each_class
from imprint_bench.core.generators.centered import Array, Centered, center
from imprint_bench.core.generators.kmeans_steps import (
    Clustering,
    Undecided,
    lloyd,
    plus_plus,
    trials,
)
from imprint_bench.core.laps import Lap, untimed
from imprint_bench.params import PositiveInt


def cluster(X: Array, *, k: int, seed: int) -> Clustering:
    """Divide the rows of `X` into `k` clusters, as scikit-learn's `KMeans` does.

    By definition the result is that of ``KMeans(n_clusters=k, random_state=seed)`` on
    ``X.astype(float64)``: equal labels, equal centers up to rounding.

    Parameters
    ----------
    X : ndarray of shape (n, l), float32 or float64
        Rows, n >= 1. Not modified.
    k : int
        Number of clusters, k >= 1. With n < k, for which scikit-learn has no answer,
        every row is a cluster of its own, in the order of the rows.
    seed : int
        `random_state` of scikit-learn, 0 <= seed < 2**32.

    Returns
    -------
    clustering : Clustering
        Its centers are float64.

    References
    ----------
    scikit-learn, `sklearn.cluster.KMeans`: k-means++, one initialization, at most 300
    iterations of Lloyd, tolerance 1e-4.

    Examples
    --------
    >>> line = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> sorted(cluster(line, k=2, seed=0).centers.ravel().tolist())
    [0.5, 9.5]
    """
    return cluster_many(X, ks=[k], seed=seed)[k]


def cluster_many(
    X: Array, *, ks: Iterable[int], seed: int, lap: Lap = untimed
) -> dict[int, Clustering]:
    """Return ``{k: cluster(X, k=k, seed=seed)}``, sharing what the numbers of clusters share.

    That is the centering, and the picks of k-means++ of all k that draw the same
    number of candidates: those for the largest k begin with those for the others.
    """
    wanted = sorted(set(ks))
    data = center(X)
    largest = {trials(k): k for k in wanted if 1 < k <= len(X)}  # the last one stays
    picks = {t: _picks(data, n_picks=k, n_trials=t, seed=seed) for t, k in largest.items()}
    found = {}
    for k in wanted:
        with lap(k):
            found[k] = _one(X, data, k=k, picks=picks.get(trials(k)), seed=seed)
    return found


def kmeans_many_k(
    X: Array, *, ks: Iterable[int], seed: int, lap: Lap = untimed
) -> dict[int, Array]:
    """Return ``{k: kmeans(X, k=k, seed=seed)}`` at the cost of less than all of them."""
    many = cluster_many(X, ks=ks, seed=seed, lap=lap)
    return {k: found.centers.astype(X.dtype) for k, found in many.items()}


@for_each_class("kmeans", many_k=kmeans_many_k)
def kmeans(X: Array, *, k: PositiveInt, seed: int) -> Array:
    """Return the centers of `k` clusters of the embeddings of one class.

    Parameters
    ----------
    X : ndarray of shape (n, l), float32 or float64
        Embeddings of one class, n >= 1.
    k : int
        Number of proxies wanted, k >= 1. A class of fewer than `k` embeddings
        gives all it has. ``k=1`` is `mean`.
    seed : int
        `random_state` of scikit-learn's `KMeans`, whose result this is.

    Returns
    -------
    proxies : ndarray of shape (min(k, n), l)
        Cluster centers, same dtype as `X`, in the order of scikit-learn.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 3.1.

    Examples
    --------
    >>> line = np.array([[0.0], [1.0], [9.0], [10.0]])
    >>> sorted(kmeans(line, k=2, seed=0).ravel().tolist())
    [0.5, 9.5]
    """
    return kmeans_many_k(X, ks=[k], seed=seed)[k]


def _picks(data: Centered, *, n_picks: int, n_trials: int, seed: int) -> Array | None:
    try:
        return plus_plus(data, n_picks=n_picks, n_trials=n_trials, seed=seed)
    except Undecided:
        return None


def _one(X: Array, data: Centered, *, k: int, picks: Array | None, seed: int) -> Clustering:
    """Return the clustering for one k, by our steps if they are certain."""
    if k > len(X):
        return Clustering(np.arange(len(X)), X.astype(np.float64), 0)
    if k == 1:
        return Clustering(np.zeros(len(X), dtype=np.intp), data.mean[None], 0)
    if picks is None:
        return _by_scikit_learn(X, k=k, seed=seed)
    try:
        found = lloyd(data, data.rows[picks[:k]])
    except Undecided:
        return _by_scikit_learn(X, k=k, seed=seed)
    return Clustering(found.labels, found.centers + data.mean, found.n_iter)


def _by_scikit_learn(X: Array, *, k: int, seed: int) -> Clustering:
    """Return the clustering where rounding decides: then it must be scikit-learn's own."""
    from sklearn.cluster import KMeans
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # Said of rows that repeat each other; the proxies then repeat, too.
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = KMeans(n_clusters=k, random_state=seed).fit(X.astype(np.float64))
    return Clustering(found.labels_.astype(np.intp), found.cluster_centers_, int(found.n_iter_))

"""Oracles: the least-squares last layer, for classes or for clusters within classes."""

from collections.abc import Iterable
from typing import Annotated

import numpy as np
from scipy.linalg import LinAlgError, cho_solve, cholesky
from scipy.linalg.lapack import dpocon

from imprint_bench.core.generator import for_all_classes
from imprint_bench.core.generators.centered import Array
from imprint_bench.core.generators.kmeans import cluster_many
from imprint_bench.core.laps import Lap, untimed
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import AtLeast, PositiveInt

BLOCK = 8192  # rows that are turned to float64 at a time

WeightDecay = Annotated[float, AtLeast(0)]


@for_all_classes("least_squares")
def least_squares(X: Array, y: Array, *, weight_decay: WeightDecay) -> tuple[Array, Array]:
    """Return the rows of the least-squares last layer of a task, one for each class.

    They minimize the squared error to one-hot targets plus `weight_decay` times the
    squared norm, for balanced classes: W = (1/C) M^T (S + weight_decay I)^-1, with the
    class means as columns of M and S = X^T X / N.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings of all classes.
    y : ndarray of shape (n,)
        Class of each row, 0..C-1.
    weight_decay : float
        At least 0.

    Returns
    -------
    proxies : ndarray of shape (C, l)
        Same dtype as `X`.
    proxy_labels : ndarray of shape (C,)
        Class of each proxy, ascending.

    Raises
    ------
    DataError
        If S + weight_decay I is singular in float64.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 3.1, where S is
    written as total covariance plus outer product of the global mean. Same matrix.

    Examples
    --------
    >>> X, y = np.eye(2), np.array([0, 1])
    >>> least_squares(X, y, weight_decay=0.5)[0].tolist()
    [[0.5, 0.0], [0.0, 0.5]]
    """
    factor = _factor(X, weight_decay=weight_decay, name="least_squares")
    return _weights(factor, X, y, groups=y)


def k_least_squares_many_k(
    X: Array,
    y: Array,
    *,
    ks: Iterable[int],
    weight_decay: float,
    seed: int,
    lap: Lap = untimed,
) -> dict[int, tuple[Array, Array]]:
    """Return ``{k: k_least_squares(X, y, k=k, ...)}`` from one factorization of one matrix."""
    wanted = sorted(set(ks))
    groups = {k: np.zeros(len(y), dtype=np.intp) for k in wanted}
    for label in np.unique(y):
        rows = np.flatnonzero(y == label)
        for k, found in cluster_many(X[rows], ks=wanted, seed=seed, lap=lap).items():
            groups[k][rows] = label * k + found.labels
    factor = _factor(X, weight_decay=weight_decay, name="k_least_squares")
    made = {}
    for k in wanted:
        with lap(k):
            made[k] = _weights(factor, X, y, groups=groups[k])
    return made


@for_all_classes("k_least_squares", many_k=k_least_squares_many_k)
def k_least_squares(
    X: Array, y: Array, *, k: PositiveInt, weight_decay: WeightDecay, seed: int
) -> tuple[Array, Array]:
    """Return the least-squares last layer of a task whose classes are split by k-means.

    Every class is divided into `k` clusters, as by the generator `kmeans`; each cluster
    is a class of its own to `least_squares`. ``k=1`` is `least_squares`.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings of all classes.
    y : ndarray of shape (n,)
        Class of each row, 0..C-1.
    k : int
        Clusters for each class, k >= 1. In a class of fewer than `k` rows each row is one.
    weight_decay : float
        At least 0.
    seed : int
        `random_state` of k-means, the same for every class.

    Returns
    -------
    proxies : ndarray of shape (p, l)
        p <= k C; same dtype as `X`.
    proxy_labels : ndarray of shape (p,)
        Class of each proxy, ascending.

    Raises
    ------
    DataError
        If S + weight_decay I is singular in float64.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 5.3.
    """
    return k_least_squares_many_k(X, y, ks=[k], weight_decay=weight_decay, seed=seed)[k]


def _factor(X: Array, *, weight_decay: float, name: str) -> Array:
    """Return the lower Cholesky factor of S + weight_decay I."""
    if weight_decay < 0:
        raise ConfigError(
            f"gen.{name}.weight_decay: expected a float of at least 0, got {weight_decay!r}."
        )
    matrix = second_moment(X)
    matrix[np.diag_indices_from(matrix)] += weight_decay
    try:
        factor: Array = cholesky(matrix, lower=True)
        inverse_condition, _ = dpocon(factor, np.abs(matrix).sum(axis=0).max(), uplo="L")
    except LinAlgError:
        inverse_condition = 0.0
    if inverse_condition < len(matrix) * np.finfo(np.float64).eps:
        raise DataError(
            f"gen.{name}.weight_decay: with {weight_decay!r} the second moments of {len(X)} "
            f"embeddings of length {X.shape[1]} are singular; use a larger weight decay."
        )
    return factor


def _weights(factor: Array, X: Array, y: Array, *, groups: Array) -> tuple[Array, Array]:
    """Return one proxy for each group of rows, and the classes of the groups."""
    _, first = np.unique(groups, return_index=True)
    means = np.stack([X[groups == groups[i]].mean(axis=0, dtype=np.float64) for i in first])
    weights = cho_solve((factor, True), means.T).T / len(means)
    return weights.astype(X.dtype), y[first]


def second_moment(X: Array) -> Array:
    """Return X^T X / n, float64 of shape (l, l), without a float64 copy of `X`."""
    total = np.zeros((X.shape[1], X.shape[1]))
    for start in range(0, len(X), BLOCK):
        block = X[start : start + BLOCK].astype(np.float64)
        total += block.T @ block
    return total / len(X)

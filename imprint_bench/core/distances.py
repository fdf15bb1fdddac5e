"""Distances between queries and proxies, in float64."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, solve_triangular
from scipy.spatial.distance import cdist

from imprint_bench.core.normalization import l2_normalize
from imprint_bench.registry import Registry

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]

# Below this share of |q|^2 + |p|^2 a squared distance from inner products has lost
# too many digits to cancellation, and is computed from the difference instead.
CANCELLED = 1e-6


@dataclass(frozen=True)
class Metric:
    """A registered distance.

    Attributes
    ----------
    name : str
    distance : callable
        ``(queries (n, l), proxies (p, l)) -> distances (n, p)``, float64.
    of_task : bool
        Whether the distance to one proxy depends on the other proxies of the task.
    """

    name: str
    distance: Distance
    of_task: bool = False


METRICS: Registry[Metric] = Registry("metric")


def metric(name: str, *, of_task: bool = False) -> Callable[[Distance], Distance]:
    """Return a decorator that files a distance, unchanged."""

    def file(distance: Distance) -> Distance:
        METRICS.add(name, Metric(name, distance, of_task))
        return distance

    return file


@metric("euclidean")
def euclidean(queries: np.ndarray, proxies: np.ndarray) -> np.ndarray:
    """Return Euclidean distances.

    Parameters
    ----------
    queries : ndarray of shape (n, l)
    proxies : ndarray of shape (p, l)

    Returns
    -------
    ndarray of shape (n, p), float64
    """
    Q, P = queries.astype(np.float64), proxies.astype(np.float64)
    return euclidean_from_inner(Q @ P.T, Q, P, q_scale=np.ones(len(Q)), p_scale=np.ones(len(P)))


def euclidean_from_inner(
    inner: np.ndarray,
    queries: np.ndarray,
    proxies: np.ndarray,
    *,
    q_scale: np.ndarray,
    p_scale: np.ndarray,
) -> np.ndarray:
    """Return Euclidean distances between scaled rows, given their unscaled inner products.

    One matrix product thus serves rows as they are and L2-normalized rows. A
    pair so close that cancellation would cost digits is computed from the
    difference of its rows.

    Parameters
    ----------
    inner : ndarray of shape (n, p), float64
        ``queries @ proxies.T``; not modified.
    queries, proxies : ndarray of shape (n, l), (p, l), float64
    q_scale, p_scale : ndarray of shape (n,), (p,)
        The factor of every row.
    """
    q_squared = np.einsum("nl,nl->n", queries, queries) * q_scale**2
    p_squared = np.einsum("pl,pl->p", proxies, proxies) * p_scale**2
    squared = inner * (-2 * q_scale[:, None])
    squared *= p_scale
    total = q_squared[:, None] + p_squared
    squared += total
    total *= CANCELLED
    rows, columns = np.nonzero(squared <= total)
    distances = np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
    for part in np.array_split(np.arange(len(rows)), len(rows) // 4096 + 1):
        i, j = rows[part], columns[part]
        gap = queries[i] * q_scale[i, None] - proxies[j] * p_scale[j, None]
        distances[i, j] = np.sqrt(np.einsum("nl,nl->n", gap, gap))
    return distances


@metric("cosine")
def cosine(queries: np.ndarray, proxies: np.ndarray) -> np.ndarray:
    """Return 1 - cosine of the angle, clipped to [0, 2]; a zero row is at distance 1 of all."""
    Q, P = l2_normalize(queries.astype(np.float64)), l2_normalize(proxies.astype(np.float64))
    return np.clip(1 - Q @ P.T, 0, 2)


@metric("manhattan")
def manhattan(queries: np.ndarray, proxies: np.ndarray) -> np.ndarray:
    """Return sums of absolute differences."""
    return cdist(queries.astype(np.float64), proxies.astype(np.float64), "cityblock")


@metric("mahalanobis", of_task=True)
def mahalanobis(queries: np.ndarray, proxies: np.ndarray) -> np.ndarray:
    """Return Mahalanobis distances under the covariance of the proxies plus 1e-6 I.

    Computed as Euclidean distances after whitening: one factorization and one
    matrix product.

    Raises
    ------
    ValueError
        If there are fewer than two proxies, which have no covariance.
    """
    if len(proxies) < 2:
        raise ValueError("mahalanobis needs at least two proxies")
    P = proxies.astype(np.float64)
    center = P.mean(axis=0)
    P = P - center
    covariance = P.T @ P / (len(P) - 1)
    covariance.flat[:: len(covariance) + 1] += 1e-6
    factor = cho_factor(covariance, lower=True)[0]
    whiten = (solve_triangular(factor, (X.T), lower=True).T for X in (queries - center, P))
    return euclidean(*whiten)

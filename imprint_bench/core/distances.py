"""Distances between queries and proxies, in float64."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.linalg import cho_factor, solve_triangular
from scipy.spatial.distance import cdist

from imprint_bench.core.normalization import l2_normalize
from imprint_bench.registry import Registry

Distance = Callable[[np.ndarray, np.ndarray], np.ndarray]
Map = Callable[[np.ndarray], np.ndarray]

# Below this share of |q|^2 + |p|^2 a squared distance from inner products has lost
# too many digits to cancellation, and is computed from the difference instead.
CANCELLED = 1e-6
ROWS = 1 << 13  # that are turned to float64 at a time
COSINE_UNITS = 2.0**45  # in a cosine of 1


@dataclass(frozen=True)
class Metric:
    """A registered distance.

    Attributes
    ----------
    name : str
    distance : callable
        ``(queries (n, l), proxies (p, l)) -> distances (n, p)``, float64.
    fit : callable or None
        ``(proxies (p, l)) -> map``, where the distance is the Euclidean one between rows that
        ``map (n, l) -> (n, l)``, float64, has changed; it is fitted to the proxies of a task.
    """

    name: str
    distance: Distance
    fit: Callable[[np.ndarray], Map] | None = None


METRICS: Registry[Metric] = Registry("metric")


def metric(
    name: str, *, fit: Callable[[np.ndarray], Map] | None = None
) -> Callable[[Distance], Distance]:
    """Return a decorator that files a distance, unchanged."""

    def file(distance: Distance) -> Distance:
        METRICS.add(name, Metric(name, distance, fit))
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
    return euclidean_from_inner(Q @ P.T, Scaled.of(Q), Scaled.of(P))


class Scaled(NamedTuple):
    """Rows in float64, each with a factor.

    Attributes
    ----------
    rows : callable
        From the numbers of some rows to these rows, unscaled.
    squares : ndarray of shape (n,)
        Squared lengths of the unscaled rows.
    scale : ndarray of shape (n,)
        The factors.
    """

    rows: Callable[[np.ndarray], np.ndarray]
    squares: np.ndarray
    scale: np.ndarray

    @classmethod
    def of(cls, rows: np.ndarray, scale: np.ndarray | None = None) -> "Scaled":
        """Return the rows of an array (float64) with their factors, 1 by default."""
        squares = np.einsum("nl,nl->n", rows, rows)
        return cls(rows.__getitem__, squares, np.ones(len(rows)) if scale is None else scale)


def euclidean_from_inner(inner: np.ndarray, queries: Scaled, proxies: Scaled) -> np.ndarray:
    """Return Euclidean distances between scaled rows, given their unscaled inner products.

    One matrix product thus serves rows as they are and L2-normalized rows. A
    pair so close that cancellation would cost digits is computed from the
    difference of its rows.

    Parameters
    ----------
    inner : ndarray of shape (n, p), float64
        ``queries @ proxies.T``; not modified.
    queries, proxies : Scaled
        n and p rows.
    """
    q_squared = queries.squares * queries.scale**2
    p_squared = proxies.squares * proxies.scale**2
    squared = inner * (-2 * queries.scale[:, None])
    squared *= proxies.scale
    total = q_squared[:, None] + p_squared
    squared += total
    total *= CANCELLED
    rows, columns = np.nonzero(squared <= total)
    distances = np.sqrt(np.maximum(squared, 0, out=squared), out=squared)
    for part in np.array_split(np.arange(len(rows)), len(rows) // 4096 + 1):
        i, j = rows[part], columns[part]
        gap = queries.rows(i) * queries.scale[i, None] - proxies.rows(j) * proxies.scale[j, None]
        distances[i, j] = np.sqrt(np.einsum("nl,nl->n", gap, gap))
    return distances


@metric("cosine")
def cosine(queries: np.ndarray, proxies: np.ndarray) -> np.ndarray:
    """Return 1 - cosine of the angle, in [0, 2]; a zero row is at distance 1 of all."""
    Q, P = l2_normalize(queries.astype(np.float64)), l2_normalize(proxies.astype(np.float64))
    return cosine_distances(Q @ P.T)


def cosine_distances(cosines: np.ndarray) -> np.ndarray:
    """Return 1 - cosine, in multiples of 2^-45: below that, the cosines are rounding noise."""
    distances = np.rint((1 - cosines) * COSINE_UNITS)
    np.clip(distances, 0, 2 * COSINE_UNITS, out=distances)
    return np.abs(distances, out=distances) / COSINE_UNITS  # no negative zero, whose bits differ


@metric("manhattan")
def manhattan(queries: np.ndarray, proxies: np.ndarray) -> np.ndarray:
    """Return sums of absolute differences."""
    return cdist(queries.astype(np.float64), proxies.astype(np.float64), "cityblock")


def whitening(proxies: np.ndarray) -> Map:
    """Return the map after which the Mahalanobis distance is the Euclidean one.

    With the covariance C of the proxies and the Cholesky factor L L^T = C + 1e-6 I, a row
    becomes L^-1 (row - mean of the proxies).

    Parameters
    ----------
    proxies : ndarray of shape (p, l)

    Raises
    ------
    ValueError
        If there are fewer than two proxies, which have no covariance.
    """
    if len(proxies) < 2:
        raise ValueError("mahalanobis needs at least two proxies")
    center = proxies.mean(axis=0, dtype=np.float64)
    covariance = np.zeros((len(center), len(center)))
    for start in range(0, len(proxies), ROWS):  # no float64 copy of all proxies
        rows = proxies[start : start + ROWS] - center
        covariance += rows.T @ rows
    covariance /= len(proxies) - 1
    covariance.flat[:: len(covariance) + 1] += 1e-6
    factor = cho_factor(covariance, lower=True)[0]
    return lambda rows: solve_triangular(factor, (rows - center).T, lower=True).T


@metric("mahalanobis", fit=whitening)
def mahalanobis(queries: np.ndarray, proxies: np.ndarray) -> np.ndarray:
    """Return Mahalanobis distances under the covariance of the proxies plus 1e-6 I.

    Raises
    ------
    ValueError
        If there are fewer than two proxies, which have no covariance.
    """
    whiten = whitening(proxies)
    return euclidean(whiten(queries), whiten(proxies))

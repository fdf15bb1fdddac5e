"""Aggregations: from queries and proxies to class scores, straight from the definition."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from imprint_bench.core.distances import METRICS
from imprint_bench.core.noise import without_noise
from imprint_bench.params import PositiveInt
from imprint_bench.registry import Registry

Function = Callable[..., np.ndarray]

# Scores that differ by less than the rounding of float64 sums are tied.
TIE = 1e-12
SMALLEST = 1e-10  # added to a distance before it divides


@dataclass(frozen=True)
class Aggregation:
    """A registered way of turning proxies into class scores.

    Attributes
    ----------
    name : str
    function : callable
        ``(queries (n, l), proxies (p, l), proxy_labels (p,), *, <parameters>) -> scores (n, C)``;
        the labels are 0..C-1 in ascending order, and none is missing.
    """

    name: str
    function: Function


AGGREGATIONS: Registry[Aggregation] = Registry("aggregation")


def aggregation(name: str) -> Callable[[Function], Function]:
    """Return a decorator that files an aggregation, unchanged."""

    def file(function: Function) -> Function:
        AGGREGATIONS.add(name, Aggregation(name, function))
        return function

    return file


@aggregation("max")
def max_inner_product(
    queries: np.ndarray, proxies: np.ndarray, proxy_labels: np.ndarray
) -> np.ndarray:
    """Score a class with the largest inner product between the query and its proxies.

    Parameters
    ----------
    queries : ndarray of shape (n, l)
    proxies : ndarray of shape (p, l)
    proxy_labels : ndarray of shape (p,)
        0..C-1 in ascending order.

    Returns
    -------
    ndarray of shape (n, C), float64

    References
    ----------
    J. Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 3.1.
    """
    inner = queries.astype(np.float64) @ proxies.astype(np.float64).T
    return class_maxima(inner, class_starts(proxy_labels))


@aggregation("mnn")
def nearest_neighbors(
    queries: np.ndarray,
    proxies: np.ndarray,
    proxy_labels: np.ndarray,
    *,
    m: PositiveInt,
    metric: Literal["euclidean", "cosine", "manhattan", "mahalanobis"] = "euclidean",
    weighting: Literal["distance", "uniform"] = "distance",
) -> np.ndarray:
    """Let the `m` nearest of all proxies vote for their class.

    Parameters
    ----------
    queries : ndarray of shape (n, l)
    proxies : ndarray of shape (p, l)
    proxy_labels : ndarray of shape (p,)
        0..C-1 in ascending order.
    m : int
        Neighbors that vote; all proxies if there are fewer. Among equally far
        proxies those of the lowest class are nearer.
    metric : str
        Distance.
    weighting : {"distance", "uniform"}
        A vote counts 1 / (distance + 1e-10), or 1.

    Returns
    -------
    ndarray of shape (n, C), float64
        Sums of votes.

    References
    ----------
    J. Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 3.1.
    """
    distances = without_noise(METRICS[metric].distance(queries, proxies))
    nearest = _nearest(distances, min(m, len(proxies)))
    n_classes = int(proxy_labels[-1]) + 1
    weights = _votes(np.take_along_axis(distances, nearest, axis=1), weighting)
    cell = np.arange(len(queries))[:, None] * n_classes + proxy_labels[nearest]
    votes = np.bincount(cell.ravel(), weights.ravel(), minlength=len(queries) * n_classes)
    return votes.reshape(len(queries), n_classes)


def predict(scores: np.ndarray) -> np.ndarray:
    """Return the class with the largest score; ties go to the lowest class.

    Parameters
    ----------
    scores : ndarray of shape (n, C), float64

    Returns
    -------
    ndarray of shape (n,), int64

    Examples
    --------
    >>> predict(np.array([[1.0, 3.0, 3.0], [2.0, 1.0, 0.0]]))
    array([1, 0])
    """
    best = scores.max(axis=1, keepdims=True)
    return (scores >= best - TIE * np.abs(best)).argmax(axis=1)


def class_starts(proxy_labels: np.ndarray) -> np.ndarray:
    """Return the index of the first proxy of every class 0..C-1."""
    return np.searchsorted(proxy_labels, np.arange(int(proxy_labels[-1]) + 1))


def class_maxima(inner: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Return the largest entry of every class's columns.

    Parameters
    ----------
    inner : ndarray of shape (n, p)
    starts : ndarray of shape (C,)
        First column of every class.

    Returns
    -------
    ndarray of shape (n, C)
    """
    return np.maximum.reduceat(inner, starts, axis=1)


def _votes(distances: np.ndarray, weighting: str) -> np.ndarray:
    if weighting == "uniform":
        return np.ones(distances.shape)
    return 1 / (distances + SMALLEST)


def _nearest(distances: np.ndarray, m: int) -> np.ndarray:
    """Return the columns of the `m` smallest entries of every row; ties to the first column."""
    farthest = np.partition(distances, m - 1, axis=1)[:, m - 1 : m]
    nearer, tied = distances < farthest, distances == farthest
    room = m - nearer.sum(axis=1, keepdims=True)
    chosen = nearer | (tied & (tied.cumsum(axis=1) <= room))
    return np.nonzero(chosen)[1].reshape(len(distances), m)

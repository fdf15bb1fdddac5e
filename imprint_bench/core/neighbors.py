"""Nearest neighbors of many settings at once, from per-class lists of distances.

Within a class it does not matter which of its proxies are near, only how near
they are. So the distances of the nearest few of every class, sorted, serve
every task (a choice of classes), every m and both weightings.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from imprint_bench.core.aggregation import SMALLEST
from imprint_bench.core.noise import NOISE_BITS, bits_without_noise

CLASS_MASK = (1 << NOISE_BITS) - 1


def class_lists(distances: np.ndarray, starts: np.ndarray, *, depth: int) -> list[np.ndarray]:
    """Return the smallest distances to each class.

    Parameters
    ----------
    distances : ndarray of shape (n, p), float64
        To proxies that are sorted by class.
    starts : ndarray of shape (C,)
        First column of every class.
    depth : int
        Distances wanted per class, the largest m.

    Returns
    -------
    list of C ndarrays of shape (n, min(depth, proxies of the class)), float64
        In no order.
    """
    lists = []
    for part in np.split(distances, starts[1:], axis=1):
        if part.shape[1] > depth:
            part = np.partition(part, depth - 1, axis=1)[:, :depth]
        lists.append(part)
    return lists


def nearest_keys(lists: Sequence[np.ndarray], *, depth: int) -> np.ndarray:
    """Merge the lists of a task's classes into the nearest neighbors of every query.

    Parameters
    ----------
    lists : sequence of C ndarrays of shape (n, any)
        Distances of the task's classes, in its order; C <= 4096.
    depth : int
        Neighbors wanted.

    Returns
    -------
    ndarray of shape (n, min(depth, all)), int64
        The bits of the distance with the class in the last twelve, ascending:
        nearest first, equal distances in the order of classes.
    """
    marked = [bits_without_noise(part) | c for c, part in enumerate(lists)]
    keys = np.concatenate(marked, axis=1)
    if keys.shape[1] > depth:
        keys = np.partition(keys, depth - 1, axis=1)[:, :depth]
    return np.sort(keys, axis=1)


def votes(
    keys: np.ndarray, *, ms: Sequence[int], weighting: str, n_classes: int
) -> Iterator[np.ndarray]:
    """Yield the sums of votes for each of the ascending numbers `ms` of neighbors.

    Parameters
    ----------
    keys : ndarray of shape (n, depth), int64
        From `nearest_keys`.
    ms : sequence of int, ascending
        If fewer than m neighbors exist, all vote.
    weighting : {"distance", "uniform"}
    n_classes : int

    Yields
    ------
    ndarray of shape (n, n_classes), float64
    """
    n = len(keys)
    cell = (keys & CLASS_MASK) + np.arange(n)[:, None] * n_classes
    total, done = np.zeros(n * n_classes), 0
    for m in ms:
        new = slice(done, m)
        weights = None
        if weighting == "distance":
            distances = (keys[:, new] & ~CLASS_MASK).view(np.float64)
            weights = (1 / (distances + SMALLEST)).ravel()
        total = total + np.bincount(cell[:, new].ravel(), weights, minlength=n * n_classes)
        done = m
        yield total.reshape(n, n_classes)

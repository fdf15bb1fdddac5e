"""k-medoids: the most central row of every cluster, on one matrix of distances."""

from collections.abc import Iterable
from typing import Literal

import numpy as np

from imprint_bench.core.generator import for_each_class
from imprint_bench.core.generators.centered import Array
from imprint_bench.core.generators.pairwise import Distances
from imprint_bench.core.laps import Lap, untimed
from imprint_bench.errors import ConfigError
from imprint_bench.params import PositiveInt

MAX_ITERATIONS = 300

Method = Literal["alternate", "fasterpam"]
Backend = Literal["imprint_bench", "sklearn_extra"]

BUILD_SKLEARN_EXTRA = (
    "pip install --no-cache-dir --no-deps --no-build-isolation --no-binary scikit-learn-extra "
    "scikit-learn-extra"
)


def kmedoids_many_k(
    X: Array,
    *,
    ks: Iterable[int],
    method: Method = "alternate",
    backend: Backend = "imprint_bench",
    lap: Lap = untimed,
) -> dict[int, Array]:
    """Return ``{k: kmedoids(X, k=k, ...)}`` from one matrix of distances."""
    wanted = sorted(set(ks))
    if wanted[0] >= len(X):
        return {k: X.copy() for k in wanted}
    find = _by_fasterpam if method == "fasterpam" else _alternate
    if backend == "imprint_bench":
        distances = Distances(X)
        central = distances.central(max(k for k in wanted if k < len(X)))
    found = {}
    for k in wanted:
        with lap(k):
            if k >= len(X):
                found[k] = X.copy()
            elif backend == "sklearn_extra":
                found[k] = X[_by_sklearn_extra(X, k, method)]
            else:
                found[k] = X[find(distances, central[:k])]
    return found


@for_each_class("kmedoids", many_k=kmedoids_many_k)
def kmedoids(
    X: Array,
    *,
    k: PositiveInt,
    method: Method = "alternate",
    backend: Backend = "imprint_bench",
) -> Array:
    """Return `k` medoids of the embeddings of one class, under Euclidean distance.

    Both methods start from the `k` embeddings with the smallest sum of distances to
    all. ``alternate`` gives every embedding to its nearest medoid, moves every medoid
    to the embedding of its cluster with the smallest sum of distances to the others if
    that is smaller, and ends when no medoid moves, or after 300 iterations.
    ``fasterpam`` swaps medoids as long as that helps; it needs the package `kmedoids`.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings of one class, n >= 1. The distances take 4 n^2 bytes,
        and twice as many more where rows repeat each other.
    k : int
        Number of proxies wanted, k >= 1. A class of at most `k` embeddings
        gives all it has, in their order.
    method : {"alternate", "fasterpam"}
        ``alternate`` is what the paper used.
    backend : {"imprint_bench", "sklearn_extra"}
        ``sklearn_extra`` calls the package that the paper used; the medoids are the same.

    Returns
    -------
    proxies : ndarray of shape (min(k, n), l)
        Rows of `X`.

    Raises
    ------
    ConfigError
        If an optional package is missing or cannot be imported, or if `sklearn_extra`
        is asked for another method than ``alternate``.

    References
    ----------
    H.-S. Park and C.-H. Jun, "A simple and fast algorithm for K-medoids clustering",
    Expert Systems with Applications 36, 2009. E. Schubert and P. J. Rousseeuw, "Fast and
    eager k-medoids clustering", Information Systems 101, 2021 (fasterpam).

    Examples
    --------
    >>> line = np.array([[0.0], [1.0], [3.0], [9.0], [10.0], [12.0]])
    >>> sorted(kmedoids(line, k=2).ravel().tolist())
    [1.0, 10.0]
    """
    return kmedoids_many_k(X, ks=[k], method=method, backend=backend)[k]


def _alternate(distances: Distances, start: Array) -> Array:
    """Return the row numbers of the medoids at which the alternation ends."""
    medoids = start.copy()
    centers: dict[int, tuple[Array, int]] = {}  # cluster: its rows and the medoid they lead to
    for _ in range(MAX_ITERATIONS):
        labels = distances.nearest_of(medoids)
        before = medoids.copy()
        for cluster in range(len(medoids)):
            rows = np.flatnonzero(labels == cluster)
            if not len(rows):  # its medoid repeats another one, which took its rows
                continue
            known = centers.get(cluster)
            if known is None or not np.array_equal(known[0], rows):
                centers[cluster] = rows, distances.center_of(rows, int(medoids[cluster]))
            medoids[cluster] = centers[cluster][1]
        if np.array_equal(medoids, before):
            break
    return medoids


def _by_fasterpam(distances: Distances, start: Array) -> Array:
    try:
        from kmedoids import fasterpam
    except ImportError:
        raise ConfigError(
            "gen.kmedoids.method: 'fasterpam' needs the package kmedoids, which is not installed; "
            "pip install kmedoids (GPL-3.0-or-later)."
        ) from None
    found = fasterpam(
        distances.exact, start.astype(np.uint64), n_cpu=1
    )  # nothing random with a start
    return np.asarray(found.medoids, dtype=np.intp)


def _by_sklearn_extra(X: Array, k: int, method: Method) -> Array:
    if method != "alternate":
        raise ConfigError(
            f"gen.kmedoids.method: {method!r} does not exist with backend=sklearn_extra; "
            "use method=alternate, or backend=imprint_bench."
        )
    try:
        from sklearn_extra.cluster import KMedoids
    except (ImportError, ValueError):  # ValueError: built against another numpy
        raise ConfigError(
            "gen.kmedoids.backend: sklearn_extra cannot be imported; with Cython installed, "
            f"{BUILD_SKLEARN_EXTRA}."
        ) from None
    model = KMedoids(n_clusters=k, method="alternate", init="heuristic")
    found: Array = model.fit(X.astype(np.float64)).medoid_indices_
    return found

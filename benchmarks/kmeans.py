"""k-means against scikit-learn at equal labels, k-medoids against scikit-learn-extra."""

import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from sklearn.cluster import KMeans

from benchmarks.fresh import cpu_seconds
from benchmarks.synthetic import class_rows
from imprint_bench.core.generators.kmeans import cluster_many
from imprint_bench.core.generators.kmedoids import kmedoids_many_k

KS = (1, 2, 3, 5, 10, 20)
Row = dict[str, Any]


def made_up(n: int, *, length: int, count: int) -> dict[str, np.ndarray]:
    """Return `count` classes of `n` made-up embeddings, by name."""
    rng = np.random.default_rng(0)
    return {f"made up {i}": class_rows(n, length, rng=rng) for i in range(count)}


def measure(
    problems: dict[str, np.ndarray], *, ks: Sequence[int] = KS, repeats: int = 1
) -> list[Row]:
    """Return CPU seconds of ours and theirs for every k alone and for all k together.

    Parameters
    ----------
    problems : mapping from name to ndarray of shape (n, l), float32
        Rows of one class.
    ks : sequence of int
        Numbers of clusters.
    repeats : int
        Of which the fastest counts.

    Returns
    -------
    list of dict
        `equal` counts the rows whose cluster or, for k-medoids, the medoids that are
        the same; `of` is how many there are.
    """
    for ours, theirs in _methods().values():  # the first call of each loads libraries
        toy = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
        ours(toy, ks[:2])
        theirs(toy, ks[0])
    return [row for name, X in problems.items() for row in _of_problem(name, X, ks, repeats)]


def _of_problem(name: str, X: np.ndarray, ks: Sequence[int], repeats: int) -> Iterator[Row]:
    for method, (ours, theirs) in _methods().items():
        found: dict[int, tuple[np.ndarray, float]] = {}  # theirs, which has nothing to share
        for k in ks:
            answer, seconds = _timed(partial(theirs, X, k), repeats)
            found[k] = answer, seconds
        for chosen in (*((k,) for k in ks), tuple(ks)):
            mine, seconds = _timed(partial(ours, X, chosen), repeats)
            their = sum(found[k][1] for k in chosen)
            equal = [a == found[k][0] for k, a in zip(chosen, mine, strict=True)]
            yield {
                "method": method,
                "problem": name,
                "rows": len(X),
                "length": X.shape[1],
                "k": "+".join(map(str, chosen)),
                "cpu_seconds": seconds,
                "theirs_cpu_seconds": their,
                "speedup": their / seconds,
                "equal": int(sum(e.sum() for e in equal)),
                "of": sum(map(len, equal)),
            }


def _methods() -> dict[str, tuple[Callable, Callable]]:
    """Return ours, for several k, and theirs, for one, by the name of the method."""
    found: dict[str, tuple[Callable, Callable]] = {"kmeans": (_our_labels, _their_labels)}
    if has_sklearn_extra():
        found["kmedoids"] = (_our_medoids, _their_medoids)
    return found


def _timed(function: Callable[[], Any], repeats: int) -> tuple[Any, float]:
    answers = []
    seconds = cpu_seconds(lambda: answers.append(function()), repeats=repeats)
    return answers[-1], seconds


def _our_labels(X: np.ndarray, ks: Sequence[int]) -> list[np.ndarray]:
    found = cluster_many(X, ks=ks, seed=0)
    return [found[k].labels for k in ks]


def _their_labels(X: np.ndarray, k: int) -> np.ndarray:
    return KMeans(n_clusters=k, random_state=0).fit(X.astype(np.float64)).labels_


def _our_medoids(X: np.ndarray, ks: Sequence[int]) -> list[np.ndarray]:
    """Return the number of the row that every proxy is, ascending."""
    number = {row.tobytes(): i for i, row in enumerate(X)}
    found = kmedoids_many_k(X, ks=ks)
    return [np.sort([number[row.tobytes()] for row in found[k]]) for k in ks]


def has_sklearn_extra() -> bool:
    """Tell whether scikit-learn-extra is there and fits the NumPy that is there."""
    try:
        _their_medoids(np.eye(3, dtype=np.float32), 1)
    except (ImportError, ValueError):  # ValueError: built against another numpy
        return False
    return True


def _their_medoids(X: np.ndarray, k: int) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a package that nobody mends any more
        from sklearn_extra.cluster import KMedoids

        model = KMedoids(n_clusters=k, method="alternate", init="heuristic")
        return np.sort(model.fit(X.astype(np.float64)).medoid_indices_)

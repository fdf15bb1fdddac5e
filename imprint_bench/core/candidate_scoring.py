"""Predictions in float64 from a few candidate proxies of every query, taken pair by pair."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby

import numpy as np

from imprint_bench.core.aggregation import predict
from imprint_bench.core.distances import CANCELLED, cosine_distances
from imprint_bench.core.neighbors import votes
from imprint_bench.core.noise import bits_without_noise
from imprint_bench.core.normalization import inverse
from imprint_bench.core.operands import Proxies, squares
from imprint_bench.core.setting import Setting, TaskRows

VALUES = 1 << 22  # of the rows of pairs that are in memory at a time: 32 MiB

Pairs = tuple[np.ndarray, np.ndarray]


def candidate_predictions(
    queries: np.ndarray,
    proxies: Proxies,
    pairs: Pairs,
    tasks: Mapping[str, TaskRows],
    settings: Collection[Setting],
) -> dict[Setting, np.ndarray]:
    """Predict the queries of every setting from the proxies that may matter to them.

    Where a query has fewer candidates in a task than neighbors are wanted, its prediction
    for that setting means nothing.

    Parameters
    ----------
    queries : ndarray of shape (n, l)
    proxies : Proxies
    pairs : tuple of two ndarrays of int
        Rows of `queries` and numbers of proxies, ordered by both; every query has one or more.
    tasks : mapping from name to TaskRows
    settings : collection of Setting
        With `max` or `mnn`.

    Returns
    -------
    dict from Setting to ndarray of shape (queries of its task,), int64
    """
    values = _PairValues(queries, proxies, pairs, settings)
    labels = np.searchsorted(proxies.starts, pairs[1], side="right") - 1
    found: dict[Setting, np.ndarray] = {}
    for (name, kind), group in groupby(sorted(settings, key=_shares), key=_shares):
        task, members = tasks[name], list(group)
        if members[0].agg == "max":
            scores = np.full((len(queries), len(proxies.starts)), -np.inf)
            np.maximum.at(scores, (pairs[0], labels), values.of[kind])
            predicted = predict(scores[np.ix_(task.queries, task.classes)])
            found |= dict.fromkeys(members, predicted)
        else:
            place = np.full(len(proxies.starts), -1)
            place[task.classes] = np.arange(len(task.classes))
            keys = _keys(pairs[0], values.of[kind], place[labels], n=len(queries))
            found |= _voted(keys[task.queries], members, n_classes=len(task.classes))
    return found


def _shares(setting: Setting) -> tuple[str, tuple[str, ...]]:
    return setting.task, _kind(setting)


def _kind(setting: Setting) -> tuple[str, ...]:
    """Return what the values of pairs depend on."""
    if setting.agg == "max":
        return "inner", setting.norm_post
    metric = setting.params.get("metric", "euclidean")
    return metric, setting.norm_post, setting.norm_inf


class _PairValues:
    """Inner products and distances of pairs.

    Attributes
    ----------
    of : dict from kind to ndarray of shape (pairs,), float64
    """

    def __init__(
        self,
        queries: np.ndarray,
        proxies: Proxies,
        pairs: Pairs,
        settings: Collection[Setting],
    ) -> None:
        self.Q, self.proxies = queries.astype(np.float64), proxies
        self.q_squares = squares(self.Q)
        self.q_scale = {"none": np.ones(len(queries)), "l2": inverse(np.sqrt(self.q_squares))}
        self.p_scale = {"none": np.ones(len(proxies)), "l2": inverse(proxies.norms)}
        kinds = sorted({_kind(setting) for setting in settings})
        self.of = {kind: np.empty(len(pairs[0])) for kind in kinds}
        step = max(1, VALUES // proxies.length)
        for start in range(0, len(pairs[0]), step):
            some = slice(start, start + step)
            self._fill(some, pairs[0][some], pairs[1][some])

    def _fill(self, some: slice, rows: np.ndarray, columns: np.ndarray) -> None:
        Q, P = self.Q[rows], self.proxies.rows(columns)
        inner = np.einsum("pl,pl->p", Q, P)
        for kind, values in self.of.items():
            if kind[0] == "inner":
                values[some] = inner * self.p_scale[kind[1]][columns]
            elif kind[0] == "cosine":
                cosines = inner * self.q_scale["l2"][rows] * self.p_scale["l2"][columns]
                values[some] = cosine_distances(cosines)
            else:
                q_scale = self.q_scale[kind[2]][rows]
                p_scale = self.p_scale[kind[1]][columns]
                if kind[0] == "manhattan":
                    gap = Q * q_scale[:, None] - P * p_scale[:, None]
                    values[some] = np.abs(gap, out=gap).sum(axis=1)
                    continue
                total = self.q_squares[rows] * q_scale**2
                total += self.proxies.squares[columns] * p_scale**2
                squared = total - 2 * q_scale * p_scale * inner
                near = squared <= CANCELLED * total
                gap = Q[near] * q_scale[near, None] - P[near] * p_scale[near, None]
                squared[near] = np.einsum("pl,pl->p", gap, gap)
                values[some] = np.sqrt(squared)


def _keys(rows: np.ndarray, distances: np.ndarray, places: np.ndarray, *, n: int) -> np.ndarray:
    """Return the keys of `neighbors.nearest_keys` for the pairs of classes with a place."""
    inside = places >= 0
    rows = rows[inside]
    counts = np.bincount(rows, minlength=n)
    keys = np.full((n, counts.max(initial=1)), np.inf).view(np.int64)
    within = np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts)
    keys[rows, within] = bits_without_noise(distances[inside]) | places[inside]
    keys.sort(axis=1)
    return keys


def _voted(
    keys: np.ndarray, settings: Sequence[Setting], *, n_classes: int
) -> dict[Setting, np.ndarray]:
    found: dict[Setting, np.ndarray] = {}
    for weighting in ("distance", "uniform"):
        members = [s for s in settings if s.params.get("weighting", "distance") == weighting]
        ms = sorted({s.params["m"] for s in members})
        scores = votes(keys, ms=ms, weighting=weighting, n_classes=n_classes)
        for m, score in zip(ms, scores, strict=True):
            predicted = predict(score)
            found |= {s: predicted for s in members if s.params["m"] == m}
    return found

"""Predictions of many settings in float64, sharing their matrix product.

One product of all queries with all proxies serves every task (by choosing
columns), raw and L2-normalized queries and proxies (by scaling rows and
columns), the inner product, Euclidean and cosine distances, every m and both
weightings.
"""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby

import numpy as np

from imprint_bench.core.aggregation import AGGREGATIONS, class_maxima, predict
from imprint_bench.core.distances import METRICS, Scaled, cosine_distances, euclidean_from_inner
from imprint_bench.core.imprinting import BLOCK_ENTRIES
from imprint_bench.core.neighbors import class_lists, nearest_keys, votes
from imprint_bench.core.normalization import inverse
from imprint_bench.core.operands import Proxies, squares
from imprint_bench.core.setting import Setting, TaskRows


def exact_predictions(
    queries: np.ndarray,
    proxies: Proxies,
    tasks: Mapping[str, TaskRows],
    settings: Collection[Setting],
) -> dict[Setting, np.ndarray]:
    """Predict the queries of every setting; parameters as for `scoring.predictions`.

    Parameters
    ----------
    queries : ndarray of shape (n, l)
    proxies : Proxies
    tasks : mapping from name to TaskRows
    settings : collection of Setting
    """
    groups = _grouped(settings)
    found: dict[Setting, list[np.ndarray]] = {setting: [] for setting in settings}
    n_blocks, start = len(queries) * len(proxies) // BLOCK_ENTRIES + 1, 0
    for rows in np.array_split(queries, n_blocks):
        block = _Block(rows, proxies, tasks, start=start)
        start += len(rows)
        for agg, members in groups:
            for setting, predicted in SHARED.get(agg, _plain)(block, members):
                found[setting].append(predicted)
    return {setting: np.concatenate(parts) for setting, parts in found.items()}


def _grouped(settings: Collection[Setting]) -> list[tuple[str, list[Setting]]]:
    ordered = sorted(settings, key=lambda s: (s.agg, repr(s)))
    return [(agg, list(members)) for agg, members in groupby(ordered, key=lambda s: s.agg)]


class _Block:
    """Some consecutive queries with their inner products with all proxies."""

    def __init__(
        self, queries: np.ndarray, proxies: Proxies, tasks: Mapping[str, TaskRows], *, start: int
    ) -> None:
        self.Q = queries.astype(np.float64, copy=False)
        self.proxies = proxies
        self.classes = {name: task.classes for name, task in tasks.items()}
        self.rows = {name: task.within(start, start + len(queries)) for name, task in tasks.items()}
        self.scale = {"none": np.ones(len(queries)), "l2": inverse(np.sqrt(squares(self.Q)))}
        self.p_scale = {"none": np.ones(len(proxies)), "l2": inverse(proxies.norms)}

    @cached_property
    def inner(self) -> np.ndarray:
        """Inner products of unscaled rows, of shape (queries, proxies)."""
        return self.proxies.inner(self.Q)

    def distances(self, metric: str, norm_post: str, norm_inf: str) -> np.ndarray:
        """Return the distances of all queries to all proxies."""
        if metric == "cosine":
            cosines = self.inner * self.scale["l2"][:, None] * self.p_scale["l2"]
            return cosine_distances(cosines)
        q_scale, p_scale = self.scale[norm_inf], self.p_scale[norm_post]
        if metric == "euclidean":
            return euclidean_from_inner(
                self.inner,
                Scaled.of(self.Q, q_scale),
                Scaled(self.proxies.rows, self.proxies.squares, p_scale),
            )
        return METRICS[metric].distance(
            self.Q * q_scale[:, None], self.proxies.double * p_scale[:, None]
        )

    def of_task(self, setting: Setting) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return normalized queries, normalized proxies and proxy labels of one task."""
        rows = self.rows[setting.task]
        columns, labels = self.proxies.of(self.classes[setting.task])
        queries = self.Q[rows] * self.scale[setting.norm_inf][rows, None]
        scale = self.p_scale[setting.norm_post][columns, None]
        return queries, self.proxies.rows(columns) * scale, labels


Predicted = Iterator[tuple[Setting, np.ndarray]]


def _max(block: _Block, settings: Sequence[Setting]) -> Predicted:
    for norm_post, members in groupby(_by(settings, "norm_post"), key=lambda s: s.norm_post):
        inner = block.inner
        if norm_post != "none":
            inner = inner * block.p_scale[norm_post]
        scores = class_maxima(inner, block.proxies.starts)
        for setting in members:
            rows, classes = block.rows[setting.task], block.classes[setting.task]
            yield setting, predict(scores[np.ix_(rows, classes)])


def _mnn(block: _Block, settings: Sequence[Setting]) -> Predicted:
    depth = max(s.params["m"] for s in settings)

    def kind(s: Setting) -> tuple[str, str, str]:
        return s.params.get("metric", "euclidean"), s.norm_post, s.norm_inf

    for (metric, post, inf), group in groupby(sorted(settings, key=kind), key=kind):
        by_task = {t: list(g) for t, g in groupby(_by(list(group), "task"), key=lambda s: s.task)}
        lists = class_lists(block.distances(metric, post, inf), block.proxies.starts, depth=depth)
        for task, members in by_task.items():
            rows = block.rows[task]
            yield from _vote([lists[c][rows] for c in block.classes[task]], members, depth)


def _vote(lists: Sequence[np.ndarray], settings: Sequence[Setting], depth: int) -> Predicted:
    keys = nearest_keys(lists, depth=depth)
    ms = sorted({s.params["m"] for s in settings})
    for weighting in ("distance", "uniform"):
        members = [s for s in settings if s.params.get("weighting", "distance") == weighting]
        if members:
            scores = votes(keys, ms=ms, weighting=weighting, n_classes=len(lists))
            for m, score in zip(ms, scores, strict=True):
                predicted = None
                for setting in members:
                    if setting.params["m"] == m:
                        predicted = predict(score) if predicted is None else predicted
                        yield setting, predicted


def _plain(block: _Block, settings: Sequence[Setting]) -> Predicted:
    """Score an aggregation that shares nothing, straight from its definition."""
    for setting in settings:
        score = AGGREGATIONS[setting.agg].function
        yield setting, predict(score(*block.of_task(setting), **setting.params))


def _by(settings: Sequence[Setting], axis: str) -> list[Setting]:
    return sorted(settings, key=lambda s: getattr(s, axis))


SHARED: dict[str, Callable[[_Block, Sequence[Setting]], Predicted]] = {"max": _max, "mnn": _mnn}

"""Predictions in float32, and the queries for which float32 does not decide.

A matrix product in float32 costs half of one in float64, and its error has a bound
that holds whatever the order of its additions. A prediction is certain where no
error within the bound could change it (`certainty`); `scoring` makes the others in
float64.

Proxies are taken in chunks of whole classes, so that the products of some queries
with a chunk stay in the cache while they are reduced: to the largest of every
class, and to the few of every class that may be near. The matrix of all queries
and proxies is never there.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from imprint_bench.core.certainty import Nearest, decide_maxima, decide_votes, product_error
from imprint_bench.core.manhattan import is_compiled, kernel
from imprint_bench.core.normalization import inverse
from imprint_bench.core.operands import Chunk, Proxies, Queries
from imprint_bench.core.setting import Setting, TaskRows

SAFE_NORMS = (1e-10, 1e10)  # lengths whose products neither overflow nor vanish in float32
EQUAL_NORMS = 2.0**-20  # lengths that differ relatively by less count as equal, with an error
SPARE = 8  # nearest proxies beyond those that vote, to see which may be exchanged with them
SCREENED_METRICS = ("euclidean", "cosine")
PRODUCTS = 1 << 22  # of some queries with a chunk: 16 MiB

Found = dict[Setting, np.ndarray]
Decided = Iterator[tuple[Setting, np.ndarray, np.ndarray]]  # predictions, and where certain


def screened(
    queries: Queries,
    proxies: Proxies,
    tasks: Mapping[str, TaskRows],
    settings: Collection[Setting],
) -> tuple[Found, Found]:
    """Predict the queries of every setting in float32; parameters as for `scoring.predictions`.

    Returns
    -------
    predictions : dict from Setting to ndarray of shape (queries of its task,), int64
        Without the settings that float32 cannot predict.
    doubts : dict from Setting to ndarray of int
        Numbers of the queries whose prediction is not certain.
    """
    ranking = _Ranking(queries, proxies)
    settings = [setting for setting in settings if ranking.can_predict(setting)]
    found: dict[Setting, list[np.ndarray]] = {setting: [] for setting in settings}
    doubts: dict[Setting, list[np.ndarray]] = {setting: [] for setting in settings}
    if not settings:
        return {}, {}
    reducer = _Reducer(queries, proxies, ranking, settings)
    for start in range(0, len(queries.rows), reducer.step):
        stop = min(start + reducer.step, len(queries.rows))
        own = {name: task.within(start, stop) for name, task in tasks.items()}
        reduced = reducer(start, stop)
        for setting, predicted, certain in _decided(reduced, ranking, tasks, own, settings):
            found[setting].append(predicted)
            doubts[setting].append(own[setting.task][~certain] + start)
    return _whole(found), _whole(doubts)


class _Ranking:
    """What ranks the proxies of a query, and what is needed of the proxies for it."""

    def __init__(self, queries: Queries, proxies: Proxies) -> None:
        self.norms = proxies.norms
        self.longest = np.maximum.reduceat(self.norms, proxies.starts)  # of every class
        # No length makes a difference: after an L2 norm, or because X was L2-normalized.
        self.flat = bool(np.ptp(self.norms) <= EQUAL_NORMS * self.norms.max())
        self.length = proxies.length
        self.error = product_error(proxies.length)
        lengths = self.norms[self.norms > 0]
        self._safe = bool(
            queries.norms.max(initial=0.0) < SAFE_NORMS[1]
            and (lengths > SAFE_NORMS[0]).all()
            and (lengths < SAFE_NORMS[1]).all()
        )

    def can_predict(self, setting: Setting) -> bool:
        """Whether float32 can predict a setting; distances need proxies with a direction."""
        if not self._safe or setting.agg not in ("max", "mnn"):
            return False
        if setting.agg == "max":
            return True
        metric = setting.params.get("metric", "euclidean")
        if metric == "manhattan":
            return is_compiled()
        return metric in SCREENED_METRICS and bool(self.norms.min() > 0)

    def order(self, setting: Setting) -> str:
        """Return what ranks the proxies: products, products per length, or a distance."""
        if setting.params.get("metric") == "manhattan":
            return f"manhattan {setting.norm_post} {setting.norm_inf}"
        norm_post = "l2" if setting.params.get("metric") == "cosine" else setting.norm_post
        if self.flat or (setting.agg == "max" and norm_post == "none"):
            return "product"
        return "angle" if norm_post == "l2" else f"distance {setting.norm_inf}"


class _Reduced(NamedTuple):
    """What is left of the products of some queries with all proxies, by what ranks the proxies."""

    norms: np.ndarray  # lengths of the queries
    maxima: dict[str, np.ndarray]  # (queries, C)
    lists: dict[str, list[np.ndarray]]  # of every class: (queries, up to depth)


class _Reducer:
    """Multiplies queries with proxies and reduces the products while they are in the cache."""

    def __init__(
        self,
        queries: Queries,
        proxies: Proxies,
        ranking: _Ranking,
        settings: Collection[Setting],
    ) -> None:
        self.queries, self.proxies = queries, proxies
        near = [s for s in settings if s.agg == "mnn"]
        self.maxima = {ranking.order(s) for s in settings if s.agg == "max"}
        self.lists = {ranking.order(s) for s in near}
        self.orders = sorted(self.maxima | self.lists)
        self.depth = SPARE + max((s.params["m"] for s in near), default=0)
        width = max(chunk.columns.stop - chunk.columns.start for chunk in proxies.chunks)
        self.step = max(1, min(PRODUCTS // width, len(queries.rows)))
        self._products = np.empty(self.step * width, dtype=np.float32)
        self._values = np.empty(self.step * width, dtype=np.float32)
        self._inverse = inverse(proxies.norms).astype(np.float32)
        self._halves = (proxies.squares / 2).astype(np.float32)

    def __call__(self, start: int, stop: int) -> _Reduced:
        """Reduce the products of the queries start..stop-1."""
        rows, n_classes = self.queries.single[start:stop], len(self.proxies.starts)
        norms = self.queries.norms[start:stop]
        maxima = {o: np.empty((len(rows), n_classes), np.float32) for o in self.maxima}
        lists: dict[str, list[np.ndarray]] = {order: [] for order in self.lists}
        for chunk, single in zip(self.proxies.chunks, self.proxies.single, strict=True):
            shape = len(rows), len(single)
            products = self._products[: shape[0] * shape[1]].reshape(shape)
            if not all(order.startswith("manhattan") for order in self.orders):
                np.matmul(rows, single.T, out=products)
            for order in self.orders:
                if order.startswith("manhattan"):
                    values = self._manhattan(order, rows, single, chunk, norms)
                else:
                    values = self._ranked(order, products, chunk, norms)
                if order in maxima:
                    out = maxima[order][:, chunk.classes]
                    np.maximum.reduceat(values, chunk.starts, axis=1, out=out)
                if order in lists:
                    lists[order] += _largest(values, chunk.starts, depth=self.depth)
        return _Reduced(norms, maxima, lists)

    def _ranked(
        self, order: str, products: np.ndarray, chunk: Chunk, norms: np.ndarray
    ) -> np.ndarray:
        """Return for every query and proxy what ranks the proxies of a query, nearest largest."""
        values = self._values[: products.size].reshape(products.shape)
        if order == "product":
            if order not in self.lists:
                return products
            np.copyto(values, products)  # `_largest` moves them
        elif order == "angle":
            np.multiply(products, self._inverse[chunk.columns], out=values)
        else:
            scale = _scale(norms, order.removeprefix("distance "))
            np.multiply(products, scale.astype(np.float32)[:, None], out=values)
            values -= self._halves[chunk.columns]
        return values

    def _manhattan(
        self,
        order: str,
        rows: np.ndarray,
        single: np.ndarray,
        chunk: Chunk,
        norms: np.ndarray,
    ) -> np.ndarray:
        """Return the Manhattan distances of queries to the proxies of a chunk, negative."""
        _, norm_post, norm_inf = order.split()
        if norm_post == "l2":
            single = single * self._inverse[chunk.columns, None]
        if norm_inf == "l2":
            rows = rows * _scale(norms, norm_inf).astype(np.float32)[:, None]
        values = self._values[: len(rows) * len(single)].reshape(len(rows), len(single))
        kernel()(np.ascontiguousarray(rows), np.ascontiguousarray(single), values)
        return np.negative(values, out=values)


def _decided(
    reduced: _Reduced,
    ranking: _Ranking,
    tasks: Mapping[str, TaskRows],
    own: Mapping[str, np.ndarray],
    settings: Collection[Setting],
) -> Decided:
    """Yield the predictions of some queries for every setting, and which of them are certain."""

    def shares(setting: Setting) -> tuple[str, str, str]:
        return setting.agg, setting.task, ranking.order(setting)

    for (agg, task, order), group in groupby(sorted(settings, key=shares), key=shares):
        rows, classes = own[task], tasks[task].classes
        norms = reduced.norms[rows]
        if agg == "max":
            values = reduced.maxima[order][np.ix_(rows, classes)]
            length = ranking.longest[classes] if order == "product" else np.ones(len(classes))
            error = ranking.error + 2 * EQUAL_NORMS * ranking.flat
            found = decide_maxima(values, error * norms[:, None] * length)
            yield from ((setting, *found) for setting in group)
        else:
            lists = [reduced.lists[order][c][rows] for c in classes]
            yield from _voted(lists, norms, ranking, list(group))


def _voted(
    lists: Sequence[np.ndarray], norms: np.ndarray, ranking: _Ranking, settings: Sequence[Setting]
) -> Decided:
    """Yield the same of settings with one task and one order of the proxies."""
    nearest = Nearest.merged(lists, depth=SPARE + max(s.params["m"] for s in settings))

    def kind(s: Setting) -> tuple[str, str, str]:
        return s.params.get("metric", "euclidean"), s.norm_post, s.norm_inf

    def use(s: Setting) -> tuple[int, str]:
        return s.params["m"], s.params.get("weighting", "distance")

    for (metric, norm_post, norm_inf), group in groupby(sorted(settings, key=kind), key=kind):
        members = list(group)
        lengths = norms * _scale(norms, norm_inf)
        if metric == "manhattan":
            near = _manhattan_distances(nearest.values, lengths, norm_post, ranking)
        elif metric == "cosine":
            near = _cosine_distances(nearest.values, norms, ranking)
        elif ranking.order(members[0]).startswith("distance"):
            near = _from_distance_order(nearest.values, lengths, ranking)
        else:
            cosines, error = _cosines(nearest.values, norms, ranking)
            length = 1.0 if norm_post == "l2" else ranking.norms.max()
            near = _from_cosines(cosines, error, lengths, length, flat=ranking.flat)
        votes = decide_votes(nearest, *near, {use(s) for s in members}, n_classes=len(lists))
        yield from ((setting, *votes[use(setting)]) for setting in members)


Bounded = tuple[np.ndarray, np.ndarray]  # values and bounds on their errors, float64


def _cosines(values: np.ndarray, norms: np.ndarray, ranking: _Ranking) -> tuple[np.ndarray, float]:
    """Return the cosines of products with equally long proxies, and a bound on their errors."""
    length = ranking.norms.max() if ranking.flat else 1.0
    error = ranking.error + 2 * EQUAL_NORMS * ranking.flat
    return values * inverse(norms)[:, None] / length, error


def _cosine_distances(values: np.ndarray, norms: np.ndarray, ranking: _Ranking) -> Bounded:
    cosines, error = _cosines(values, norms, ranking)
    return np.clip(1 - cosines, 0, 2), np.full(cosines.shape, error)


def _manhattan_distances(
    values: np.ndarray, lengths: np.ndarray, norm_post: str, ranking: _Ranking
) -> Bounded:
    """Return Manhattan distances; a sum of one sign errs by little more than each of its terms."""
    longest = 1.0 if norm_post == "l2" else ranking.norms.max()
    # Rounded rows: each number is wrong by a share of itself, so all by one of sqrt(l) lengths.
    slack = product_error(4) * np.sqrt(ranking.length) * (lengths + longest)
    return -values, -values * ranking.error + slack[:, None]


def _from_cosines(
    cosines: np.ndarray, error: float, lengths: np.ndarray, length: float, *, flat: bool
) -> Bounded:
    """Return Euclidean distances of queries of some lengths to proxies of one length."""
    squared = lengths[:, None] ** 2 + length**2 - 2 * length * lengths[:, None] * cosines
    slack = 2 * length * lengths * error + 2 * length**2 * EQUAL_NORMS * flat
    return _root(squared, slack)


def _from_distance_order(values: np.ndarray, lengths: np.ndarray, ranking: _Ranking) -> Bounded:
    """Return Euclidean distances from products less half the square of the proxy's length."""
    longest = ranking.norms.max()
    squared = lengths[:, None] ** 2 - 2 * values
    rounding = product_error(4) * (longest**2 + longest * lengths)
    return _root(squared, 2 * ranking.error * longest * lengths + 2 * rounding)


def _root(squared: np.ndarray, slack: np.ndarray) -> Bounded:
    """Return square roots, with bounds on their errors from those of the squares."""
    roots = np.sqrt(np.maximum(squared, 0))
    error = np.divide(
        slack[:, None], roots, out=np.full(roots.shape, np.inf), where=squared > slack[:, None]
    )
    return roots, error


def _scale(norms: np.ndarray, norm_inf: str) -> np.ndarray:
    """Return by what `norm_inf` multiplies queries of these lengths."""
    return inverse(norms) if norm_inf == "l2" else np.ones(len(norms))


def _largest(values: np.ndarray, starts: np.ndarray, *, depth: int) -> list[np.ndarray]:
    """Return the largest values of every class, in no order; `values` are put in another order."""
    lists = []
    for part in np.split(values, starts[1:], axis=1):
        if (rest := part.shape[1] - depth) > 0:
            part.partition(rest, axis=1)
            lists.append(part[:, rest:].copy())
        else:
            lists.append(part.copy())
    return lists


def _whole(parts: Mapping[Setting, Sequence[np.ndarray]]) -> Found:
    return {setting: np.concatenate(arrays) for setting, arrays in parts.items()}

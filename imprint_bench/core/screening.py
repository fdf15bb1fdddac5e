"""Predictions in float32, and the queries for which float32 does not decide.

A matrix product in float32 costs half of one in float64, and its error has a bound
that holds whatever the order of its additions. A prediction is certain where no
error within the bound could change it (`certainty`). For the other queries the bound
leaves few proxies that may matter; `scoring` predicts from these in float64.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from imprint_bench.core.certainty import Nearest, decide_maxima, decide_votes
from imprint_bench.core.operands import Proxies, Queries
from imprint_bench.core.ranking import Ranking
from imprint_bench.core.reducing import Reduced, Reducer
from imprint_bench.core.setting import Setting, TaskRows

SPARE = 8  # nearest proxies beyond those that vote, to see which may be exchanged with them

Found = dict[Setting, np.ndarray]


class Screened:
    """What float32 can say.

    Attributes
    ----------
    found : dict from Setting to ndarray of shape (queries of its task,), int64
        Predictions, without the settings that float32 cannot predict.
    doubts : dict from Setting to ndarray of int
        Numbers of the queries whose prediction is not certain, ascending.
    rows : ndarray of int
        Numbers of all queries in doubt, ascending.
    """

    def __init__(
        self,
        queries: Queries,
        proxies: Proxies,
        tasks: Mapping[str, TaskRows],
        settings: Collection[Setting],
    ) -> None:
        self.ranking = Ranking(queries, proxies)
        self.settings = [setting for setting in settings if self.ranking.can_predict(setting)]
        self.found: Found = {}
        self.doubts: Found = {}
        self.rows = np.empty(0, dtype=np.intp)
        self._queries, self._proxies, self._tasks = queries, proxies, tasks
        self._predicted: dict[Setting, list[np.ndarray]] = {s: [] for s in self.settings}
        self._doubted: dict[Setting, list[np.ndarray]] = {s: [] for s in self.settings}
        self._reaches: list[_Reach] = []

    def orders(self, agg: str) -> set[str]:
        """Return the orders of the proxies that settings with an aggregation need."""
        return {self.ranking.order(s) for s in self.settings if s.agg == agg}

    def add(self, some: slice, reduced: Reduced) -> None:
        """Note what some more queries have; they follow those that were added before."""
        own = {name: task.within(some.start, some.stop) for name, task in self._tasks.items()}
        reach = _Reach(some, len(self.ranking.longest))
        decided = _decided(reduced, self.ranking, self._tasks, own, self.settings)
        for setting, decision in decided:
            self._predicted[setting].append(decision.predicted)
            rows = own[setting.task][~decision.certain]
            self._doubted[setting].append(rows + some.start)
            order, classes = self.ranking.order(setting), self._tasks[setting.task].classes
            reach.add(order, rows, classes, decision.reach[~decision.certain])
        self._reaches.append(reach)

    def finish(self) -> None:
        """Join what was added."""
        self.found, self.doubts = _whole(self._predicted), _whole(self._doubted)
        if self.doubts:
            self.rows = np.unique(np.concatenate(list(self.doubts.values())))

    def candidates(self) -> Iterator[tuple[np.ndarray, tuple[np.ndarray, np.ndarray] | None]]:
        """Yield some of `rows` at a time, with the proxies that may matter to them.

        Those are pairs of a place among the yielded rows and the number of a proxy,
        ordered by both; or None, where they are too many to be taken one by one.
        """
        orders = {order for reach in self._reaches for order in reach.of}
        reach = {
            order: np.concatenate([part.of_doubts(order, self.rows) for part in self._reaches])
            for order in orders
        }
        reducer = Reducer(self._queries, self._proxies)
        for start in range(0, len(self.rows), reducer.step):
            own = slice(start, start + reducer.step)
            some = {order: values[own] for order, values in reach.items()}
            yield self.rows[own], reducer.within_reach(self.rows[own], some)


def screen_twins(
    queries: Queries,
    twins: Sequence[tuple[Proxies, Collection[Setting]]],
    tasks: Mapping[str, TaskRows],
) -> list[Screened]:
    """Predict what float32 can predict; parameters as for `scoring.predictions_of_twins`.

    Two share one product: proxies of length one rank as the angles of the others do.
    """
    screens = [Screened(queries, proxies, tasks, settings) for proxies, settings in twins]
    if len(screens) > 1 and not _share_product(*screens):
        return [screen_twins(queries, [one], tasks)[0] for one in twins]
    orders = {agg: screens[0].orders(agg) for agg in ("max", "mnn")}
    for twin in screens[1:]:
        for agg, own in orders.items():
            own |= {"angle"} if twin.orders(agg) else set()
    if orders["max"] | orders["mnn"]:
        ms = [s.params["m"] for screen in screens for s in screen.settings if s.agg == "mnn"]
        depth = SPARE + max(ms, default=0)
        reducer = Reducer(
            queries, twins[0][0], maxima=orders["max"], lists=orders["mnn"], depth=depth
        )
        for start in range(0, len(queries.rows), reducer.step):
            some = slice(start, min(start + reducer.step, len(queries.rows)))
            reduced = reducer(some)
            screens[0].add(some, reduced)
            for twin in screens[1:]:
                twin.add(some, reduced.of_twin())
    for screen in screens:
        screen.finish()
    return screens


def _share_product(one: Screened, twin: Screened) -> bool:
    """Tell whether the angles of the first proxies say all about the twin's, and are known."""
    orders = twin.orders("max") | twin.orders("mnn")
    known = bool(one.ranking.norms.min() > 0) and bool(one.settings)
    return known and twin.ranking.of_unit_length and orders == {"product"}


class _Reach:
    """From which value on a proxy may matter to a query in doubt, by order and class."""

    def __init__(self, some: slice, n_classes: int) -> None:
        self.some = some
        self.shape = some.stop - some.start, n_classes
        self.of: dict[str, np.ndarray] = {}

    def add(self, order: str, rows: np.ndarray, classes: np.ndarray, reach: np.ndarray) -> None:
        """Lower the values of some rows and classes to `reach`, of shape (rows, C) or (rows, 1)."""
        if len(rows):
            known = self.of.setdefault(order, np.full(self.shape, np.inf, dtype=np.float32))
            place = np.ix_(rows, classes)
            down = np.nextafter(reach.astype(np.float32), np.float32(-np.inf))
            known[place] = np.minimum(known[place], down)

    def of_doubts(self, order: str, rows: np.ndarray) -> np.ndarray:
        """Return the values for those of `rows` that are among these queries."""
        first, last = np.searchsorted(rows, [self.some.start, self.some.stop])
        own = rows[first:last] - self.some.start
        if order in self.of:
            return self.of[order][own]
        return np.full((len(own), self.shape[1]), np.inf, dtype=np.float32)


class _Decided(NamedTuple):
    """Predictions of some queries, and what another prediction would have to come from.

    Attributes
    ----------
    predicted : ndarray of shape (n,), int64
    certain : ndarray of shape (n,), bool
    reach : ndarray of shape (n, C) or (n, 1)
        What ranks the proxies of a class and is less than this does not matter.
    """

    predicted: np.ndarray
    certain: np.ndarray
    reach: np.ndarray


def _decided(
    reduced: Reduced,
    ranking: Ranking,
    tasks: Mapping[str, TaskRows],
    own: Mapping[str, np.ndarray],
    settings: Collection[Setting],
) -> Iterator[tuple[Setting, _Decided]]:
    """Yield what float32 says about some queries for every setting."""

    def shares(setting: Setting) -> tuple[str, str, str]:
        return setting.agg, setting.task, ranking.order(setting)

    for (agg, task, order), group in groupby(sorted(settings, key=shares), key=shares):
        rows, classes = own[task], tasks[task].classes
        norms = reduced.norms[rows]
        if agg == "max":
            values = reduced.maxima[order][np.ix_(rows, classes)].astype(np.float64)
            error = ranking.of_maxima(order, norms, classes)
            lowest = (values - error).max(axis=1, keepdims=True)
            decided = _Decided(*decide_maxima(values, error), lowest - error)
            yield from ((setting, decided) for setting in group)
        else:
            lists = [reduced.lists[order][c][rows] for c in classes]
            yield from _voted(lists, norms, ranking, list(group))


def _voted(
    lists: Sequence[np.ndarray], norms: np.ndarray, ranking: Ranking, settings: Sequence[Setting]
) -> Iterator[tuple[Setting, _Decided]]:
    """Yield the same of settings with one task and one order of the proxies."""
    most = max(s.params["m"] for s in settings)
    nearest = Nearest.merged(lists, depth=SPARE + most)

    def kind(s: Setting) -> tuple[str, str, str]:
        return s.params.get("metric", "euclidean"), s.norm_post, s.norm_inf

    def use(s: Setting) -> tuple[int, str]:
        return s.params["m"], s.params.get("weighting", "distance")

    for _, group in groupby(sorted(settings, key=kind), key=kind):
        members = list(group)
        near, error = ranking.distances(members[0], nearest.values, norms)
        votes = decide_votes(nearest, *near, {use(s) for s in members}, n_classes=len(lists))
        # A proxy that may be among the nearest ranks no lower than the last of them, less what
        # both may err by. An error that grows with the value grows by less than one half of it.
        last = min(most, nearest.values.shape[1]) - 1
        reach = (
            nearest.values[:, last : last + 1] - 3 * error[:, min(last, error.shape[1] - 1), None]
        )
        for setting in members:
            yield setting, _Decided(*votes[use(setting)], reach)


def _whole(parts: Mapping[Setting, Sequence[np.ndarray]]) -> Found:
    return {setting: np.concatenate(arrays) for setting, arrays in parts.items()}

"""Predictions of many settings from one set of proxies.

Almost all of them are certain in float32 (`screening`), at half the cost of float64
and with less memory. The few queries for which rounding could decide are done again in
float64, on the proxies that may matter to them (`candidate_scoring`); whatever float32
cannot do is done on all (`exact_scoring`). The result is that of `imprinting`, which
does the same one setting at a time.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from itertools import groupby

import numpy as np

from imprint_bench.core.candidate_scoring import candidate_predictions
from imprint_bench.core.distances import METRICS, Map
from imprint_bench.core.exact_scoring import exact_predictions
from imprint_bench.core.normalization import ROW_NORMALIZATIONS
from imprint_bench.core.operands import SLICE, Proxies, Queries
from imprint_bench.core.ranking import SCREENED_METRICS
from imprint_bench.core.screening import Screened, screen_twins
from imprint_bench.core.setting import Setting, TaskRows

FEW_PROXIES = 400  # up to so many, the neighbors are found in float64 in half the time


def predictions(
    queries: Queries,
    proxies: Proxies,
    tasks: Mapping[str, TaskRows],
    settings: Collection[Setting],
) -> dict[Setting, np.ndarray]:
    """Predict the queries of every setting.

    Parameters
    ----------
    queries : Queries
        n embeddings of the test rows, not normalized.
    proxies : Proxies
        Those of every class, before `norm_post`; it is "none" or "l2" here.
    tasks : mapping from name to TaskRows
    settings : collection of Setting

    Returns
    -------
    dict from Setting to ndarray of shape (queries of its task,), int64
        Positions in the task's classes.
    """
    (found,) = predictions_of_twins(queries, [(proxies, settings)], tasks)
    return found


def predictions_of_twins(
    queries: Queries,
    twins: Sequence[tuple[Proxies, Collection[Setting]]],
    tasks: Mapping[str, TaskRows],
) -> list[dict[Setting, np.ndarray]]:
    """Predict settings of some proxies, and others of the same proxies, L2-normalized.

    Parameters
    ----------
    queries, tasks
        As for `predictions`.
    twins : sequence of one or two (Proxies, collection of Setting)
        As for `predictions`; the second proxies are the first, L2-normalized.

    Returns
    -------
    list of dict
        What `predictions` returns, for each of them.
    """
    asked = [_Asked(proxies, settings) for proxies, settings in twins]
    screens = screen_twins(queries, [(a.proxies, a.to_screen) for a in asked], tasks)
    return [a.answered(queries, tasks, s) for a, s in zip(asked, screens, strict=True)]


class _Asked:
    """Settings of some proxies, divided by the way in which they are predicted."""

    def __init__(self, proxies: Proxies, settings: Collection[Setting]) -> None:
        self.proxies = proxies
        self.same = {setting: _canonical(setting) for setting in settings}
        wanted = set(self.same.values())
        self.fitted = {setting for setting in wanted if _fit(setting)}
        self.plain = wanted - self.fitted
        few = len(proxies) <= FEW_PROXIES
        self.to_screen = {s for s in self.plain if not (few and _is_cheap(s))}

    def answered(
        self, queries: Queries, tasks: Mapping[str, TaskRows], screened: Screened
    ) -> dict[Setting, np.ndarray]:
        """Return the predictions of all settings."""
        found = screened.found
        _settle(screened, queries, self.proxies, tasks)
        left = self.plain - set(found)
        if left:
            found |= exact_predictions(queries.rows, self.proxies, tasks, left)
        found |= _fitted_predictions(queries, self.proxies, tasks, self.fitted)
        return {setting: found[canonical] for setting, canonical in self.same.items()}


def _is_cheap(setting: Setting) -> bool:
    """Whether few proxies are faster done in float64 at once."""
    return setting.agg == "mnn" and setting.params.get("metric", "euclidean") in SCREENED_METRICS


def _canonical(setting: Setting) -> Setting:
    """Return the setting that stands for all with the same predictions.

    The largest inner product does not see the length of the query, the cosine
    neither that of the query nor that of the proxy.
    """
    if setting.agg == "max":
        return setting._replace(norm_inf="none")
    if setting.agg == "mnn" and setting.params.get("metric") == "cosine":
        return setting._replace(norm_inf="none", norm_post="none")
    return setting


def _fit(setting: Setting) -> Callable[[np.ndarray], Map] | None:
    """Return what fits a map to proxies, if the setting's metric is Euclidean after one."""
    return METRICS[setting.params.get("metric", "euclidean")].fit if setting.agg == "mnn" else None


def _fitted_predictions(
    queries: Queries,
    proxies: Proxies,
    tasks: Mapping[str, TaskRows],
    settings: Collection[Setting],
) -> dict[Setting, np.ndarray]:
    """Predict settings whose metric is Euclidean after a map, once the rows are mapped."""
    found: dict[Setting, np.ndarray] = {}

    def rows_and_map(s: Setting) -> tuple[str, str, str, str]:
        return s.task, s.norm_post, str(s.params["metric"]), s.norm_inf

    ordered = sorted(settings, key=rows_and_map)
    for (name, norm_post, _), same_map in groupby(ordered, key=lambda s: rows_and_map(s)[:3]):
        members = list(same_map)
        fit, task = _fit(members[0]), tasks[name]
        assert fit is not None  # its settings were chosen for it
        change, mapped = _mapped_proxies(fit, norm_post, proxies, task.classes)
        of_all = TaskRows(np.arange(len(task.classes)), np.arange(len(task.queries)))
        for norm_inf, group in groupby(members, key=lambda s: s.norm_inf):
            own = np.empty((len(task.queries), mapped.length))
            for some in _slices(own):
                rows = queries.rows[task.queries[some]].astype(np.float64)
                own[some] = change(ROW_NORMALIZATIONS[norm_inf](rows))
            plain = {s: _mapped(s) for s in group}
            result = predictions(Queries(own), mapped, {name: of_all}, plain.values())
            found.update({s: result[plain[s]] for s in plain})
    return found


def _mapped_proxies(
    fit: Callable[[np.ndarray], Map], norm_post: str, proxies: Proxies, classes: np.ndarray
) -> tuple[Map, Proxies]:
    """Return the map that is fitted to normalized proxies, and what it makes of them.

    One copy in float64 is in memory: of `all`, the proxies are as many as the rows.
    """
    normalize = ROW_NORMALIZATIONS[norm_post]
    ends = np.cumsum(proxies.counts[classes])
    whole = np.empty((int(ends[-1]), proxies.length))
    parts = np.split(whole, ends[:-1])
    for part, c in zip(parts, classes, strict=True):
        for some in _slices(part):
            part[some] = normalize(proxies.parts[c][some].astype(np.float64))
    change = fit(whole)
    for some in _slices(whole):
        whole[some] = change(whole[some])
    return change, Proxies(parts)


def _slices(rows: np.ndarray) -> list[slice]:
    return [slice(start, start + SLICE) for start in range(0, len(rows), SLICE)]


def _mapped(setting: Setting) -> Setting:
    """Return the setting that is left once rows are normalized and mapped."""
    params = tuple(item for item in setting.agg_params if item[0] != "metric")
    return setting._replace(norm_post="none", norm_inf="none", agg_params=params)


def _settle(
    screened: Screened, queries: Queries, proxies: Proxies, tasks: Mapping[str, TaskRows]
) -> None:
    """Predict in float64 what is in doubt, from the proxies that may matter where they are few."""
    doubts = {setting: rows for setting, rows in screened.doubts.items() if len(rows)}
    if not doubts:
        return
    for chosen, pairs in screened.candidates():
        few = {
            name: TaskRows(task.classes, np.flatnonzero(np.isin(chosen, task.queries)))
            for name, task in tasks.items()
        }
        rows = queries.rows[chosen]
        if pairs is None:
            settled = exact_predictions(rows, proxies, few, doubts.keys())
        else:
            settled = candidate_predictions(rows, proxies, pairs, few, doubts.keys())
        for setting, predicted in settled.items():
            own = chosen[few[setting.task].queries]
            mine = np.isin(own, doubts[setting])
            place = np.searchsorted(tasks[setting.task].queries, own[mine])
            screened.found[setting][place] = predicted[mine]

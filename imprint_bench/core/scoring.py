"""Predictions of many settings from one set of proxies.

Almost all of them are certain in float32 (`screening`), at half the cost of
float64 and with less memory. The few queries for which rounding could decide are
done again in float64 (`exact_scoring`), and so is whatever float32 cannot do. The
result is that of `imprinting`, which does the same one setting at a time.
"""

from collections.abc import Collection, Mapping

import numpy as np

from imprint_bench.core.exact_scoring import exact_predictions
from imprint_bench.core.operands import Proxies, Queries
from imprint_bench.core.screening import screened
from imprint_bench.core.setting import Setting, TaskRows


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
    same = {setting: _canonical(setting) for setting in settings}
    wanted = set(same.values())
    found, doubts = screened(queries, proxies, tasks, wanted)
    _settle(found, doubts, queries, proxies, tasks)
    left = wanted.difference(found)
    if left:
        found |= exact_predictions(queries.rows, proxies, tasks, left)
    return {setting: found[canonical] for setting, canonical in same.items()}


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


def _settle(
    found: dict[Setting, np.ndarray],
    doubts: Mapping[Setting, np.ndarray],
    queries: Queries,
    proxies: Proxies,
    tasks: Mapping[str, TaskRows],
) -> None:
    """Predict in float64 the queries that are in doubt for some setting."""
    doubtful = {setting: rows for setting, rows in doubts.items() if len(rows)}
    if not doubtful:
        return
    chosen = np.unique(np.concatenate(list(doubtful.values())))
    few = {
        name: TaskRows(task.classes, np.flatnonzero(np.isin(chosen, task.queries)))
        for name, task in tasks.items()
    }
    settled = exact_predictions(queries.rows[chosen], proxies, few, doubtful.keys())
    for setting, predicted in settled.items():
        own = chosen[few[setting.task].queries]
        found[setting][np.searchsorted(tasks[setting.task].queries, own)] = predicted

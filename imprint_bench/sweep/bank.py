"""A bank: the proxies that many trials share, and every result that follows from them.

Proxies of a class depend on the rows, the seed, `norm_pre`, the generator and k,
and on nothing else. One bank therefore serves all tasks, norms of proxies and
queries, and aggregations; `core.scoring` shares the matrix product below that.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.metrics import quality
from imprint_bench.core.normalization import (
    PROXY_NORMALIZATIONS,
    ROW_NORMALIZATIONS,
    RankedProxies,
    quantile_normalize_in_turn,
    value_ranks,
)
from imprint_bench.core.operands import Proxies as ProxyRows
from imprint_bench.core.operands import Queries
from imprint_bench.core.scoring import predictions
from imprint_bench.core.setting import Setting, TaskRows
from imprint_bench.data.tasks import Task
from imprint_bench.sweep.plan import Group, group_columns, setting_columns
from imprint_bench.sweep.proxies import Proxies, class_proxies, joint_proxies, k_of
from imprint_bench.sweep.unit import Arrays, Unit, UnitData

SCALINGS = ("none", "l2")  # the norms that `core.scoring` applies to inner products
Row = dict[str, Any]


def compute(unit: Unit, arrays: Arrays) -> list[Row]:
    """Return the result row of every trial of a unit.

    Parameters
    ----------
    unit : Unit
    arrays : Arrays
        Embeddings of its dataset by its foundation model.
    """
    data = UnitData(unit, arrays)
    if GENERATORS[unit.key.gen].scope == "task":
        made = joint_proxies(unit, data)
    else:
        made = class_proxies(unit, data)
    rows: list[Row] = []
    for k, tasks, proxies in made:
        trials = [t for t in unit.trials if t[2].task in tasks and k_of(t[1]) == k]
        rows.extend(_rows(unit, trials, data, tasks, proxies))
    return rows


def _rows(
    unit: Unit,
    trials: Sequence[tuple[str, Group, Setting]],
    data: UnitData,
    tasks: Mapping[str, Task],
    made: Proxies,
) -> Iterator[Row]:
    """Yield the result rows of the trials that use one set of proxies."""
    joint = GENERATORS[unit.key.gen].scope == "task"
    classes = list(next(iter(tasks.values())).classes) if joint else data.classes
    task_rows = {name: data.task_rows(task, classes) for name, task in tasks.items()}
    settings = {setting for _, _, setting in trials}
    found = _predictions(data.queries, made.parts, task_rows, settings)
    results = {}
    for setting, predicted in found.items():
        task = tasks[setting.task]
        results[setting] = quality(data.targets(task), predicted, n_classes=len(task.classes))
    facts = {
        name: _facts(task, task_rows[name], made, [len(data.rows[c]) for c in task.classes])
        for name, task in tasks.items()
    }
    for trial_id, group, setting in trials:
        result = results[setting]
        yield {
            "trial_id": trial_id,
            "status": "ok",
            **group_columns(group),
            **setting_columns(setting),
            "data": unit.fingerprint,
            "accuracy": result.accuracy,
            "f1_macro": result.f1_macro,
            "f1_weighted": result.f1_weighted,
            "f1": result.f1,
            **facts[setting.task],
        }


def _facts(task: Task, rows: TaskRows, made: Proxies, sizes: Sequence[int]) -> Row:
    """Return the columns of a row that depend on the task and its proxies alone."""
    counts = [len(made.parts[c]) for c in rows.classes]
    return {
        "n_train": sum(sizes),
        "n_test": len(rows.queries),
        "n_proxies": sum(counts),
        "k_effective": min(counts),
        "gen_seconds": sum(made.seconds[c] for c in rows.classes),
        "timed_together": made.shared_by,
    }


def _predictions(
    queries: Queries,
    parts: Sequence[np.ndarray],
    tasks: Mapping[str, TaskRows],
    settings: Iterable[Setting],
) -> dict[Setting, np.ndarray]:
    """Predict every setting, whatever its norms; scalings share one matrix product."""
    found: dict[Setting, np.ndarray] = {}
    by_norm: dict[tuple[str, str], list[Setting]] = {}
    for s in settings:
        post = "" if s.norm_post in SCALINGS else s.norm_post
        inf = "" if s.norm_inf in SCALINGS else s.norm_inf
        by_norm.setdefault((post, inf), []).append(s)
    ranks = cache(lambda c: value_ranks(parts[c]))
    for (post, inf), members in by_norm.items():
        Q = Queries(ROW_NORMALIZATIONS[inf](queries.rows.astype(np.float64))) if inf else queries
        plain = {s: _without(s, post, inf) for s in members}
        if not post:
            result = predictions(Q, ProxyRows(parts), tasks, set(plain.values()))
            found.update({s: result[plain[s]] for s in members})
            continue
        used = {name: tasks[name] for name in sorted({s.task for s in members})}
        for classes, alike in _alike(used, prefixes=post == "quantile").items():
            normalized = ProxyRows(_normalized(post, parts, classes, ranks))
            own = [s for s in members if s.task in alike]
            some, alike = _of_these_tasks(Q, alike)
            result = predictions(some, normalized, alike, {plain[s] for s in own})
            found.update({s: result[plain[s]] for s in own})
    return found


def _alike(
    tasks: Mapping[str, TaskRows], *, prefixes: bool
) -> dict[tuple[int, ...], dict[str, TaskRows]]:
    """Return tasks by classes whose normalized proxies serve them; those become their places.

    What the quantile norm makes of a class depends on the classes before it only, so
    the proxies of a task serve every task that is a beginning of it.
    """
    found: dict[tuple[int, ...], dict[str, TaskRows]] = {}
    for name, task in sorted(tasks.items(), key=lambda item: -len(item[1].classes)):
        own = tuple(task.classes.tolist())
        serves = (c for c in found if c[: len(own)] == own and (prefixes or c == own))
        place = TaskRows(np.arange(len(own)), task.queries)
        found.setdefault(next(serves, own), {})[name] = place
    return found


def _of_these_tasks(
    queries: Queries, tasks: Mapping[str, TaskRows]
) -> tuple[Queries, dict[str, TaskRows]]:
    """Return the queries that some tasks have, and the tasks with their numbers among these."""
    used = np.unique(np.concatenate([task.queries for task in tasks.values()]))
    if len(used) == len(queries.rows):
        return queries, dict(tasks)
    among = {
        name: TaskRows(task.classes, np.searchsorted(used, task.queries))
        for name, task in tasks.items()
    }
    return Queries(queries.rows[used]), among


def _without(setting: Setting, post: str, inf: str) -> Setting:
    """Return the setting that is left once the norms `post` and `inf` have been applied."""
    return setting._replace(
        norm_post="none" if post else setting.norm_post,
        norm_inf="none" if inf else setting.norm_inf,
    )


def _normalized(
    norm_post: str,
    parts: Sequence[np.ndarray],
    classes: Sequence[int],
    ranks: Callable[[int], np.ndarray],
) -> Sequence[np.ndarray | RankedProxies]:
    """Return the proxies of some classes, normalized class by class."""
    chosen = [parts[c] for c in classes]
    if norm_post == "quantile":
        return list(quantile_normalize_in_turn(chosen, lambda i: ranks(classes[i])))
    labels = np.repeat(np.arange(len(chosen)), list(map(len, chosen)))
    whole = PROXY_NORMALIZATIONS[norm_post](np.concatenate(chosen).astype(np.float64), labels)
    return np.split(whole, np.searchsorted(labels, np.arange(1, len(chosen))))

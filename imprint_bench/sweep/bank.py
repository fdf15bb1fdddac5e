"""A bank: the proxies that many trials share, and every result that follows from them.

Proxies of a class depend on the rows, the seed, `norm_pre`, the generator and k,
and on nothing else. One bank therefore serves all tasks, norms of proxies and
queries, and aggregations; `core.scoring` shares the matrix product below that.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

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
from imprint_bench.core.scoring import predictions, predictions_of_twins
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
    parts = unit.by_norm_pre()
    if [part.key.norm_pre for part in parts] == list(SCALINGS):
        # Of `all`, L2-normalized rows rank as angles do: a sixth of its time less.
        twins = [bank for part in parts for bank in _banks(part, arrays)]
        both = zip(twins, _predictions(twins), strict=True)
        return [row for bank, found in both for row in _rows(bank, found)]
    rows: list[Row] = []
    for part in parts:
        for bank in _banks(part, arrays):
            rows.extend(_rows(bank, *_predictions([bank])))
    return rows


class _Bank(NamedTuple):
    """Proxies of one k, and all trials of a unit that use them."""

    unit: Unit
    trials: Sequence[tuple[str, Group, Setting]]
    data: UnitData
    tasks: Mapping[str, Task]
    made: Proxies
    task_rows: Mapping[str, TaskRows]

    @property
    def settings(self) -> set[Setting]:
        return {setting for _, _, setting in self.trials}


def _banks(unit: Unit, arrays: Arrays) -> Iterator[_Bank]:
    """Yield the banks of a unit of one `norm_pre`."""
    data = UnitData(unit, arrays)
    joint = GENERATORS[unit.key.gen].scope == "task"
    for k, tasks, made in (joint_proxies if joint else class_proxies)(unit, data):
        trials = [t for t in unit.trials if t[2].task in tasks and k_of(t[1]) == k]
        classes = list(next(iter(tasks.values())).classes) if joint else data.classes
        task_rows = {name: data.task_rows(task, classes) for name, task in tasks.items()}
        yield _Bank(unit, trials, data, tasks, made, task_rows)


def _rows(bank: _Bank, found: Mapping[Setting, np.ndarray]) -> Iterator[Row]:
    """Yield the result rows of the trials of a bank, given the predictions of their settings."""
    targets = {name: bank.data.targets(task) for name, task in bank.tasks.items()}
    results = {
        s: quality(targets[s.task], predicted, n_classes=len(bank.tasks[s.task].classes))
        for s, predicted in found.items()
    }
    facts = {
        name: _facts(
            bank.task_rows[name], bank.made, [len(bank.data.rows[c]) for c in task.classes]
        )
        for name, task in bank.tasks.items()
    }
    for trial_id, group, setting in bank.trials:
        result = results[setting]
        yield {
            "trial_id": trial_id,
            "status": "ok",
            **group_columns(group),
            **setting_columns(setting),
            "data": bank.unit.fingerprint,
            "accuracy": result.accuracy,
            "f1_macro": result.f1_macro,
            "f1_weighted": result.f1_weighted,
            "f1": result.f1,
            **facts[setting.task],
        }


def _facts(rows: TaskRows, made: Proxies, sizes: Sequence[int]) -> Row:
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


def _predictions(banks: Sequence[_Bank]) -> list[dict[Setting, np.ndarray]]:
    """Predict the settings of a bank, or those of twins, which share a matrix product."""
    scaled = [(ProxyRows(b.made.parts), [s for s in b.settings if _scaled(s)]) for b in banks]
    first = banks[0]
    found = predictions_of_twins(first.data.queries, scaled, first.task_rows)
    for bank, of_bank in zip(banks, found, strict=True):
        of_bank |= _otherwise_normalized(bank)
    return found


def _scaled(setting: Setting) -> bool:
    return setting.norm_post in SCALINGS and setting.norm_inf in SCALINGS


def _otherwise_normalized(bank: _Bank) -> dict[Setting, np.ndarray]:
    """Predict the settings with norms that `core.scoring` does not apply."""
    found: dict[Setting, np.ndarray] = {}
    parts, queries = bank.made.parts, bank.data.queries
    by_norm: dict[tuple[str, str], list[Setting]] = {}
    for s in bank.settings:
        if not _scaled(s):
            post = "" if s.norm_post in SCALINGS else s.norm_post
            inf = "" if s.norm_inf in SCALINGS else s.norm_inf
            by_norm.setdefault((post, inf), []).append(s)
    ranks = cache(lambda c: value_ranks(parts[c]))
    for (post, inf), members in by_norm.items():
        Q = Queries(ROW_NORMALIZATIONS[inf](queries.rows.astype(np.float64))) if inf else queries
        plain = {s: _without(s, post, inf) for s in members}
        if not post:
            result = predictions(Q, ProxyRows(parts), bank.task_rows, set(plain.values()))
            found.update({s: result[plain[s]] for s in members})
            continue
        used = {name: bank.task_rows[name] for name in sorted({s.task for s in members})}
        for classes, alike in _alike(used, prefixes=post == "quantile").items():
            normalized = ProxyRows(_normalized(post, parts, classes, ranks))
            own = [s for s in members if s.task in alike]
            some, tasks = _of_these_tasks(Q, alike)
            result = predictions(some, normalized, tasks, {plain[s] for s in own})
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

"""A unit of work: trials that share rows and proxies, and the rows that they share."""

import heapq
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.normalization import ROW_NORMALIZATIONS
from imprint_bench.core.operands import Queries
from imprint_bench.core.sampling import map_labels, n_shot_rows, rows_of
from imprint_bench.core.setting import Setting, TaskRows
from imprint_bench.data.tasks import LabelMap, Task
from imprint_bench.execution import Shard
from imprint_bench.sweep.plan import Group, Plan, UnitKey


class Arrays(Protocol):
    """Embeddings and labels of a dataset, opened as read-only memory maps."""

    def X(self, split: str) -> np.ndarray:  # noqa: N802
        """Return embeddings of shape (n, l), float32."""
        ...

    def y(self, split: str) -> np.ndarray:
        """Return original labels of shape (n,)."""
        ...


@dataclass(frozen=True)
class Unit:
    """Trials to be computed together; small, so that it travels to a worker.

    Attributes
    ----------
    key : UnitKey
    label_map : mapping or None
    tasks : mapping from name to Task
    trials : sequence of (trial_id, Group, Setting)
    fingerprint : str
        Of the embeddings.
    """

    key: UnitKey
    label_map: LabelMap
    tasks: Mapping[str, Task]
    trials: Sequence[tuple[str, Group, Setting]]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.trials)

    def by_norm_pre(self) -> list["Unit"]:
        """Return its trials as units of one `norm_pre` each, in the order of their names."""
        if self.key.norm_pre is not None:
            return [self]
        norms: dict[str, list[tuple[str, Group, Setting]]] = {}
        for trial in self.trials:
            norms.setdefault(trial[1].norm_pre, []).append(trial)
        return [
            replace(self, key=self.key._replace(norm_pre=norm), trials=norms[norm])
            for norm in sorted(norms, reverse=True)
        ]


class UnitData:
    """The rows of the classes of a unit, by class, and its queries."""

    def __init__(self, unit: Unit, arrays: Arrays) -> None:
        key = unit.key
        self.classes = sorted({c for task in unit.tasks.values() for c in task.classes})
        y = map_labels(arrays.y("train"), unit.label_map)
        y_test = map_labels(arrays.y("test"), unit.label_map)
        X = arrays.X("train")
        assert key.norm_pre is not None, "by_norm_pre parts such a unit"
        normalize = ROW_NORMALIZATIONS[key.norm_pre]
        self.rows: dict[int, np.ndarray] = {}
        for c in self.classes:
            names = (key.dataset, key.mapping, c)
            seed = 0 if key.seed is None else key.seed
            chosen = n_shot_rows(rows_of(y, c), n_shot=key.n_shot, seed=seed, names=names)
            self.rows[c] = normalize(X[chosen])
        kept = np.flatnonzero(np.isin(y_test, self.classes))
        X_test = arrays.X("test")
        self.queries = Queries(X_test if len(kept) == len(X_test) else X_test[kept])
        self.y_test = y_test[kept]

    def task_rows(self, task: Task, classes: Sequence[int]) -> TaskRows:
        """Return a task's share of the proxies of `classes` and of the queries."""
        place = np.array([classes.index(c) for c in task.classes])
        return TaskRows(place, np.flatnonzero(np.isin(self.y_test, task.classes)))

    def targets(self, task: Task) -> np.ndarray:
        """Return the true classes of a task's queries as positions in the task."""
        y = self.y_test[np.isin(self.y_test, task.classes)]
        order = np.argsort(task.classes)
        return order[np.searchsorted(np.array(task.classes)[order], y)]


def units(plan: Plan, chosen: np.ndarray) -> list[Unit]:
    """Return the units of work that compute the chosen trials, the longest first.

    Parameters
    ----------
    plan : Plan
    chosen : ndarray of shape (trials,), bool
    """
    number = {key: i for i, key in enumerate(dict.fromkeys(plan.unit_of_group))}
    unit_of_group = np.array([number[key] for key in plan.unit_of_group], dtype=np.int64)
    trials = np.flatnonzero(chosen)
    of_trial = unit_of_group[plan.group_of[trials]]
    order = np.argsort(of_trial, kind="stable")
    starts = np.searchsorted(of_trial[order], np.arange(len(number) + 1))
    made = [
        _unit(plan, key, trials[order[starts[i] : starts[i + 1]]])
        for key, i in number.items()
        if starts[i] < starts[i + 1]
    ]
    return sorted(made, key=weight, reverse=True)


def weight(unit: Unit) -> float:
    """Return a rough measure of a unit's work, to start long ones first."""
    ks = {dict(group.gen_params).get("k", 1) for _, group, _ in unit.trials}
    return _weight(unit.key.gen, len(unit.trials), ks)


def deal(plan: Plan, n_shards: int) -> np.ndarray:
    """Return the shard of every trial when the units of a whole plan are dealt out.

    The heaviest first, each to the shard that has least. The store does not matter, nor
    does the order of the plan: shards that start at different times neither overlap nor
    leave a gap.

    Parameters
    ----------
    plan : Plan
    n_shards : int

    Returns
    -------
    ndarray of shape (trials,), int
        From 0 to `n_shards` - 1.
    """
    number = {key: i for i, key in enumerate(dict.fromkeys(plan.unit_of_group))}
    unit_of_group = np.array([number[key] for key in plan.unit_of_group], dtype=np.int64)
    ks: list[set[int]] = [set() for _ in number]
    for i, group in zip(unit_of_group, plan.groups, strict=True):
        ks[i].add(dict(group.gen_params).get("k", 1))
    n_trials = np.bincount(unit_of_group[plan.group_of], minlength=len(number))
    weights = [_weight(key.gen, int(n_trials[i]), ks[i]) for key, i in number.items()]
    shards = np.empty(len(number), dtype=np.int64)
    loads = [(0.0, shard) for shard in range(n_shards)]  # a heap
    for _, _, i in sorted((-weights[i], str(key), i) for key, i in number.items()):
        load, shards[i] = loads[0]
        heapq.heapreplace(loads, (load + weights[i], int(shards[i])))
    return shards[unit_of_group[plan.group_of]]


def share(plan: Plan, shard: Shard) -> Plan:
    """Return the part of a plan that is one shard's: whole units, maybe none."""
    return plan.part(np.flatnonzero(deal(plan, shard.of) == shard.number - 1))


def _weight(gen: str, n_trials: int, ks: Collection[int]) -> float:
    return n_trials + (1e6 if GENERATORS[gen].every_row else 1e3 * sum(ks))


def _unit(plan: Plan, key: UnitKey, trials: np.ndarray) -> Unit:
    place = (key.dataset, key.mapping)
    listed = [
        (
            plan.ids[i].decode(),
            plan.groups[plan.group_of[i]],
            plan.settings[plan.setting_of[i]],
        )
        for i in trials
    ]
    used = {setting.task for _, _, setting in listed}
    return Unit(
        key=key,
        label_map=plan.labels[place].label_map,
        tasks={name: task for name, task in plan.tasks[place].items() if name in used},
        trials=listed,
        fingerprint=plan.fingerprints[key.fm, key.dataset],
    )

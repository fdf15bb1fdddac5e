"""A bank: the proxies that many trials share, and every result that follows from them.

Proxies of a class depend on the rows, the seed, `norm_pre`, the generator and k,
and on nothing else. One bank therefore serves all tasks, norms of proxies and
queries, and aggregations; `core.scoring` shares the matrix product below that.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any, NamedTuple, Protocol

import numpy as np

from imprint_bench.core.generator import GENERATORS, Generator, randomness
from imprint_bench.core.metrics import quality
from imprint_bench.core.normalization import (
    PROXY_NORMALIZATIONS,
    ROW_NORMALIZATIONS,
    quantile_normalize_in_turn,
)
from imprint_bench.core.sampling import map_labels, n_shot_rows, rows_of
from imprint_bench.core.scoring import Setting, TaskRows, predictions
from imprint_bench.data.tasks import LabelMap, Task
from imprint_bench.seeding import stream
from imprint_bench.sweep.plan import Group, UnitKey, group_columns, setting_columns

SCALINGS = ("none", "l2")  # the norms that `core.scoring` applies to inner products
Row = dict[str, Any]


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


class _Proxies(NamedTuple):
    """Proxies of some classes in their order, and what making them took."""

    parts: list[np.ndarray]
    seconds: list[float]  # of each class
    shared_by: int  # values of k that were computed together in that time


def compute(unit: Unit, arrays: Arrays) -> list[Row]:
    """Return the result row of every trial of a unit.

    Parameters
    ----------
    unit : Unit
    arrays : Arrays
        Embeddings of its dataset by its foundation model.
    """
    data = _Data(unit, arrays)
    if GENERATORS[unit.key.gen].scope == "task":
        made = _joint_proxies(unit, data)
    else:
        made = _class_proxies(unit, data)
    rows: list[Row] = []
    for k, tasks, proxies in made:
        trials = [t for t in unit.trials if t[2].task in tasks and _k(t[1]) == k]
        rows.extend(_rows(unit, trials, data, tasks, proxies))
    return rows


class _Data:
    """The rows of the classes of a unit, by class, and its queries."""

    def __init__(self, unit: Unit, arrays: Arrays) -> None:
        key = unit.key
        self.classes = sorted({c for task in unit.tasks.values() for c in task.classes})
        y = map_labels(arrays.y("train"), unit.label_map)
        y_test = map_labels(arrays.y("test"), unit.label_map)
        X = arrays.X("train")
        normalize = ROW_NORMALIZATIONS[key.norm_pre]
        self.rows: dict[int, np.ndarray] = {}
        for c in self.classes:
            names = (key.dataset, key.mapping, c)
            seed = 0 if key.seed is None else key.seed
            chosen = n_shot_rows(rows_of(y, c), n_shot=key.n_shot, seed=seed, names=names)
            self.rows[c] = normalize(X[chosen])
        kept = np.flatnonzero(np.isin(y_test, self.classes))
        self.queries = arrays.X("test")[kept]
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


def _k(group: Group) -> int | None:
    return dict(group.gen_params).get("k")


def _ks(unit: Unit) -> list[int | None]:
    return sorted({_k(group) for _, group, _ in unit.trials}, key=lambda k: k or 0)


Made = Iterator[tuple[int | None, dict[str, Task], _Proxies]]


def _class_proxies(unit: Unit, data: _Data) -> Made:
    """Yield, for every k, the proxies of all classes; they serve all tasks."""
    generator, ks = GENERATORS[unit.key.gen], _ks(unit)
    by_k: dict[int | None, _Proxies] = {k: _Proxies([], [], 1) for k in ks}
    shared_by = len(ks) if generator.nested or generator.many_k else 1
    for c in data.classes:
        for k, (proxies, seconds) in _of_class(generator, unit, data.rows[c], c, ks).items():
            by_k[k].parts.append(proxies)
            by_k[k].seconds.append(seconds)
    for k, made in by_k.items():
        yield k, dict(unit.tasks), made._replace(shared_by=shared_by)


def _of_class(
    generator: Generator, unit: Unit, X: np.ndarray, c: int, ks: Sequence[int | None]
) -> dict[int | None, tuple[np.ndarray, float]]:
    """Return the proxies of one class for every k, and the seconds they took."""
    key, params = unit.key, dict(unit.key.other_params)
    seed = 0 if key.seed is None else key.seed

    def random() -> Mapping[str, Any]:
        names = (key.dataset, key.mapping, c)
        return randomness(generator, seed, lambda: stream(seed, generator.name, *names))

    start = perf_counter()
    if generator.nested:
        largest = generator.function(X, k=ks[-1], **params, **random())
        found = {k: largest[:k] for k in ks}
    elif generator.many_k:
        found = generator.many_k(X, ks=ks, **params, **random())
    else:
        found = {}
        for k in ks:
            began = perf_counter()
            given = params if k is None else params | {"k": k}
            found[k] = generator.function(X, **given, **random()), perf_counter() - began
        return found
    seconds = perf_counter() - start
    return {k: (found[k], seconds) for k in ks}


def _joint_proxies(unit: Unit, data: _Data) -> Made:
    """Yield, for every k and task, the proxies of a generator that needs all its classes."""
    generator = GENERATORS[unit.key.gen]
    for name, task in unit.tasks.items():
        rows = [data.rows[c] for c in task.classes]
        X, y = np.concatenate(rows), np.repeat(np.arange(len(rows)), list(map(len, rows)))
        for k, (proxies, labels), seconds, shared_by in _of_task(generator, unit, X, y):
            parts = np.split(proxies, np.searchsorted(labels, np.arange(1, len(rows))))
            share = [seconds / len(rows)] * len(rows)
            yield k, {name: task}, _Proxies(parts, share, shared_by)


def _of_task(
    generator: Generator, unit: Unit, X: np.ndarray, y: np.ndarray
) -> Iterator[tuple[int | None, tuple[np.ndarray, np.ndarray], float, int]]:
    """Yield k, proxies with labels, the seconds they took and how many k they took them for."""
    params, ks = dict(unit.key.other_params), _ks(unit)
    random = randomness(generator, unit.key.seed or 0, _no_stream)
    if generator.many_k:
        start = perf_counter()
        found = generator.many_k(X, y, ks=ks, **params, **random)
        seconds = perf_counter() - start
        for k in ks:
            yield k, found[k], seconds, len(ks)
        return
    for k in ks:
        start = perf_counter()
        given = params if k is None else params | {"k": k}
        made = generator.function(X, y, **given, **random)
        yield k, made, perf_counter() - start, 1


def _no_stream() -> np.random.Generator:
    raise TypeError("a generator of all classes takes `seed`, not `rng`")


def _rows(
    unit: Unit,
    trials: Sequence[tuple[str, Group, Setting]],
    data: _Data,
    tasks: Mapping[str, Task],
    made: _Proxies,
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


def _facts(task: Task, rows: TaskRows, made: _Proxies, sizes: Sequence[int]) -> Row:
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
    queries: np.ndarray,
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
    for (post, inf), members in by_norm.items():
        Q = ROW_NORMALIZATIONS[inf](queries) if inf else queries
        plain = {s: _without(s, post, inf) for s in members}
        if not post:
            result = predictions(Q, parts, tasks, set(plain.values()))
            found.update({s: result[plain[s]] for s in members})
            continue
        cache: dict[tuple[int, ...], np.ndarray] = {}
        for name in {s.task for s in members}:
            of_task = [s for s in members if s.task == name]
            own = tasks[name]._replace(classes=np.arange(len(tasks[name].classes)))
            normalized = _normalized(post, parts, tuple(tasks[name].classes.tolist()), cache)
            result = predictions(Q, normalized, {name: own}, {plain[s] for s in of_task})
            found.update({s: result[plain[s]] for s in of_task})
    return found


def _without(setting: Setting, post: str, inf: str) -> Setting:
    """Return the setting that is left once the norms `post` and `inf` have been applied."""
    return setting._replace(
        norm_post="none" if post else setting.norm_post,
        norm_inf="none" if inf else setting.norm_inf,
    )


def _normalized(
    norm_post: str,
    parts: Sequence[np.ndarray],
    classes: tuple[int, ...],
    cache: dict[tuple[int, ...], np.ndarray],
) -> list[np.ndarray]:
    """Return the proxies of a task, normalized class by class.

    What the quantile norm makes of a class depends on the classes before it
    only, so tasks that begin alike share their beginning through `cache`.
    """
    chosen = [parts[c] for c in classes]
    if norm_post != "quantile":
        labels = np.repeat(np.arange(len(chosen)), list(map(len, chosen)))
        whole = PROXY_NORMALIZATIONS[norm_post](np.concatenate(chosen).astype(np.float64), labels)
        return np.split(whole, np.searchsorted(labels, np.arange(1, len(chosen))))
    prefixes = [classes[: i + 1] for i in range(len(classes))]
    if not all(prefix in cache for prefix in prefixes):
        cache.update(zip(prefixes, quantile_normalize_in_turn(chosen), strict=True))
    return [cache[prefix] for prefix in prefixes]

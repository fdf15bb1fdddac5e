"""The proxies of a unit of work, for every k, made once for all its tasks where that is right."""

from collections.abc import Iterator, Mapping, Sequence
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np

from imprint_bench.core.generator import GENERATORS, Generator, randomness
from imprint_bench.core.laps import Laps
from imprint_bench.data.tasks import Task
from imprint_bench.seeding import stream
from imprint_bench.sweep.plan import Group
from imprint_bench.sweep.unit import Unit, UnitData


class Proxies(NamedTuple):
    """Proxies of some classes in their order, and what making them took."""

    parts: list[np.ndarray]
    seconds: list[float]  # of each class
    shared_by: int  # values of k that were computed together: what they shared counts for each


def k_of(group: Group) -> int | None:
    """Return the proxies per class that a group asks for, or None if its generator has no k."""
    return dict(group.gen_params).get("k")


def _ks(unit: Unit) -> list[int | None]:
    return sorted({k_of(group) for _, group, _ in unit.trials}, key=lambda k: k or 0)


Made = Iterator[tuple[int | None, dict[str, Task], Proxies]]


def class_proxies(unit: Unit, data: UnitData) -> Made:
    """Yield, for every k, the proxies of all classes; they serve all tasks."""
    generator, ks = GENERATORS[unit.key.gen], _ks(unit)
    by_k: dict[int | None, Proxies] = {k: Proxies([], [], 1) for k in ks}
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

    if generator.many_k:
        laps = Laps()
        made = generator.many_k(X, ks=ks, lap=laps.lap, **params, **random())
        laps.stop()
        return {k: (proxies, laps.seconds(k)) for k, proxies in made.items()}
    start = perf_counter()
    if generator.nested:
        largest = generator.function(X, k=ks[-1], **params, **random())
        seconds = perf_counter() - start
        return {k: (largest[:k], seconds) for k in ks}
    found = {}
    for k in ks:
        start = perf_counter()
        given = params if k is None else params | {"k": k}
        found[k] = generator.function(X, **given, **random()), perf_counter() - start
    return found


def joint_proxies(unit: Unit, data: UnitData) -> Made:
    """Yield, for every k and task, the proxies of a generator that needs all its classes."""
    generator = GENERATORS[unit.key.gen]
    for name, task in unit.tasks.items():
        rows = [data.rows[c] for c in task.classes]
        X, y = np.concatenate(rows), np.repeat(np.arange(len(rows)), list(map(len, rows)))
        for k, (proxies, labels), seconds, shared_by in _of_task(generator, unit, X, y):
            parts = np.split(proxies, np.searchsorted(labels, np.arange(1, len(rows))))
            share = [seconds / len(rows)] * len(rows)
            yield k, {name: task}, Proxies(parts, share, shared_by)


def _of_task(
    generator: Generator, unit: Unit, X: np.ndarray, y: np.ndarray
) -> Iterator[tuple[int | None, tuple[np.ndarray, np.ndarray], float, int]]:
    """Yield k, proxies with labels, the seconds they took and how many k they took them for."""
    params, ks = dict(unit.key.other_params), _ks(unit)
    random = randomness(generator, unit.key.seed or 0, _no_stream)
    if generator.many_k:
        laps = Laps()
        found = generator.many_k(X, y, ks=ks, lap=laps.lap, **params, **random)
        laps.stop()
        for k, result in found.items():
            yield k, result, laps.seconds(k), len(ks)
        return
    for k in ks:
        start = perf_counter()
        given = params if k is None else params | {"k": k}
        made = generator.function(X, y, **given, **random)
        yield k, made, perf_counter() - start, 1


def _no_stream() -> np.random.Generator:
    raise TypeError("a generator of all classes takes `seed`, not `rng`")

"""How cost grows with rows, length, proxies, tasks and test rows, each varied alone.

Two kinds of cost are measured on made-up embeddings, each the fastest of some calls: that
of a generator alone on the rows of one class (`proxies`), and that of a whole unit of
work with `max` and `mnn` (`bank`), data and proxies of ten classes included. The exponent
b of a curve is that of the power law a x^b through its last three points.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fresh import cpu_seconds
from benchmarks.jobs import config_of
from benchmarks.synthetic import InMemory, Sizes, class_rows
from imprint_bench.config import Config, Method
from imprint_bench.core.generator import GENERATORS, Generator, randomness
from imprint_bench.sweep.bank import compute
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.unit import units

Row = dict[str, Any]
FITTED = 3  # the last points of a curve; the first show what every call costs
# What is measured on each axis, and the exponent to be expected of it when it is long: 1 where
# cost is linear, 2 for the matrices of k-medoids (rows x rows) and least squares (l x l), 0
# where work is shared. Tasks share everything but least squares, which is another for each.
PROXIES = {
    "rows": {"mean": 1, "kmeans": 1, "cov_max": 1, "fps": 1, "kmedoids": 2},
    "length": {"mean": 1, "kmeans": 1, "cov_max": 1, "fps": 1, "kmedoids": 1},
    "k": {"kmeans": 1, "fps": 1},
}
BANKS = {
    "rows": {"all": 1, "kmeans": 1, "least_squares": 1},
    "length": {"all": 1, "kmeans": 1, "least_squares": 2},
    "tasks": {"all": 0, "kmeans": 0, "least_squares": 1},
    "test_rows": {"all": 1},
}


class Base(NamedTuple):
    """Where every axis stands while another one is varied."""

    rows: int  # of one class
    length: int
    k: int
    tasks: int
    test_rows: int


def steps(base: int, *, down: int, up: int) -> list[int]:
    """Return `base` times powers of two, ascending."""
    return [base * 2**i if i >= 0 else base // 2**-i for i in range(-down, up + 1)]


def measure(base: Base, *, down: int = 2, up: int = 2, repeats: int = 3) -> list[Row]:
    """Return the CPU seconds of every curve.

    Parameters
    ----------
    base : Base
    down, up : int
        How often an axis is halved and doubled.
    repeats : int
        Of which the fastest counts.

    Returns
    -------
    list of dict with axis, gen, expected, x, kind, cpu_seconds, exponent
        `expected` is the exponent of `PROXIES` or `BANKS`.
    """
    found: list[Row] = []
    for curves, measured in ((PROXIES, _of_generators), (BANKS, _of_banks)):
        for axis, gens in curves.items():
            for x in steps(getattr(base, axis), down=down, up=up):
                at = base._replace(**{axis: x})
                found += [
                    {"axis": axis, "gen": gen, "expected": gens[gen], "x": x, **row}
                    for gen, row in measured(at, tuple(gens), repeats)
                ]
    return _with_exponents(found)


def _of_generators(at: Base, gens: Sequence[str], repeats: int) -> Iterator[tuple[str, Row]]:
    X = class_rows(at.rows, at.length, rng=np.random.default_rng(0))
    for gen in gens:
        generator = GENERATORS[gen]
        params = {} if gen == "mean" else {"k": at.k}

        def call(generator: Generator = generator, params: dict = params) -> None:
            random = randomness(generator, 0, lambda: np.random.default_rng(0))
            generator.function(X, **params, **random)

        yield gen, {"kind": "proxies", "cpu_seconds": cpu_seconds(call, repeats=repeats)}


def _of_banks(at: Base, gens: Sequence[str], repeats: int) -> Iterator[tuple[str, Row]]:
    arrays = InMemory(Sizes(train=at.rows, test=at.test_rows // 10, length=at.length))
    for gen in gens:
        plan = make_plan(_config(gen, at), [arrays.describe()])
        chosen = np.ones(len(plan), dtype=bool)
        (unit,) = units(plan, chosen)
        seconds = cpu_seconds(partial(compute, unit, arrays), repeats=repeats)
        yield gen, {"kind": "bank", "cpu_seconds": seconds}


def _config(gen: str, at: Base) -> Config:
    """Return a sweep of one unit of work: one generator, all scalings, `max` and `mnn`."""
    config = _composed(gen)
    (method,) = config.gens
    given = {"k": at.k} if gen == "kmeans" else method.grid[0]
    tasks = {f"task{i}": tuple(np.roll(range(10), i).tolist()) for i in range(at.tasks)}
    return replace(
        config,
        gens=(Method(gen, (given,)),),
        tasks=tasks,
        norms=replace(config.norms, pre=("none",), post=("none", "l2")),
    )


@cache
def _composed(gen: str) -> Config:
    return config_of(["agg=[max,mnn]", "agg.mnn.m=[1,5]", "seeds=[0]", f"gen=[{gen}]"])


def _with_exponents(rows: Sequence[Row]) -> list[Row]:
    curves: dict[tuple, list[Row]] = {}
    for row in rows:
        curves.setdefault((row["kind"], row["axis"], row["gen"]), []).append(row)
    return [
        row | {"exponent": exponent([r["x"] for r in curve], [r["cpu_seconds"] for r in curve])}
        for curve in curves.values()
        for row in curve
    ]


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """Return b of the power law a x^b through the last points, by least squares of logarithms.

    Examples
    --------
    >>> round(exponent([1, 2, 4, 8], [99, 4, 16, 64]), 6)
    2.0
    """
    last = np.log(np.maximum(np.array([x[-FITTED:], y[-FITTED:]], dtype=float), 1e-9))
    return float(np.polyfit(last[0], last[1], 1)[0])

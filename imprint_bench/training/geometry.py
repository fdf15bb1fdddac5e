"""What tables and figures of prototypes ask for: sets by name, and how long a matching takes."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.fixed.core.assignment import assign
from imprint_bench.fixed.core.prototype_set import PrototypeSet
from imprint_bench.fixed.prototype_cache import cached_prototypes
from imprint_bench.seeding import stream

FEATURES = 64  # values of a class mean
REPEATS = 3
LARGE = 1000  # classes beyond which once is enough


def sets_in(folder: Path) -> Callable[..., PrototypeSet]:
    """Return ``(name, c, d, *, seed=0, **params) -> PrototypeSet``, cached in a folder."""

    def prototypes(name: str, c: int, d: int, *, seed: int = 0, **params: Any) -> PrototypeSet:
        return cached_prototypes(folder, name, c, d, seed=seed, params=params)

    return prototypes


def matching_seconds(c: int) -> float:
    """Return the median seconds of matching `c` random class means to as many prototypes.

    Parameters
    ----------
    c : int
        Classes; their means and the prototypes have 64 values each.
    """
    rng = stream(0, "matching", c)
    means, prototypes = (
        rows / np.linalg.norm(rows, axis=1, keepdims=True)
        for rows in rng.normal(size=(2, c, FEATURES))
    )
    assign(means[:2], prototypes[:2])  # what is imported for the first one is not counted
    seconds = []
    for _ in range(REPEATS if c <= LARGE else 1):
        started = time.perf_counter()
        assign(means, prototypes)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds))

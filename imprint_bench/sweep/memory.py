"""How much memory a unit of work takes at most, from its sizes and from small traced samples."""

import math
import tracemalloc

import numpy as np

from imprint_bench.core.distances import METRICS
from imprint_bench.core.generator import GENERATORS, randomness
from imprint_bench.core.imprinting import BLOCK_ENTRIES
from imprint_bench.data.embeddings.description import Description
from imprint_bench.sweep.unit import Unit

TRACED_ROWS = (400, 800)  # of one class
BLOCKS = 3  # matrices of queries x proxies that are there at the same time
RANK, FLOAT32, FLOAT64 = 2.0, 4.0, 8.0  # bytes


def peak_bytes(unit: Unit, description: Description) -> float:
    """Return the bytes that computing a unit takes at most, beside those of its process.

    Embeddings of all rows count once for every `norm_pre`, queries once more in float64;
    then what proxies become before they are multiplied, and a few blocks of products. What
    the generator takes itself is traced on random rows and continued as a power of the
    rows between 1 and 2.
    """
    sizes = class_sizes(unit, description)
    n_train, n_test, length = sum(sizes), description.n("test"), description.length
    generator = GENERATORS[unit.key.gen]
    n_norms = len({group.norm_pre for _, group, _ in unit.trials})
    proxies = max(
        sum(generator.count(n, dict(group.gen_params)) for n in sizes)
        for _, group, _ in unit.trials
    )
    rows = FLOAT32 * length * (n_norms * n_train + n_test) + FLOAT64 * length * n_test
    blocks = BLOCKS * FLOAT64 * min(n_test * proxies, 1.0 * BLOCK_ENTRIES)
    whole = rows + length * proxies * _bytes_per_value(unit) + blocks
    if generator.scope == "task":  # it works on all rows at once
        return whole + FLOAT32 * length * n_train
    return whole + _of_generator(unit, max(sizes), length)


def _bytes_per_value(unit: Unit) -> float:
    """Return the bytes that a number of a proxy takes where it is normalized or mapped."""
    settings = {setting for _, _, setting in unit.trials}
    mapped = any(
        METRICS[s.params["metric"]].fit is not None for s in settings if "metric" in s.params
    )
    ranked = any(s.norm_post == "quantile" for s in settings)
    return FLOAT32 + max(FLOAT64 * mapped, RANK * ranked)


def class_sizes(unit: Unit, description: Description) -> list[int]:
    """Return the training rows that a unit takes of each class."""
    _, counts = np.unique(description.labels["train"], return_counts=True)
    n_shot = unit.key.n_shot
    return [int(n if n_shot is None else min(n, n_shot)) for n in counts]


def _of_generator(unit: Unit, n: int, length: int) -> float:
    """Return the bytes that a generator takes for `n` rows of one class."""
    small, large = (_traced(unit, min(rows, n), length) for rows in TRACED_ROWS)
    if n <= TRACED_ROWS[1]:
        return large
    power = math.log(large / small) / math.log(TRACED_ROWS[1] / TRACED_ROWS[0])
    return large * (n / TRACED_ROWS[1]) ** min(max(power, 1.0), 2.0)


def _traced(unit: Unit, n: int, length: int) -> float:
    generator = GENERATORS[unit.key.gen]
    X = np.random.default_rng(0).normal(size=(n, length)).astype(np.float32)
    params = dict(unit.trials[0][1].gen_params)
    random = randomness(generator, 0, lambda: np.random.default_rng(0))
    tracemalloc.start()
    try:
        generator.function(X, **params, **random)
        return max(1.0, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()

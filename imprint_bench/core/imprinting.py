"""The reference path: one trial at a time, straight from the definition.

The sweep computes the same results with shared work (`scoring`, `sweep.bank`);
tests and benchmarks hold the two against each other.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from imprint_bench.core.aggregation import AGGREGATIONS, predict
from imprint_bench.core.generator import GENERATORS, Generator, randomness
from imprint_bench.core.normalization import PROXY_NORMALIZATIONS, ROW_NORMALIZATIONS
from imprint_bench.seeding import stream

BLOCK_ENTRIES = 1 << 24  # of a matrix of queries x proxies, 128 MiB in float64


@dataclass(frozen=True)
class Recipe:
    """One configuration of the framework: normalizations, generator, aggregation.

    Attributes
    ----------
    gen, agg : str
        Registered names.
    gen_params, agg_params : mapping
        Their parameters.
    norm_pre, norm_inf : {"none", "l2"}
        Of embeddings before the generator, of queries at inference.
    norm_post : {"none", "l2", "quantile"}
        Of proxies.
    """

    gen: str
    agg: str
    gen_params: Mapping[str, Any] = field(default_factory=dict)
    agg_params: Mapping[str, Any] = field(default_factory=dict)
    norm_pre: str = "l2"
    norm_post: str = "l2"
    norm_inf: str = "l2"


def imprint(
    X: np.ndarray, y: np.ndarray, *, recipe: Recipe, seed: int = 0, names: Sequence[Sequence] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Turn embeddings into the weights of a last layer.

    Parameters
    ----------
    X : ndarray of shape (n, l), float32 or float64
        Embeddings of the training rows.
    y : ndarray of shape (n,), int
        Labels 0..C-1, none without a row.
    recipe : Recipe
        What to do.
    seed : int
        Of generators that draw.
    names : sequence of C sequences
        What names the stream of random numbers of each class (dataset,
        mapping, class); its number if there is none.

    Returns
    -------
    proxies : ndarray of shape (p, l), float64
    proxy_labels : ndarray of shape (p,), ascending

    References
    ----------
    J. Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 3.1.

    Examples
    --------
    >>> X = np.array([[3.0, 4.0], [0.0, 2.0]])
    >>> imprint(X, np.array([0, 1]), recipe=Recipe("mean", "max"))[0]
    array([[0.6, 0.8],
           [0. , 1. ]])
    """
    generator = GENERATORS[recipe.gen]
    X = ROW_NORMALIZATIONS[recipe.norm_pre](X)
    if generator.scope == "task":
        random = randomness(generator, seed, _no_stream)
        proxies, labels = generator.function(X, y, **recipe.gen_params, **random)
    else:
        parts = []
        for c in range(int(y.max()) + 1):
            name = names[c] if names else (c,)
            random = randomness(generator, seed, _stream_of(generator, seed, name))
            parts.append(generator.function(X[y == c], **recipe.gen_params, **random))
        proxies = np.concatenate(parts)
        labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return PROXY_NORMALIZATIONS[recipe.norm_post](proxies.astype(np.float64), labels), labels


def classify(
    queries: np.ndarray, proxies: np.ndarray, proxy_labels: np.ndarray, *, recipe: Recipe
) -> np.ndarray:
    """Predict the class of every query with imprinted proxies.

    Parameters
    ----------
    queries : ndarray of shape (n, l)
        Embeddings of the test rows.
    proxies, proxy_labels : ndarray of shape (p, l) and (p,)
        From `imprint`.
    recipe : Recipe
        The same as for `imprint`.

    Returns
    -------
    ndarray of shape (n,), int64
        Classes 0..C-1.
    """
    queries = ROW_NORMALIZATIONS[recipe.norm_inf](queries.astype(np.float64))
    score = AGGREGATIONS[recipe.agg].function
    blocks = np.array_split(queries, len(queries) * len(proxies) // BLOCK_ENTRIES + 1)
    return np.concatenate(
        [predict(score(block, proxies, proxy_labels, **recipe.agg_params)) for block in blocks]
    )


def _stream_of(
    generator: Generator, seed: int, name: Sequence
) -> Callable[[], np.random.Generator]:
    return lambda: stream(seed, generator.name, *name)


def _no_stream() -> np.random.Generator:
    raise TypeError("a generator of all classes takes `seed`, not `rng`")

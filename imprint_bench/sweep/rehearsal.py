"""Every distinct method on a toy array, before anything is computed."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from imprint_bench.config import FROM_FM, Config
from imprint_bench.core.aggregation import AGGREGATIONS
from imprint_bench.core.generator import GENERATORS, randomness
from imprint_bench.errors import ConfigError, ImprintError

TOY_WEIGHT_DECAY = 1e-4
ROWS, LENGTH, CLASSES = 24, 4, 3


def rehearse(config: Config) -> None:
    """Run every generator and aggregation with all its parameters on a toy array.

    Raises
    ------
    ConfigError
        If one fails or gives what is no proxies or scores; the message names it.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, LENGTH)).astype(np.float32)
    y = np.repeat(np.arange(CLASSES), ROWS // CLASSES)
    for method in config.gens:
        for params in method.grid:
            at = f"gen.{method.name}({_listed(params)})"
            proxies = _tried(partial(_proxies, method.name, params, X, y), at=at)
            if proxies.ndim != 2 or proxies.shape[1] != LENGTH or not _finite(proxies):
                raise ConfigError(
                    f"{at}: gave {proxies.dtype} of shape {proxies.shape} for embeddings of shape "
                    f"{X.shape}; expected finite proxies of shape (p, {LENGTH}), p >= 1."
                )
    for method in config.aggs:
        score = AGGREGATIONS[method.name].function
        for params in method.grid:
            at = f"agg.{method.name}({_listed(params)})"
            scores = _tried(partial(score, X, X, y, **params), at=at)
            if scores.shape != (ROWS, CLASSES) or not _finite(scores):
                raise ConfigError(
                    f"{at}: gave {scores.dtype} of shape {scores.shape} for {ROWS} queries and "
                    f"{CLASSES} classes; expected finite scores of shape ({ROWS}, {CLASSES})."
                )


def _proxies(name: str, params: Mapping[str, Any], X: np.ndarray, y: np.ndarray) -> np.ndarray:
    generator = GENERATORS[name]
    filled = {n: TOY_WEIGHT_DECAY if v == FROM_FM else v for n, v in params.items()}
    random = randomness(generator, 0, lambda: np.random.default_rng(0))
    if generator.scope == "class":
        return generator.function(X[y == 0], **filled, **random)
    proxies, labels = generator.function(X, y, **filled, **random)
    if len(labels) != len(proxies) or set(np.unique(labels)) != set(range(CLASSES)):
        raise ValueError(f"{len(proxies)} proxies have the labels {np.asarray(labels).tolist()}")
    return proxies


def _finite(array: np.ndarray) -> bool:
    return array.size > 0 and array.dtype.kind in "fiu" and bool(np.isfinite(array).all())


def _tried(call: Callable[[], Any], *, at: str) -> np.ndarray:
    try:
        return np.asarray(call())
    except ImprintError as error:
        raise ConfigError(f"{at}: {error}") from error
    except Exception as error:  # a method may raise anything; the user gets one sentence
        raise ConfigError(
            f"{at}: fails on a toy array ({type(error).__name__}: {error})."
        ) from error


def _listed(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())

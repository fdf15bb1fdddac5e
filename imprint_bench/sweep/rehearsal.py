"""Every distinct method on a toy array, before anything is computed."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from imprint_bench.config import FROM_FM, Config
from imprint_bench.core.aggregation import AGGREGATIONS
from imprint_bench.core.generator import GENERATORS, randomness
from imprint_bench.errors import ConfigError, ImprintError

TOY_WEIGHT_DECAY = 1e-4
ROWS, LENGTH = 12, 4


def rehearse(config: Config) -> None:
    """Run every generator and aggregation with all its parameters on a toy array.

    Raises
    ------
    ConfigError
        If one fails or gives what is no proxies or scores; the message names it.
    """
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, LENGTH)).astype(np.float32)
    y = np.repeat([0, 1, 2], ROWS // 3)
    for method in config.gens:
        for params in method.grid:
            at = f"gen.{method.name}({_listed(params)})"
            proxies = _tried(partial(_proxies, method.name, params, X, y), at=at)
            if proxies.ndim != 2 or proxies.shape[1] != LENGTH or not np.isfinite(proxies).all():
                raise ConfigError(
                    f"{at}: gave an array of shape {proxies.shape} for embeddings of shape "
                    f"{X.shape}; expected finite proxies of shape (p, {LENGTH})."
                )
    for method in config.aggs:
        score = AGGREGATIONS[method.name].function
        for params in method.grid:
            at = f"agg.{method.name}({_listed(params)})"
            scores = _tried(partial(score, X, X, y, **params), at=at)
            if scores.shape != (ROWS, 3):
                raise ConfigError(
                    f"{at}: gave scores of shape {scores.shape} for {ROWS} queries and 3 classes; "
                    f"expected ({ROWS}, 3)."
                )


def _proxies(name: str, params: Any, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    generator = GENERATORS[name]
    filled = {n: TOY_WEIGHT_DECAY if v == FROM_FM else v for n, v in params.items()}
    random = randomness(generator, 0, lambda: np.random.default_rng(0))
    if generator.scope == "task":
        return np.asarray(generator.function(X, y, **filled, **random)[0])
    return np.asarray(generator.function(X[y == 0], **filled, **random))


def _tried(call: Callable[[], np.ndarray], *, at: str) -> np.ndarray:
    try:
        return call()
    except ImprintError as error:
        raise ConfigError(f"{at}: {error}") from error
    except Exception as error:  # a method may raise anything; the user gets one sentence
        raise ConfigError(
            f"{at}: fails on a toy array ({type(error).__name__}: {error})."
        ) from error


def _listed(params: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items())

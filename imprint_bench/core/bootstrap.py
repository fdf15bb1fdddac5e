"""How sure a mean over instances is: the percentile bootstrap."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imprint_bench.errors import DataError
from imprint_bench.seeding import stream

N_RESAMPLES = 10_000


class Bounds(NamedTuple):
    """Both ends of an interval."""

    low: float
    high: float


def mean_bootstrap(values: ArrayLike, *, confidence: float = 0.95, seed: int = 0) -> Bounds:
    """Return the percentile bootstrap interval of the mean over instances.

    Parameters
    ----------
    values : array_like of shape (n_instances,)
        Finite.
    confidence : float
        Level in (0, 1).
    seed : int
        Of the 10,000 resamples.

    Returns
    -------
    bounds : Bounds
        NaN for fewer than two instances, which say nothing about others.

    Raises
    ------
    DataError
        If the values are no vector of finite numbers.

    References
    ----------
    B. Efron and R. J. Tibshirani, "An Introduction to the Bootstrap", 1993,
    section 13.3.

    Examples
    --------
    >>> low, high = mean_bootstrap([0.0, 1.0] * 50)
    >>> round(low, 2), round(high, 2)
    (0.4, 0.6)
    """
    column = np.asarray(values, dtype=np.float64)
    if column.ndim != 1:
        raise DataError(f"bootstrap: {column.ndim} dimensions; expected a vector.")
    low, high = mean_bootstraps(column[:, None], confidence=confidence, seed=seed)
    return Bounds(float(low[0]), float(high[0]))


def mean_bootstraps(
    table: ArrayLike, *, confidence: float = 0.95, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the percentile bootstrap intervals of the means of several methods.

    All methods share one draw of instances, so that an interval depends on
    its own column only and differences of methods may be compared.

    Parameters
    ----------
    table : array_like of shape (n_instances, n_methods)
        Finite.
    confidence : float
        Level in (0, 1).
    seed : int
        Of the 10,000 resamples.

    Returns
    -------
    low, high : ndarray of shape (n_methods,)
        NaN for fewer than two instances.

    Raises
    ------
    DataError
        If the table is not two-dimensional or holds a number that is not finite.
    """
    scores = np.asarray(table, dtype=np.float64)
    if scores.ndim != 2:
        raise DataError(f"bootstrap: {scores.ndim} dimensions; expected a table.")
    if not np.isfinite(scores).all():
        raise DataError("bootstrap: some values are NaN or infinite; expected finite numbers.")
    n, n_methods = scores.shape
    if n < 2:
        return np.full(n_methods, np.nan), np.full(n_methods, np.nan)
    # One drawn instance of every resample after the other: neither the memory that all
    # of them take at once nor the way in which a library adds up a product matters.
    sums = np.zeros((N_RESAMPLES, n_methods))
    for instances in drawn_instances(n, seed):
        sums += scores[instances]
    tail = (1 - confidence) / 2
    low, high = np.quantile(sums / n, [tail, 1 - tail], axis=0)
    return low, high


def drawn_instances(n_instances: int, seed: int) -> np.ndarray:
    """Return the instances of every resample, shape (n_instances, n_resamples), int32."""
    rng = stream(seed, "bootstrap of the mean", n_instances)
    return rng.integers(n_instances, size=(n_instances, N_RESAMPLES), dtype=np.int32)

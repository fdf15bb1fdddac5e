"""Whether one quantity rises with another, and how sure the mean of a few draws is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtrit

from imprint_bench.core.rank_tests import mean_ranks


class Interval(NamedTuple):
    """A mean, and the half width of its confidence interval (NaN for fewer than two values)."""

    mean: float
    margin: float


def mean_interval(values: ArrayLike, *, confidence: float = 0.95) -> Interval:
    """Return the mean of independent draws with Student's confidence interval.

    Parameters
    ----------
    values : array_like of shape (n,)
        At least one, finite.
    confidence : float
        Level in (0, 1).

    Examples
    --------
    >>> mean, margin = mean_interval([1.0, 2.0, 3.0])
    >>> mean, round(margin, 4)
    (2.0, 2.4841)
    """
    x = np.asarray(values, dtype=np.float64)
    if len(x) < 2:
        return Interval(float(x.mean()), float("nan"))
    quantile = float(stdtrit(len(x) - 1, (1 + confidence) / 2))
    return Interval(float(x.mean()), quantile * float(x.std(ddof=1)) / len(x) ** 0.5)


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's rank correlation; ties share the mean rank.

    Parameters
    ----------
    a, b : array_like of shape (n,)

    Returns
    -------
    rho : float
        In [-1, 1]; NaN if all values of `a` or of `b` are equal.

    Examples
    --------
    >>> spearman([1, 2, 3, 4], [1, 10, 100, 50])
    0.8
    """
    ranks = []
    for values in (a, b):
        _, level = np.unique(np.asarray(values), return_inverse=True)
        rank = mean_ranks(level)
        ranks.append(rank - rank.mean())
    first, second = ranks
    scale = np.sqrt((first @ first) * (second @ second))
    return float(np.clip(first @ second / scale, -1, 1)) if scale else float("nan")

"""Two methods on the same instances: is there a difference, and how large is it."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from imprint_bench.core.rank_tests import SAME, levels, mean_ranks
from imprint_bench.errors import DataError
from imprint_bench.seeding import stream

Distribution = Literal["exact", "normal", "none", "studentized_range"]

EXACT_UP_TO = 50  # instances
N_RESAMPLES = 10_000
COVERAGE = 0.95


@dataclass(frozen=True)
class PairedTest:
    """Result of a Wilcoxon signed-rank test.

    Attributes
    ----------
    p : float
        Two-sided p-value.
    statistic : float
        The smaller of the two sums of ranks: of positive and of negative differences.
    distribution : {"exact", "normal", "none"}
        What the p-value was computed from; "none" where all differences are zero.
    """

    p: float
    statistic: float
    distribution: Distribution


@dataclass(frozen=True)
class Effect:
    """How much, and how often, the first of two methods is better.

    Attributes
    ----------
    wins, ties, losses : int
        Instances on which the first method is better, equal, worse.
    median_difference : float
        Median of first minus second, in the unit of the scores.
    interval_low, interval_high : float
        95 % bootstrap interval of the median difference (percentiles).
    rank_biserial : float
        Matched-pairs rank-biserial correlation in [-1, 1]: the share of the
        rank sum that speaks for the first method, less the share against it.
    """

    wins: int
    ties: int
    losses: int
    median_difference: float
    interval_low: float
    interval_high: float
    rank_biserial: float


def wilcoxon_pair(a: ArrayLike, b: ArrayLike) -> PairedTest:
    """Test whether the differences of two methods are symmetric about zero.

    Zero differences are ranked and then left out (Pratt). The exact
    distribution is used where there are neither zeros nor ties and at most 50
    instances; else the normal approximation with tie correction, without
    continuity correction. All differences zero: p = 1.

    Parameters
    ----------
    a, b : array_like of shape (n_instances,)
        Scores of the two methods, n_instances >= 1, in the same order.

    Returns
    -------
    result : PairedTest

    Raises
    ------
    DataError
        If the scores are not two finite vectors of one length.

    References
    ----------
    J. W. Pratt, "Remarks on zeros and ties in the Wilcoxon signed rank
    procedures", JASA 54, 1959.

    Examples
    --------
    >>> wilcoxon_pair([0.9, 0.8, 0.7, 0.95], [0.8, 0.5, 0.2, 0.93])
    PairedTest(p=0.125, statistic=0.0, distribution='exact')
    """
    first, second = _pair(a, b)
    signed, level = _signed_ranks(first, second)
    n = len(first)
    if not signed.any():
        return PairedTest(p=1.0, statistic=0.0, distribution="none")
    statistic = float(min(signed[signed > 0].sum(), np.abs(signed[signed < 0]).sum()))
    sizes = np.bincount(level[signed != 0])
    if (sizes <= 1).all() and signed.all() and n <= EXACT_UP_TO:
        return PairedTest(_exact_p(n, statistic), statistic, "exact")
    p = _normal_p(n, statistic, n_zero=int((signed == 0).sum()), tie_sizes=sizes)
    return PairedTest(p, statistic, "normal")


def least_p(n_instances: int) -> float:
    """Return a bound below which `wilcoxon_pair` gives no p-value, however clear the difference.

    The exact distribution ends at 2^(1 - n), all signs equal. The normal
    approximation is farthest from zero where all differences are equal, at
    z = sqrt(n), by the inequality of Cauchy and Schwarz.

    Parameters
    ----------
    n_instances : int
        At least 1.

    Examples
    --------
    >>> round(least_p(5), 4), least_p(30) == 2**-29
    (0.0253, True)
    """
    return min(2.0 ** (1 - n_instances), math.erfc(math.sqrt(n_instances / 2)))


def effect(a: ArrayLike, b: ArrayLike, *, seed: int = 0) -> Effect:
    """Describe the difference between two methods.

    Parameters
    ----------
    a, b : array_like of shape (n_instances,)
        Scores of the first and the second method, n_instances >= 1.
    seed : int
        Of the bootstrap over instances (10,000 resamples).

    Raises
    ------
    DataError
        If the scores are not two finite vectors of one length.

    References
    ----------
    D. S. Kerby, "The simple difference formula", Comprehensive Psychology 3, 2014.
    """
    first, second = _pair(a, b)
    signed, _ = _signed_ranks(first, second)
    difference = np.sort(np.where(signed == 0, 0.0, first - second))
    lower, upper = _middle_positions(len(difference), seed)
    medians = (difference[lower] + difference[upper]) / 2
    tail = (1 - COVERAGE) / 2
    low, high = np.quantile(medians, [tail, 1 - tail])
    total = float(np.abs(signed).sum())
    return Effect(
        wins=int((signed > 0).sum()),
        ties=int((signed == 0).sum()),
        losses=int((signed < 0).sum()),
        median_difference=float(np.median(difference)),
        interval_low=float(low),
        interval_high=float(high),
        rank_biserial=float(signed.sum()) / total if total else 0.0,
    )


def identical(a: ArrayLike, b: ArrayLike) -> bool:
    """Tell whether two methods have the same score on every instance, up to rounding."""
    return not _signed_ranks(*_pair(a, b))[0].any()


def _pair(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    if first.ndim != 1 or first.shape != second.shape or not first.size:
        raise DataError(
            f"paired scores: shapes {first.shape} and {second.shape}; "
            "expected two vectors of one length, at least 1."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise DataError("paired scores: some are NaN or infinite; expected finite numbers.")
    return first, second


def _signed_ranks(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Pratt's signed ranks (0 for a zero difference), and the level of each difference."""
    difference = first - second
    resolution = SAME * float(max(np.abs(first).max(), np.abs(second).max()))
    level = levels(np.append(np.abs(difference), 0.0), resolution=resolution)[:-1]
    zero = level == 0  # the appended zero is the lowest level, and its own if nothing else is zero
    if not zero.any():
        level = level - 1
    ranks = mean_ranks(level)
    return np.where(zero, 0.0, np.sign(difference) * ranks), level


def _exact_p(n: int, statistic: float) -> float:
    return min(1.0, 2 * float(_lower_tail(n)[int(statistic)]))


@lru_cache(maxsize=EXACT_UP_TO)
def _lower_tail(n: int) -> np.ndarray:
    """Return P(sum of positive ranks <= t) for t = 0, 1, ..., when each sign is a coin toss."""
    ways = np.ones(1)  # of reaching each sum; whole numbers below 2**50, so floats are exact
    for rank in range(1, n + 1):
        ways = np.append(ways, np.zeros(rank)) + np.append(np.zeros(rank), ways)
    return np.cumsum(ways) / 2.0**n


def _normal_p(n: int, statistic: float, *, n_zero: int, tie_sizes: np.ndarray) -> float:
    mean = (n * (n + 1) - n_zero * (n_zero + 1)) / 4
    squares = n * (n + 1) * (2 * n + 1) - n_zero * (n_zero + 1) * (2 * n_zero + 1)
    ties = float((tie_sizes.astype(float) ** 3 - tie_sizes).sum())
    deviation = math.sqrt((squares - ties / 2) / 24)
    return math.erfc(abs(statistic - mean) / deviation / math.sqrt(2))


@lru_cache(maxsize=8)
def _middle_positions(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return, for each resample of n sorted values, the places of its two middle values.

    The median of a resample is decided by ranks alone, so one draw of places
    serves every pair of methods.
    """
    rng = stream(seed, "bootstrap", n)
    middle = [(n - 1) // 2, n // 2]
    blocks = [
        np.partition(rng.integers(n, size=(1000, n), dtype=np.int32), middle, axis=1)[:, middle]
        for _ in range(N_RESAMPLES // 1000)
    ]
    lower, upper = np.concatenate(blocks).T
    return lower, upper

"""Whether one quantity rises with another, and how sure the mean of a few draws is."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import stdtr, stdtrit

from imprint_bench.core.rank_tests import SAME, levels, mean_ranks
from imprint_bench.errors import DataError

NAN = float("nan")


class Interval(NamedTuple):
    """A mean, and the half width of its confidence interval (NaN for fewer than two values)."""

    mean: float
    margin: float


class Fit(NamedTuple):
    """A straight line y = `intercept` + `slope` x, and the share of variance it explains."""

    slope: float
    intercept: float
    r_squared: float


class Correlation(NamedTuple):
    """A rank correlation in [-1, 1], and the two-sided p-value of none at all."""

    rho: float
    p: float


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
        return Interval(float(x.mean()), NAN)
    quantile = float(stdtrit(len(x) - 1, (1 + confidence) / 2))
    return Interval(float(x.mean()), quantile * float(x.std(ddof=1)) / len(x) ** 0.5)


def fit_line(x: ArrayLike, y: ArrayLike) -> Fit:
    """Fit a straight line by least squares.

    Parameters
    ----------
    x, y : array_like of shape (n,)

    Returns
    -------
    fit : Fit
        All NaN for fewer than two points, for equal `x`, or if a number is not
        finite; `r_squared` alone is NaN if all `y` are equal.

    Raises
    ------
    DataError
        If `x` and `y` are not two vectors of one length.

    Examples
    --------
    >>> fit_line([0, 1, 2], [1, 3, 5])
    Fit(slope=2.0, intercept=1.0, r_squared=1.0)
    """
    first, second = _points(x, y)
    if _undefined(first, second) or _constant(first):
        return Fit(NAN, NAN, NAN)
    dx, dy = first - first.mean(), second - second.mean()
    slope = float(dx @ dy) / float(dx @ dx)
    intercept = float(second.mean()) - slope * float(first.mean())
    if _constant(second):
        return Fit(slope, intercept, NAN)
    explained = float(dx @ dy) ** 2 / (float(dx @ dx) * float(dy @ dy))
    return Fit(slope, intercept, min(explained, 1.0))


def spearman(a: ArrayLike, b: ArrayLike) -> float:
    """Return Spearman's rank correlation; ties share the mean rank.

    Parameters
    ----------
    a, b : array_like of shape (n,)

    Returns
    -------
    rho : float
        In [-1, 1]; NaN if all values of `a` or of `b` are equal, or one is not finite.

    Raises
    ------
    DataError
        If `a` and `b` are not two vectors of one length.

    Examples
    --------
    >>> spearman([1, 2, 3, 4], [1, 10, 100, 50])
    0.8
    """
    return spearman_test(a, b).rho


def spearman_test(a: ArrayLike, b: ArrayLike) -> Correlation:
    """Return Spearman's rank correlation and its two-sided p-value by Student's t.

    Parameters
    ----------
    a, b : array_like of shape (n,)

    Returns
    -------
    result : Correlation
        NaN where it is undefined: `rho` as in `spearman`, `p` also for two points.

    Raises
    ------
    DataError
        If `a` and `b` are not two vectors of one length.

    References
    ----------
    C. Spearman, "The proof and measurement of association between two things",
    American Journal of Psychology 15, 1904; the t statistic is
    rho sqrt((n - 2) / (1 - rho^2)) with n - 2 degrees of freedom.

    Examples
    --------
    >>> rho, p = spearman_test([1, 2, 3, 4], [1, 10, 100, 50])
    >>> round(rho, 4), round(p, 4)
    (0.8, 0.2)
    """
    first, second = _points(a, b)
    if _undefined(first, second):
        return Correlation(NAN, NAN)
    ranks = [mean_ranks(_places(values)) for values in (first, second)]
    x, y = (rank - rank.mean() for rank in ranks)
    scale = float(np.sqrt((x @ x) * (y @ y)))
    if scale == 0:
        return Correlation(NAN, NAN)
    rho = float(np.clip(x @ y / scale, -1, 1))
    degrees = len(x) - 2
    if degrees == 0:
        return Correlation(rho, NAN)
    if abs(rho) == 1:
        return Correlation(rho, 0.0)
    t = rho * (degrees / ((1 + rho) * (1 - rho))) ** 0.5
    return Correlation(rho, 2 * float(stdtr(degrees, -abs(t))))


def kendall(a: ArrayLike, b: ArrayLike) -> float:
    """Return Kendall's rank correlation tau-b, which allows for ties.

    Parameters
    ----------
    a, b : array_like of shape (n,)

    Returns
    -------
    tau : float
        In [-1, 1]; NaN if all values of `a` or of `b` are equal, or one is not finite.

    Raises
    ------
    DataError
        If `a` and `b` are not two vectors of one length.

    References
    ----------
    M. G. Kendall, "The treatment of ties in ranking problems", Biometrika 33,
    1945.

    Examples
    --------
    >>> round(kendall([1, 2, 3, 4], [1, 2, 4, 3]), 4)
    0.6667
    """
    first, second = _points(a, b)
    if _undefined(first, second):
        return NAN
    x, y = _places(first), _places(second)
    agreement, x_decided, y_decided = 0, 0, 0
    for i in range(1, len(x)):  # one point against all before it: memory stays linear
        x_sign, y_sign = np.sign(x[i] - x[:i]), np.sign(y[i] - y[:i])
        agreement += int(x_sign @ y_sign)
        x_decided += int(np.count_nonzero(x_sign))
        y_decided += int(np.count_nonzero(y_sign))
    if not x_decided or not y_decided:
        return NAN
    return float(np.clip(agreement / (x_decided * y_decided) ** 0.5, -1, 1))


def flips(a: ArrayLike, b: ArrayLike) -> list[tuple[int, int]]:
    """Return the pairs of positions that `a` and `b` put in opposite order.

    Parameters
    ----------
    a, b : array_like of shape (n,)
        Finite.

    Returns
    -------
    pairs : list of (int, int)
        Positions i < j; a tie in `a` or in `b` is no flip.

    Raises
    ------
    DataError
        If `a` and `b` are not two vectors of one length, or a number is not finite.

    Examples
    --------
    >>> flips([1, 2, 3], [2, 1, 1])
    [(0, 1), (0, 2)]
    """
    first, second = _points(a, b)
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise DataError("flips: some values are NaN or infinite; expected finite numbers.")
    x, y = _places(first), _places(second)
    return [
        (i, j)
        for i in range(len(x))
        for j in range(i + 1, len(x))
        if (x[i] - x[j]) * (y[i] - y[j]) < 0
    ]


def _points(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise DataError(
            f"points: shapes {first.shape} and {second.shape}; expected two vectors of one length."
        )
    return first, second


def _undefined(first: np.ndarray, second: np.ndarray) -> bool:
    """Tell whether there are too few points for a trend, or some that are no numbers."""
    return len(first) < 2 or not (np.isfinite(first).all() and np.isfinite(second).all())


def _places(values: np.ndarray) -> np.ndarray:
    """Return the place of each value, 0 = lowest; those that differ by rounding only tie."""
    return levels(values, resolution=SAME * float(np.abs(values).max(initial=0.0)))


def _constant(values: np.ndarray) -> bool:
    return not _places(values).any()

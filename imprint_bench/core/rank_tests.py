"""Ranks of methods within instances, and the two tests that look at ranks only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import chdtrc, fdtrc

from imprint_bench.errors import ConfigError, DataError, IncompleteError

SAME = 1e-12  # numbers nearer than this, relative to the largest, differ by rounding only
NAMED = 5  # how many cells, at most, a message names


@dataclass(frozen=True)
class Friedman:
    """Result of the Friedman test that all methods are alike.

    Attributes
    ----------
    chi2, p : float
        Statistic with tie correction, and its upper tail of chi-squared with
        k - 1 degrees of freedom.
    iman_davenport_f, iman_davenport_p : float
        The less conservative F statistic, and its upper tail of F with k - 1
        and (k - 1)(n - 1) degrees of freedom.
    """

    chi2: float
    p: float
    iman_davenport_f: float
    iman_davenport_p: float


def as_floats(scores: ArrayLike) -> np.ndarray:
    """Return `scores` as float64, or raise DataError where they are no table of numbers."""
    try:
        return np.asarray(scores, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"scores: not a table of numbers ({error}); expected floats.") from None


def check_scores(
    scores: ArrayLike, names: Sequence[str] | None = None, instances: Sequence[str] | None = None
) -> np.ndarray:
    """Return `scores` as a float64 table that every test here can work on.

    Parameters
    ----------
    scores : array_like of shape (n_instances, n_methods)
        One score per instance and method; higher is better.
    names, instances : sequence of str, optional
        What the columns and rows are called, for messages.

    Raises
    ------
    DataError
        For a table that is not two-dimensional or not of numbers, fewer than
        two methods or instances, or an infinite score.
    IncompleteError
        For missing cells (NaN); the message names them.
    """
    table = as_floats(scores)
    if table.ndim != 2:
        raise DataError(
            f"scores: {table.ndim} dimensions; expected a table of instances (rows) by methods."
        )
    n, k = table.shape
    if k < 2:
        raise DataError(f"scores: {_count(k, 'method')}; a comparison needs at least two.")
    if n < 2:
        raise DataError(f"scores: {_count(n, 'instance')}; a comparison needs at least two.")
    columns = [f"column {j}" for j in range(k)] if names is None else list(names)
    rows = [f"row {i}" for i in range(n)] if instances is None else list(instances)
    if np.isnan(table).any():
        which = _cells(np.isnan(table), columns, rows)
        raise IncompleteError(
            f"scores: missing {which}; repeat the sweep, which computes only what is missing, "
            "or pass report.allow_incomplete=true to leave such instances out."
        )
    if np.isinf(table).any():
        raise DataError(
            f"scores: infinite {_cells(np.isinf(table), columns, rows)}; "
            "expected finite numbers, such as accuracies in [0, 1]."
        )
    return table


def check_alpha(alpha: float) -> None:
    """Raise ConfigError unless `alpha` is a significance level."""
    number = isinstance(alpha, int | float | np.number) and not isinstance(alpha, bool)
    if not number or not 0 < alpha < 1:
        raise ConfigError(f"alpha: expected a number between 0 and 1, got {alpha!r}.")


def levels(values: np.ndarray, *, resolution: float) -> np.ndarray:
    """Return the place of each value among the distinct ones, 0 = lowest.

    Values nearer than `resolution` count as one: medians and differences carry
    rounding errors (0.9 - 0.8 is not 0.8 - 0.7 in floating point), and comparing
    bit by bit would hide ties.

    Examples
    --------
    >>> levels(np.array([0.9 - 0.8, 0.0, 0.8 - 0.7]), resolution=1e-12).tolist()
    [1, 0, 1]
    """
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order], prepend=values[order[:1]]) > resolution
    level = np.empty(len(values), dtype=np.intp)
    level[order] = np.cumsum(steps)
    return level


def mean_ranks(level: np.ndarray) -> np.ndarray:
    """Return the rank of each entry, 1 = lowest level; equal entries share their mean rank."""
    sizes = np.bincount(level)
    return (np.cumsum(sizes) - (sizes - 1) / 2)[level]


def average_ranks(scores: ArrayLike) -> np.ndarray:
    """Return the average rank of each method over all instances.

    Parameters
    ----------
    scores : array_like of shape (n_instances, n_methods)
        Higher is better.

    Returns
    -------
    ranks : ndarray of shape (n_methods,)
        Between 1 (best on every instance) and n_methods; methods that tie on an
        instance share the mean of the ranks they take up.

    References
    ----------
    J. Demsar, "Statistical comparisons of classifiers over multiple data sets",
    JMLR 7, 2006, section 3.2.2.

    Examples
    --------
    >>> average_ranks([[0.9, 0.8, 0.8], [0.7, 0.6, 0.5]])
    array([1.  , 2.25, 2.75])
    """
    return np.array([mean_ranks(row) for row in _row_levels(check_scores(scores))]).mean(axis=0)


def dense_ranks(scores: ArrayLike) -> np.ndarray:
    """Return average ranks in which a tie uses up one rank only; for `paper_compat`.

    Examples
    --------
    >>> dense_ranks([[0.9, 0.9, 0.8], [0.7, 0.6, 0.5]])
    array([1. , 1.5, 2.5])
    """
    return (np.array(_row_levels(check_scores(scores))) + 1.0).mean(axis=0)


def friedman(scores: ArrayLike) -> Friedman:
    """Test whether all methods rank alike; two methods are allowed.

    Parameters
    ----------
    scores : array_like of shape (n_instances, n_methods)
        Higher is better.

    Returns
    -------
    result : Friedman
        With p = 1 where all scores of every instance are equal.

    References
    ----------
    J. Demsar, JMLR 7, 2006, section 3.2.2; R. L. Iman and J. M. Davenport,
    "Approximations of the critical region of the Friedman statistic", 1980.
    """
    rows = _row_levels(check_scores(scores))
    n, k = len(rows), len(rows[0])
    ranks = np.array([mean_ranks(row) for row in rows])
    between = n * float(np.square(ranks.mean(axis=0) - (k + 1) / 2).sum())
    spread = float(np.square(ranks - (k + 1) / 2).sum())  # ties make it smaller
    if spread == 0:
        return Friedman(chi2=0.0, p=1.0, iman_davenport_f=0.0, iman_davenport_p=1.0)
    chi2 = n * (k - 1) * between / spread
    rest = n * (k - 1) - chi2
    # All instances agree: nothing is left over, up to rounding.
    f = (n - 1) * chi2 / rest if rest > SAME * chi2 else np.inf
    return Friedman(
        chi2=chi2,
        p=float(chdtrc(k - 1, chi2)),
        iman_davenport_f=f,
        iman_davenport_p=float(fdtrc(k - 1, (k - 1) * (n - 1), f)),
    )


def nemenyi_critical_difference(n_methods: int, n_instances: int, alpha: float = 0.05) -> float:
    """Return the least difference of average ranks that the Nemenyi test calls significant.

    Examples
    --------
    >>> round(nemenyi_critical_difference(4, 14), 2)
    1.25

    References
    ----------
    J. Demsar, JMLR 7, 2006, section 3.2.2 and table 5.
    """
    from scipy.stats import studentized_range  # slow to import

    check_alpha(alpha)
    unit = _nemenyi_unit(n_methods, n_instances)
    return float(studentized_range.ppf(1 - alpha, n_methods, np.inf)) * unit


def nemenyi_p(difference: ArrayLike, *, n_methods: int, n_instances: int) -> np.ndarray:
    """Return the p-value of differences of average ranks, already right for all pairs at once."""
    from scipy.stats import studentized_range

    q = np.abs(np.asarray(difference, dtype=float)) / _nemenyi_unit(n_methods, n_instances)
    return np.clip(studentized_range.sf(q, n_methods, np.inf), 0, 1)


def _nemenyi_unit(n_methods: int, n_instances: int) -> float:
    """Return the standard error of an average rank when all methods are alike."""
    if n_methods < 2 or n_instances < 1:
        raise ConfigError(
            f"nemenyi: {_count(n_methods, 'method')} on {_count(n_instances, 'instance')}; "
            "expected at least two methods and one instance."
        )
    return float(np.sqrt(n_methods * (n_methods + 1) / (12 * n_instances)))


def _row_levels(table: np.ndarray) -> list[np.ndarray]:
    """Return the places of the scores of each instance, 0 = highest."""
    resolution = SAME * float(np.abs(table).max())
    return [levels(-row, resolution=resolution) for row in table]


def _cells(bad: np.ndarray, columns: Sequence[str], rows: Sequence[str]) -> str:
    """Describe the cells that are set in `bad`: how many, and the first few by name."""
    where = np.argwhere(bad)
    named = "; ".join(f"{columns[j]} on {rows[i]}" for i, j in where[:NAMED])
    more = f"; and {len(where) - NAMED} more" if len(where) > NAMED else ""
    return f"{_count(len(where), 'cell')} of {bad.size} ({named}{more})"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"

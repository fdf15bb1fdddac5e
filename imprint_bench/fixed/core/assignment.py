"""Which class is trained towards which prototype: the matching, and when it is made anew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from imprint_bench.errors import ConfigError
from imprint_bench.params import AtLeast, check_params
from imprint_bench.registry import Registry
from imprint_bench.seeding import stream

Array = np.ndarray
Initial = Literal["identity", "random"]
NotNegative = Annotated[float, AtLeast(0)]
EQUAL = 1e-9  # costs that differ by less than this share of what they may be are equal


def assign(
    means: ArrayLike,
    prototypes: ArrayLike,
    *,
    seen: ArrayLike | None = None,
    previous: ArrayLike | None = None,
) -> Array:
    """Match classes to prototypes so that the inner products with their means sum to most.

    Parameters
    ----------
    means : array_like of shape (c, d)
        Mean feature of every class, finite; rows of classes not seen are not read.
    prototypes : array_like of shape (c, d)
    seen : array_like of bool, shape (c,), or None
        Classes that have a mean; None means all. The others get what is left: their
        previous prototype where it is free, then the free ones in ascending order.
    previous : array_like of int, shape (c,), or None
        Assignment in force; it stays if none is better.

    Returns
    -------
    assignment : ndarray of shape (c,), int64
        Prototype of each class, a permutation.

    Raises
    ------
    ValueError
        If shapes do not fit, a mean is not finite, or `previous` is no permutation.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype
    Assignment", CVPR 2024, equation 9; scipy's `linear_sum_assignment` solves it.

    Examples
    --------
    >>> assign([[0.0, 1.0], [1.0, 0.2]], [[1.0, 0.0], [0.0, 1.0]])
    array([1, 0])
    """
    Q, W = np.asarray(means, dtype=np.float64), np.asarray(prototypes, dtype=np.float64)
    if Q.ndim != 2 or Q.shape != W.shape:
        raise ValueError(f"assign: expected means and prototypes of one shape (c, d), got "
                         f"{Q.shape} and {W.shape}.")  # fmt: skip
    c = len(Q)
    known = np.ones(c, dtype=bool) if seen is None else np.asarray(seen, dtype=bool)
    if known.shape != (c,):
        raise ValueError(f"assign: expected seen of shape ({c},), got {known.shape}.")
    before = None if previous is None else permutation_of(previous, c)
    rows = np.flatnonzero(known)
    if not np.isfinite(Q[rows]).all():
        bad = rows[~np.isfinite(Q[rows]).all(axis=1)][0]
        raise ValueError(f"assign: the mean of class {bad} is not finite.")
    gains = Q[rows] @ W.T
    found = _matched(gains)
    if before is not None:
        kept = gains[np.arange(len(rows)), before[rows]].sum()
        gained = gains[np.arange(len(rows)), found].sum()
        if gained - kept <= EQUAL * np.linalg.norm(Q[rows], axis=1).sum():
            return before
    return _filled(rows, found, before, c)


def permutation_of(values: ArrayLike, c: int) -> Array:
    """Return `values` as int64 if they are the numbers below `c`, each once.

    Raises
    ------
    ValueError
        If they are not.
    """
    found = np.asarray(values)
    if found.shape != (c,) or not np.array_equal(np.sort(found), np.arange(c)):
        raise ValueError(f"assignment: expected a permutation of {c} prototypes, got {values!r}.")
    return found.astype(np.int64)


def change_fraction(previous: ArrayLike, current: ArrayLike) -> float:
    """Return the share of classes whose prototype differs between two assignments, in [0, 1].

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 4b.

    Examples
    --------
    >>> change_fraction([0, 1, 2, 3], [0, 1, 3, 2])
    0.5
    """
    return float(np.mean(np.asarray(previous) != np.asarray(current)))


@dataclass(frozen=True)
class Schedule:
    """When the assignment is made anew.

    Attributes
    ----------
    updates_per_epoch : float
        0.1 is every ten epochs, 0 is never.
    start : float
        Epochs before the first update.
    freeze_after : float or None
        Epochs after which there is no update any more; None means always some.
    """

    updates_per_epoch: float = 1.0
    start: float = 0.0
    freeze_after: float | None = None

    def due(self, step: int, steps_per_epoch: int) -> bool:
        """Tell whether an update comes before training step `step`, the first of which is 0.

        An update at the end of an epoch thus comes before the first step of the next one:
        after the evaluation, which uses the assignment that was trained, and not at all
        after the last epoch.

        Parameters
        ----------
        step : int
            Number of steps that are done.
        steps_per_epoch : int
            At least 1.

        Examples
        --------
        >>> [step for step in range(13) if Schedule(0.5).due(step, 3)]
        [6, 12]
        """
        last = float("inf") if self.freeze_after is None else self.freeze_after
        epochs = Fraction(step, steps_per_epoch)
        if step == 0 or not self.start <= epochs <= last:
            return False
        rate = Fraction(self.updates_per_epoch).limit_denominator(10**6)  # 0.1 is a tenth
        one = Fraction(1, steps_per_epoch)
        return floor(rate * epochs) > floor(rate * (epochs - one))


@dataclass(frozen=True)
class Rule:
    """How classes get their prototypes.

    Attributes
    ----------
    initial : "identity" or "random"
        The assignment with which training starts.
    schedule : Schedule or None
        None where that assignment stays.
    momentum : float
        Of the class means, in [0, 1).
    means : "zeros" or "random"
        What the class means start from.
    """

    initial: Initial
    schedule: Schedule | None = None
    momentum: float = 0.9
    means: Literal["zeros", "random"] = "zeros"


ASSIGNMENTS: Registry[Callable[..., Rule]] = Registry("assignment")


@ASSIGNMENTS.register("static")
def static(*, initial: Initial = "identity") -> Rule:
    """Return the rule under which every class keeps its prototype."""
    return Rule(initial)


@ASSIGNMENTS.register("dynamic")
def dynamic(
    *,
    updates_per_epoch: NotNegative = 1.0,
    momentum: NotNegative = 0.9,
    start: NotNegative = 0.0,
    freeze_after: NotNegative | None = None,
    initial: Initial = "random",
    means: Literal["zeros", "random"] = "zeros",
) -> Rule:
    """Return the rule under which classes are matched to prototypes during training.

    Raises
    ------
    ConfigError
        If `momentum` is 1 or more: the class means would never move.

    References
    ----------
    Saadabadi et al., CVPR 2024, section 3.3.
    """
    if momentum >= 1:
        raise ConfigError(f"momentum: expected a number in [0, 1), got {momentum}.")
    return Rule(initial, Schedule(updates_per_epoch, start, freeze_after), momentum, means)


def build_rule(name: str, params: Mapping[str, Any], *, at: str = "assignment") -> Rule:
    """Return the rule called `name`.

    Raises
    ------
    ConfigError
        For an unknown name or a wrong parameter; the message starts with the place `at`.
    """
    function = ASSIGNMENTS.find(name, at=at)
    check_params(function, params, at=f"{at}.{name}")
    try:
        return function(**params)
    except ConfigError as error:
        raise ConfigError(f"{at}.{name}.{error}") from error


def initial_assignment(initial: Initial, c: int, *, seed: int = 0) -> Array:
    """Return the assignment with which training starts.

    Parameters
    ----------
    initial : "identity" or "random"
    c : int
        Number of classes.
    seed : int
        Of the random permutation.

    Returns
    -------
    assignment : ndarray of shape (c,), int64
    """
    if initial == "identity":
        return np.arange(c)
    return stream(seed, "assignment", c).permutation(c)


def _matched(gains: Array) -> Array:
    """Return the column of each row, no column twice, whose values sum to most."""
    from scipy.optimize import linear_sum_assignment  # takes long to import

    return linear_sum_assignment(gains, maximize=True)[1].astype(np.int64)


def _filled(rows: Array, found: Array, before: Array | None, c: int) -> Array:
    """Return the assignment of all classes, given that of `rows`."""
    assignment = np.full(c, -1, dtype=np.int64)
    assignment[rows] = found
    free = np.ones(c, dtype=bool)
    free[found] = False
    if before is not None:
        stays = (assignment < 0) & free[before]
        assignment[stays] = before[stays]
        free[before[stays]] = False
    assignment[assignment < 0] = np.flatnonzero(free)
    return assignment

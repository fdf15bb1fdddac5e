"""Schedules: the learning rate over the epochs, as a factor."""

from collections.abc import Callable
from math import cos, pi
from typing import Annotated

from imprint_bench.params import AtLeast, PositiveInt
from imprint_bench.registry import Registry

NotNegative = Annotated[float, AtLeast(0)]

# A schedule is f(epoch, start, end, *, ...) -> factor: `epoch` is the time, a float, `start`
# the end of the warm-up, `end` that of the training.
SCHEDULES: Registry[Callable[..., float]] = Registry("schedule")


@SCHEDULES.register("constant")
def constant(epoch: float, start: float, end: float) -> float:
    """Return 1."""
    return 1.0


@SCHEDULES.register("milestones")
def milestones(
    epoch: float,
    start: float,
    end: float,
    *,
    at: tuple[PositiveInt, ...],
    gamma: NotNegative = 0.1,
) -> float:
    """Return `gamma` to the number of milestones that are passed.

    Parameters
    ----------
    epoch, start, end : float
        Time, end of the warm-up, end of the training; in epochs.
    at : list of int
        Numbers of epochs done, from which on there is another factor `gamma`.
    gamma : float
    """
    return gamma ** sum(epoch >= milestone for milestone in at)


@SCHEDULES.register("cosine")
def cosine(epoch: float, start: float, end: float, *, minimum: NotNegative = 0.0) -> float:
    """Return a factor that falls from 1 at the end of the warm-up to `minimum` along a cosine.

    Parameters
    ----------
    epoch, start, end : float
        Time, end of the warm-up, end of the training; in epochs.
    minimum : float
        Share of the learning rate at the end.

    References
    ----------
    I. Loshchilov and F. Hutter, "SGDR: stochastic gradient descent with warm restarts",
    ICLR 2017, equation 5.
    """
    share = min(max((epoch - start) / max(end - start, 1e-12), 0.0), 1.0)
    return minimum + (1 - minimum) * (1 + cos(pi * share)) / 2


def warm_up(epoch: float, step_length: float, *, epochs: float, start: float) -> float:
    """Return the factor of a linear warm-up, which is 1 in its last step and after it.

    Parameters
    ----------
    epoch : float
        Time before the step, in epochs.
    step_length : float
        Of one step, in epochs.
    epochs : float
        How long the warm-up takes; 0 for none.
    start : float
        The factor from which it rises.

    Examples
    --------
    >>> [warm_up(epoch, 0.5, epochs=2, start=0) for epoch in (0, 0.5, 1, 1.5, 2)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    if epochs <= 0:
        return 1.0
    return start + (1 - start) * min((epoch + step_length) / epochs, 1.0)

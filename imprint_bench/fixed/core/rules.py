"""How classes get their prototypes, by the names that YAML uses, and when anew."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Annotated, Any, Literal

from imprint_bench.errors import ConfigError
from imprint_bench.params import AtLeast, check_params
from imprint_bench.registry import Registry

Initial = Literal["identity", "random"]
NotNegative = Annotated[float, AtLeast(0)]


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
        (rate, of), (start, of_start), (last, of_last) = self._ratios
        if step == 0 or step * of_start < start * steps_per_epoch:
            return False
        if self.freeze_after is not None and step * of_last > last * steps_per_epoch:
            return False
        return rate * step // (of * steps_per_epoch) > rate * (step - 1) // (of * steps_per_epoch)

    @cached_property
    def _ratios(self) -> list[tuple[int, int]]:
        """The three numbers as ratios: 0.1 is a tenth."""
        numbers = (self.updates_per_epoch, self.start, self.freeze_after or 0.0)
        return [Fraction(x).limit_denominator(10**6).as_integer_ratio() for x in numbers]


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

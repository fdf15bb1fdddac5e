"""Recipes: how a network is trained, apart from the learning rate and the loss."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import torch
from torch import nn

from imprint_bench.checks import check_keys
from imprint_bench.errors import ConfigError
from imprint_bench.params import (
    AtLeast,
    PositiveInt,
    check_params,
    check_value,
    settable,
    with_defaults,
    without_defaults,
)
from imprint_bench.plugins import code_of
from imprint_bench.registry import Registry
from imprint_bench.training.augmentation import AUGMENTATIONS
from imprint_bench.training.mixing import check_shares
from imprint_bench.training.optimizers import OPTIMIZERS
from imprint_bench.training.schedules import SCHEDULES, warm_up

NotNegative = Annotated[float, AtLeast(0)]
Autocast = Literal["none", "bfloat16", "float16"]
Plain = Mapping[str, Any]


@dataclass(frozen=True)
class Choice:
    """A registered function and its parameters, all of them."""

    kind: str
    params: Plain


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; `read_recipe` makes one from YAML and tells what each key is."""

    epochs: int
    batch_size: int
    accumulate: int
    optimizer: Choice
    schedule: Choice
    warmup_epochs: float
    warmup_start: float
    augmentation: tuple[Choice, ...]
    normalize: str | Plain
    mixup: float
    image_size: int | None
    shares: Mapping[str, float] | None
    amp: Autocast
    max_grad_norm: float | None

    def rate(self, step: int, steps_per_epoch: int) -> float:
        """Return the factor of the learning rate in training step `step`, the first of which is 0.

        The warm-up's and the schedule's multiply; a cosine starts where the warm-up ends.
        """
        epoch = step / steps_per_epoch
        schedule = SCHEDULES[self.schedule.kind]
        return warm_up(
            epoch, 1 / steps_per_epoch, epochs=self.warmup_epochs, start=self.warmup_start
        ) * schedule(epoch, self.warmup_epochs, float(self.epochs), **self.schedule.params)

    def make_optimizer(self, modules: nn.ModuleList, lr: float) -> torch.optim.Optimizer:
        """Return the optimizer of what is trained in `modules`."""
        kind = self.optimizer.kind
        # torch 2.13's fused SGD does not start its momentum where float16 makes the first
        # gradients infinite and the step is left out.
        fused = self.amp != "float16"
        try:
            return OPTIMIZERS[kind](modules.parameters(), lr, fused, **self.optimizer.params)
        except ValueError as error:  # a beta of 1, nesterov without momentum, a negative rate
            raise ConfigError(
                f"recipe.optimizer.{kind}: torch refuses lr {lr:g} with "
                f"{dict(self.optimizer.params)} ({error}); expected values that it takes."
            ) from error

    def plain(self) -> dict[str, Any]:
        """Return the recipe as dicts, lists and scalars."""
        return asdict(self)

    def canonical(self) -> dict[str, Any]:
        """Return what identifies the recipe: JSON values, less those that are the default.

        A new key thus makes another recipe of none that does not use it.
        """
        content = {
            name: value
            for name, value in without_defaults(_schema, vars(self)).items()
            if name not in ("optimizer", "schedule", "augmentation")
        }
        return content | {
            "optimizer": _identity(OPTIMIZERS, self.optimizer),
            "schedule": _identity(SCHEDULES, self.schedule),
            "augmentation": [_identity(AUGMENTATIONS, choice) for choice in self.augmentation],
        }


def _identity(registry: Registry[Any], choice: Choice) -> dict[str, Any]:
    function = registry[choice.kind]
    content: dict[str, Any] = {choice.kind: without_defaults(function, choice.params)}
    if code := code_of(function):
        content["code"] = code
    return content


def _schema(
    *,
    epochs: PositiveInt,
    batch_size: PositiveInt = 128,
    accumulate: PositiveInt = 1,
    optimizer: Any = None,
    schedule: Any = None,
    warmup_epochs: NotNegative = 0.0,
    warmup_start: NotNegative = 0.0,
    augmentation: Any = None,
    normalize: Any = "data",
    mixup: NotNegative = 0.0,
    image_size: PositiveInt | None = None,
    shares: dict[str, float] | None = None,
    amp: Autocast = "none",
    max_grad_norm: NotNegative | None = None,
) -> None:
    """Hold the keys of a recipe, their types and defaults."""


def read_recipe(raw: Plain, *, at: str = "recipe") -> Recipe:
    """Return the recipe that a plain mapping describes.

    Parameters
    ----------
    raw : mapping
        ``epochs``, which is needed, and any of:

        ``batch_size`` (128), images per update of the weights; what does not fill the last
        batch of an epoch is left out of it.
        ``accumulate`` (1), parts in which a batch is computed, to save memory.
        ``optimizer`` (``{sgd: {}}``), a name of `OPTIMIZERS` with its parameters.
        ``schedule`` (``{constant: {}}``), a name of `SCHEDULES` with its parameters.
        ``warmup_epochs``, ``warmup_start`` (0, 0), a linear rise of the learning rate.
        ``augmentation`` (``{}``), names of `AUGMENTATIONS` with their parameters, in order.
        ``normalize`` ("data"), each channel by its mean and standard deviation in the
        training images; by those that ``{mean: [...], std: [...]}`` gives, of pixels from
        0 to 1; or "none", which leaves pixels from 0 to 1.
        ``mixup`` (0), both parameters of the Beta distribution that mixing draws from.
        ``image_size`` (null), pixels to which images are cropped while they are read.
        ``shares`` (null), ``{part: share}`` of a concatenation in every batch; null shuffles all
        images as one. An epoch goes once through the first part.
        ``amp`` ("none"), type of the arithmetic that torch's autocast lowers.
        ``max_grad_norm`` (null), to which the length of the gradient is cut.
    at : str
        The place in the configuration, with which messages start.

    Raises
    ------
    ConfigError
        For an unknown key, a wrong value or a name that is not registered.
    """
    check_keys(raw, tuple(settable(_schema)), at=at)
    check_params(_schema, raw, at=at)
    values = with_defaults(_schema, raw)
    values["optimizer"] = _chosen(OPTIMIZERS, values["optimizer"], "sgd", at=f"{at}.optimizer")
    values["schedule"] = _chosen(SCHEDULES, values["schedule"], "constant", at=f"{at}.schedule")
    values["augmentation"] = _all_chosen(values["augmentation"], at=f"{at}.augmentation")
    _check_normalize(values["normalize"], at=f"{at}.normalize")
    if values["batch_size"] % values["accumulate"]:
        raise ConfigError(
            f"{at}.accumulate: {values['accumulate']} parts of a batch of {values['batch_size']} "
            "are not equal; expected a divisor of batch_size."
        )
    if values["shares"] is not None:
        check_shares(values["shares"], at=f"{at}.shares")
    if values["warmup_epochs"] > values["epochs"]:
        raise ConfigError(
            f"{at}.warmup_epochs: {values['warmup_epochs']:g} of {values['epochs']} epochs; "
            "expected fewer than there are."
        )
    if values["max_grad_norm"] == 0:
        raise ConfigError(f"{at}.max_grad_norm: 0.0 leaves no gradient; expected more, or null.")
    return Recipe(**values)


def _chosen(registry: Registry, raw: Any, default: str, *, at: str) -> Choice:
    """Return the one method that `raw` names: a name, or a mapping from it to parameters."""
    raw = default if raw is None else raw
    entries = {raw: None} if isinstance(raw, str) else raw
    if not isinstance(entries, Mapping) or len(entries) != 1:
        raise ConfigError(
            f"{at}: {raw!r}; expected one of {', '.join(registry)} with its parameters, such as "
            f"{{{default}: {{}}}}."
        )
    return next(_choice(registry, kind, params, at=at) for kind, params in entries.items())


def _all_chosen(raw: Any, *, at: str) -> tuple[Choice, ...]:
    """Return the augmentations of a mapping, or of a list of mappings, in their order."""
    parts = raw if isinstance(raw, list | tuple) else [raw or {}]
    for part in parts:
        check_value(part, dict, at=at)
    return tuple(
        _choice(AUGMENTATIONS, kind, params, at=at)
        for part in parts
        for kind, params in part.items()
    )


def _choice(registry: Registry, kind: str, params: Any, *, at: str) -> Choice:
    function = registry.find(kind, at=at)
    params = {} if params is None else params
    check_value(params, dict, at=f"{at}.{kind}")
    check_params(function, params, at=f"{at}.{kind}")
    return Choice(kind, with_defaults(function, params))


def _check_normalize(raw: Any, *, at: str) -> None:
    if raw in ("data", "none"):
        return
    if not isinstance(raw, Mapping):
        raise ConfigError(
            f"{at}: {raw!r}; expected data, none, or {{mean: [...], std: [...]}} with a number "
            "per channel."
        )
    check_keys(raw, ("mean", "std"), at=at)
    for key in ("mean", "std"):
        check_value(raw.get(key), list[float], at=f"{at}.{key}")
    if len(raw["mean"]) != len(raw["std"]) or not all(s > 0 for s in raw["std"]):
        raise ConfigError(
            f"{at}: mean {raw['mean']} and std {raw['std']}; expected as many of each, and "
            "positive deviations."
        )

"""Every distinct method and recipe on toy features, before anything is trained."""

import torch
from torch import Tensor, nn

from imprint_bench.errors import ConfigError, ImprintError
from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.fixed.heads.head import build_head
from imprint_bench.training.config import TrainingConfig
from imprint_bench.training.method import TrainingMethod

CLASSES, LENGTH, ROWS = 6, 4, 12


def rehearse(config: TrainingConfig) -> None:
    """Build every head on random prototypes and take a step of every loss and optimizer.

    Raises
    ------
    ConfigError
        If one fails, or a loss is no finite number; the message names its method.
    """
    for method in config.methods:
        for one in (method, method.first):
            if one is not None:
                _rehearse(one)
        for name, recipe in config.recipes.items():
            try:
                recipe.make_optimizer(nn.ModuleList([nn.Linear(2, 2)]), method.lr)
            except ConfigError as error:
                told = str(error).removeprefix("recipe.")
                raise ConfigError(f"recipe.{name}.{told}") from error


def _rehearse(method: TrainingMethod) -> None:
    at = f"method.{method.name}"
    features = torch.linspace(-1, 1, ROWS * LENGTH).sin().view(ROWS, LENGTH).requires_grad_()
    labels = torch.arange(ROWS) % CLASSES
    params = dict(method.head.params)
    if "prototypes" in params:
        params["prototypes"] = {"random": {}}
    try:
        head = build_head(method.head.kind, CLASSES, LENGTH, params=params, seed=0)
        loss = LOSSES[method.loss.kind](head, features, labels, **method.loss.params)
    except ImprintError as error:
        raise ConfigError(f"{at}.{error}") from error
    except Exception as error:  # a method of the user's may raise anything
        raise ConfigError(
            f"{at}: fails on toy features ({type(error).__name__}: {error})."
        ) from error
    if not isinstance(loss, Tensor) or loss.ndim or not bool(loss.isfinite()):
        told = f"{loss.dtype} of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else loss
        raise ConfigError(
            f"{at}.loss.{method.loss.kind}: gave {told} for {ROWS} toy features; expected one "
            "finite number, a tensor without dimensions."
        )
    loss.backward()

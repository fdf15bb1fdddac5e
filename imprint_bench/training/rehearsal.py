"""Every distinct method and recipe on toy features, before anything is trained."""

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from imprint_bench.errors import ConfigError, ImprintError
from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.fixed.heads.head import build_head
from imprint_bench.training.accumulation import weight_of_a_part
from imprint_bench.training.config import TrainingConfig
from imprint_bench.training.method import TrainingMethod

CLASSES, LENGTH = 6, 4
LABELS = (0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 5)
ROWS = len(LABELS)


def rehearse(config: TrainingConfig) -> None:
    """Build every head on random prototypes, every optimizer, and compute every loss once.

    Raises
    ------
    ConfigError
        If one fails, a loss is no finite number, or its parts do not add up where a recipe
        accumulates; the message names the method.
    """
    for method in config.methods:
        for one in (method, method.first):
            if one is not None:
                _rehearse(one, {n: recipe.accumulate for n, recipe in config.recipes.items()})
        for name, recipe in config.recipes.items():
            try:
                recipe.make_optimizer(nn.ModuleList([nn.Linear(2, 2)]), method.lr)
            except ConfigError as error:
                told = str(error).removeprefix("recipe.")
                raise ConfigError(f"recipe.{name}.{told}") from error


def _rehearse(method: TrainingMethod, parts: Mapping[str, int]) -> None:
    """Try one method, also in the parts of a batch that each recipe asks for."""
    at = f"method.{method.name}"
    features = torch.linspace(-1, 1, ROWS * LENGTH).sin().view(ROWS, LENGTH).requires_grad_()
    labels = torch.tensor(LABELS)
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
    for recipe, n_parts in parts.items():
        if n_parts > 1:
            weight_of_a_part(
                partial(LOSSES[method.loss.kind], **method.loss.params),
                head,
                features.detach(),
                labels,
                parts=n_parts,
                at=f"recipe.{recipe}.accumulate",
                called=f"the loss of method {method.name}",
            )

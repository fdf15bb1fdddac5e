"""Classification networks of torchvision with another last layer, untrained."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from imprint_bench.data.networks.penultimate import made_hollow, take_out_final_layer
from imprint_bench.data.networks.vision import torchvision as import_torchvision
from imprint_bench.errors import ConfigError, did_you_mean
from imprint_bench.fixed.networks.network import NETWORKS, Shape

# Heads that help training give a second output; the two networks draw weights of their own kind.
INCEPTION = {"init_weights": True, "aux_logits": False}


@NETWORKS.register("torchvision")
def torchvision(shape: Shape, d: int, *, model: str) -> nn.Module:
    """Return a classification network of torchvision whose last layer maps to `d` values.

    Its weights are drawn, none are downloaded. Grey images are repeated to three channels.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels of the images; height and width are equal.
    d : int
        Length of the features.
    model : str
        As in ``torchvision.models.list_models(module=torchvision.models)``: resnet18, ...

    Raises
    ------
    ConfigError
        If there is no such network, or it cannot take images of that size.
    """
    at = "network.torchvision"
    models = import_torchvision().models
    known = models.list_models(module=models)
    if model not in known:
        raise ConfigError(
            f"{at}.model: unknown model {model!r}; expected one of torchvision's {len(known)} "
            f"classification networks, such as resnet18 or swin_t.{did_you_mean(model, known)}"
        )
    options: dict[str, Any] = {"image_size": shape[0]} if model.startswith("vit_") else {}
    options |= INCEPTION if model in ("googlenet", "inception_v3") else {}

    def make() -> nn.Module:
        return _with_last_layer(models.get_model(model, weights=None, **options), shape[2], d)

    _check_size(make, shape, d, at=f"{at}.model: {model}")
    return make()


def _with_last_layer(network: nn.Module, channels: int, d: int) -> nn.Module:
    """Return `network` with its last layer replaced by one to `d` values."""
    is_pointwise = not any(isinstance(m, nn.Linear) for m in network.modules())
    name, width = take_out_final_layer(network)
    parent, _, leaf = name.rpartition(".")
    layer: nn.Module = nn.Conv2d(width, d, 1) if is_pointwise else nn.Linear(width, d)
    setattr(network.get_submodule(parent), leaf, layer)
    return network if channels == 3 else nn.Sequential(_ThreeChannels(), network)


class _ThreeChannels(nn.Module):
    """Repeats grey to three channels."""

    def forward(self, x: Tensor) -> Tensor:
        """Return (b, 3, h, w) of (b, 1, h, w), without a copy."""
        return x.expand(-1, 3, -1, -1)


def _check_size(make: Callable[[], nn.Module], shape: Shape, d: int, *, at: str) -> None:
    """Pass images without values through the network, in no time."""
    height, width, channels = shape
    try:
        with torch.inference_mode():
            network = made_hollow(make).eval().to("meta")
            features = network(torch.empty(2, channels, height, width, device="meta"))
        fits, why = tuple(features.shape) == (2, d), f"its output has shape {tuple(features.shape)}"
    except (RuntimeError, AssertionError, ValueError) as error:
        fits, why = False, str(error).partition("\n")[0].rstrip(".")
    if not fits:
        raise ConfigError(
            f"{at} does not take images of {height} x {width} pixels ({why}); choose another "
            "model, or a dataset of larger images."
        )

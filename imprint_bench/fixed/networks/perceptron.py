"""Fully connected networks."""

from math import prod

from torch import nn

from imprint_bench.fixed.networks.network import NETWORKS, Shape
from imprint_bench.params import PositiveInt


@NETWORKS.register("mlp")
def mlp(
    shape: Shape,
    d: int,
    *,
    hidden: tuple[PositiveInt, ...] = (256, 256),
    batch_norm: bool = True,
) -> nn.Module:
    """Return a fully connected network with ReLU between its layers and none at the end.

    Parameters
    ----------
    shape : tuple of int
        Height, width and channels of the images, which are flattened.
    d : int
        Length of the features.
    hidden : list of int
        Values per hidden layer; an empty list leaves one linear map.
    batch_norm : bool
        Normalize before every ReLU.
    """
    layers: list[nn.Module] = [nn.Flatten()]
    inputs = prod(shape)
    for width in hidden:
        layers.append(nn.Linear(inputs, width, bias=not batch_norm))
        layers += [nn.BatchNorm1d(width)] if batch_norm else []
        layers.append(nn.ReLU(inplace=True))
        inputs = width
    return nn.Sequential(*layers, nn.Linear(inputs, d))

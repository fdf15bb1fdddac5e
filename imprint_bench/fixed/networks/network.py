"""What a network is: a torch module from images to features, built by name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from imprint_bench.errors import ConfigError
from imprint_bench.params import check_params
from imprint_bench.registry import Registry
from imprint_bench.seeding import stream

Shape = tuple[int, int, int]

NETWORKS: Registry[Callable[..., nn.Module]] = Registry("network", "imprint_bench.fixed.networks")


def build_network(
    kind: str,
    shape: Shape,
    d: int,
    *,
    params: Mapping[str, Any] | None = None,
    seed: int = 0,
    at: str = "network",
) -> nn.Module:
    """Return the network called `kind`, with weights drawn from `seed`, on the CPU.

    Parameters
    ----------
    kind : str
        Name in `NETWORKS`: resnet, mlp, lenet_pp, torchvision.
    shape : tuple of int
        Height, width and channels of the images.
    d : int
        Length of the features.
    params : mapping, optional
        Keyword arguments of the registered function.
    seed : int
        Draws the weights; torch's global random numbers are as before afterwards.
    at : str
        The place in the configuration, with which a message starts.

    Returns
    -------
    network : torch.nn.Module
        From float32 (b, channels, h, w) to (b, d).

    Raises
    ------
    ConfigError
        If the kind or a parameter is unknown or wrong, or the images do not suit it.
    """
    function = NETWORKS.find(kind, at=at)
    params = dict(params or {})
    check_params(function, params, at=f"{at}.{kind}")
    if d < 1:
        raise ConfigError(f"{at}.{kind}: features of length {d}; expected at least 1.")
    with weights_drawn_from(seed, "network", kind):
        return function(shape, d, **params)


@contextmanager
def weights_drawn_from(seed: int, purpose: str, *names: object) -> Iterator[None]:
    """Let torch's CPU generator draw from the stream of (seed, purpose, names) within the block.

    It is as before afterwards. Weights are drawn on the CPU, so they do not depend on
    the device that trains them.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(int(stream(seed, purpose, *names).integers(2**63)))
        yield

"""A small training, for the tests of this folder."""

from functools import cache, partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.fixed.heads.fixed import FixedPrototypeHead
from imprint_bench.fixed.heads.linear import LinearHead
from imprint_bench.fixed.networks import build_network
from imprint_bench.training.recipe import read_recipe
from imprint_bench.training.training_data import InMemoryData

C, D = 5, 4


@cache
def blobs() -> InMemoryData:
    """Return 60 noisy images of 5 patterns, of 3 x 3 pixels."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(60, 196, (C, 3, 3, 1))
    labels = np.arange(60) % C
    noise = rng.integers(-60, 60, (60, 3, 3, 1))
    return InMemoryData((patterns[labels] + noise).astype(np.uint8), labels, "blobs")


def make_task(
    loss: str = "ipm", *, dropout: float = 0.0, head: Any = None, d: int = D, **raw: Any
) -> SimpleNamespace:
    """Return anew what is trained, with a recipe of `raw`: the arguments of `train`."""
    data = blobs()
    params = {"hidden": [8], "batch_norm": raw.pop("norm", True)}
    network = build_network("mlp", data.shape, d, params=params)
    assert isinstance(network, nn.Sequential)
    if dropout:
        network.insert(3, nn.Dropout(dropout))
    if head is None:
        simplex = np.linalg.svd(np.eye(C) - 1 / C)[0][:, :D] * (C / (C - 1)) ** 0.5
        head = FixedPrototypeHead(simplex, assignment={"dynamic": {"updates_per_epoch": 1}})
    recipe = read_recipe({"epochs": 3, "batch_size": 16} | raw)
    function = partial(LOSSES[loss], **({"reduction": "sum"} if loss == "ipm" else {}))
    return SimpleNamespace(
        network=network, head=head, loss=function, data=data, recipe=recipe, lr=0.005, seed=4
    )


def learned_head() -> LinearHead:
    """Return a linear head for the features of the task."""
    return LinearHead(C, D)


def same(a: nn.Module, b: nn.Module) -> bool:
    """Tell whether two modules are equal to the last bit."""
    x, y = a.state_dict(), b.state_dict()
    return x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x)

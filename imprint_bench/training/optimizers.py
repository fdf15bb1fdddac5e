"""Optimizers by name: how the weights follow their gradients."""

from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal

import torch
from torch import nn

from imprint_bench.params import AtLeast
from imprint_bench.registry import Registry

NotNegative = Annotated[float, AtLeast(0)]
Decayed = Literal["all", "matrices"]

# An optimizer is f(parameters, lr, fused, *, ...); `fused` asks for one kernel for all weights.
OPTIMIZERS: Registry[Callable[..., torch.optim.Optimizer]] = Registry("optimizer")


@OPTIMIZERS.register("sgd")
def sgd(
    parameters: Iterable[nn.Parameter],
    lr: float,
    fused: bool,
    *,
    momentum: NotNegative = 0.9,
    weight_decay: NotNegative = 0.0,
    nesterov: bool = False,
    decayed: Decayed = "all",
) -> torch.optim.Optimizer:
    """Return stochastic gradient descent with momentum.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
    lr : float
        Learning rate.
    fused : bool
        Update all weights by one kernel.
    momentum : float
        Below 1.
    weight_decay : float
        Added to the gradient times the weight, as torch does: lr multiplies it, too.
    nesterov : bool
    decayed : str
        What is decayed: "all" as in the published code, or only "matrices", which leaves out
        biases, normalization layers and a learned scale.
    """
    if momentum >= 1:
        raise ValueError(f"momentum {momentum:g} never forgets; expected one below 1")
    return torch.optim.SGD(
        _groups(parameters, weight_decay, decayed),
        lr=lr,
        momentum=momentum,
        nesterov=nesterov,
        fused=fused,
    )


@OPTIMIZERS.register("adamw")
def adamw(
    parameters: Iterable[nn.Parameter],
    lr: float,
    fused: bool,
    *,
    beta1: NotNegative = 0.9,
    beta2: NotNegative = 0.999,
    eps: NotNegative = 1e-8,
    weight_decay: NotNegative = 0.01,
    decayed: Decayed = "matrices",
) -> torch.optim.Optimizer:
    """Return Adam with decoupled weight decay.

    Parameters
    ----------
    parameters : iterable of nn.Parameter
    lr : float
        Learning rate.
    fused : bool
        Update all weights by one kernel.
    beta1, beta2 : float
        Momenta of the gradient and of its square.
    eps : float
        Added to the root of the latter.
    weight_decay : float
    decayed : str
        What is decayed: "all", or only "matrices".

    References
    ----------
    I. Loshchilov and F. Hutter, "Decoupled weight decay regularization", ICLR 2019.
    """
    return torch.optim.AdamW(
        _groups(parameters, weight_decay, decayed),
        lr=lr,
        betas=(beta1, beta2),
        eps=eps,
        fused=fused,
    )


def _groups(
    parameters: Iterable[nn.Parameter], weight_decay: float, decayed: Decayed
) -> list[dict[str, Any]]:
    """Return the trained parameters in groups of one weight decay each."""
    trained = [p for p in parameters if p.requires_grad]
    if decayed == "all" or weight_decay == 0:
        return [{"params": trained, "weight_decay": weight_decay}]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]

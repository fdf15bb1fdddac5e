"""The plain last layer: inner products with learned vectors, and a bias."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from imprint_bench.fixed.heads.head import HEADS, Head, Slot, generator_of


class LinearHead(Head):
    """Logits ``V h + b`` with learned V and b, as `torch.nn.Linear` starts them.

    Parameters
    ----------
    c, d : int
        Number of classes and length of features.
    bias : bool
        Whether there is a b.
    seed : int
        Of the first weights.
    """

    matrix = "weight"

    def __init__(self, c: int, d: int, *, bias: bool = True, seed: int = 0) -> None:
        super().__init__(c, d)
        self.factor = None
        self.weight = nn.Parameter(uniform_rows(c, d, seed=seed))
        first = uniform_rows(c, d, seed=seed, name="bias")[:, 0].clone() if bias else None
        self.bias = None if first is None else nn.Parameter(first)

    @property
    def class_vectors(self) -> Tensor:
        """The rows of V."""
        return self.weight

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits."""
        return F.linear(features, self.weight, self.bias)


def uniform_rows(c: int, d: int, *, seed: int, name: str = "weight") -> Tensor:
    """Return numbers uniform in ``[-1, 1] / sqrt(d)``, as the weights of `torch.nn.Linear`."""
    bound = d**-0.5
    return torch.empty(c, d).uniform_(-bound, bound, generator=generator_of(seed, name, c, d))


@HEADS.register("linear")
def linear(slot: Slot, *, bias: bool = True) -> LinearHead:
    """Return a linear head (PSC, linear)."""
    return LinearHead(slot.c, slot.d, bias=bias, seed=slot.seed)

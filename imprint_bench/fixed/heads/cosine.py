"""The cosine head: the angles between features and learned vectors."""

from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from imprint_bench.fixed.core.losses.sphere import unit_rows
from imprint_bench.fixed.heads.head import HEADS, Head, Scale, Slot, make_factor
from imprint_bench.fixed.heads.linear import uniform_rows


class CosineHead(Head):
    """Logits ``s cos(h, v)`` with learned v, and no bias.

    Parameters
    ----------
    c, d : int
        Number of classes and length of features.
    scale : float or "learnable"
        s; without one (1) the softmax cannot become certain, however good the features.
    seed : int
        Of the first weights.

    References
    ----------
    Saadabadi et al., CVPR 2024: PSC as in the published code, whose scale is 1.
    """

    matrix = "weight"
    normalizes_features = True
    factor: "float | nn.Parameter"

    def __init__(self, c: int, d: int, *, scale: Scale = 1.0, seed: int = 0) -> None:
        super().__init__(c, d)
        self.weight = nn.Parameter(uniform_rows(c, d, seed=seed))
        self.factor = make_factor(scale)

    @property
    def class_vectors(self) -> Tensor:
        """The learned vectors, each divided by its length."""
        return unit_rows(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits."""
        return F.linear(unit_rows(features, length=self.factor), self.class_vectors)

    def vectors_of(self, labels: Tensor) -> Tensor:
        """Return the vector of the class of every label; the others are not divided."""
        return unit_rows(self.weight.index_select(0, labels))


@HEADS.register("cosine")
def cosine(slot: Slot, *, scale: Scale = 1.0) -> CosineHead:
    """Return a cosine head (PSC, as published with scale 1)."""
    return CosineHead(slot.c, slot.d, scale=scale, seed=slot.seed)

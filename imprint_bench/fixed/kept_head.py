"""The head of a trained network as a file keeps it: the vector of each class, as it was tested."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from imprint_bench.errors import DataError
from imprint_bench.fixed.core.losses.sphere import unit_rows
from imprint_bench.fixed.heads.head import Head
from imprint_bench.fixed.network_file import read_content


@dataclass(frozen=True, eq=False)
class KeptHead:
    """What classifies features.

    Attributes
    ----------
    class_vectors : Tensor of shape (c, d), float32
        In the order of the classes; of a fixed head the prototypes by the assignment in force.
    bias : Tensor of shape (c,)
        Zero where there is none.
    scale : float
    normalizes_features : bool
    """

    class_vectors: Tensor
    bias: Tensor
    scale: float
    normalizes_features: bool

    @classmethod
    def of(cls, head: Head) -> "KeptHead":
        """Return what a head classifies with, on the CPU."""
        vectors = head.class_vectors.detach().cpu().float().clone()
        bias = getattr(head, "bias", None)
        kept = torch.zeros(len(vectors)) if bias is None else bias.detach().cpu().float().clone()
        return cls(vectors, kept, head.scale or 1.0, head.normalizes_features)

    def plain(self) -> dict[str, Any]:
        """Return the attributes by their names, for `network_file.write_network_file`."""
        return dict(vars(self))

    def logits(self, features: Tensor) -> Tensor:
        """Return the logits of shape (n, c) of features of shape (n, d)."""
        z = unit_rows(features) if self.normalizes_features else features
        return self.scale * F.linear(z, self.class_vectors) + self.bias


def load_head(path: Path) -> KeptHead:
    """Return the head that a network file keeps.

    Raises
    ------
    DataError
        If it is no network file, or keeps no head.
    """
    kept = read_content(path).get("head")
    if not isinstance(kept, Mapping) or set(kept) != set(KeptHead.__dataclass_fields__):
        raise DataError(f"{path.absolute()}: keeps no head; train it again with train.keep=true.")
    values: dict[str, Any] = {
        name: value.clone() if isinstance(value, Tensor) else value for name, value in kept.items()
    }
    return KeptHead(**values)

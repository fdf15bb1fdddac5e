"""Moving means of the features of each class."""

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from imprint_bench.errors import DataError
from imprint_bench.fixed.core.losses.sphere import full_precision, unit_rows

WAITING = 64  # batches that are taken in together
LARGEST = 2**21  # numbers in the matrix of their sums, and in their features: 8 MB each
TINY = 1e-30  # below every length that is not 0


class ClassMeans(nn.Module):
    """Exponentially moving mean of the features of each class.

    Batches are kept, and taken in many at a time or where the means are asked for: the twenty
    small operations that this takes would be a tenth of a step of a small network. What comes
    out is the same to the bit as if each were taken in at once.

    Parameters
    ----------
    c, d : int
        Number of classes and length of features.
    momentum : float
        In [0, 1): the mean becomes ``momentum * mean + (1 - momentum) * mean of the batch``,
        for the classes in the batch.
    initial : "zeros" or "random"
        What they start from; "random" is uniform on the sphere.
    normalize : bool
        Divide the means that changed by their length after each batch.
    unit_features : bool
        Divide features by their length before.
    generator : torch.Generator or None
        Draws the random start.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype
    Assignment", CVPR 2024, section 3.3. Their code counts one sample of each class and batch.
    """

    _vectors: Tensor
    _seen: Tensor

    def __init__(
        self,
        c: int,
        d: int,
        momentum: float = 0.9,
        *,
        initial: Literal["zeros", "random"] = "zeros",
        normalize: bool = True,
        unit_features: bool = False,
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.momentum, self.normalize, self.unit_features = momentum, normalize, unit_features
        start = torch.zeros(c, d)
        if initial == "random":
            start = unit_rows(torch.randn(c, d, generator=generator))
        self.register_buffer("_vectors", start)
        self.register_buffer("_seen", torch.zeros(c, dtype=torch.bool))
        self._waiting: list[tuple[Tensor, Tensor]] = []
        self.register_state_dict_pre_hook(_take_in)

    @property
    def vectors(self) -> Tensor:
        """The means, of shape (c, d)."""
        self._take_in()
        return self._vectors

    @property
    def seen(self) -> Tensor:
        """Whether a class was in a batch, of shape (c,)."""
        self._take_in()
        return self._seen

    def update(self, features: Tensor, labels: Tensor, *, copy: bool = True) -> None:
        """Move the means of the classes that are in a batch; nothing waits for the device.

        Parameters
        ----------
        features : Tensor of shape (B, d)
            No gradient flows through them.
        labels : int64 Tensor of shape (B,)
            In [0, c), B at least 1.
        copy : bool
            False where nobody writes into either of them later.
        """
        c, d = self._vectors.shape
        batch = (features.detach(), labels)
        self._waiting.append((batch[0].clone(), batch[1].clone()) if copy else batch)
        if len(self._waiting) >= min(WAITING, LARGEST // (max(c, len(labels)) * d)):
            self._take_in()

    @torch.no_grad()
    def _take_in(self) -> None:
        """Move the means by the batches that wait, one after the other."""
        if not self._waiting:
            return
        features, labels = zip(*self._waiting, strict=True)
        self._waiting = []
        Q, (c, d), n_batches = full_precision(self._vectors), self._vectors.shape, len(labels)
        z, cell = torch.cat(features).to(Q.dtype), torch.cat(labels)
        if Q.device.type == "cpu":  # elsewhere it would mean waiting
            check_labels(cell, c)
        first = np.repeat(np.arange(n_batches) * c, [len(of_batch) for of_batch in labels])
        cell = cell + torch.from_numpy(first).to(cell.device)  # a place per batch and class
        if self.unit_features:
            z.div_(torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp_min_(TINY))
        n = Q.new_zeros(n_batches * c).index_add_(0, cell, Q.new_ones(len(cell)))
        sums = Q.new_zeros(len(n), d).index_add_(0, cell, z)
        added = sums.mul_(((1 - self.momentum) / n.clamp_min(1)).unsqueeze(1)).view(-1, c, d)
        kept = (1 - (1 - self.momentum) * (n > 0).to(Q.dtype)).view(-1, c, 1)
        for more, share in zip(added.unbind(), kept.unbind(), strict=True):
            Q = torch.addcmul(more, Q, share)
            if self.normalize:  # of means that did not change, the length is 1 already, or 0
                Q = Q.div_(torch.linalg.vector_norm(Q, dim=1, keepdim=True).clamp_min_(TINY))
        self._vectors.copy_(Q)
        self._seen.logical_or_((n > 0).view(-1, c).any(0))

    def _apply(self, function: Callable[..., Any], recurse: bool = True) -> "ClassMeans":
        self._take_in()  # before the means go to another device
        return super()._apply(function, recurse)

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        self._waiting = []
        super()._load_from_state_dict(state, prefix, *rest)


def _take_in(means: nn.Module, *_: Any) -> None:
    """Leave no batch waiting where the state is read."""
    assert isinstance(means, ClassMeans)
    means._take_in()


def check_labels(labels: Tensor, n_classes: int) -> None:
    """Raise DataError for labels that are not in [0, n_classes)."""
    low, high = (int(x) for x in labels.aminmax())
    if low < 0 or high >= n_classes:
        raise DataError(
            f"labels: {low if low < 0 else high} is out of range; there are {n_classes} classes, "
            f"from 0 to {n_classes - 1}."
        )

"""Batches of images mixed in pairs, and their loss."""

from typing import NamedTuple

import torch
from torch import Tensor

from imprint_bench.fixed.core.losses import Loss, Scorer


class Mixed(NamedTuple):
    """A batch of images mixed in pairs, and the labels of both partners."""

    images: Tensor
    labels: Tensor
    partners: Tensor


def mixup(images: Tensor, labels: Tensor, lam: float, permutation: Tensor) -> Mixed:
    """Mix every image with another one: ``lam`` times itself, ``1 - lam`` times its partner.

    Parameters
    ----------
    images : Tensor of shape (B, ...)
        Floating point.
    labels : int64 Tensor of shape (B,)
    lam : float
        In [0, 1]; one for the batch, drawn from a Beta distribution.
    permutation : int64 Tensor of shape (B,)
        Position of the partner of every image.

    References
    ----------
    Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, equation 1.
    """
    return Mixed(torch.lerp(images[permutation], images, lam), labels, labels[permutation])


def mixed_loss(loss: Loss, head: Scorer, features: Tensor, mixed: Mixed, lam: float) -> Tensor:
    """Return ``lam`` times the loss with the own labels, ``1 - lam`` times with the partners'."""
    own = loss(head, features, mixed.labels)
    return lam * own + (1 - lam) * loss(head, features, mixed.partners)

"""Losses of a head: what training minimizes, one function each, found by name.

A registered loss is ``f(head, features, labels, *, ...) -> loss``: features of shape (B, d),
int64 labels of shape (B,), a tensor without dimensions back. It reads the head through
`Scorer` alone, and keeps nothing. Those of the inner product with the own class cost
O(B d), whatever the number of classes.
"""

from collections.abc import Callable
from functools import wraps
from math import sqrt
from typing import Annotated, Any, Literal, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from imprint_bench.fixed.core.losses.sphere import full_precision, uniformity_of, unit_squares
from imprint_bench.params import AtLeast
from imprint_bench.registry import Registry

Reduction = Literal["sum", "mean"]
NotNegative = Annotated[float, AtLeast(0)]


class Scorer(Protocol):
    """What a loss asks of a head.

    Attributes
    ----------
    n_classes : int
        c.
    normalizes_features : bool
        Whether the head scores features divided by their length.
    """

    n_classes: int
    normalizes_features: bool

    @property
    def class_vectors(self) -> Tensor:
        """Return the vectors of the classes, of shape (c, d)."""

    def __call__(self, features: Tensor, /) -> Tensor:
        """Return the logits, of shape (B, c)."""

    def vectors_of(self, labels: Tensor) -> Tensor:
        """Return the vector of the class of every label, of shape (B, d)."""

    def check(self, features: Tensor, labels: Tensor, *, closely: bool = False) -> None:
        """Raise DataError for features or labels that are not the head's."""


Loss = Callable[..., Tensor]
LOSSES: Registry[Loss] = Registry("loss")
NO_LABEL = -(2**62)  # torch leaves out samples of one label; that must be none that may occur


def register(name: str) -> Callable[[Loss], Loss]:
    """Return a decorator that files a loss under `name` and has it name what is wrong.

    torch itself refuses labels out of range on the CPU, so that nothing is spent on looking
    for them there; only where it did, the head says which.
    """

    def decorate(function: Loss) -> Loss:
        @wraps(function)
        def loss(head: Scorer, features: Tensor, labels: Tensor, **params: Any) -> Tensor:
            head.check(features, labels)
            try:
                return function(head, features, labels, **params)
            except (IndexError, RuntimeError):
                head.check(features, labels, closely=True)
                raise

        return LOSSES.add(name, loss)

    return decorate


@register("ipm")
def ipm(
    head: Scorer,
    features: Tensor,
    labels: Tensor,
    *,
    reduction: Reduction = "sum",
    factor: NotNegative = 1.0,
    balanced: bool = False,
) -> Tensor:
    """Return ``factor * (w'z - 1)^2`` of every feature and the vector of its class.

    Its gradient vanishes where the two are opposite, too: such a feature does not move.

    Parameters
    ----------
    head : Scorer
    features : Tensor of shape (B, d)
    labels : int64 Tensor of shape (B,)
    reduction : "sum" or "mean"
        Over the batch; the published code sums, and its learning rate belongs to the sum.
    factor : float
        1 as in the published code, 0.5 as in the paper.
    balanced : bool
        Weigh every sample with the inverse of how often its class is in the batch
        (`balance_weights`), as the published code does for long tails.

    Raises
    ------
    DataError
        For a label out of range, or features that are not finite.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype
    Assignment", CVPR 2024, equation 6.
    """
    parts = 1 if reduction == "sum" else len(labels)
    return _squares(head, features, labels, factor=factor / parts, balanced=balanced)


@register("dot_regression")
def dot_regression(
    head: Scorer,
    features: Tensor,
    labels: Tensor,
    *,
    e_w: NotNegative = 1.0,
    e_h: NotNegative = 1.0,
    reduction: Reduction = "mean",
    length_penalty: NotNegative = 0.0,
    factor: NotNegative = 1.0,
    balanced: bool = False,
) -> Tensor:
    """Return ``(w'h - s)^2 / (2 s)`` of every feature, with s = sqrt(e_w e_h).

    Parameters
    ----------
    head : Scorer
        Its class vectors are of length 1, and stand for those of length sqrt(e_w).
    features : Tensor of shape (B, d)
        Of length sqrt(e_h) after the head's normalization; as they are where it has none.
    labels : int64 Tensor of shape (B,)
    e_w, e_h : float
        Squared lengths of class vectors and features, positive.
    reduction : "sum" or "mean"
        Over the batch.
    length_penalty : float
        Times the mean length of the features as the network gives them, added.
    factor : float
        Of the loss without the penalty. With 2 it is `ipm` where e_w = e_h = 1, and the same
        learning rate, and so the same weight decay, fits both.
    balanced : bool
        As in `ipm`.

    Raises
    ------
    DataError
        For a label out of range, or features that are not finite.
    ValueError
        If `e_w` or `e_h` is zero.

    References
    ----------
    Yang et al., "Inducing Neural Collapse in Imbalanced Learning: Do We Really Need a
    Learnable Classifier at the End of Deep Neural Network?", NeurIPS 2022, equation 9.
    """
    if not (e_w > 0 and e_h > 0):
        raise ValueError(f"dot_regression: expected positive e_w and e_h, got {e_w} and {e_h}.")
    # (w'h - s)^2 / (2 s) = s / 2 (q - 1)^2, where q is w'h divided by both lengths; without
    # normalization, the feature is taken as if of length sqrt(e_h) whatever it is.
    target = sqrt(e_w * e_h)
    parts = 1 if reduction == "sum" else len(labels)
    loss = _squares(
        head,
        features,
        labels,
        factor=factor * target / (2 * parts),
        length=sqrt(e_h),
        balanced=balanced,
    )
    if length_penalty:
        loss = loss + length_penalty * features.norm(dim=1).mean()
    return loss


@register("cross_entropy")
def cross_entropy(
    head: Scorer, features: Tensor, labels: Tensor, *, uniformity: NotNegative = 0.0
) -> Tensor:
    """Return the mean cross-entropy of the softmax of the head's logits.

    Parameters
    ----------
    head : Scorer
        It holds the scale: logits of cosines without one lie in [-1, 1], and the loss of
        perfect features is then far from zero.
    features : Tensor of shape (B, d)
    labels : int64 Tensor of shape (B,)
    uniformity : float
        Times `uniformity_of` the class vectors, added (PSC*: 0.01).

    Raises
    ------
    DataError
        For a label out of range, or features that are not finite.

    References
    ----------
    Saadabadi et al., CVPR 2024, equation 10 and table 8.
    """
    loss = F.cross_entropy(head(features), labels, ignore_index=NO_LABEL)
    return loss + uniformity * uniformity_of(head.class_vectors) if uniformity else loss


@register("hpn")
def hpn(head: Scorer, features: Tensor, labels: Tensor) -> Tensor:
    """Return the sum of ``(1 - cos)^2`` of every feature and the vector of its class.

    References
    ----------
    Mettes et al., "Hyperspherical Prototype Networks", NeurIPS 2019, equation 4.
    """
    return ipm(head, features, labels)


def _squares(
    head: Scorer,
    features: Tensor,
    labels: Tensor,
    *,
    factor: float,
    balanced: bool,
    length: float = 1.0,
) -> Tensor:
    """Return ``factor`` times the sum of ``(w'z - 1)^2`` of features z and own vectors w.

    Features are divided by `length` where the head does not divide them by their own.
    """
    vectors, weights = head.vectors_of(labels), None
    if balanced:
        weights = balance_weights(labels, head.n_classes, dtype=vectors.dtype)
    if head.normalizes_features:
        return unit_squares(features, vectors, weights, factor=factor)
    errors = (full_precision(features) * full_precision(vectors)).sum(1) / length - 1
    of_samples = errors if weights is None else errors * weights
    return factor * errors.dot(of_samples)


def balance_weights(labels: Tensor, n_classes: int, *, dtype: torch.dtype) -> Tensor:
    """Return a weight per sample, B / (classes present * samples of its class).

    It is the square of the factor of the published code, counts those of the batch and not
    those of the data set; the weights of a batch sum to B.

    References
    ----------
    Saadabadi et al., CVPR 2024, section 4.3, and the published code for long tails.
    """
    if labels.device.type == "cpu":
        counts = torch.bincount(labels, minlength=n_classes)
    else:  # where that would mean waiting for the device
        counts = labels.new_zeros(n_classes).index_add_(0, labels, torch.ones_like(labels))
    of_samples = counts.index_select(0, labels) * torch.count_nonzero(counts)
    return len(labels) / of_samples.to(dtype)

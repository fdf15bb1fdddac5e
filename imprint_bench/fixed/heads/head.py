"""What a head is: the last layer of a network, from features to logits of classes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import inf
from numbers import Real
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.class_means import check_labels
from imprint_bench.fixed.core.losses.sphere import unit_products
from imprint_bench.fixed.core.rules import Schedule
from imprint_bench.params import AtLeast, check_params
from imprint_bench.registry import Registry
from imprint_bench.seeding import stream

Scale = Annotated[float, AtLeast(0)] | Literal["learnable"]
FIRST_SCALE = 10.0  # from which a learned one starts


class Head(nn.Module, ABC):
    """Base of all heads.

    Attributes
    ----------
    n_classes, d : int
        Number of classes c and length of features.
    normalizes_features : bool
        Whether features are divided by their length before they are scored.
    factor : float, nn.Parameter or None
        Of the logits; None where there is none.
    schedule : Schedule or None
        When `reassign` is to be called; None for never.
    """

    normalizes_features: bool = False
    factor: "float | nn.Parameter | None"
    schedule: Schedule | None = None
    matrix: str  # the entry of the state that has shape (c, d)

    def __init__(self, c: int, d: int) -> None:
        super().__init__()
        if c < 2:
            raise ConfigError(f"head: {c} classes leave nothing to tell apart; expected 2 or more.")
        if d < 1:
            raise ConfigError(f"head: features of length {d}; expected 1 or more.")
        self.n_classes, self.d = c, d
        self._checked = False

    @property
    def scale(self) -> float | None:
        """The factor of the logits as a number, also where it is learned."""
        return self.factor.item() if isinstance(self.factor, Tensor) else self.factor

    @property
    @abstractmethod
    def class_vectors(self) -> Tensor:
        """The vectors that features are compared with, (c, d), in the order of the classes."""

    @abstractmethod
    def forward(self, features: Tensor) -> Tensor:
        """Return the logits of shape (B, c) of features of shape (B, d)."""

    def vectors_of(self, labels: Tensor) -> Tensor:
        """Return the row of `class_vectors` of every label, of shape (B, d)."""
        return self.class_vectors.index_select(0, labels)

    def products(self, features: Tensor, labels: Tensor) -> Tensor:
        """Return the inner product of every feature with the vector of its class, (B,).

        Features are those that the head scores: of length 1 where it normalizes. There is
        neither scale nor bias, and no matrix of shape (B, c).
        """
        vectors = self.vectors_of(labels)
        if self.normalizes_features:
            return unit_products(features, vectors)
        return (features * vectors).sum(1)

    def observe(self, features: Tensor, labels: Tensor, *, copy: bool = True) -> None:
        """Take notice of the features of a training step; here, nothing comes of it."""

    def reassign(self) -> float:
        """Match classes to prototypes anew; return the share of classes that changed."""
        return 0.0

    def check(self, features: Tensor, labels: Tensor, *, closely: bool = False) -> None:
        """Raise DataError unless features and labels are of this head.

        Shapes and types are looked at in every call, the values in the first one alone: on an
        accelerator that means waiting, and torch refuses labels out of range on the CPU.

        Parameters
        ----------
        features : Tensor of shape (B, d)
        labels : int64 Tensor of shape (B,)
        closely : bool
            Look at the values, whichever call it is.

        Raises
        ------
        DataError
            For wrong shapes or types, an empty batch, labels out of range, or features that
            are not finite.
        """
        n = len(labels)
        if features.shape != (n, self.d) or labels.dtype != torch.int64:
            self._refuse(features, labels)
        if not n:
            raise DataError("head: the batch is empty; expected at least one row.")
        if closely or not self._checked:
            check_labels(labels, self.n_classes)
            if not bool(features.detach().isfinite().all()):
                raise DataError("head: some features are NaN or infinite; expected finite numbers.")
            self._checked = True

    def _refuse(self, features: Tensor, labels: Tensor) -> None:
        if features.ndim != 2 or features.shape[1] != self.d:
            raise DataError(
                f"head: expected features of shape (B, {self.d}), got {tuple(features.shape)}; "
                f"end the network with a layer of {self.d} outputs."
            )
        raise DataError(
            f"head: expected int64 labels of shape ({len(features)},), one for each row of the "
            f"features, got {labels.dtype} of shape {tuple(labels.shape)}."
        )

    def facts(self) -> dict[str, Any]:
        """Return what makes this head another one than others, besides its state."""
        learned = isinstance(self.factor, Tensor)
        return {
            "kind": type(self).__name__,
            "classes": self.n_classes,
            "d": self.d,
            "scale": "learned" if learned else self.factor,
            "normalizes_features": self.normalizes_features,
        }

    def extra_repr(self) -> str:
        """Return the sizes, for `print`."""
        scale = "" if self.scale is None else f", scale={self.scale:g}"
        return f"d={self.d}, classes={self.n_classes}{scale}"

    def _load_from_state_dict(self, state: Mapping[str, Any], prefix: str, *rest: Any) -> None:
        there = state.get(prefix + self.matrix)
        if there is not None and tuple(there.shape) != (self.n_classes, self.d):
            raise DataError(
                f"head: the state is of {' x '.join(map(str, there.shape))} (classes x "
                f"dimensions), the head of {self.n_classes} x {self.d}; build the head with "
                f"the sizes it was saved with."
            )
        super()._load_from_state_dict(state, prefix, *rest)


@dataclass(frozen=True)
class Slot:
    """Where a head goes.

    Attributes
    ----------
    c, d : int
        Number of classes and length of features.
    seed : int
        Of everything that is drawn.
    class_embeddings : ndarray of shape (c, e) or None
        Vectors that stand for the meaning of each class.
    cache : Path or None
        Folder of prototype sets.
    at : str
        Place in the configuration, with which messages start.
    """

    c: int
    d: int
    seed: int = 0
    class_embeddings: np.ndarray | None = None
    cache: Path | None = None
    at: str = "head"


HEADS: Registry[Callable[..., Head]] = Registry("head", "imprint_bench.fixed.heads")


def build_head(
    kind: str,
    c: int,
    d: int,
    *,
    params: Mapping[str, Any],
    seed: int,
    class_embeddings: np.ndarray | None = None,
    cache: Path | None = None,
) -> Head:
    """Return the head registered as `kind`.

    Parameters
    ----------
    kind : str
        ``"linear"``, ``"cosine"``, ``"fixed"``, ...
    c, d : int
        Number of classes and length of features.
    params : Mapping[str, Any]
        Its parameters, by keyword.
    seed : int
        Weights, prototypes and the initial assignment depend on it; torch's own random
        numbers are neither used nor moved.
    class_embeddings : ndarray of shape (c, e) or None
        For prototypes that are made of the meaning of the classes.
    cache : Path or None
        Folder where prototype sets are kept.

    Raises
    ------
    ConfigError
        For an unknown name, a wrong parameter, or sizes for which there is no such head.
    """
    function = HEADS.find(kind, at="head")
    check_params(function, params, at=f"head.{kind}")
    slot = Slot(c, d, seed, class_embeddings, cache, at=f"head.{kind}")
    return function(slot, **params)


def make_factor(scale: Scale, *, at: str = "head") -> "float | nn.Parameter":
    """Return a fixed factor of the logits, or one that is learned from `FIRST_SCALE`.

    Raises
    ------
    ConfigError
        If it is not positive.
    """
    if scale == "learnable":
        return nn.Parameter(torch.tensor(FIRST_SCALE))
    given: Any = scale  # whatever the annotation says
    if isinstance(given, bool) or not isinstance(given, Real) or not 0 < float(given) < inf:
        raise ConfigError(f"{at}.scale: expected a positive number or 'learnable', got {scale!r}.")
    return float(given)


def generator_of(seed: int, *names: object) -> torch.Generator:
    """Return torch's random numbers of one purpose."""
    drawn = stream(seed, "head", *names).integers(2**63 - 1)
    return torch.Generator().manual_seed(int(drawn))

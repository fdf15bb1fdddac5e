"""The fixed head: prototypes that are not trained, and an assignment of classes to them."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.class_means import ClassMeans
from imprint_bench.fixed.core.assignment import assign, change_fraction, initial_assignment
from imprint_bench.fixed.core.losses.sphere import full_precision, unit_rows
from imprint_bench.fixed.core.prototype_set import PROTOTYPES
from imprint_bench.fixed.core.rules import Rule, build_rule
from imprint_bench.fixed.heads.head import HEADS, Head, Scale, Slot, generator_of, make_factor
from imprint_bench.fixed.prototype_cache import cached_prototypes
from imprint_bench.params import takes

UNIT = 1e-4  # what the length of a prototype may be off 1: float32 and text files


class FixedPrototypeHead(Head):
    """Logits ``s w'z`` with prototypes w that are not trained.

    Prototypes and the assignment are buffers: they move with the module, are saved and loaded
    with its state, and have no gradient. Call `observe` in every training step, and `reassign`
    where `schedule` says so.

    Parameters
    ----------
    prototypes : array_like of shape (c, d), or an object with such `vectors`
        Rows of length 1, one per class.
    assignment : "static", "dynamic", Rule, or mapping of one of these names to parameters
        Whether classes keep the prototypes they start with.
    scale : float or "learnable"
        s; the losses of inner products do not see it.
    normalize_features : bool
        Whether z is the feature divided by its length, or the feature.
    seed : int
        Of a random initial assignment.

    Attributes
    ----------
    prototypes : Tensor of shape (c, d)
        In the order given.
    assignment : int64 Tensor of shape (c,)
        The prototype of each class that is in force.

    Raises
    ------
    ConfigError
        For an unknown assignment, a wrong parameter, or a scale that is not positive.
    DataError
        If the prototypes are no matrix, not finite, or not of length 1.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype
    Assignment", CVPR 2024, sections 3.2 and 3.3.

    Examples
    --------
    >>> head = FixedPrototypeHead([[1.0, 0.0], [-1.0, 0.0]])
    >>> head(torch.tensor([[3.0, 4.0]]))
    tensor([[ 0.6000, -0.6000]])
    """

    matrix = "prototypes"
    factor: "float | nn.Parameter"
    prototypes: Tensor
    assignment: Tensor
    _vectors: Tensor
    _scaled: Tensor

    def __init__(
        self,
        prototypes: ArrayLike | Any,
        *,
        assignment: "str | Rule | Mapping[str, Mapping[str, Any]]" = "static",
        scale: Scale = 1.0,
        normalize_features: bool = True,
        seed: int = 0,
    ) -> None:
        W = checked_prototypes(prototypes)
        super().__init__(*W.shape)
        rule = rule_of(assignment, at="head.assignment")
        self.normalizes_features = normalize_features
        self.schedule = rule.schedule
        self.factor = make_factor(scale)
        first = initial_assignment(rule.initial, self.n_classes, seed=seed)
        self.register_buffer("prototypes", torch.tensor(W).to(torch.get_default_dtype()))
        self.register_buffer("assignment", torch.from_numpy(first))
        # In the order of the classes; scaled here, since a step has no time for it.
        self.register_buffer("_vectors", torch.empty(0), persistent=False)
        self.register_buffer("_scaled", torch.empty(0), persistent=False)
        self.means = None if rule.schedule is None else self._means(rule, seed=seed)
        self.register_load_state_dict_post_hook(_arrange)
        _arrange(self)

    @property
    def class_vectors(self) -> Tensor:
        """The prototype of each class."""
        return self._vectors

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits."""
        z = unit_rows(features) if self.normalizes_features else full_precision(features)
        if isinstance(self.factor, float):
            return F.linear(z, full_precision(self._scaled))
        return F.linear(self.factor * z, full_precision(self._vectors))

    def observe(self, features: Tensor, labels: Tensor, *, copy: bool = True) -> None:
        """Move the class means, where the assignment is dynamic, by a batch of features.

        Parameters
        ----------
        features : Tensor of shape (B, d)
            As `forward` takes them; they are detached here, and normalized if the head does.
        labels : int64 Tensor of shape (B,)
        copy : bool
            False where nobody writes into either of them later, which saves their copies.

        Raises
        ------
        DataError
            For wrong shapes.
        """
        if features.ndim != 2 or features.shape[1] != self.d or len(labels) != len(features):
            raise DataError(
                f"head: expected features of shape (B, {self.d}) and B labels, got "
                f"{tuple(features.shape)} and {tuple(labels.shape)}."
            )
        if self.means is not None and len(labels):
            self.means.update(features, labels, copy=copy)

    def reassign(self) -> float:
        """Match the class means to the prototypes; return the share of classes that changed.

        Raises
        ------
        DataError
            If a class mean is not finite; the assignment then stays.
        """
        if self.means is None:
            return 0.0
        means, seen, W, previous = (
            full_precision(x.detach()).cpu().numpy().copy()  # else the buffer that is written below
            for x in (self.means.vectors, self.means.seen, self.prototypes, self.assignment)
        )
        if not np.isfinite(means).all():
            raise DataError("head: a class mean is NaN or infinite; training has diverged.")
        current = assign(means, W, seen=seen, previous=previous)
        self.assignment.copy_(torch.from_numpy(current))
        _arrange(self)
        return change_fraction(previous, current)

    def facts(self) -> dict[str, Any]:
        """Return what makes this head another one than others, besides its state."""
        assignment = None
        if self.means is not None and self.schedule is not None:
            assignment = {**asdict(self.schedule), "momentum": self.means.momentum}
        return {**super().facts(), "assignment": assignment}

    def _means(self, rule: Rule, *, seed: int) -> ClassMeans:
        c, d = self.n_classes, self.d
        return ClassMeans(
            c,
            d,
            rule.momentum,
            initial=rule.means,
            unit_features=self.normalizes_features,
            generator=generator_of(seed, "means", c, d),
        )


def checked_prototypes(prototypes: ArrayLike | Any) -> np.ndarray:
    """Return prototypes as a float64 matrix of rows of length 1.

    Raises
    ------
    DataError
        If they are not that; the sentence names the first wrong row.
    """
    given = getattr(prototypes, "vectors", prototypes)
    if isinstance(given, str):
        raise DataError(
            f"prototypes: {given!r} is a name; expected vectors, as build_prototypes({given!r}, c, "
            "d) returns them."
        )
    W = np.asarray(given.detach().cpu() if isinstance(given, Tensor) else given, dtype=np.float64)
    if W.ndim != 2:
        raise DataError(f"prototypes: expected shape (classes, dimensions), got {W.shape}.")
    lengths = np.linalg.norm(W, axis=1)
    wrong = np.flatnonzero(~(np.abs(lengths - 1) <= UNIT))  # NaN is wrong, too
    if len(wrong):
        raise DataError(
            f"prototypes: row {wrong[0]} has length {lengths[wrong[0]]:.6g}; expected rows of "
            "length 1."
        )
    return W


def rule_of(assignment: "str | Rule | Mapping[str, Mapping[str, Any] | None]", *, at: str) -> Rule:
    """Return the rule that a name, or a mapping of one name to parameters, stands for.

    Raises
    ------
    ConfigError
        If it is neither, or the name or a parameter is wrong.
    """
    if isinstance(assignment, Rule):
        return assignment
    name, params = (assignment, {}) if isinstance(assignment, str) else one_of(assignment, at=at)
    return build_rule(name, params, at=at)


def one_of(mapping: Any, *, at: str) -> tuple[str, dict[str, Any]]:
    """Return the only name of a mapping, and its parameters.

    Raises
    ------
    ConfigError
        If it is no mapping of one name to parameters.
    """
    if not isinstance(mapping, Mapping) or len(mapping) != 1:
        raise ConfigError(f"{at}: expected one name with its parameters, got {mapping!r}.")
    ((name, params),) = mapping.items()
    if params is not None and not isinstance(params, Mapping):
        raise ConfigError(f"{at}.{name}: expected a mapping of parameters, got {params!r}.")
    return str(name), dict(params or {})


@HEADS.register("fixed")
def fixed(
    slot: Slot,
    *,
    prototypes: Mapping[str, Any],
    assignment: Mapping[str, Any] | None = None,
    scale: Scale = 1.0,
    normalize_features: bool = True,
) -> FixedPrototypeHead:
    """Return a head with the prototypes of a set, assigned statically unless told otherwise."""
    rule = rule_of("static" if assignment is None else assignment, at=f"{slot.at}.assignment")
    return FixedPrototypeHead(
        _prototypes(slot, prototypes),
        assignment=rule,
        scale=scale,
        normalize_features=normalize_features,
        seed=slot.seed,
    )


def _prototypes(slot: Slot, asked: Mapping[str, Any]) -> Any:
    """Return the set of prototypes that is asked for, from the cache if it is there."""
    at = f"{slot.at}.prototypes"
    name, params = one_of(asked, at=at)
    function = PROTOTYPES.find(name, at=at)
    if slot.class_embeddings is not None and takes(function, "table") and "file" not in params:
        params = {"table": slot.class_embeddings} | params
    return cached_prototypes(slot.cache, name, slot.c, slot.d, seed=slot.seed, params=params, at=at)


def _arrange(head: Any, *_: Any) -> None:
    """Put the prototypes in the order of the classes; also after a state was loaded."""
    head._vectors = head.prototypes[head.assignment]
    head._scaled = head._vectors * head.factor if isinstance(head.factor, float) else head._vectors

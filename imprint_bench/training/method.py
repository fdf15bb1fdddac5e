"""What is compared in training: a head with its loss and learning rate, as YAML writes it.

    dynamic_ipm:
      head: {fixed: {prototypes: {equidistributed: {}}, assignment: {dynamic: {}}}}
      loss: {ipm: {}}
      lr: 0.01

The prototypes ``{trained: {}}`` are the class vectors of another method, which is trained
first and stands under ``first``.

A list in the place of a value stands for several methods of that name.
"""

import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from imprint_bench.checks import at_least_one, check_keys
from imprint_bench.errors import ConfigError
from imprint_bench.fixed.class_embeddings import read_class_embeddings
from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.fixed.core.prototype_set import PROTOTYPES, version_of
from imprint_bench.fixed.core.rules import ASSIGNMENTS
from imprint_bench.fixed.heads.head import HEADS
from imprint_bench.params import (
    check_params,
    check_value,
    settable,
    without_defaults,
)
from imprint_bench.plugins import code_of
from imprint_bench.registry import Registry
from imprint_bench.training.recipe import Choice
from imprint_bench.training.values import cell, filled

KEYS = ("head", "loss", "lr")
FIRST, TRAINED = "first", "trained"
OF_FILES = frozenset({"file", "semantic"})  # parameters of prototypes that name a table
INNER: dict[str, Registry[Any]] = {
    "prototypes": PROTOTYPES,
    "assignment": ASSIGNMENTS,
}  # parameters that are methods
DEFAULT_INNER = {"assignment": "static"}


@dataclass(frozen=True)
class TrainingMethod:
    """A head, a loss and a learning rate.

    Attributes
    ----------
    name : str
        The user's, a column of every row.
    head, loss : Choice
    lr : float
    first : TrainingMethod or None
        What is trained first, and gives the prototypes.
    """

    name: str
    head: Choice
    loss: Choice
    lr: float
    first: "TrainingMethod | None" = None

    @property
    def prototypes(self) -> Choice | None:
        """The set of prototypes; None where the last layer is learned."""
        return self._inner("prototypes")

    @property
    def assignment(self) -> Choice | None:
        """How classes are assigned to prototypes; None where there are none."""
        return self._inner("assignment") if self.prototypes is not None else None

    def columns(self) -> dict[str, Any]:
        """Return the columns of a result row that the method determines."""
        parts = {"head": self.head, "prototypes": self.prototypes, "assignment": self.assignment,
                 "loss": self.loss}  # fmt: skip
        columns: dict[str, Any] = {"method": self.name}
        for part, choice in parts.items():
            columns[part] = None if choice is None else choice.kind
            if choice is not None:
                known = settable(_function(part, choice.kind))
                columns |= {
                    f"{part}_{name}": cell(value, known[name].annotation)
                    for name, value in choice.params.items()
                    if name not in INNER
                }
        if self.first is not None:
            columns["prototypes_first"] = json.dumps(self.first.canonical(), sort_keys=True)
        return columns | {"lr": self.lr}

    def canonical(self) -> dict[str, Any]:
        """Return what identifies the method, whatever it is called: JSON values."""
        content: dict[str, Any] = {
            part: _canonical(part, getattr(self, part)) for part in ("head", "loss")
        }
        content["lr"] = self.lr
        return content if self.first is None else content | {FIRST: self.first.canonical()}

    def _inner(self, part: str) -> Choice | None:
        if part not in settable(HEADS[self.head.kind]):
            return None
        value = self.head.params.get(part) or {DEFAULT_INNER[part]: {}}
        ((name, params),) = value.items()
        return Choice(name, filled(_function(part, name), params or {}))


def read_methods(raw: Mapping[str, Any]) -> tuple[TrainingMethod, ...]:
    """Return the methods of a plain configuration, each with every combination of its lists.

    Raises
    ------
    ConfigError
        For the first wrong name, parameter or value.
    """
    return tuple(
        _method(name, content, at=f"method.{name}")
        for name, value in at_least_one(raw, "method").items()
        for content in combinations(value, at=f"method.{name}")
    )


def combinations(value: Any, *, at: str) -> Iterator[Any]:
    """Yield a nested mapping once for every combination of the lists in it.

    Raises
    ------
    ConfigError
        For an empty list.

    Examples
    --------
    >>> [*combinations({"lr": [1, 2], "head": {"cosine": {"scale": [4]}}}, at="")][1]
    {'lr': 2, 'head': {'cosine': {'scale': 4}}}
    """
    if isinstance(value, Mapping):
        options = [[*combinations(inner, at=f"{at}.{key}")] for key, inner in value.items()]
        for chosen in itertools.product(*options):
            yield dict(zip(value, chosen, strict=True))
    elif isinstance(value, list | tuple):
        if not value:
            raise ConfigError(f"{at}: an empty list leaves nothing to run; give a value.")
        for inner in value:
            yield from combinations(inner, at=at)
    else:
        yield value


def _method(name: str, content: Mapping[str, Any], *, at: str) -> TrainingMethod:
    check_keys(content, (*KEYS, FIRST), at=at)
    for key in KEYS:
        if key not in content:
            raise ConfigError(f"{at}.{key}: missing; a method has a head, a loss and an lr.")
    check_value(content["lr"], float, at=f"{at}.lr")
    if not content["lr"] > 0:
        raise ConfigError(f"{at}.lr: expected a positive learning rate, got {content['lr']}.")
    head = _choice(content["head"], "head", at=f"{at}.head")
    for part in INNER:
        if part in head.params and head.params[part] is not None:
            _choice(head.params[part], part, at=f"{at}.head.{head.kind}.{part}")
    loss = _choice(content["loss"], "loss", at=f"{at}.loss")
    method = TrainingMethod(name, head, loss, float(content["lr"]))
    wanted = method.prototypes is not None and method.prototypes.kind == TRAINED
    if wanted != (FIRST in content):
        raise ConfigError(
            f"{at}.{FIRST}: a head, loss and lr stand there where the prototypes are "
            f"{{{TRAINED}: {{}}}}, and nowhere else."
        )
    if not wanted:
        return method
    first = _method(name, content[FIRST], at=f"{at}.{FIRST}")
    if first.prototypes is not None:
        raise ConfigError(f"{at}.{FIRST}.head: expected one that is learned: linear or cosine.")
    return replace(method, first=first)


def _choice(value: Any, part: str, *, at: str) -> Choice:
    """Read ``NAME: {parameters}``, of which there is one."""
    registry = _registry(part)
    known = ", ".join(registry)
    if isinstance(value, str):
        value = {value: {}}
    if not isinstance(value, Mapping) or len(value) != 1:
        raise ConfigError(
            f"{at}: expected one {registry.noun} with its parameters ({known}), got {value!r}."
        )
    ((name, params),) = value.items()
    function = _function(part, str(name), at=at)
    if params is not None and not isinstance(params, Mapping):
        raise ConfigError(f"{at}.{name}: expected a mapping of parameters, got {params!r}.")
    check_params(function, params or {}, at=f"{at}.{name}")
    return Choice(str(name), filled(function, params or {}))


def _registry(part: str) -> Registry[Callable[..., Any]]:
    registries: dict[str, Registry[Any]] = {"head": HEADS, "loss": LOSSES, **INNER}
    return registries[part]


def _function(part: str, name: str, *, at: str = "method") -> Callable[..., Any]:
    """Return the function whose keyword-only parameters a choice may set."""
    if part == "prototypes" and name == TRAINED:
        return _nothing_to_set
    return _registry(part).find(name, at=at)


def _nothing_to_set() -> None:
    """Stand for prototypes that another method trains."""


def _canonical(part: str, choice: Choice) -> dict[str, Any]:
    function = _function(part, choice.kind)
    params = without_defaults(function, choice.params)
    for inner in INNER:
        if params.get(inner):
            ((name, own),) = params[inner].items()
            one = Choice(name, filled(_function(inner, name), own or {}))
            params[inner] = _canonical(inner, one)
            if params[inner] == {DEFAULT_INNER.get(inner): {}}:
                del params[inner]
    for name in OF_FILES.intersection(params):
        if isinstance(params[name], str):  # what a file holds counts, not where it lies
            table = read_class_embeddings(params[name], at=f"{part}.{choice.kind}.{name}")
            params[name] = sha256(repr(table.shape).encode() + table.tobytes()).hexdigest()
    content: dict[str, Any] = {choice.kind: params}
    if code := code_of(function):
        content["code"] = code
    if part == "prototypes" and choice.kind != TRAINED and version_of(choice.kind) > 1:
        content["version"] = version_of(choice.kind)
    return content

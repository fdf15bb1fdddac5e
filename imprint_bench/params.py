"""The signature is the schema: what YAML may set is what a function takes by keyword."""

import itertools
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from inspect import Parameter, signature
from math import isfinite
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from imprint_bench.errors import ConfigError, did_you_mean

GIVEN_BY_US = frozenset({"rng", "seed"})


@dataclass(frozen=True)
class AtLeast:
    """Constraint on a number: it is `minimum` or more."""

    minimum: float

    def allows(self, value: float) -> bool:
        """Tell whether `value` is within the limit."""
        return value >= self.minimum


@dataclass(frozen=True)
class AtMost:
    """Constraint on a number: it is `maximum` or less."""

    maximum: float

    def allows(self, value: float) -> bool:
        """Tell whether `value` is within the limit."""
        return value <= self.maximum


PositiveInt = Annotated[int, AtLeast(1)]


@dataclass(frozen=True)
class Source:
    """A named foundation model or dataset: which registered function, with which parameters.

    Attributes
    ----------
    name : str
        The user's name for it, a column of every result row.
    kind : str
        Name in the registry.
    params : Mapping[str, Any]
        Keyword arguments of the registered function.
    """

    name: str
    kind: str
    params: Mapping[str, Any]


@cache
def settable(function: Callable[..., Any]) -> dict[str, Parameter]:
    """Return the parameters of `function` that YAML may set, by name, with resolved types."""
    hints = get_type_hints(function, include_extras=True)
    return {
        name: p.replace(annotation=hints.get(name, Any))
        for name, p in signature(function).parameters.items()
        if p.kind is Parameter.KEYWORD_ONLY and name not in GIVEN_BY_US
    }


@cache
def takes(function: Callable[..., Any], name: str) -> bool:
    """Tell whether `function` has a parameter called `name`."""
    return name in signature(function).parameters


def check_params(function: Callable[..., Any], params: Mapping[str, Any], *, at: str) -> None:
    """Raise ConfigError unless `params` are what `function` asks for.

    Parameters
    ----------
    function : callable
        Its keyword-only parameters, their annotations and defaults are the schema.
    params : Mapping[str, Any]
        One value per parameter.
    at : str
        The place in the configuration, with which a message starts.

    Raises
    ------
    ConfigError
        For an unknown or missing name, a wrong type, or a number outside its limits.

    Examples
    --------
    >>> def fps(X, *, k: PositiveInt): ...
    >>> check_params(fps, {"k": 0}, at="gen.fps")
    Traceback (most recent call last):
    imprint_bench.errors.ConfigError: gen.fps.k: expected an int of at least 1, got 0.
    """
    wanted = settable(function)
    for name, value in params.items():
        if name not in wanted:
            listed = ", ".join(wanted) or "no parameter"
            raise ConfigError(
                f"{at}.{name}: no such parameter; {at} takes {listed}." + did_you_mean(name, wanted)
            )
        check_value(value, wanted[name].annotation, at=f"{at}.{name}")
    for name, p in wanted.items():
        if p.default is Parameter.empty and name not in params:
            raise ConfigError(f"{at}.{name}: missing; {at} cannot do without it.")


def check_value(value: Any, annotation: Any, *, at: str) -> None:
    """Raise ConfigError unless `value` is of the type that `annotation` describes."""
    if not _fits(value, annotation):
        near = did_you_mean(value, map(str, get_args(annotation))) if _is_choice(annotation) else ""
        raise ConfigError(f"{at}: expected {_describe(annotation)}, got {value!r}.{near}")


def short_name(annotation: Any) -> str:
    """Return the type that `annotation` describes, without its limits.

    Examples
    --------
    >>> short_name(PositiveInt | Literal["all"])
    "int or 'all'"
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        return short_name(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return " or ".join(map(short_name, get_args(annotation)))
    if origin is Literal and len(get_args(annotation)) > 1:
        return " | ".join(map(str, get_args(annotation)))
    return "value" if annotation is Any else _describe(annotation)


def with_defaults(function: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return `params` in full: those that are left out have their default, and 1 is no 1.0."""
    wanted = settable(function)
    full = {n: p.default for n, p in wanted.items() if p.default is not Parameter.empty}
    full |= params
    return {n: float(v) if _is_float(wanted[n], v) else v for n, v in full.items()}


def without_defaults(function: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return `params` less those that equal their default, so a new parameter renames no trial."""
    wanted = settable(function)
    return {n: v for n, v in params.items() if n not in wanted or wanted[n].default != v}


def expand(params: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every combination of the listed values; a value that is no list stands for itself.

    Examples
    --------
    >>> list(expand({"m": [1, 5], "metric": "cosine"}))
    [{'m': 1, 'metric': 'cosine'}, {'m': 5, 'metric': 'cosine'}]
    """
    lists = [v if isinstance(v, list | tuple) else [v] for v in params.values()]
    for values in itertools.product(*lists):
        yield dict(zip(params, values, strict=True))


def _is_float(wanted: Parameter, value: Any) -> bool:
    return type(value) is int and short_name(wanted.annotation) == "float"


def _is_choice(annotation: Any) -> bool:
    return get_origin(annotation) is Literal


def _fits(value: Any, annotation: Any) -> bool:
    origin = get_origin(annotation)
    if annotation is Any or annotation is Parameter.empty:
        return True
    if origin is Annotated:
        kind, *limits = get_args(annotation)
        return _fits(value, kind) and all(limit.allows(value) for limit in limits)
    if origin is Literal:
        return value in get_args(annotation)
    if origin in (Union, types.UnionType):
        return any(_fits(value, a) for a in get_args(annotation))
    if origin in (list, tuple):
        return isinstance(value, list | tuple) and all(
            _fits(v, get_args(annotation)[0]) for v in value
        )
    if origin in (dict, Mapping):
        return isinstance(value, Mapping) and all(
            _fits(part, kind)
            for pair in value.items()
            for part, kind in zip(pair, get_args(annotation), strict=True)
        )
    if origin is not None:
        return isinstance(value, origin)
    if annotation is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    if annotation is int:
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, annotation) if isinstance(annotation, type) else True


def _describe(annotation: Any) -> str:
    origin = get_origin(annotation)
    if origin is Annotated:
        text = _limited(annotation)
        return f"an {text}" if text.startswith(("a", "e", "i", "o")) else f"a {text}"
    if origin is Literal:
        values = get_args(annotation)
        return "one of " + ", ".join(map(str, values)) if len(values) > 1 else repr(values[0])
    if origin in (Union, types.UnionType):
        return " or ".join(
            "nothing" if a is type(None) else _describe(a) for a in get_args(annotation)
        )
    if origin in (list, tuple):
        return f"a list of {_limited(get_args(annotation)[0])}"
    if annotation is bool:
        return "true or false"
    if origin in (dict, Mapping) and get_args(annotation)[1] in (int, float):
        return f"a mapping from names to {_describe(get_args(annotation)[1])}"
    if annotation is dict or origin in (dict, Mapping):
        return "a mapping"
    return getattr(annotation, "__name__", str(annotation))


def _limited(annotation: Any) -> str:
    """Return the type without an article, with its limits: "int of at least 1"."""
    origin = get_origin(annotation)
    if origin is Annotated:
        kind, *limits = get_args(annotation)
        return f"{short_name(kind)} {_range(limits)}"
    if origin in (Union, types.UnionType):
        return " or ".join(
            "nothing" if a is type(None) else _limited(a) for a in get_args(annotation)
        )
    return short_name(annotation)


def _range(limits: Sequence[AtLeast | AtMost]) -> str:
    low = [f"{limit.minimum:g}" for limit in limits if isinstance(limit, AtLeast)]
    high = [f"{limit.maximum:g}" for limit in limits if isinstance(limit, AtMost)]
    if low and high:
        return f"from {low[0]} to {high[0]}"
    return f"of at least {low[0]}" if low else f"of at most {high[0]}"

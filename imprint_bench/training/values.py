"""Values of parameters: in full, and as the columns of a row hold them."""

import json
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Union, get_args, get_origin

from imprint_bench.params import settable, with_defaults


def cell(value: Any, annotation: Any) -> Any:
    """Return a value as its column holds it: numbers where a parameter is one always, else text."""
    if value is None or (isinstance(value, bool) and annotation is bool):
        return value
    if _is_numeric(annotation):
        return value
    if isinstance(value, float | int) and not isinstance(value, bool):
        return f"{value:g}"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def filled(function: Callable[..., Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """Return parameters in full; a whole number is a float where a float may stand.

    So 16 and 16.0 are one scale, although the scale may also be a word.
    """
    known = settable(function)
    return {
        name: float(value)
        if type(value) is int
        and _holds(known[name].annotation, float)
        and not _holds(known[name].annotation, int)
        else value
        for name, value in with_defaults(function, params).items()
    }


def _holds(annotation: Any, kind: type) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _holds(get_args(annotation)[0], kind)
    if origin in (Union, types.UnionType):
        return any(_holds(a, kind) for a in get_args(annotation))
    return annotation is kind


def _is_numeric(annotation: Any) -> bool:
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_numeric(get_args(annotation)[0])
    if origin in (Union, types.UnionType):
        return all(a is type(None) or _is_numeric(a) for a in get_args(annotation))
    return annotation in (int, float)

"""Checks of a plain mapping: keys, values, lists. Each says which path is wrong."""

from collections.abc import Mapping, Sequence
from typing import Any

from imprint_bench.errors import ConfigError, did_you_mean
from imprint_bench.params import check_value, short_name

Plain = Mapping[str, Any]


def is_folder_name(name: str) -> bool:
    """Tell whether `name` is that of a folder, or of one inside another, on every system.

    Examples
    --------
    >>> is_folder_name("paper/gen"), is_folder_name("../gen"), is_folder_name("a:b")
    (True, False, False)
    """
    parts = name.split("/")
    return not set(name) & set('\\:*?"<>|\n\0') and all(p.strip(". ") == p != "" for p in parts)


def check_keys(mapping: Any, known: Sequence[str], *, at: str) -> None:
    """Raise ConfigError unless `mapping` is one and has none but the `known` keys."""
    names = ", ".join(known)
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{at}: expected a mapping with {names}, got {mapping!r}.")
    for key in mapping:
        if key not in known:
            path = f"{at}.{key}" if at else str(key)
            raise ConfigError(f"{path}: no such key; there are {names}.{did_you_mean(key, known)}")


def required(raw: Plain, key: str, annotation: Any, *, at: str | None = None) -> Any:
    """Return the value of `key`, which must be there and of the annotated type."""
    at = at or key
    if key not in raw:
        raise ConfigError(f"{at}: missing; every sweep needs it.")
    check_value(raw[key], annotation, at=at)
    return raw[key]


def section(raw: Plain, key: str, types: Plain) -> dict[str, Any]:
    """Return the mapping under `key`, which has exactly the keys of `types`, of these types."""
    inner = raw.get(key)
    check_keys(inner, tuple(types), at=key)
    assert inner is not None  # check_keys refused it
    return {name: required(inner, name, t, at=f"{key}.{name}") for name, t in types.items()}


def values_of(raw: Plain, key: str, annotation: Any, *, at: str | None = None) -> tuple:
    """Return the list under `key`: at least one value, each of the annotated type and once."""
    at = at or key
    values = raw.get(key)
    if not isinstance(values, list | tuple):
        raise ConfigError(f"{at}: expected a list of {short_name(annotation)}, got {values!r}.")
    if not values:
        raise ConfigError(f"{at}: an empty list leaves nothing to run; give at least one value.")
    for i, value in enumerate(values):
        check_value(value, annotation, at=f"{at}[{i}]")
        if value in values[:i]:
            raise ConfigError(f"{at}[{i}]: {value!r} stands there twice; remove one.")
    return tuple(values)


def named(raw: Plain, group: str) -> dict[str, dict[str, Any]]:
    """Return a group of named entries, each a mapping; none where the group is missing."""
    entries = raw.get(group) or {}
    if not isinstance(entries, Mapping):
        raise ConfigError(f"{group}: expected a mapping of names, got {entries!r}.")
    for name, value in entries.items():
        if value is not None and not isinstance(value, Mapping):
            raise ConfigError(f"{group}.{name}: expected a mapping of parameters, got {value!r}.")
    return {str(name): dict(value or {}) for name, value in entries.items()}


def at_least_one(raw: Plain, group: str) -> dict[str, dict[str, Any]]:
    """Return a group of named entries, each a mapping, of which there must be one."""
    entries = named(raw, group)
    if not entries:
        raise ConfigError(f"{group}: nothing chosen; choose at least one with {group}=[NAME].")
    return entries

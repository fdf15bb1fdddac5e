"""Foundation models, datasets and networks as YAML names them."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imprint_bench.checks import at_least_one, is_folder_name
from imprint_bench.errors import ConfigError
from imprint_bench.params import Source, check_params
from imprint_bench.registry import Registry


def read_sources(
    raw: Mapping[str, Any], group: str, registry: Registry[Callable[..., Any]]
) -> tuple[Source, ...]:
    """Return the entries of a group, each checked; there must be one.

    Parameters
    ----------
    raw : Mapping[str, Any]
        The plain configuration.
    group : str
        Such as ``"dataset"``.
    registry : Registry
        Whose functions they name.

    Raises
    ------
    ConfigError
        For an unknown function or a wrong parameter.
    """
    return tuple(
        _source(name, value, registry, at=f"{group}.{name}")
        for name, value in at_least_one(raw, group).items()
    )


def _source(
    name: str, value: Mapping[str, Any], registry: Registry[Callable[..., Any]], *, at: str
) -> Source:
    """Read `name: {kind: {parameters}}`, or `kind: {parameters}` where the name is the kind."""
    kind, params = name, dict(value)
    if len(value) == 1 and isinstance(inner := next(iter(value.values())), Mapping | None):
        only = next(iter(value))
        if name not in registry or only in registry:
            kind, params = only, dict(inner or {})
    if "/" in name or not is_folder_name(name):
        raise ConfigError(f"{at}: {name!r} cannot be a folder's name; choose another name.")
    check_params(registry.find(kind, at=at), params, at=at if kind == name else f"{at}.{kind}")
    return Source(name, kind, _with_home(params))


def _with_home(value: Any) -> Any:
    """Put the home folder for the ``~`` with which a path starts."""
    if isinstance(value, Mapping):
        return {key: _with_home(inner) for key, inner in value.items()}
    return str(Path(value).expanduser()) if str(value).startswith("~/") else value

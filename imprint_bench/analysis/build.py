"""Make the tables and figures that a configuration names; one that cannot be made says why."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import pandas as pd

from imprint_bench.errors import IncompleteError
from imprint_bench.params import check_params
from imprint_bench.registry import Registry

T = TypeVar("T")


@dataclass(frozen=True)
class Refusal:
    """A table or figure that was not made, and the sentence that says why."""

    name: str
    title: str
    sentence: str


def check_requests(
    registry: Registry[Callable[..., T]], requests: Mapping[str, Mapping[str, Any] | None]
) -> None:
    """Raise ConfigError unless every request names a known table or figure and its parameters.

    Parameters
    ----------
    registry : Registry
        `TABLES` or `FIGURES`.
    requests : Mapping[str, Mapping[str, Any]]
        Parameters by name, as the YAML files have them.
    """
    for name, params in requests.items():
        function = registry.find(name, at=registry.noun)
        check_params(function, params or {}, at=f"{registry.noun}.{name}")


def build(
    registry: Registry[Callable[..., T]],
    requests: Mapping[str, Mapping[str, Any] | None],
    rows: pd.DataFrame,
    *,
    command: str,
) -> list[T | Refusal]:
    """Return what was asked for, in that order; where results are missing, a refusal.

    Parameters
    ----------
    registry : Registry
        `TABLES` or `FIGURES`.
    requests : Mapping[str, Mapping[str, Any]]
        Parameters by name, as the YAML files have them.
    rows : DataFrame
        One row per trial, see `frames`.
    command : str
        What a user types to compute missing results.

    Raises
    ------
    ConfigError
        For an unknown name or a bad parameter.
    """
    check_requests(registry, requests)
    made: list[T | Refusal] = []
    for name, params in requests.items():
        try:
            made.append(registry[name](rows, **(params or {})))
        except IncompleteError as error:
            title = name.replace("_", " ").capitalize()
            made.append(Refusal(name, title, f"{error} The command: {command}"))
    return made

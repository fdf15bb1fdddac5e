"""Make the tables and figures that a configuration names; one that cannot be made says why."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import pandas as pd

from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.table import Table
from imprint_bench.errors import ConfigError, DataError, IncompleteError
from imprint_bench.params import check_params, takes
from imprint_bench.registry import Registry

T = TypeVar("T", bound="Table | Drawing")
NOTHING: Mapping[str, Callable[[], Any]] = {}


@dataclass(frozen=True)
class Refusal:
    """A table or figure that was not made, the sentence that says why, and what would make it.

    `missing` names the trials that lack results, a row each.
    """

    name: str
    title: str
    sentence: str
    command: str = ""
    missing: pd.DataFrame | None = None


def check_requests(
    registry: Registry[Callable[..., Any]], requests: Mapping[str, Mapping[str, Any] | None]
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
    registry: Registry[Callable[..., T | list[T]]],
    requests: Mapping[str, Mapping[str, Any] | None],
    rows: pd.DataFrame,
    *,
    command: str,
    given: Mapping[str, Callable[[], Any]] = NOTHING,
) -> list[T | Refusal]:
    """Return what was asked for, in that order; where results are missing, a refusal.

    A function that returns several in a list gives all of them.

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
    given : mapping from a name to a function without arguments
        What is passed to a function that has a parameter of this name; called only for such.

    Raises
    ------
    ConfigError
        For an unknown name or a bad parameter.
    """
    check_requests(registry, requests)
    made: list[T | Refusal] = []
    for name, params in requests.items():
        function = registry[name]
        try:
            further = {what: make() for what, make in given.items() if takes(function, what)}
            result = function(rows, **further, **(params or {}))
            results = result if isinstance(result, list) else [result]
            made += [replace(one, command=command) for one in results]
        except IncompleteError as error:
            made.append(Refusal(name, title_of(name), str(error), command, error.trials))
        except (ConfigError, DataError) as error:  # the others may be well
            made.append(Refusal(name, title_of(name), f"{registry.noun}.{name}: {error}", command))
    return made


def title_of(name: str) -> str:
    """Return what a table or figure is called that could not be made.

    Examples
    --------
    >>> title_of("tableA5"), title_of("figure11b"), title_of("neural_collapse")
    ('Table A.5', 'Figure 11b', 'Neural collapse')
    >>> title_of("dl2pa_figure2a")
    'DL2PA figure 2a'
    """
    numbered = re.fullmatch(r"(dl2pa_)?(table|figure|section)(A?)(\d+[a-d]?)", name)
    if numbered:
        other, noun, appendix, number = numbered.groups()
        lead = f"DL2PA {noun}" if other else noun.capitalize()
        return f"{lead} {'A.' if appendix else ''}{number}"
    return name.replace("_", " ").capitalize()

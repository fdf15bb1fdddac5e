"""The configuration of a sweep that imprints: from a plain mapping to frozen dataclasses.

`read` either returns a `Config` whose every value has been checked, or says
which path is wrong.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal

from imprint_bench.checks import at_least_one, check_keys, values_of
from imprint_bench.core.aggregation import AGGREGATIONS
from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.normalization import PROXY_NORMALIZATIONS, ROW_NORMALIZATIONS
from imprint_bench.data.dataset import DATASETS
from imprint_bench.data.embeddings.settings import EmbedSettings, read_embed_settings
from imprint_bench.data.foundation_model import FOUNDATION_MODELS
from imprint_bench.data.tasks import MAPPINGS
from imprint_bench.params import AtLeast, Source, check_params, expand, with_defaults
from imprint_bench.registry import Registry
from imprint_bench.settings import SEED, SETTINGS, Settings, read_settings
from imprint_bench.sources import read_sources

# `weight_decay: [fm]` means the one that the foundation model was trained with.
WEIGHT_DECAY, FROM_FM = "weight_decay", "fm"

KEYS = (
    *("name", "fm", "dataset", "mapping", "task", "n_shot", "seeds", "norm", "gen", "agg"),
    *(key for key in (*SETTINGS, "embed") if key not in ("name", "seeds")),
)


@dataclass(frozen=True)
class Method:
    """A generator or aggregation with every combination of its parameters to be tried.

    Attributes
    ----------
    name : str
    grid : tuple of mappings
        One mapping of parameters per combination.
    """

    name: str
    grid: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class Norms:
    """Normalizations to be tried: of embeddings, of proxies, of queries."""

    pre: tuple[str, ...]
    post: tuple[str, ...]
    inf: tuple[str, ...]


@dataclass(frozen=True)
class Config(Settings):
    """One sweep that imprints, checked."""

    fms: tuple[Source, ...]
    datasets: tuple[Source, ...]
    mappings: tuple[Source, ...]
    tasks: Mapping[str, tuple[int, ...] | str]
    n_shots: tuple[int | None, ...]
    norms: Norms
    gens: tuple[Method, ...]
    aggs: tuple[Method, ...]
    embed: EmbedSettings


def read(raw: Mapping[str, Any]) -> Config:
    """Check a plain configuration and return it as a `Config`.

    Parameters
    ----------
    raw : Mapping[str, Any]
        What Hydra composed, as plain dicts, lists and scalars.

    Raises
    ------
    ConfigError
        For the first wrong path, with its value and what would be right.
    """
    check_keys(raw, KEYS, at="")
    settings = read_settings(raw)
    return Config(
        **settings,
        fms=read_sources(raw, "fm", FOUNDATION_MODELS),
        datasets=read_sources(raw, "dataset", DATASETS),
        mappings=read_sources(raw, "mapping", MAPPINGS),
        tasks=_tasks(raw),
        n_shots=_n_shots(raw),
        norms=_norms(raw),
        gens=_methods(raw, "gen", GENERATORS),
        aggs=_methods(raw, "agg", AGGREGATIONS),
        embed=read_embed_settings(raw),
    )


def _tasks(raw: Mapping[str, Any]) -> dict[str, tuple[int, ...] | str]:
    tasks: dict[str, tuple[int, ...] | str] = {}
    for name, value in at_least_one(raw, "task").items():
        at = f"task.{name}"
        check_keys(value, ("classes",), at=at)
        if value.get("classes") == "all":
            tasks[name] = "all"
        else:
            tasks[name] = values_of(value, "classes", SEED, at=f"{at}.classes")
    return tasks


def _n_shots(raw: Mapping[str, Any]) -> tuple[int | None, ...]:
    kind = Annotated[int, AtLeast(1)] | Literal["all"]
    return tuple(None if n == "all" else n for n in values_of(raw, "n_shot", kind))


def _norms(raw: Mapping[str, Any]) -> Norms:
    norm = raw.get("norm")
    check_keys(norm, ("pre", "post", "inf"), at="norm")
    assert norm is not None  # check_keys refused it
    chosen = {}
    for place in ("pre", "post", "inf"):
        registry = PROXY_NORMALIZATIONS if place == "post" else ROW_NORMALIZATIONS
        chosen[place] = values_of(norm, place, str, at=f"norm.{place}")
        for i, name in enumerate(chosen[place]):
            registry.find(name, at=f"norm.{place}[{i}]")
    return Norms(**chosen)


def _methods(raw: Mapping[str, Any], group: str, registry: Registry[Any]) -> tuple[Method, ...]:
    read_one = partial(_method, registry=registry, group=group)
    return tuple(read_one(name, value) for name, value in at_least_one(raw, group).items())


def _method(name: str, value: Mapping[str, Any], *, registry: Registry[Any], group: str) -> Method:
    at = f"{group}.{name}"
    function = registry.find(name, at=group).function
    for key, listed in value.items():
        if isinstance(listed, list | tuple):
            values_of(value, key, Any, at=f"{at}.{key}")
    grid = tuple(expand(value))
    for params in grid:
        check_params(function, _with_number(params), at=at)
    return Method(name, tuple(with_defaults(function, params) for params in grid))


def _with_number(params: Mapping[str, Any]) -> dict[str, Any]:
    """Put a number for the weight decay that the plan takes from the FM."""
    return {
        name: 0.0 if name == WEIGHT_DECAY and value == FROM_FM else value
        for name, value in params.items()
    }

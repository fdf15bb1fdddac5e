"""The configuration: from the plain mapping that YAML gives to frozen dataclasses.

`read` either returns a `Config` whose every value has been checked, or says
which path is wrong.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from imprint_bench.checks import (
    at_least_one,
    check_keys,
    is_folder_name,
    named,
    required,
    section,
    values_of,
)
from imprint_bench.core.aggregation import AGGREGATIONS
from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.normalization import PROXY_NORMALIZATIONS, ROW_NORMALIZATIONS
from imprint_bench.data.dataset import DATASETS
from imprint_bench.data.embeddings.settings import EmbedSettings, read_settings
from imprint_bench.data.foundation_model import FOUNDATION_MODELS
from imprint_bench.data.tasks import MAPPINGS
from imprint_bench.errors import ConfigError
from imprint_bench.execution import Execution, Shard, read_execution, read_shard
from imprint_bench.params import AtLeast, Source, check_params, expand, with_defaults
from imprint_bench.plugins import load
from imprint_bench.registry import Registry

# `weight_decay: [fm]` means the one that the foundation model was trained with.
WEIGHT_DECAY, FROM_FM = "weight_decay", "fm"

Stage = Literal["data", "embed", "plan", "run", "report"]
Mode = Literal["missing", "retry_failed", "overwrite", "plan"]
SEED = Annotated[int, AtLeast(0)]
KEYS = (
    *("name", "fm", "dataset", "mapping", "task", "n_shot", "seeds", "norm", "gen", "agg"),
    *("imports", "stages", "mode", "n_jobs", "embed", "report", "table", "figure", "paths"),
    *("executor", "shard"),
)
WEIGHTS = "~/.cache/torch/hub/checkpoints"  # where torch keeps weight files
MAX_SEED = 2**32 - 1  # the largest that scikit-learn takes


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
class Paths:
    """Folders: `data`, `weights` are read; `embeddings`, `rows`, `reports` are written."""

    data: Path
    weights: Path
    results: Path
    embeddings: Path
    rows: Path
    reports: Path


@dataclass(frozen=True)
class Config:
    """One sweep, checked. `tables` and `figures` map a name to its parameters.

    `raw` is the mapping that it was read from, for a process elsewhere to read again.
    """

    name: str
    fms: tuple[Source, ...]
    datasets: tuple[Source, ...]
    mappings: tuple[Source, ...]
    tasks: Mapping[str, tuple[int, ...] | str]
    n_shots: tuple[int | None, ...]
    seeds: tuple[int, ...]
    norms: Norms
    gens: tuple[Method, ...]
    aggs: tuple[Method, ...]
    stages: tuple[str, ...]
    mode: str
    n_jobs: int
    embed: EmbedSettings
    alpha: float
    allow_incomplete: bool
    tables: Mapping[str, Mapping[str, Any]]
    figures: Mapping[str, Mapping[str, Any]]
    paths: Paths
    executor: Execution
    shard: Shard | None
    raw: Mapping[str, Any]


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

    Notes
    -----
    Tables and figures are checked by the report, which knows their functions, and the
    settings of the executor by the sweep, for the same reason.
    """
    check_keys(raw, KEYS, at="")
    load(_imports(raw))
    report = section(raw, "report", {"alpha": float, "allow_incomplete": bool})
    if not 0 < report["alpha"] < 1:
        raise ConfigError(f"report.alpha: expected a number in (0, 1), got {report['alpha']}.")
    required(raw, "name", str)
    if not is_folder_name(raw["name"]):
        raise ConfigError(
            f"name: {raw['name']!r} cannot be a folder's name; write a name such as mine or mine/k."
        )
    mode = required(raw, "mode", Mode)
    n_jobs = required(raw, "n_jobs", int)
    if n_jobs == 0 or n_jobs < -1:
        raise ConfigError(f"n_jobs: expected a number of workers, or -1 for all, got {n_jobs}.")
    return Config(
        name=raw["name"],
        fms=_sources(raw, "fm", FOUNDATION_MODELS),
        datasets=_sources(raw, "dataset", DATASETS),
        mappings=_sources(raw, "mapping", MAPPINGS),
        tasks=_tasks(raw),
        n_shots=_n_shots(raw),
        seeds=_seeds(raw),
        norms=_norms(raw),
        gens=_methods(raw, "gen", GENERATORS),
        aggs=_methods(raw, "agg", AGGREGATIONS),
        stages=("plan",) if mode == "plan" else values_of(raw, "stages", Stage),
        mode=mode,
        n_jobs=n_jobs,
        embed=read_settings(raw),
        alpha=float(report["alpha"]),
        allow_incomplete=report["allow_incomplete"],
        tables=named(raw, "table"),
        figures=named(raw, "figure"),
        paths=_paths(raw),
        executor=read_execution(raw),
        shard=read_shard(raw),
        raw=copy.deepcopy(dict(raw)),
    )


def _imports(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return values_of(raw, "imports", str) if raw.get("imports", []) != [] else ()


def _sources(
    raw: Mapping[str, Any], group: str, registry: Registry[Callable[..., Any]]
) -> tuple[Source, ...]:
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


def _seeds(raw: Mapping[str, Any]) -> tuple[int, ...]:
    seeds = values_of(raw, "seeds", SEED)
    for i, seed in enumerate(seeds):
        if seed > MAX_SEED:
            raise ConfigError(f"seeds[{i}]: expected an int of at most {MAX_SEED}, got {seed}.")
    return seeds


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


def _paths(raw: Mapping[str, Any]) -> Paths:
    names = ("data", "weights", "results", "embeddings", "rows", "reports")
    if isinstance(raw.get("paths"), Mapping):
        raw = {**raw, "paths": {"weights": WEIGHTS, **raw["paths"]}}
    folders = section(raw, "paths", dict.fromkeys(names, str))
    return Paths(**{name: Path(value).expanduser().absolute() for name, value in folders.items()})

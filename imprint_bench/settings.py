"""What the configuration of every sweep has, whether it imprints or trains."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from imprint_bench.checks import is_folder_name, named, required, section, values_of
from imprint_bench.errors import ConfigError
from imprint_bench.execution import Execution, Shard, read_execution, read_shard
from imprint_bench.params import AtLeast
from imprint_bench.plugins import load

Stage = Literal["data", "embed", "plan", "run", "report"]
Mode = Literal["missing", "retry_failed", "overwrite", "plan"]
SEED = Annotated[int, AtLeast(0)]
WEIGHTS = "~/.cache/torch/hub/checkpoints"  # where torch keeps weight files
MAX_SEED = 2**32 - 1  # the largest that scikit-learn takes
SETTINGS = (
    *("name", "seeds", "imports", "stages", "mode", "n_jobs", "report", "table", "figure"),
    *("paths", "executor", "shard"),
)


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
class Settings:
    """How any sweep is run and reported. `tables` and `figures` map a name to its parameters.

    `raw` is the mapping that it was read from, for a process elsewhere to read again.
    """

    name: str
    seeds: tuple[int, ...]
    stages: tuple[str, ...]
    mode: str
    n_jobs: int
    alpha: float
    allow_incomplete: bool
    tables: Mapping[str, Mapping[str, Any]]
    figures: Mapping[str, Mapping[str, Any]]
    paths: Paths
    executor: Execution
    shard: Shard | None
    raw: Mapping[str, Any]


def read_settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Check what every sweep has, and return the fields of `Settings`.

    The user's modules are imported: what comes next may name what they register.

    Raises
    ------
    ConfigError
        For the first wrong path, with its value and what would be right.

    Notes
    -----
    Tables and figures are checked by the report, which knows their functions, and the
    settings of the executor by the sweep, for the same reason.
    """
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
    return {
        "name": raw["name"],
        "seeds": _seeds(raw),
        "stages": ("plan",) if mode == "plan" else values_of(raw, "stages", Stage),
        "mode": mode,
        "n_jobs": n_jobs,
        "alpha": float(report["alpha"]),
        "allow_incomplete": report["allow_incomplete"],
        "tables": named(raw, "table"),
        "figures": named(raw, "figure"),
        "paths": _paths(raw),
        "executor": read_execution(raw),
        "shard": read_shard(raw),
        "raw": copy.deepcopy(dict(raw)),
    }


def _imports(raw: Mapping[str, Any]) -> tuple[str, ...]:
    return values_of(raw, "imports", str) if raw.get("imports", []) != [] else ()


def _seeds(raw: Mapping[str, Any]) -> tuple[int, ...]:
    seeds = values_of(raw, "seeds", SEED)
    for i, seed in enumerate(seeds):
        if seed > MAX_SEED:
            raise ConfigError(f"seeds[{i}]: expected an int of at most {MAX_SEED}, got {seed}.")
    return seeds


def _paths(raw: Mapping[str, Any]) -> Paths:
    names = ("data", "weights", "results", "embeddings", "rows", "reports")
    if isinstance(raw.get("paths"), Mapping):
        raw = {**raw, "paths": {"weights": WEIGHTS, **raw["paths"]}}
    folders = section(raw, "paths", dict.fromkeys(names, str))
    return Paths(**{name: Path(value).expanduser().absolute() for name, value in folders.items()})

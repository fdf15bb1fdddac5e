"""Which executor a sweep asks for, and which share of the plan is its own."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from imprint_bench.errors import ConfigError

SHARD = re.compile(r"(?P<number>[0-9]+)/(?P<of>[0-9]+)")
DEFAULT = "joblib"


@dataclass(frozen=True)
class Execution:
    """The executor by its name, with settings that its class checks."""

    name: str
    settings: Mapping[str, Any]


class Shard(NamedTuple):
    """Share `number` of `of`, counted from 1."""

    number: int
    of: int

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def read_execution(raw: Mapping[str, Any]) -> Execution:
    """Return the section `executor`, a name beside its settings; without one it is joblib.

    Raises
    ------
    ConfigError
        If the section is no mapping or has no name.
    """
    section = raw.get("executor", {"name": DEFAULT})
    if not isinstance(section, Mapping) or not isinstance(section.get("name"), str):
        raise ConfigError(
            f"executor: expected a mapping with a name, got {section!r}; choose one with "
            "executor=joblib, executor=dask or executor=slurm."
        )
    return Execution(section["name"], {k: v for k, v in section.items() if k != "name"})


def read_shard(raw: Mapping[str, Any]) -> Shard | None:
    """Return the share of the plan that `shard` names, None for the whole.

    Raises
    ------
    ConfigError
        If it is not of the form i/N, or i is not among 1, ..., N.

    Examples
    --------
    >>> read_shard({"shard": "2/4"})
    Shard(number=2, of=4)
    >>> read_shard({"shard": "5/4"})
    Traceback (most recent call last):
    imprint_bench.errors.ConfigError: shard: there is no shard 5 of 4; write shard=1/4 to shard=4/4.
    """
    value = raw.get("shard")
    if value is None:
        return None
    found = SHARD.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found["of"]) == 0:
        raise ConfigError(f"shard: expected i/N such as 1/4, got {value!r}.")
    number, of = int(found["number"]), int(found["of"])
    if not 1 <= number <= of:
        raise ConfigError(
            f"shard: there is no shard {number} of {of}; write shard=1/{of} to shard={of}/{of}."
        )
    return Shard(number, of)

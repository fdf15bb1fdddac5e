"""Which sweeps the tables and figures of a report are made from.

The YAML of a table or figure of the paper names its sweep, ``table2: {sweep: paper/gen}``, or
several in a list. `python -m imprint_bench table=[table2]` then computes and reports that sweep;
``+sweep=NAME`` makes the table from the rows of another one.
"""

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from imprint_bench.errors import ConfigError

KEY = "sweep"
GROUPS = ("table", "figure")
UNNAMED = "custom"  # the name in conf/config.yaml


def of_request(params: Mapping[str, Any] | None, *, at: str) -> tuple[str, ...]:
    """Return the sweeps that a table or figure names: none, one or several.

    Raises
    ------
    ConfigError
        If it is neither a name nor a list of names.
    """
    value = (params or {}).get(KEY)
    names = value if isinstance(value, list | tuple) else [] if value is None else [value]
    for name in names:
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{at}.{KEY}: expected the name of a sweep, got {name!r}.")
    return tuple(names)


def without_source(params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the parameters of a table's or figure's function."""
    return {key: value for key, value in (params or {}).items() if key != KEY}


def needed(raw: Mapping[str, Any]) -> list[str]:
    """Return the sweeps that the tables and figures of a configuration name, each once."""
    found = dict.fromkeys(
        sweep
        for group in GROUPS
        for name, params in _requests(raw, group).items()
        for sweep in of_request(params, at=f"{group}.{name}")
    )
    return list(found)


def narrowed(raw: Mapping[str, Any], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the configuration of a report that is made from sweeps which its tables name.

    Who names tables alone wants no figures, and the other way round.

    Raises
    ------
    ConfigError
        If a table or figure names no sweep.
    """
    said = [group for group in GROUPS if any(o.startswith(f"{group}=") for o in overrides)]
    chosen = [group for group in said if _requests(raw, group)]
    kept = {group: _requests(raw, group) if group in (chosen or GROUPS) else {} for group in GROUPS}
    names = [name for requests in kept.values() for name in requests]
    for group, requests in kept.items():
        for name, params in requests.items():
            if not of_request(params, at=f"{group}.{name}"):
                raise ConfigError(
                    f"{group}.{name}: names no sweep to be made from, as others here do; write "
                    f"+sweep=NAME for all of them, or {group}.{name}.{KEY}=NAME."
                )
    own = {"name": names[0] if len(names) == 1 else "paper"} if raw.get("name") == UNNAMED else {}
    return {**raw, **kept, **own}


def overrides_for(sweep: str, overrides: Sequence[str], further: Sequence[str]) -> list[str]:
    """Return the overrides that compose one sweep of a report.

    Parameters
    ----------
    sweep : str
    overrides : sequence of str
        Of the report: what is chosen for it is chosen for each of its sweeps.
    further : sequence of str
        For this sweep alone, from the file of a study; the command line has the last word.
    """
    own = [o for o in overrides if _key(o) not in (*GROUPS, "name", "study") and not _of_one(o)]
    study = [o for o in overrides if _key(o) == "study"]
    said = {_key(o) for o in own}
    return [f"+{KEY}={sweep}", *study, *(o for o in further if _key(o) not in said), *own]


def command_for(command: str, group: str, name: str, *, of_parts: bool) -> str:
    """Return the command that makes one table or figure of a report, and what it needs.

    Examples
    --------
    >>> command = "python -m imprint_bench +study=paper stages=[report] n_jobs=2"
    >>> command_for(command, "table", "table2", of_parts=True)
    'python -m imprint_bench +study=paper n_jobs=2 table=[table2]'
    """
    words = [w for w in shlex.split(command) if _key(w) not in (*GROUPS, "stages")]
    other = [] if of_parts else [f"{g}=[]" for g in GROUPS if g != group]
    return shown([*words, f"{group}=[{name}]", *other])


def shown(words: Sequence[str]) -> str:
    """Return a command as a user types it; brackets are quoted only where a shell asks for it."""
    plain = "[],=+.:/-_~@%"
    safe = (all(c.isalnum() or c in plain for c in word) for word in words)
    return " ".join(w if ok else shlex.quote(w) for w, ok in zip(words, safe, strict=True))


def _requests(raw: Mapping[str, Any], group: str) -> dict[str, Any]:
    requests = raw.get(group)
    return dict(requests) if isinstance(requests, Mapping) else {}


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _of_one(override: str) -> bool:
    """Tell whether an override sets a parameter of a table or figure."""
    return _key(override).partition(".")[0] in GROUPS

"""Which sweeps the tables and figures of a report are made from.

The YAML of a table or figure of the paper names its sweep, ``table2: {sweep: paper/gen}``, or
several in a list. `python -m imprint_bench table=[table2]` then computes and reports that sweep;
``+sweep=NAME`` makes the table from the rows of another one.
"""

import copy
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from imprint_bench.errors import ConfigError, did_you_mean

KEY = "sweep"
GROUPS = ("table", "figure")
METHODS = ("gen", "agg", "mapping", "fm", "dataset", "task")
FEW = 3  # names in that of a folder
UNNAMED = "custom"  # the name in conf/config.yaml


def of_request(params: Mapping[str, Any] | None, *, at: str) -> tuple[str, ...]:
    """Return the sweeps that a table or figure names: none, one or several.

    Raises
    ------
    ConfigError
        If it is neither a name nor a list of names.
    """
    value = (params or {}).get(KEY)
    if value is None:
        return ()
    names = value if isinstance(value, list | tuple) else [value]
    for name in names or [value]:
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

    Who names tables alone wants no figures, and the other way round. Such a part of a study
    has a name of its own, so that its page does not replace the study's.

    Raises
    ------
    ConfigError
        If a table or figure names no sweep.
    """
    said = {g: _listed(o) for g in GROUPS for o in overrides if o.startswith(f"{g}=")}
    chosen = [group for group in said if said[group]]
    kept = {}
    for group in GROUPS:
        requests = _requests(raw, group)
        if group in said:  # a study may name further ones in its file
            requests = {name: params for name, params in requests.items() if name in said[group]}
        kept[group] = requests if group in (chosen or GROUPS) else {}
    for group, requests in kept.items():
        for name, params in requests.items():
            if not of_request(params, at=f"{group}.{name}"):
                raise ConfigError(
                    f"{group}.{name}: names no sweep to be made from, as others here do; write "
                    f"+sweep=NAME for all of them, or {group}.{name}.{KEY}=NAME."
                )
    if any(_key(o) == "name" for o in overrides) or not said:
        return {**raw, **kept}
    whole = "" if raw.get("name") == UNNAMED else str(raw.get("name"))
    part = "-".join(name for name in (whole, _called(kept)) if name)
    return {**raw, **kept, "name": part}


def _called(requests: Mapping[str, Mapping[str, Any]]) -> str:
    """Return a folder's name for some tables and figures."""
    names = [name for group in GROUPS for name in requests[group]]
    if len(names) <= FEW:
        return "-".join(names)
    groups = [group for group in GROUPS if requests[group]]
    return f"{groups[0]}s" if len(groups) == 1 else "selection"


def overrides_for(sweep: str, overrides: Sequence[str], further: Sequence[str]) -> list[str]:
    """Return the overrides that compose one sweep of a report.

    Parameters
    ----------
    sweep : str
    overrides : sequence of str
        Of the report: what is chosen for it is chosen for each of its sweeps.
    further : sequence of str
        For this sweep alone, from the file of a study; they go before what is chosen for all.
    """
    special = {_key(o) for o in further}
    own = [o for o in overrides if _key(o) not in (*GROUPS, "name", "study", *special)]
    study = [o for o in overrides if _key(o) == "study"]
    return [f"+{KEY}={sweep}", *study, *(o for o in own if not _of_one(o)), *further]


def of_methods(overrides: Sequence[str]) -> list[str]:
    """Return the overrides of parameters of a method, which not every sweep has.

    Those that add a key (``+task.mine.classes=[3,5]``) fit every sweep.

    Examples
    --------
    >>> of_methods(["gen.kmeans.k=[1]", "gen=[mean]", "seeds=[0]"])
    ['gen.kmeans.k=[1]']
    """
    plain = [o for o in overrides if not o.startswith(("+", "~"))]
    return [o for o in plain if _key(o).partition(".")[0] in METHODS and "." in _key(o)]


def with_parameters(raw: Mapping[str, Any], values: Mapping[str, Any]) -> tuple[dict, set[str]]:
    """Return a sweep with parameters of those methods that it has, and which these are.

    Parameters
    ----------
    raw : Mapping[str, Any]
        The configuration of the sweep.
    values : Mapping[str, Any]
        By the path of a parameter, ``gen.kmeans.k``.

    Raises
    ------
    ConfigError
        If a method has no such parameter.
    """
    made, used = copy.deepcopy(dict(raw)), set()
    for path, value in values.items():
        *parents, last = path.split(".")
        inner: Any = made
        for name in parents:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if not isinstance(inner, dict):
            continue
        if last not in inner:
            known = ", ".join(map(str, inner)) or "none"
            near = did_you_mean(last, map(str, inner))
            raise ConfigError(f"{path}: no such key; there are {known}.{near}")
        inner[last] = value
        used.add(path)
    return made, used


def command_for(command: str, group: str, name: str, *, of_parts: bool) -> str:
    """Return the command that makes one table or figure of a report, and what it needs.

    Examples
    --------
    >>> command = "python -m imprint_bench +study=paper stages=[report] n_jobs=2 table.table1.x=1"
    >>> command_for(command, "table", "table2", of_parts=True)
    'python -m imprint_bench +study=paper n_jobs=2 table=[table2]'
    """
    own = f"{group}.{name}."
    words = [
        word
        for word in shlex.split(command)
        if _key(word) not in (*GROUPS, "stages") and (not _of_one(word) or word.startswith(own))
    ]
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


def _listed(override: str) -> list[str]:
    """Return the names that an override chooses: ``table=[a,b]``."""
    names = override.partition("=")[2].strip("'\"").strip("[]").split(",")
    return [name.strip() for name in names if name.strip()]


def _key(override: str) -> str:
    return override.lstrip("+~").partition("=")[0].partition("@")[0]


def _of_one(override: str) -> bool:
    """Tell whether an override sets a parameter of a table or figure."""
    return _key(override).partition(".")[0] in GROUPS

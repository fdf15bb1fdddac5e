"""What a user types: checked before Hydra composes it, and explained where Hydra refuses it."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from imprint_bench.config import KEYS
from imprint_bench.errors import ConfigError, did_you_mean


def conf_folder() -> Path:
    """Return the folder of YAML files: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "conf"


def command(overrides: Sequence[str], sources: Iterable[Any]) -> str:
    """Return the command that runs a job again."""
    own = {conf_folder().resolve()}
    folders = [Path(s.path) for s in sources if s.schema == "file" and s.provider != "main"]
    extra = [f"--config-dir={f}" for f in folders if f.resolve() not in own]
    return shlex.join(["python", "-m", "imprint_bench", *extra, *overrides])


def check(arguments: Sequence[str]) -> None:
    """Raise ConfigError if an override chooses what no YAML file offers.

    Hydra finds a wrong choice when it composes a job, which in a multirun is
    after the jobs before it have run.
    """
    folders = config_folders(arguments)
    for override in _overrides(arguments):
        names = choices(folders, override.key_or_group)
        if not names or override.is_delete():
            continue
        for value in _values(override):
            for name in value if isinstance(value, list) else [value]:
                if isinstance(name, str) and name not in names:
                    raise ConfigError(_no_choice(override.key_or_group, name, names))


def sentence(error: Exception, arguments: Sequence[str]) -> str:
    """Return one sentence for what Hydra or OmegaConf refused."""
    cause = error.__cause__ or error
    missing = getattr(error, "missing_cfg_file", None)
    if missing:
        group, _, name = str(missing).rpartition("/")
        return _no_choice(group, name, choices(config_folders(arguments), group))
    key = getattr(cause, "full_key", None)
    if key:
        return _no_key(str(key), getattr(cause, "parent_node", None))
    text = " ".join(str(error).split("See https://")[0].split())
    override = getattr(error, "override", None)
    if override is not None:
        return f"{override}: cannot be read ({text}); write KEY=VALUE, and lists as KEY=[A,B]."
    for override in arguments:
        group = override.partition("=")[0]
        if f"override '{group}'" in text and choices(config_folders(arguments), group):
            return f"{override}: {group} is chosen by adding it; write +{override}."
    return text


def config_folders(arguments: Sequence[str]) -> list[Path]:
    """Return the folders in which YAML files are looked for: ours and the user's."""
    folders = [conf_folder()]
    for i, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if flag in ("--config-dir", "-cd"):
            folder = value if equals else next(iter(arguments[i + 1 : i + 2]), "")
            if not Path(folder).is_dir():
                raise ConfigError(
                    f"--config-dir: {folder!r} is no folder; name one with YAML files."
                )
            folders.append(Path(folder))
    return folders


def choices(folders: Iterable[Path], group: str) -> list[str]:
    """Return the names that a group offers, such as ``paper/gen`` of ``sweep``."""
    found: set[str] = set()
    for folder in folders:
        place = folder / group
        if group and place.is_dir():
            files = place.rglob("*.yaml")
            found.update(path.relative_to(place).with_suffix("").as_posix() for path in files)
    return sorted(found)


def _overrides(arguments: Sequence[str]) -> list[Override]:
    parser = OverridesParser.create()
    texts = [a for a in arguments if "=" in a and not a.startswith("-")]
    found = []
    for text in texts:
        try:
            found.append(parser.parse_override(text))
        except HydraException as error:
            raise ConfigError(sentence(error, arguments)) from error
    return found


def _values(override: Override) -> list[Any]:
    if override.is_sweep_override():
        if override.is_choice_sweep():
            return [v if isinstance(v, list) else str(v) for v in override.sweep_iterator()]
        return []
    return [override.value()]


def _no_choice(group: str, name: str, names: Sequence[str]) -> str:
    listed = ", ".join(names) or "none"
    return f"{group}: no choice {name!r}; there are {listed}.{did_you_mean(name, names)}"


def _no_key(key: str, parent: Any) -> str:
    last = key.rpartition(".")[2]
    if "." not in key:
        return f"{key}: no such key.{did_you_mean(key, KEYS)}"
    known = [str(k) for k in parent] if parent is not None else []
    listed = f"; there are {', '.join(known)}" if known else ""
    return f"{key}: no such key{listed}.{did_you_mean(last, known)}"

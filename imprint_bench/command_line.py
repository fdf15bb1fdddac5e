"""What a user types: options, and overrides checked before Hydra composes them."""

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

from imprint_bench.errors import ConfigError, did_you_mean

VALUES = {"cfg": ("job", "hydra", "all"), "info": ("all", "defaults", "plugins", "searchpath")}
ONE_OF = ("executor", "norm", "paths")  # of several, Hydra would silently take the last


def conf_folder() -> Path:
    """Return the folder of YAML files: inside the installed package, or beside it in a checkout."""
    inside = Path(__file__).parent / "conf"
    return inside if inside.is_dir() else Path(__file__).parents[1] / "conf"


class _Parser(argparse.ArgumentParser):
    """A parser whose complaint is one sentence."""

    def error(self, message: str) -> NoReturn:
        """Raise ConfigError, where argparse would print the usage and exit."""
        raise ConfigError(f"command line: {message}; --help lists the options.")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Return the options of a command line and its `overrides`, in whatever order they stand.

    Raises
    ------
    ConfigError
        For an option that does not exist or lacks its value.
    """
    parser = _Parser(add_help=False, allow_abbrev=False)
    parser.add_argument("--help", "-h", action="store_true")
    parser.add_argument("--version", action="store_true")
    parser.add_argument("--multirun", "-m", action="store_true")
    parser.add_argument("--resolve", action="store_true")
    parser.add_argument("--config-dir", "-cd")
    for name, values in VALUES.items():
        parser.add_argument(f"--{name}", choices=values)
    parser.add_argument("overrides", nargs="*")
    options = parser.parse_intermixed_args(list(arguments))
    options.overrides = [quoted(override) for override in options.overrides]
    return options


def quoted(override: str) -> str:
    """Return an override with its value in quotes, if Hydra can read it in no other way.

    Hydra's grammar refuses spaces, parentheses, ``~``, ``{split}`` and more in a bare value,
    all of which stand in paths. Lists, mappings and what is quoted already are left alone.

    Examples
    --------
    >>> quoted("paths.data=~/my data"), quoted("n_jobs=2"), quoted("fm=[a")
    ("paths.data='~/my data'", 'n_jobs=2', 'fm=[a')
    """
    key, equals, value = override.partition("=")
    if not value or value[0] in "[{'\"" or "," in value:
        return override
    try:
        OverridesParser.create().parse_override(override)
    except HydraException:
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"{key}{equals}'{escaped}'"
    return override


def for_hydra(options: argparse.Namespace) -> list[str]:
    """Return the arguments in the order that Hydra understands: options first."""
    flags = [f"--{name}" for name in ("help", "multirun", "resolve") if getattr(options, name)]
    for name in ("config_dir", *VALUES):
        if getattr(options, name) is not None:
            flags += [f"--{name.replace('_', '-')}", getattr(options, name)]
    return flags + options.overrides


def check(options: argparse.Namespace) -> None:
    """Raise ConfigError if an override cannot be read or chooses what no YAML file offers.

    Hydra finds a wrong choice when it composes a job, and takes one that is
    named twice for one.
    """
    folders = config_folders(options)
    for override in map(parsed, options.overrides):
        group = override.key_or_group
        if override.is_sweep_override() and not options.multirun:
            remedy = f"write {group}=[A,B] to have them in one sweep, or "
            raise ConfigError(
                f"{override.input_line}: several values; "
                f"{'' if group in ONE_OF else remedy}add -m for one job per value."
            )
        names = choices(folders, group)
        if not names or override.is_delete():
            continue
        for value in _values(override):
            chosen = value if isinstance(value, list) else [value]
            if group in ONE_OF and len(chosen) > 1:
                raise ConfigError(f"{group}: expected one name, got {chosen}; write {group}=NAME.")
            for name in chosen:
                if name is None or str(name) not in names:
                    raise ConfigError(no_choice(group, name, names))
                if chosen.count(name) > 1:
                    raise ConfigError(f"{group}: {name!r} stands there twice; remove one.")


def config_folders(options: argparse.Namespace) -> list[Path]:
    """Return the folders in which YAML files are looked for: ours and the user's.

    Raises
    ------
    ConfigError
        If the user's is no folder, or has a file that ours would hide.
    """
    ours = conf_folder()
    if options.config_dir is None:
        return [ours]
    theirs = Path(options.config_dir)
    if not theirs.is_dir():
        raise ConfigError(f"--config-dir: {str(theirs)!r} is no folder; name one with YAML files.")
    if theirs.resolve() == ours.resolve():
        return [ours]
    for path in sorted(ours.rglob("*.yaml")):
        own = theirs / path.relative_to(ours)
        if own.is_file():
            raise ConfigError(
                f"{own}: imprint_bench has a file of this name, which would be taken instead; "
                "give yours another name."
            )
    return [ours, theirs]


def choices(folders: Iterable[Path], group: str) -> list[str]:
    """Return the names that a group offers, such as ``paper/gen`` of ``sweep``."""
    found: set[str] = set()
    for folder in folders:
        place = folder / group
        if group and place.is_dir():
            files = (path for path in place.rglob("*.yaml") if path.is_file())
            found.update(path.relative_to(place).with_suffix("").as_posix() for path in files)
    return sorted(found)


def groups(folders: Iterable[Path]) -> list[str]:
    """Return the names of all groups."""
    return sorted({path.name for folder in folders for path in folder.iterdir() if path.is_dir()})


def no_choice(group: str, name: object, names: Sequence[str]) -> str:
    """Return the sentence for a choice that no YAML file offers."""
    listed = ", ".join(names) or "none"
    return f"{group}: no choice {name!r}; there are {listed}.{did_you_mean(name, names)}"


def parsed(text: str) -> Override:
    """Return an override as Hydra reads it.

    Raises
    ------
    ConfigError
        If it cannot.
    """
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(
            f"{text}: cannot be read; write KEY=VALUE, lists as KEY=[A,B], mappings as "
            "'KEY={A: B}', and a value with a comma as \"KEY='VALUE'\"."
        ) from error
    if not override.key_or_group:
        raise ConfigError(f"{text}: no key before the '='; write KEY=VALUE.")
    return override


def _values(override: Override) -> list[Any]:
    if override.is_sweep_override():
        if override.is_choice_sweep():
            return [v if isinstance(v, list) else str(v) for v in override.sweep_iterator()]
        return []
    return [override.value()]

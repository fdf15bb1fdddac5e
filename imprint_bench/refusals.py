"""What Hydra, OmegaConf and YAML refuse, said in one sentence with the place and a remedy."""

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    GrammarParseError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)

from imprint_bench.command_line import choices, config_folders, groups, no_choice
from imprint_bench.errors import did_you_mean

REFUSALS = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, OSError)


def sentence_for(error: Exception, options: argparse.Namespace) -> str:
    """Return one sentence for what Hydra, OmegaConf or YAML refused."""
    if isinstance(error, yaml.YAMLError | UnicodeDecodeError):
        return _unreadable(error, config_folders(options))
    folders = config_folders(options)
    text = " ".join(str(error).split("See https://")[0].split()).rstrip(".") + "."
    inside = re.match(r"In '(.+?)': (.*)", text)
    missing = getattr(error, "missing_cfg_file", None)
    if missing:
        group, _, name = str(missing).rpartition("/")
        names = choices(folders, group) or getattr(error, "options", None) or []
        asks = inside[1] if inside else "config"
        place = "" if asks.endswith("config") else f" {asks}.yaml asks for it."
        return no_choice(group, name, names) + place
    if inside and (overridden := re.match("Could not override '(.+?)'", inside[2])):
        known = groups(folders)
        return (
            f"{inside[1]}.yaml: no group {overridden[1]!r} to override; there are "
            f"{', '.join(known)}.{did_you_mean(overridden[1], known)}"
        )
    cause = error.__cause__ or error
    if key := getattr(cause, "full_key", None):
        hint = " A multirun gives every job the key; write GROUP=[A,B] to have all in one job."
        return _at_key(str(key), cause) + (hint if options.multirun else "")
    for override in options.overrides:
        group = override.partition("=")[0].lstrip("+~")
        if f"'{group}'" not in text:
            continue
        if f"override '{group}'" in text and override.startswith(group):
            return f"{override}: {group} is chosen by adding it; write +{override}."
        return f"{override}: {text}"
    return text


def _at_key(key: str, cause: BaseException) -> str:
    """Return the sentence for a key of the configuration that is not there or cannot be filled."""
    if isinstance(cause, InterpolationResolutionError | GrammarParseError):
        reason = str(cause).splitlines()[0].rstrip(".")
        return f"{key}: {reason}; write ${{...}} with the path of a key that is there."
    parent = getattr(cause, "parent_node", None)
    no_key = isinstance(cause, ConfigKeyError | ConfigAttributeError)
    if not no_key or not isinstance(parent, DictConfig):
        return f"{key}: {str(cause).splitlines()[0].rstrip('.')}."
    known = [str(name) for name in parent if name != "hydra"]
    near = did_you_mean(key.rpartition(".")[2], known)
    return f"{key}: no such key; there are {', '.join(known) or 'none'}.{near}"


def _unreadable(error: Exception, folders: Sequence[Path]) -> str:
    """Return the sentence for YAML that cannot be read, with the file and the line."""
    for path in (p for folder in folders for p in sorted(folder.rglob("*.yaml")) if p.is_file()):
        try:
            OmegaConf.load(path)
        except yaml.YAMLError as found:
            if str(found).splitlines()[0] != str(error).splitlines()[0]:
                continue
            mark = getattr(found, "problem_mark", None)
            line = "" if mark is None else f", line {mark.line + 1}"
            reason = getattr(found, "problem", None) or str(found).splitlines()[0]
            return f"{path}{line}: not YAML ({reason}); mend the file."
        except UnicodeDecodeError as found:
            if isinstance(error, UnicodeDecodeError):
                return f"{path}: not a text in UTF-8 ({found.reason}); mend the file."
        except (OSError, OmegaConfBaseException):
            continue
    return f"YAML: {' '.join(str(error).split())}."

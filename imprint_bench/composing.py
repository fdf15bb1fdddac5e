"""Hydra composes the jobs of a command line, and does nothing else: it writes and logs nothing."""

import argparse
import io
import logging
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import (
    ConfigAttributeError,
    ConfigKeyError,
    GrammarParseError,
    InterpolationResolutionError,
    OmegaConfBaseException,
)

from imprint_bench import report_sources
from imprint_bench.command_line import (
    choices,
    conf_folder,
    config_folders,
    for_hydra,
    groups,
    no_choice,
)
from imprint_bench.errors import ConfigError, did_you_mean

SWEEPS = "sweeps"  # overrides of single sweeps, in the file of a study
WIDTH = 100  # of a line in a terminal
REFUSALS = (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError, OSError)


@dataclass(frozen=True)
class Part:
    """The rows of one sweep that tables and figures of a report are made from.

    `sweep` is empty where the configuration of the job is the sweep.
    """

    sweep: str
    raw: dict[str, Any]


@dataclass(frozen=True)
class Job:
    """One configuration as Hydra composed it, and what it is computed as.

    Attributes
    ----------
    raw : dict
        Plain dicts, lists and scalars.
    overrides : tuple of str
    command : str
        What runs this job again.
    configuration : str
        The configuration as YAML.
    label : str
        What sets it apart from the other jobs of a multirun, fit for a folder's name; else empty.
    parts : tuple of Part
        One, or one for each sweep that the tables and figures name.
    """

    raw: dict[str, Any]
    overrides: tuple[str, ...]
    command: str
    configuration: str
    label: str = ""
    parts: tuple[Part, ...] = ()

    @property
    def header(self) -> str:
        """What a log of the job starts with."""
        return f"{self.command}\n\n{self.configuration}\n"


def compose(options: argparse.Namespace) -> list[Job]:
    """Return the jobs of a command line: several in a multirun.

    Raises
    ------
    ConfigError
        If a file or an override is wrong.
    SystemExit
        After ``--help``, ``--cfg`` and ``--info``, which only print.
    """
    jobs = [_with_parts(job, options) for job in _composed(options)]
    labels = labels_of([job.overrides for job in jobs])
    return [replace(job, label=label) for job, label in zip(jobs, labels, strict=True)]


def _composed(options: argparse.Namespace) -> list[Job]:
    found: list[tuple[DictConfig, Any]] = []

    def keep(composed: DictConfig) -> None:
        found.append((composed, OmegaConf.to_container(HydraConfig.get().overrides.task)))

    try:
        with _arguments(for_hydra(options)), _wrapped():
            hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(
                keep
            )()
        if not found:
            sys.exit(0)
        return [_job(composed, tuple(overrides), options) for composed, overrides in found]
    except REFUSALS as error:
        raise ConfigError(_sentence(error, options)) from error


def _with_parts(job: Job, options: argparse.Namespace) -> Job:
    """Return a job with the sweeps that its tables and figures are made from."""
    further = job.raw.pop(SWEEPS, None) or {}
    sweeps = report_sources.needed(job.raw)
    if not sweeps or any(o.lstrip("+").startswith("sweep=") for o in job.overrides):
        return replace(job, parts=(Part("", job.raw),))
    raw = report_sources.narrowed(job.raw, job.overrides)
    folders = config_folders(options)
    known = choices(folders, "sweep")
    parts = []
    for sweep in report_sources.needed(raw):
        if sweep not in known:
            raise ConfigError(no_choice("sweep", sweep, known))
        overrides = report_sources.overrides_for(sweep, job.overrides, further.get(sweep, ()))
        single = {"overrides": overrides, "multirun": False}
        (composed,) = _composed(argparse.Namespace(**vars(options) | single))
        composed.raw.pop(SWEEPS, None)
        parts.append(Part(sweep, composed.raw | {"name": sweep, "table": {}, "figure": {}}))
    return replace(job, raw=raw, parts=tuple(parts))


def labels_of(jobs: Sequence[Sequence[str]]) -> list[str]:
    """Return what sets each job apart, fit for a folder's name and different from the others.

    Examples
    --------
    >>> labels_of([["+sweep=a", "fm=pixels"], ["+sweep=a", "fm=random_conv"]])
    ['fm=pixels', 'fm=random_conv']
    >>> labels_of([["paths.data=../x"]])
    ['']
    """
    shared = set.intersection(*map(set, jobs))
    texts = [",".join(o for o in job if o not in shared) for job in jobs]
    labels = [re.sub(r"[^\w.,=+-]+", "-", text).lstrip(".-") for text in texts]
    if len(set(labels)) < len(labels) or max(map(len, labels)) > 100:
        return [f"job-{i}" for i in range(1, len(jobs) + 1)]
    return labels


@contextmanager
def _arguments(arguments: Sequence[str]) -> Iterator[None]:
    """Let Hydra read `arguments`, raise its errors, write where nobody looks, and log nothing."""
    before, root = sys.argv, logging.getLogger()
    handlers, level = root.handlers[:], root.level
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with TemporaryDirectory(prefix="imprint_bench-") as scratch:
        OmegaConf.register_new_resolver("scratch", lambda: scratch, replace=True)
        sys.argv = [before[0], *arguments]
        try:
            yield
        finally:
            sys.argv, root.handlers = before, handlers
            root.setLevel(level)


def _job(composed: DictConfig, overrides: tuple[str, ...], options: argparse.Namespace) -> Job:
    _expand_home(composed)
    raw: Any = OmegaConf.to_container(composed, resolve=True)
    for group in ("sweep", "study"):
        if group in raw:
            raise ConfigError(
                f"{group}: its keys do not belong under {group}; a {group} file starts with the "
                "line '# @package _global_', and an override names a key itself, such as seeds=[0]."
            )
    folder = [] if options.config_dir is None else [f"--config-dir={options.config_dir}"]
    command = shlex.join(["python", "-m", "imprint_bench", *folder, *overrides])
    return Job(raw, overrides, command, OmegaConf.to_yaml(composed, resolve=True))


@contextmanager
def _wrapped() -> Iterator[None]:
    """Break what Hydra prints into lines that fit a terminal; the lists of choices are long."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            yield
    finally:  # Hydra exits after it has printed
        for line in printed.getvalue().splitlines():
            fits = len(line) <= WIDTH or not re.match(r"[a-z/_]+: ", line)
            sys.stdout.write(f"{line if fits else fill(line, WIDTH, subsequent_indent='    ')}\n")


def _expand_home(composed: DictConfig) -> None:
    """Put the home folder for a ``~`` with which a path starts, also for all that refer to it."""
    paths = OmegaConf.select(composed, "paths")
    for key in paths if isinstance(paths, DictConfig) else ():
        if str(paths[key]).startswith("~"):
            paths[key] = str(Path(paths[key]).expanduser())


def _sentence(error: Exception, options: argparse.Namespace) -> str:
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

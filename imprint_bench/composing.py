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
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from imprint_bench import report_sources
from imprint_bench.command_line import (
    choices,
    conf_folder,
    config_folders,
    for_hydra,
    no_choice,
    parsed,
)
from imprint_bench.errors import ConfigError, did_you_mean
from imprint_bench.refusals import REFUSALS, sentence_for

SWEEPS = "sweeps"  # overrides of single sweeps, in the file of a study
WIDTH = 100  # of a line in a terminal


@dataclass(frozen=True)
class Part:
    """The rows of one sweep that tables and figures of a report are made from.

    `sweep` is empty where the configuration of the job is the sweep.
    """

    sweep: str
    raw: dict[str, Any]
    configuration: str  # the same as YAML


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
    jobs = [_of_sweeps(job, options) for job in _composed_whole(options)]
    labels = labels_of([job.overrides for job in jobs])
    return [replace(job, label=label) for job, label in zip(jobs, labels, strict=True)]


def _composed_whole(options: argparse.Namespace) -> list[Job]:
    """Return the jobs; one that is made from sweeps is composed without parameters of theirs."""
    theirs = report_sources.of_methods(options.overrides)
    if options.multirun or not theirs or _names_a_sweep(options.overrides):
        return _composed(options)
    rest = [o for o in options.overrides if o not in theirs]
    jobs = _composed(argparse.Namespace(**vars(options) | {"overrides": rest}))
    if not any(report_sources.needed(job.raw) for job in jobs):
        return _composed(options)
    command = [_command([*job.overrides, *theirs], options) for job in jobs]
    return [
        replace(job, overrides=(*job.overrides, *theirs), command=line)
        for job, line in zip(jobs, command, strict=True)
    ]


def _names_a_sweep(overrides: Sequence[str]) -> bool:
    return any(o.lstrip("+").startswith("sweep=") for o in overrides)


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
        raise ConfigError(sentence_for(error, options)) from error


def _of_sweeps(job: Job, options: argparse.Namespace) -> Job:
    """Return a job with the sweeps that its tables and figures are made from."""
    further = job.raw.pop(SWEEPS, None) or {}
    sweeps = report_sources.needed(job.raw)
    study = [o for o in job.overrides if o.startswith("+study=")]
    if study and _names_a_sweep(job.overrides):
        raise ConfigError(f"{study[0]}: a study has sweeps of its own; leave out +sweep.")
    if not sweeps or _names_a_sweep(job.overrides):
        if study and not sweeps:
            raise ConfigError(f"{study[0]}: no table or figure of it is left; name some of them.")
        return replace(job, parts=(Part("", job.raw, job.configuration),))
    raw = report_sources.narrowed(job.raw, job.overrides)
    known = choices(config_folders(options), "sweep")
    for sweep in (*report_sources.needed(raw), *further):
        if sweep not in known:
            raise ConfigError(no_choice("sweep", sweep, known))
    parameters = {
        override.get_key_element(): override.value()
        for override in map(parsed, report_sources.of_methods(job.overrides))
    }
    parts, used = [], set()
    for sweep in report_sources.needed(raw):
        rest = [o for o in job.overrides if o not in report_sources.of_methods(job.overrides)]
        overrides = report_sources.overrides_for(sweep, rest, further.get(sweep, ()))
        of_sweep, own = report_sources.with_parameters(_sweep(overrides, options), parameters)
        of_sweep |= {"name": sweep, "table": {}, "figure": {}}
        parts.append(Part(sweep, of_sweep, OmegaConf.to_yaml(of_sweep)))
        used |= own
    for path in parameters:
        if path not in used:
            names = ", ".join(part.sweep for part in parts)
            group, _, method = path.rpartition(".")[0].partition(".")
            there = {str(name) for part in parts for name in part.raw.get(group, {})}
            near = did_you_mean(method, sorted(there))
            raise ConfigError(f"{path}: none of the sweeps {names} has {group}.{method}.{near}")
    text = "\n".join(f"# {part.sweep}\n{part.configuration}" for part in parts)
    return replace(job, raw=raw, parts=tuple(parts), configuration=text)


def _sweep(overrides: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Return the configuration of one sweep of a report, without what Hydra's own main does."""
    ours, *theirs = config_folders(options)
    folders = [f"hydra.searchpath=[{','.join(path.absolute().as_uri() for path in theirs)}]"]
    try:
        with hydra.initialize_config_dir(str(ours.absolute()), version_base="1.3"):
            composed = hydra.compose("config", overrides=[*overrides, *(folders if theirs else [])])
        _expand_home(composed)
        raw: Any = OmegaConf.to_container(composed, resolve=True)
    except REFUSALS as error:
        raise ConfigError(sentence_for(error, options)) from error
    raw.pop(SWEEPS, None)
    return _chosen(raw, overrides, options)


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
    raw = _chosen(raw, overrides, options)
    return Job(raw, overrides, _command(overrides, options), OmegaConf.to_yaml(raw))


def _chosen(
    raw: dict[str, Any], overrides: Sequence[str], options: argparse.Namespace
) -> dict[str, Any]:
    """Return a configuration without what a sweep says of methods that were not chosen.

    A sweep file sets ``gen: {kmeans: {k: [1, 5]}}``; with ``gen=[mean]`` on the command line
    Hydra would keep that as a second generator.
    """
    folders = config_folders(options)
    kept = dict(raw)
    last = {override.key_or_group: override for override in map(parsed, overrides)}
    for group, override in last.items():
        known = choices(folders, group)
        if known and isinstance(kept.get(group), dict) and not override.is_delete():
            value = override.value()
            names = set(map(str, value if isinstance(value, list) else [value]))
            kept[group] = {
                name: inner
                for name, inner in kept[group].items()
                if name in names or name not in known
            }
    return kept


def _command(overrides: Sequence[str], options: argparse.Namespace) -> str:
    folder = [] if options.config_dir is None else [f"--config-dir={options.config_dir}"]
    return shlex.join(["python", "-m", "imprint_bench", *folder, *overrides])


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

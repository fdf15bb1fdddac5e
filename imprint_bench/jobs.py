"""The jobs of a command line: all are checked, then run in their order; each tells its errors.

Most command lines have one. The jobs of a multirun that have work in common are
computed as one plan; each writes a log and a report of its own.
"""

import datetime as dt
import logging
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from imprint_bench.composing import Job
from imprint_bench.conclusion import Page, conclude
from imprint_bench.durable import explained
from imprint_bench.errors import DataError, ImprintError
from imprint_bench.reporting import Launch, PartOfReport
from imprint_bench.run_log import logging_to
from imprint_bench.settings import Settings, read_settings
from imprint_bench.studies import (
    AnyStudy,
    compute,
    data_of,
    finish,
    prepare,
    read_any,
    together,
)
from imprint_bench.views import Views

log = logging.getLogger(__name__)

PLACE = "dataset.NAME"  # in a sentence about a dataset whose name is not known there


def run_jobs(jobs: Sequence[Job]) -> int:
    """Run every job and return the exit code: the largest of theirs.

    Raises
    ------
    ImprintError
        If a configuration is wrong; then no job has started.
    """
    started = dt.datetime.now().astimezone()
    runs = [_Run(job, number, len(jobs), started) for number, job in enumerate(jobs, start=1)]
    for run in runs:
        with run.telling():
            if "data" in run.config.stages:
                run.show_data()
            if run.config.stages != ("data",):
                run.prepare()
    studies = {run.studies[""]: run for run in runs if list(run.studies) == [""]}
    for run in runs:
        if len(run.studies) > 1 or (run.studies and "" not in run.studies):
            _of_parts(run)
    for group in together(list(studies)):
        if len(group) == 1:
            _alone(group[0], studies[group[0]])
        else:
            _together({study: studies[study] for study in group})
    return max(run.code for run in runs)


def tell(sentence: object) -> None:
    """Write a sentence where errors go."""
    sys.stderr.write(f"{sentence}\n")


class _Run:
    """A job: what it is called among all, its log, and the exit code that it has come to."""

    def __init__(self, job: Job, number: int, of: int, started: dt.datetime) -> None:
        self.job = job
        self.config = _read(job)
        self.title = f"{number} of {of}: {job.label}" if of > 1 else ""
        self.log = _log(job, self.config, started)
        self.code = 0
        self.studies: dict[str, AnyStudy] = {}  # by the name of their sweep; one has none
        self.page: Page | None = None

    def show_data(self) -> None:
        """Show what is there of the datasets and foundation models, and what is not."""
        _head(self)
        with logging_to({}):
            for line in data_of([read_any(part.raw) for part in self.job.parts]):
                log.info("%s", line)

    def prepare(self) -> None:
        """Check and plan the study of the job, or that of each of its parts."""
        launch = Launch(self.job.command, self.job.configuration, self.job.label)
        if [part.sweep for part in self.job.parts] in ([], [""]):
            self.studies = {"": prepare(read_any(self.job.raw), launch)}
            return
        page = Page(self.config, launch, Views.of(self.config))
        found = {}
        for part in self.job.parts:
            try:
                of_part = replace(launch, configuration=part.configuration)
                found[part.sweep] = prepare(read_any(part.raw), of_part)
            except ImprintError as error:
                error.args = (f"{part.sweep}: {error}",)
                raise
        page.views.check({sweep: study.plan for sweep, study in found.items()})
        page.views.check_seeds({sweep: study.config for sweep, study in found.items()})
        self.page, self.studies = page, found

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Tell an error of the block, and note its exit code: the other jobs go on."""
        try:
            with _explained(self.config):
                yield
        except ImprintError as error:
            told = _placed(error, self.job)
            if PLACE in told:
                told = told.replace(PLACE, self._dataset_in(told))
            tell(told)
            self.code = max(self.code, error.exit_code)

    def _dataset_in(self, sentence: str) -> str:
        """Return the place in YAML of the dataset that a sentence is about, as far as it shows."""
        configs = [read_any(part.raw) for part in self.job.parts]
        every = {source.name: source for config in configs for source in config.datasets}
        found = [
            source
            for source in every.values()
            if any(isinstance(v, str) and v and v in sentence for v in source.params.values())
        ]
        sources = found if len(found) == 1 else [*every.values()]
        if len(sources) != 1:
            return PLACE
        (source,) = sources
        inner = "" if source.kind == source.name else f".{source.kind}"
        return f"dataset.{source.name}{inner}"


def _together(studies: Mapping[AnyStudy, _Run]) -> None:
    """Compute studies as one plan and report each; where that fails, take them one by one."""
    runs = list(studies.values())
    sys.stdout.write(f"\n{len(runs)} jobs have work in common and run as one:\n")
    sys.stdout.writelines(f"  job {run.title}\n" for run in runs)
    try:
        logs = {path: text for run in runs for path, text in run.log.items()}
        with logging_to(logs), _explained(runs[0].config):
            finished = compute(list(studies))
    except ImprintError as error:
        tell(f"{error} Now each job by itself.")
        for study, run in studies.items():
            _alone(study, run)
        return
    for done, run in zip(finished, runs, strict=True):
        if "report" in run.config.stages:
            _head(run)
        with logging_to(run.log), run.telling():
            finish(done)


def _of_parts(run: _Run) -> None:
    """Compute the sweeps that one report is made from, and make it."""
    _head(run)
    with logging_to(run.log), run.telling():
        names = {study: sweep for sweep, study in run.studies.items()}
        parts: dict[str, PartOfReport] = {}
        for group in together(list(names)):
            found = zip(group, compute(group), strict=True)
            parts |= {names[study]: computed.part for study, computed in found}
        assert run.page is not None  # prepare() made it
        conclude(run.page, {sweep: parts[sweep] for sweep in run.studies})


def _alone(study: AnyStudy, run: _Run) -> None:
    _head(run)
    with logging_to(run.log), run.telling():
        (done,) = compute([study])
        finish(done)


def _head(run: _Run) -> None:
    if run.title:
        sys.stdout.write(f"\njob {run.title}\n")


def _read(job: Job) -> Settings:
    """Return the configuration of a job; of a report of several sweeps, that of its page."""
    try:
        of_parts = [part.sweep for part in job.parts] not in ([], [""])
        return Settings(**read_settings(job.raw)) if of_parts else read_any(job.raw)
    except ImprintError as error:
        raise type(error)(_placed(error, job)) from error


@contextmanager
def _explained(config: Settings) -> Iterator[None]:
    """Say what place cannot be read or written, where no error of ours says it."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        path = Path(error.filename or config.paths.results)
        if config.paths.data in path.parents:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
        with explained(path):
            raise


def _log(job: Job, config: Settings, started: dt.datetime) -> dict[Path, str]:
    """Return the file of a job's log, if it computes anything, and what it starts with."""
    if not {"embed", "run", "report"} & set(config.stages):
        return {}
    shard = None if config.shard is None else f"shard-{config.shard.number}-of-{config.shard.of}"
    name = "-".join(filter(None, [f"{started:%H-%M-%S}", shard, job.label]))
    folder = config.paths.results / "runs" / f"{started:%Y-%m-%d}"
    return {folder / f"{name}.log": job.header}


def _placed(error: ImprintError, job: Job) -> str:
    return f"{job.label}: {error}" if job.label else str(error)

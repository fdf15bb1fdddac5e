"""The command: ``python -m imprint_bench +sweep=quickstart``."""

import datetime as dt
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from imprint_bench import __version__
from imprint_bench.command_line import check, parse
from imprint_bench.composing import Job, compose
from imprint_bench.config import Config, read
from imprint_bench.durable import explained
from imprint_bench.errors import DataError, ImprintError
from imprint_bench.run_log import logging_to
from imprint_bench.study import Launch, carry_out


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line and exit: 0 done, 1 failed, 2 a mistake in what was asked for.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the name of the program; those of the process if left out.
    """
    try:
        sys.exit(_run(sys.argv[1:] if arguments is None else arguments))
    except ImprintError as error:
        _say(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        _say("interrupted; what was finished is stored, run again to go on.")
        sys.exit(130)


def _run(arguments: Sequence[str]) -> int:
    """Run every job and return the exit code; all are checked before the first one starts."""
    options = parse(arguments)
    if options.version:
        sys.stdout.write(f"imprint_bench {__version__}\n")
        return 0
    check(options)
    jobs = compose(options)
    configs = [_read(job) for job in jobs]
    code = 0
    for number, (job, config) in enumerate(zip(jobs, configs, strict=True), start=1):
        if len(jobs) > 1:
            sys.stdout.write(f"\njob {number} of {len(jobs)}: {job.label}\n")
        try:
            with logging_to(_log_file(job, config), header=job.header):
                _carry_out(job, config)
        except ImprintError as error:  # the other jobs of a multirun go on
            _say(_placed(error, job))
            code = max(code, error.exit_code)
    return code


def _read(job: Job) -> Config:
    try:
        return read(job.raw)
    except ImprintError as error:
        raise type(error)(_placed(error, job)) from error


def _carry_out(job: Job, config: Config) -> None:
    try:
        carry_out(config, Launch(job.command, job.configuration, job.label))
    except BrokenPipeError:
        raise
    except OSError as error:  # of a place that no error of ours covers
        path = Path(error.filename or config.paths.results)
        if config.paths.data in path.parents:
            raise DataError(f"{path}: cannot be read ({error.strerror}).") from error
        with explained(path):
            raise


def _log_file(job: Job, config: Config) -> Path | None:
    if config.stages == ("plan",):
        return None
    now = dt.datetime.now().astimezone()
    name = f"{now:%H-%M-%S}" + (f"-{job.label}" if job.label else "")
    return config.paths.results / "runs" / f"{now:%Y-%m-%d}" / f"{name}.log"


def _placed(error: ImprintError, job: Job) -> str:
    return f"{job.label}: {error}" if job.label else str(error)


def _say(sentence: object) -> None:
    sys.stderr.write(f"{sentence}\n")


if __name__ == "__main__":
    main()

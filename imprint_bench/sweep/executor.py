"""Runs units of work on the cores of this machine and streams back what they give."""

import logging
import os
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from threadpoolctl import threadpool_limits

from imprint_bench.errors import ImprintError

log = logging.getLogger(__name__)

Item = TypeVar("Item")


@dataclass(frozen=True)
class Failure:
    """Why a unit of work gave no rows.

    Attributes
    ----------
    reason : str
        One line.
    trace : str
        The traceback, for the log.
    error : ImprintError or None
        The error, where it was one of ours.
    """

    reason: str
    trace: str = ""
    error: ImprintError | None = None


def workers(n_jobs: int) -> int:
    """Return the number of worker processes that `n_jobs` stands for; -1 is one per core."""
    return joblib.cpu_count() if n_jobs == -1 else n_jobs


def each(
    function: Callable[[Item], Any], items: Sequence[Item], *, n_jobs: int
) -> Iterator[tuple[Item, Any]]:
    """Yield `(item, function(item))` in the order in which they finish.

    A call that raises gives a `Failure`, and so does one that kills its process
    when it is run alone; the others go on. Every process has one BLAS thread.

    Parameters
    ----------
    function : callable
        At the top level of a module, so that it can be sent to a process.
    items : sequence
        In the order in which they start; small, since they are sent too.
    n_jobs : int
        Processes; 1 runs in this one, -1 takes one per core.
    """
    if workers(n_jobs) == 1 or len(items) == 1:
        for item in items:
            yield item, _guarded(function, item)
        return
    waiting = dict(enumerate(items))
    try:
        for i, result in _parallel(function, list(waiting.items()), n_jobs=workers(n_jobs)):
            yield waiting.pop(i), result
    except TerminatedWorkerError:
        log.warning("a worker process died; what it had is run again, one at a time.")
    for i in list(waiting):
        item = waiting.pop(i)
        try:
            result = next(_parallel(function, [(i, item)], n_jobs=2))[1]
        except TerminatedWorkerError:
            result = Failure("its process died (out of memory, or a crash in compiled code)")
        yield item, result


def strict(n_jobs: int) -> Callable[[Callable[[Item], Any], Iterable[Item]], Iterator[Any]]:
    """Return an unordered `map` over `n_jobs` processes that raises where a call fails."""

    def run(function: Callable[[Item], Any], items: Iterable[Item]) -> Iterator[Any]:
        for _, result in each(function, list(items), n_jobs=n_jobs):
            if isinstance(result, Failure):
                raise result.error or ImprintError(result.reason)
            yield result

    return run


def _parallel(
    function: Callable[[Item], Any], numbered: Iterable[tuple[int, Item]], *, n_jobs: int
) -> Iterator[tuple[int, Any]]:
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(
            n_jobs=n_jobs, return_as="generator_unordered", batch_size=1, pre_dispatch="2 * n_jobs"
        )
        yield from parallel(joblib.delayed(_numbered)(function, i, item) for i, item in numbered)


def _numbered(function: Callable[[Item], Any], i: int, item: Item) -> tuple[int, Any]:
    return i, _guarded(function, item)


def _guarded(function: Callable[[Item], Any], item: Item) -> Any:
    """Call `function` with one BLAS thread; give a Failure instead of raising."""
    try:
        with threadpool_limits(1):
            return function(item)
    except ImprintError as error:
        return Failure(str(error), error=error)
    except Exception as error:  # whatever a method raises is one failed unit, not the run's end
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return Failure(reason + f" (process {os.getpid()})", traceback.format_exc())

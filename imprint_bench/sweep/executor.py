"""Runs units of work on the cores of this machine and streams back what they give."""

import logging
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import joblib
from joblib.externals.loky import ProcessPoolExecutor
from joblib.externals.loky.process_executor import BrokenProcessPool
from threadpoolctl import threadpool_limits

from imprint_bench.errors import ImprintError
from imprint_bench.plugins import load, loaded

log = logging.getLogger(__name__)

Item = TypeVar("Item")

ONE_THREAD = dict.fromkeys(
    (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "BLIS_NUM_THREADS",
        "VECLIB_MAXIMUM_THREADS",
        "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    ),
    "1",
)

_idle: list[ProcessPoolExecutor] = []  # processes that finished their work: the next call's


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
    died : bool
        Whether its process ended, rather than that it raised.
    """

    reason: str
    trace: str = ""
    error: ImprintError | None = None
    died: bool = False


def workers(n_jobs: int) -> int:
    """Return the number of worker processes that `n_jobs` stands for; -1 is one per core."""
    return joblib.cpu_count() if n_jobs == -1 else n_jobs


def each(
    function: Callable[[Item], Any], items: Sequence[Item], *, n_jobs: int
) -> Generator[tuple[Item, Any], None, None]:
    """Yield `(item, function(item))` in the order in which they finish.

    A call that raises gives a `Failure`; the others go on. So does a call that
    kills its process, again when it is run alone after all others. Every process
    has one BLAS thread. Closing the generator early stops the processes at once.

    Parameters
    ----------
    function : callable
        At the top level of a module, so that it can be sent to a process.
    items : sequence
        In the order in which they start; small, since they are sent too.
    n_jobs : int
        Processes; 1 runs in this one, -1 takes one per core.
    """
    if workers(n_jobs) == 1:
        for item in items:
            yield item, _guarded(function, item)
        return
    lost: list[Item] = []
    yield from _spread(function, items, workers(n_jobs), lost)
    if lost:
        log.warning("%d worker processes died; what they had is run again, alone.", len(lost))
    for item in lost:
        lost_again: list[Item] = []
        yield from _spread(function, [item], 1, lost_again)
        if lost_again:
            reason = "its process died (out of memory, or a crash in compiled code)"
            yield item, Failure(reason, died=True)


def strict(n_jobs: int) -> Callable[[Callable[[Item], Any], Iterable[Item]], Iterator[Any]]:
    """Return an unordered `map` over `n_jobs` processes that raises where a call fails."""

    def run(function: Callable[[Item], Any], items: Iterable[Item]) -> Iterator[Any]:
        with closing(each(function, list(items), n_jobs=n_jobs)) as results:
            for _, result in results:
                if isinstance(result, Failure):
                    raise result.error or ImprintError(result.reason)
                yield result

    return run


def _spread(
    function: Callable[[Item], Any], items: Sequence[Item], n_processes: int, lost: list[Item]
) -> Generator[tuple[Item, Any], None, None]:
    """Yield items with their results; those whose process died go to `lost`.

    Every process is a pool of its own with one call at a time: when one dies, it
    is known which call it had, and the others are not disturbed.
    """
    left = iter(items)
    pools: list[ProcessPoolExecutor] = []
    sent: dict[Future, tuple[int, Item]] = {}

    def send_next(place: int) -> None:
        for item in left:
            with _uninterrupted():
                try:
                    call = pools[place].submit(_guarded, function, item, loaded())
                except BrokenProcessPool:  # it died while it had nothing to do
                    pools[place] = _pool()
                    call = pools[place].submit(_guarded, function, item, loaded())
                sent[call] = place, item
            return

    try:
        for place in range(min(n_processes, len(items))):
            pools.append(_idle.pop() if _idle else _pool())
            send_next(place)
        while sent:
            for call in wait(sent, return_when=FIRST_COMPLETED).done:
                place, item = sent.pop(call)
                try:
                    result = call.result()
                except BrokenProcessPool:
                    lost.append(item)
                    pools[place] = _pool()
                    send_next(place)
                    continue
                send_next(place)  # first, so that it computes while the result is written
                yield item, result
        _idle.extend(pools)
        pools.clear()
    finally:
        _wait_for_start(sent)
        for pool in pools:  # interrupted, or nobody wants the rest
            pool.shutdown(kill_workers=True)


def _wait_for_start(calls: Iterable[Future]) -> None:
    """Wait until calls have begun: loky's own thread fails if it is stopped just before."""
    for _ in range(1000):
        if all(call.running() or call.done() for call in calls):
            return
        time.sleep(0.001)


def _pool() -> ProcessPoolExecutor:
    """Return a pool of one process, which starts with its first call."""
    return ProcessPoolExecutor(1, initializer=_begin, initargs=(os.getpid(),), env=ONE_THREAD)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Keep Ctrl-C waiting for the block, and for ever in processes that start in it."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _begin(parent: int) -> None:
    """Set a worker up: Ctrl-C is its parent's to answer, and it does not outlive its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # at once, whatever it computes: nobody waits for it


def _guarded(function: Callable[[Item], Any], item: Item, modules: Sequence[str] = ()) -> Any:
    """Call `function` with one BLAS thread; give a Failure instead of raising."""
    try:
        load(modules)  # what the user's modules registered in the parent is needed here too
        with threadpool_limits(1):
            return function(item)
    except ImprintError as error:
        return Failure(str(error), error=error)
    except Exception as error:  # whatever a method raises is one failed unit, not the run's end
        reason = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
        return Failure(reason + f" (process {os.getpid()})", traceback.format_exc())

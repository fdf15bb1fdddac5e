"""Executor `joblib`: worker processes on this machine, by the process pools of joblib (loky)."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from joblib.externals.loky import ProcessPoolExecutor, process_executor
from joblib.externals.loky.process_executor import BrokenProcessPool

from imprint_bench.plugins import loaded
from imprint_bench.sweep.executor import DIED, EXECUTORS, Failure, Item, Results, guarded, workers

log = logging.getLogger(__name__)

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


@EXECUTORS.register("joblib")
@dataclass(frozen=True, kw_only=True)
class Joblib:
    """As many processes as `n_jobs` says; there is nothing else to set."""

    def check(self) -> None:
        """There is always this machine."""

    def n_workers(self, n_jobs: int) -> int:
        """Return the number of processes."""
        return workers(n_jobs)

    def each(
        self,
        function: Callable[[Item], Any],
        items: Sequence[Item],
        *,
        n_jobs: int,
        retry: bool = True,
    ) -> Results:
        """Yield `(item, function(item))` in the order in which they finish; see `executor.Each`."""
        n_processes = workers(n_jobs)
        if n_processes == 1:
            for item in items:
                yield item, guarded(function, item)
            return
        lost: list[Item] = []
        yield from _spread(function, items, n_processes, lost)
        if lost and retry:
            log.warning("%d worker processes died; what they had is run again, alone.", len(lost))
        for item in lost:
            lost_again = [] if retry else [item]
            if retry:
                yield from _spread(function, [item], 1, lost_again)
            if lost_again:
                yield item, Failure(DIED, died=True)


def _spread(
    function: Callable[[Item], Any], items: Sequence[Item], n_processes: int, lost: list[Item]
) -> Results:
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
                    call = pools[place].submit(guarded, function, item, loaded())
                except BrokenProcessPool:  # it died while it had nothing to do
                    pools[place] = _pool()
                    call = pools[place].submit(guarded, function, item, loaded())
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
    """Set a worker up: Ctrl-C is its parent's to answer, and it does not outlive its parent.

    A worker keeps the data of its last call for the next one. loky would take that for a
    leak, where psutil is installed, and replace the worker with a warning.
    """
    process_executor._MAX_MEMORY_LEAK_SIZE = float("inf")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)  # at once, whatever it computes: nobody waits for it

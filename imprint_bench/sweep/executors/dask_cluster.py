"""Connections to Dask: to a running scheduler, or to workers started on this machine."""

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from imprint_bench.errors import ConfigError

CHATTY = ("distributed", "distributed.client")  # loggers that have a level of their own

_idle: dict[int, Any] = {}  # clusters on this machine by their workers: the next call's


@contextmanager
def on_this_machine(n_processes: int) -> Iterator[Any]:
    """Give a client of `n_processes` workers on this machine.

    They are kept for the next call, unless the block raises: then they are stopped at once.
    """
    dask = distributed()
    cluster = _idle.pop(n_processes, None)
    if cluster is None:
        cluster = dask.LocalCluster(
            n_workers=n_processes,
            threads_per_worker=1,
            memory_limit=0,  # as for joblib: the system decides
            dashboard_address="127.0.0.1:0",  # no port that another sweep may have
            silence_logs=logging.CRITICAL,
        )
        cluster.scheduler.allowed_failures = 0
    try:
        with dask.Client(cluster, set_as_default=False) as client:
            yield client
    except BaseException:
        for nanny in cluster.workers.values():
            _kill(nanny)
        cluster.close()
        raise
    _idle[n_processes] = cluster


@contextmanager
def connected(address: str, timeout: int, *, give_up_at_once: bool = False) -> Iterator[Any]:
    """Give a client of a running scheduler that has a worker.

    Parameters
    ----------
    address : str
    timeout : int
        Seconds.
    give_up_at_once : bool
        While the block runs, let the scheduler give a call up with the first worker that
        it loses, where by default it would let it take four.

    Raises
    ------
    ConfigError
        If the scheduler does not answer or has no worker in time.
    """
    dask = distributed()
    try:
        client = dask.Client(address, timeout=timeout, set_as_default=False)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"executor.address: no Dask scheduler answers at {address!r} within {timeout} s; "
            "start one with the command dask scheduler, or leave the address out."
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=timeout)
        except TimeoutError as error:
            raise ConfigError(
                f"executor.address: the Dask scheduler at {address!r} has no worker; start one "
                f"with dask worker {address} --nthreads 1."
            ) from error
        before = _allow_deaths(client, 0) if give_up_at_once else None
        try:
            yield client
        finally:
            if before is not None and client.status == "running":
                _allow_deaths(client, before)


def _kill(nanny: Any) -> None:
    """End a worker of this machine at once: closing it would wait for its call."""
    nanny.auto_restart = False
    if nanny.pid is not None:
        with suppress(ProcessLookupError):
            os.kill(nanny.pid, signal.SIGKILL)


def distributed() -> Any:
    """Return the package `distributed`, which is large and optional, with its log silenced.

    Raises
    ------
    ConfigError
        If it is not installed.
    """
    try:
        import distributed
    except ImportError as error:
        raise ConfigError(
            f"executor: dask cannot be imported ({error}); pip install 'imprint-bench[dask]'."
        ) from error
    for name in CHATTY:  # what matters, we say ourselves
        logging.getLogger(name).setLevel(logging.CRITICAL)
    return distributed


def _allow_deaths(client: Any, n: int) -> int:
    """Set how many workers a call may take before the scheduler gives it up; return what was."""

    def allow(n: int, dask_scheduler: Any = None) -> int:  # nested, so that its code travels
        before, dask_scheduler.allowed_failures = dask_scheduler.allowed_failures, n
        return before

    return client.run_on_scheduler(allow, n)

"""Calls on the workers of a Dask client: sent a few at a time, and streamed back.

A call travels as one message: the function, the item and the names of the user's
modules, pickled. Arrays do not travel: an item names their folder.

Dask blames a lost worker on every call that was sent to it. Normally each worker has two
calls, so that it need not wait for this process. With `alone` it has one, which makes
the blame certain.
"""

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from imprint_bench.errors import CacheError, ConfigError, ImprintError, RunFailed
from imprint_bench.plugins import loaded
from imprint_bench.sweep.executor import Failure, Results, guarded

log = logging.getLogger(__name__)

AT_ONCE = 2  # calls that a worker has: one to compute, and one to go on with
POLL = 0.005  # seconds between two looks for results
REFRESH = 5.0  # seconds between two counts of the workers
SILENT = 60.0  # seconds without a worker after which the log says so

_one_at_a_time = threading.Lock()


class Calls:
    """Calls of one function.

    Parameters
    ----------
    client : distributed.Client
    function : callable
    at : str or None
        The scheduler's address, None if it runs in this process.
    alone : bool
        Whether a worker has one call at a time.

    Attributes
    ----------
    lost : list
        The items whose worker was lost.
    """

    def __init__(
        self, client: Any, function: Callable[[Any], Any], *, at: str | None, alone: bool
    ) -> None:
        from distributed import as_completed

        self.lost: list[Any] = []
        self._client, self._function, self._at, self._alone = client, function, at, alone
        self._workers = _Workers(client)
        self._sent: dict[Any, tuple[Any, str]] = {}  # future: item, and the worker that is its own
        self._completed = as_completed(loop=client.loop, raise_errors=False)

    def results(self, items: Sequence[Any]) -> Results:
        """Yield items with their results; those whose worker was lost go to `lost`."""
        left = iter(items)
        try:
            while self._fill(left) or self._sent:
                if not self._completed.has_ready():
                    time.sleep(POLL)
                    continue
                ended = self._completed.next_batch(block=False)
                # All in one message; what failed is None, and from a list it would be left out.
                given = self._client.gather(dict(enumerate(ended)), errors="skip")
                for i, future in enumerate(ended):
                    item, _ = self._sent.pop(future)
                    result = self._checked(*given[i]) if given[i] else self._mishap(future)
                    self._fill(left)  # first, so that workers compute while the result is written
                    if result is None:
                        self.lost.append(item)
                    else:
                        yield item, result[0]
        finally:
            if self._sent and self._client.status == "running":
                self._client.cancel(list(self._sent))

    def _fill(self, left: Iterator[Any]) -> bool:
        """Send items until every worker has enough; tell whether there may be more."""
        while (worker := self._free()) is not None:
            for item in left:
                future = self._client.submit(
                    _call, packed(self._function, item),
                    pure=False, workers=worker or None, allow_other_workers=bool(worker),
                )  # fmt: skip
                self._sent[future] = item, worker
                self._completed.add(future)
                break
            else:
                return False
        return True

    def _free(self) -> str | None:
        """Return a worker for the next call, empty for any of them; None if all have enough."""
        if self._client.status != "running":  # it tries again, but all calls are forgotten
            raise self._scheduler_lost()
        try:
            names = self._workers.names()
        except OSError as error:
            raise self._scheduler_lost() from error
        if not self._alone:
            return "" if len(self._sent) < AT_ONCE * max(1, len(names)) else None
        busy = {worker for _, worker in self._sent.values()}
        return next((name for name in names if name not in busy), None)

    def _checked(self, result: Any, worker: str) -> tuple[Any]:
        """Return what a call gave; stop if its worker cannot open the embeddings."""
        if self._at and isinstance(result, Failure) and isinstance(result.error, CacheError):
            reason = result.reason.partition(";")[0]
            raise CacheError(
                f"executor: the Dask worker {worker} cannot use the embeddings ({reason}); start "
                "workers where paths.results is a shared folder at the same path."
            )
        return (result,)

    def _mishap(self, future: Any) -> tuple[Any] | None:
        """Return why a call gave nothing, None if its worker was lost; stop where all will fail."""
        from distributed import KilledWorker

        try:
            return self._checked(*future.result())
        except KilledWorker:
            self._workers.forget()
            return None
        except ImportError as error:
            raise ConfigError(
                f"executor: a Dask worker cannot import what it needs ({error}); install the "
                "packages of this machine on the machines of all workers."
            ) from error
        except ImprintError:
            raise
        except (Exception, asyncio.CancelledError) as error:
            if future.cancelled():
                raise self._scheduler_lost() from error
            return (Failure(f"{type(error).__name__}: {error}"),)

    def _scheduler_lost(self) -> RunFailed:
        place = f" at {self._at}" if self._at else ""
        return RunFailed(
            f"executor: the Dask scheduler{place} is gone; what was finished is stored, start "
            "it and run again to go on."
        )


class _Workers:
    """The addresses of the workers, asked for every few seconds."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._names: list[str] = []
        self._asked, self._seen = 0.0, time.monotonic()

    def forget(self) -> None:
        """Ask again the next time: a worker was lost."""
        self._asked = 0.0

    def names(self) -> list[str]:
        """Return the addresses, in the order of the alphabet."""
        now = time.monotonic()
        if now - self._asked >= (REFRESH if self._names else 10 * POLL):
            self._asked = now
            self._names = sorted(self._client.nthreads())
            if self._names:
                self._seen = now
            elif now - self._seen > SILENT:
                self._seen = now
                log.warning("Dask has no worker; the sweep goes on as soon as there is one.")
        return self._names


def _call(content: bytes) -> tuple[Any, str]:
    """Run one call on a worker, and tell on which.

    One at a time, even where a worker has several threads: the number of BLAS threads is
    one of the process, and so are the modules that are loaded.
    """
    from distributed import get_worker
    from distributed.protocol.pickle import loads

    with _one_at_a_time:
        function, item, modules = loads(content)
        return guarded(function, item, modules), get_worker().address


def packed(function: Callable[[Any], Any], item: Any) -> bytes:
    """Return one call as bytes: Dask would look through every tuple of the item otherwise."""
    from distributed.protocol.pickle import dumps

    modules = [str(Path(m).resolve()) if m.endswith(".py") else m for m in loaded()]
    return dumps((function, item, modules))

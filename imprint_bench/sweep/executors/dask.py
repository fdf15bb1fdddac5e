"""Executor `dask`: workers of a Dask cluster, through `Client.submit` and `as_completed`."""

import logging
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

from imprint_bench.errors import ConfigError
from imprint_bench.params import PositiveInt
from imprint_bench.sweep.executor import DIED, EXECUTORS, Failure, Item, Results, workers
from imprint_bench.sweep.executors.dask_calls import Calls
from imprint_bench.sweep.executors.dask_cluster import connected, distributed, on_this_machine

log = logging.getLogger(__name__)

ADDRESS = re.compile(r"(tcp|tls)://(\[[0-9A-Fa-f:.]+\]|[^\s/:\[\]]+):\d{1,5}")


@EXECUTORS.register("dask")
@dataclass(frozen=True, kw_only=True)
class Dask:
    """Workers of the scheduler at `address`, or where there is none `n_jobs` on this machine.

    Attributes
    ----------
    address : str or None
        ``tcp://HOST:PORT``.
    timeout : int
        Seconds to wait for the scheduler, and for its first worker.
    """

    address: str | None = None
    timeout: PositiveInt = 10

    def __post_init__(self) -> None:
        if self.address is not None and not ADDRESS.fullmatch(self.address):
            raise ConfigError(
                f"executor.address: {self.address!r} is no address; write tcp://HOST:PORT, "
                "as the scheduler says when it starts."
            )

    def check(self) -> None:
        """Raise ConfigError unless Dask is installed and the scheduler answers with a worker."""
        distributed()
        if self.address is not None:
            self.n_workers(1)

    def n_workers(self, n_jobs: int) -> int:
        """Return the number of workers; a scheduler is asked for its own."""
        if self.address is None:
            return workers(n_jobs)
        with connected(self.address, self.timeout) as client:
            return len(client.nthreads())

    def each(
        self,
        function: Callable[[Item], Any],
        items: Sequence[Item],
        *,
        n_jobs: int,
        retry: bool = True,
    ) -> Results:
        """Yield `(item, function(item))` in the order in which they finish; see `executor.Each`.

        Closing the generator early stops workers of this machine at once. Those of a
        scheduler finish the call that they are at, and nobody waits for it.

        Raises
        ------
        ConfigError
            If the scheduler does not answer or has no worker, or a worker lacks a package.
        CacheError
            If a worker cannot open the embeddings.
        RunFailed
            If the scheduler is lost.
        """
        if not items:
            return
        with self._client(n_jobs) as client:
            first = Calls(client, function, at=self.address, alone=not retry)
            yield from first.results(items)
            lost = first.lost
            if lost and retry:
                log.warning("Dask lost workers; the %d calls they had are run again.", len(lost))
                second = Calls(client, function, at=self.address, alone=True)
                yield from second.results(lost)
                lost = second.lost
            for item in lost:
                yield item, Failure(DIED, died=True)

    def _client(self, n_jobs: int) -> AbstractContextManager[Any]:
        if self.address is None:
            return on_this_machine(workers(n_jobs))
        return connected(self.address, self.timeout, give_up_at_once=True)

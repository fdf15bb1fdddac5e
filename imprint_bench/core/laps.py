"""How long each of several results took that were computed together."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from time import perf_counter

Lap = Callable[[int], AbstractContextManager[None]]  # around what is done for one k alone


def untimed(k: int) -> AbstractContextManager[None]:
    """Time nothing."""
    return nullcontext()


class Laps:
    """A stopwatch for proxies of several k, made in one call that shares some steps.

    Examples
    --------
    >>> laps = Laps()
    >>> with laps.lap(5):
    ...     proxies = None
    >>> laps.stop()
    >>> laps.seconds(5) >= laps.seconds(20) > 0
    True
    """

    def __init__(self) -> None:
        self._started = perf_counter()
        self._own: dict[int, float] = {}
        self._total: float | None = None

    @contextmanager
    def lap(self, k: int) -> Iterator[None]:
        """Count the time of the block as that of `k`; blocks of one k add up."""
        started = perf_counter()
        yield
        self._own[k] = self._own.get(k, 0.0) + perf_counter() - started

    def stop(self) -> None:
        """End the time that counts."""
        self._total = perf_counter() - self._started

    def seconds(self, k: int) -> float:
        """Return what `k` takes: its own blocks, and what lies outside of all blocks."""
        total = perf_counter() - self._started if self._total is None else self._total
        return total - sum(self._own.values()) + self._own.get(k, 0.0)

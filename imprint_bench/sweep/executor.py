"""Where units of work run: what the executors share, and which one a configuration asks for.

An executor is a class in `sweep.executors`; its fields are the keys that the section
`executor` of YAML may have. It computes units elsewhere and streams back what they
give: this process alone writes.
"""

import os
import traceback
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

import joblib
from threadpoolctl import threadpool_limits

from imprint_bench.errors import ImprintError
from imprint_bench.params import check_params
from imprint_bench.plugins import load
from imprint_bench.registry import Registry
from imprint_bench.settings import Settings

Item = TypeVar("Item")
Results: TypeAlias = Generator[tuple[Item, Any], None, None]

DIED = "its process died (out of memory, or a crash in compiled code)"


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


class Each(Protocol):
    """Calls a function on many items, somewhere, and streams back the results.

    It yields `(item, function(item))` in the order in which they finish. A call that
    raises gives a `Failure`; the others go on. So does a call that kills its process:
    after all others it is run again, with the process to itself, and if that one dies too
    the failure says `died`. Every process has one BLAS thread. Closing the generator
    early stops the work.
    """

    def __call__(
        self, function: Callable[[Item], Any], items: Sequence[Item], *, retry: bool = True
    ) -> Results:
        """Start the calls.

        Parameters
        ----------
        function : callable
            At the top level of a module, so that it can be sent to a process.
        items : sequence
            In the order in which they start; small, since they are sent too.
        retry : bool
            Whether a call whose process died is run again. False marks it at once.
        """
        ...


class Executor(Protocol):
    """What every class in `sweep.executors` can do; its fields are what YAML may set."""

    def check(self) -> None:
        """Raise ImprintError if the executor cannot be had now."""
        ...

    def n_workers(self, n_jobs: int) -> int:
        """Return how many calls run at the same time, for estimates."""
        ...

    def each(
        self,
        function: Callable[[Item], Any],
        items: Sequence[Item],
        *,
        n_jobs: int,
        retry: bool = True,
    ) -> Results:
        """Call `function` on every item; see `Each`. `n_jobs` processes are on this machine."""
        ...


EXECUTORS: Registry[Callable[..., Executor]] = Registry("executor", "imprint_bench.sweep.executors")


def chosen_executor(config: Settings) -> Executor:
    """Return the executor that a configuration asks for, with its settings.

    Raises
    ------
    ConfigError
        If there is none of that name, or a setting is wrong.
    """
    name, settings = config.executor.name, config.executor.settings
    kind = EXECUTORS.find(name, at="executor")
    check_params(kind, settings, at="executor")
    return kind(**settings)


def executor_of(config: Settings) -> Each:
    """Return the `each` that a configuration asks for."""
    executor, n_jobs = chosen_executor(config), config.n_jobs

    def each(
        function: Callable[[Item], Any], items: Sequence[Item], *, retry: bool = True
    ) -> Results:
        return executor.each(function, items, n_jobs=n_jobs, retry=retry)

    return each


def each(
    function: Callable[[Item], Any], items: Sequence[Item], *, n_jobs: int, retry: bool = True
) -> Results:
    """Call `function` on every item, on the cores of this machine; see `Each`.

    Parameters
    ----------
    function, items, retry
        As in `Each`.
    n_jobs : int
        Processes; 1 runs in this one, -1 takes one per core.
    """
    return EXECUTORS["joblib"]().each(function, items, n_jobs=n_jobs, retry=retry)


def strict(n_jobs: int) -> Callable[[Callable[[Item], Any], Iterable[Item]], Iterator[Any]]:
    """Return an unordered `map` over `n_jobs` processes that raises where a call fails."""

    def run(function: Callable[[Item], Any], items: Iterable[Item]) -> Iterator[Any]:
        with closing(each(function, list(items), n_jobs=n_jobs)) as results:
            for _, result in results:
                if isinstance(result, Failure):
                    raise result.error or ImprintError(result.reason)
                yield result

    return run


def workers(n_jobs: int) -> int:
    """Return the number of worker processes that `n_jobs` stands for; -1 is one per core."""
    return joblib.cpu_count() if n_jobs == -1 else n_jobs


def guarded(function: Callable[[Item], Any], item: Item, modules: Sequence[str] = ()) -> Any:
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

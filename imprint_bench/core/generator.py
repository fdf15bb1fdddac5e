"""What a generator is, and the two decorators that file one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imprint_bench.params import takes
from imprint_bench.registry import Registry

Function = Callable[..., Any]


@dataclass(frozen=True)
class Generator:
    """A registered way of turning embeddings into proxies.

    Attributes
    ----------
    name : str
        The name that YAML uses.
    function : callable
        For ``scope="class"``: ``(X, *, <parameters>[, rng | seed]) -> proxies`` on the rows of one
        class. For ``scope="task"``: ``(X, y, *, <parameters>[, seed]) -> (proxies, proxy_labels)``
        on the rows of all classes of a task, `y` in 0..C-1.
    scope : {"class", "task"}
        Whether it looks at one class at a time or needs all classes at once.
    nested : bool
        The first proxies for a larger k are the proxies for a smaller one, so
        that the largest k serves all.
    many_k : callable or None
        ``(X, *, ks, <parameters but k>[, rng | seed]) -> {k: proxies}``, for ``scope="task"``
        ``(X, y, *, ...) -> {k: (proxies, proxy_labels)}``: all k at once, sharing what they have
        in common; the same proxies as one call for each k.
    every_row : bool
        It gives one proxy per row, whatever its parameters.
    version : int
        Raise it when the results change: trials of an older version are then computed anew.
    """

    name: str
    function: Function
    scope: Literal["class", "task"]
    nested: bool = False
    many_k: Function | None = None
    every_row: bool = False
    version: int = 1

    def count(self, n: int, params: Mapping[str, Any]) -> int:
        """Return the number of proxies that a class of `n` rows gives."""
        return n if self.every_row else min(n, params.get("k", 1))

    @property
    def seeded(self) -> bool:
        """Whether the proxies depend on the seed."""
        return takes(self.function, "rng") or takes(self.function, "seed")


GENERATORS: Registry[Generator] = Registry("generator", "imprint_bench.core.generators")


def for_each_class(
    name: str,
    *,
    nested: bool = False,
    many_k: Function | None = None,
    every_row: bool = False,
    version: int = 1,
) -> Callable[[Function], Function]:
    """Return a decorator that files a generator of the rows of one class, unchanged.

    The keywords are attributes of `Generator`.
    """

    def file(function: Function) -> Function:
        made = Generator(name, function, "class", nested, many_k, every_row, version)
        GENERATORS.add(name, made)
        return function

    return file


def for_all_classes(
    name: str, *, many_k: Function | None = None, version: int = 1
) -> Callable[[Function], Function]:
    """Return a decorator that files a generator that needs all classes of a task, unchanged."""

    def file(function: Function) -> Function:
        made = Generator(name, function, "task", many_k=many_k, version=version)
        GENERATORS.add(name, made)
        return function

    return file


def randomness(
    generator: Generator, seed: int, rng: Callable[[], np.random.Generator]
) -> Mapping[str, Any]:
    """Return the keyword argument for randomness that `generator` asks for.

    k-means takes the seed itself, so that scikit-learn's KMeans reproduces it;
    every other seeded generator takes a stream of its own, made by `rng`.
    """
    if takes(generator.function, "rng"):
        return {"rng": rng()}
    if takes(generator.function, "seed"):
        return {"seed": seed}
    return {}

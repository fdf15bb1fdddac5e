"""Products of queries with proxies in float32, reduced while they are in the cache.

Proxies are taken in chunks of whole classes: of the products of some queries with a
chunk the largest of every class is kept, or the few of every class that may be near.
The matrix of all queries and proxies is never there.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np

from imprint_bench.core.manhattan import kernel
from imprint_bench.core.normalization import inverse
from imprint_bench.core.operands import Chunk, Proxies, Queries
from imprint_bench.core.ranking import scale_of

PRODUCTS = 1 << 22  # of some queries with a chunk: 16 MiB
FEW = 1 / 32  # share of the pairs up to which it is faster to take them one by one


class Reduced(NamedTuple):
    """What is left of some queries and all proxies, by the order of the proxies.

    Attributes
    ----------
    norms : ndarray of shape (n,)
        Lengths of the queries.
    maxima : dict from order to ndarray of shape (n, C), float32
    lists : dict from order to C ndarrays of shape (n, up to depth), float32
    """

    norms: np.ndarray
    maxima: dict[str, np.ndarray]
    lists: dict[str, list[np.ndarray]]

    def of_twin(self) -> "Reduced":
        """Return what is left for the L2-normalized proxies: to them, angles are products."""
        maxima = {"product": self.maxima["angle"]} if "angle" in self.maxima else {}
        lists = {"product": self.lists["angle"]} if "angle" in self.lists else {}
        return Reduced(self.norms, maxima, lists)


class Reducer:
    """Ranks the proxies of queries and keeps what may matter.

    Parameters
    ----------
    queries : Queries
    proxies : Proxies
    maxima, lists : collection of str
        Orders (see `ranking.Ranking`) of which the largest value of every class is wanted,
        and of which the `depth` largest.
    depth : int
    """

    def __init__(
        self,
        queries: Queries,
        proxies: Proxies,
        *,
        maxima: Collection[str] = (),
        lists: Collection[str] = (),
        depth: int = 0,
    ) -> None:
        self.queries, self.proxies = queries, proxies
        self.maxima, self.lists, self.depth = set(maxima), set(lists), depth
        width = max(chunk.columns.stop - chunk.columns.start for chunk in proxies.chunks)
        self.step = max(1, min(PRODUCTS // width, len(queries.rows)))
        self._products = np.empty(self.step * width, dtype=np.float32)
        self._values = np.empty(self.step * width, dtype=np.float32)
        self._inverse = inverse(proxies.norms).astype(np.float32)
        self._halves = (proxies.squares / 2).astype(np.float32)

    def __call__(self, some: slice) -> Reduced:
        """Reduce what ranks the proxies of consecutive queries, at most `step`."""
        norms, n_classes = self.queries.norms[some], len(self.proxies.starts)
        maxima = {o: np.empty((len(norms), n_classes), np.float32) for o in self.maxima}
        lists: dict[str, list[np.ndarray]] = {order: [] for order in self.lists}
        for chunk, order, values in self._ranked(some, sorted(self.maxima | self.lists)):
            if order in maxima:
                out = maxima[order][:, chunk.classes]
                np.maximum.reduceat(values, chunk.starts, axis=1, out=out)
            if order in lists:
                lists[order] += _largest(values, chunk.starts, depth=self.depth)
        return Reduced(norms, maxima, lists)

    def within_reach(
        self, some: np.ndarray, reach: Mapping[str, np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the pairs of queries and proxies that rank high enough in any order.

        Parameters
        ----------
        some : ndarray of int
            Numbers of queries, at most `step`.
        reach : mapping from order to ndarray of shape (len(some), C), float32
            The values from which on the proxies of a class count.

        Returns
        -------
        rows, columns : ndarray of int
            Places in `some` and numbers of proxies, ordered by both; or None if they are many.
        """
        found: list[np.ndarray] = []
        n_found, limit = 0, FEW * len(some) * len(self.proxies)
        near: np.ndarray | None = None
        orders = sorted(reach)
        for chunk, order, values in self._ranked(some, orders):
            if near is None:
                near = np.zeros(values.shape, dtype=bool)
            parts = np.split(values, chunk.starts[1:], axis=1)
            limits = reach[order][:, chunk.classes].T[:, :, None]
            for part, seen, least in zip(
                parts, np.split(near, chunk.starts[1:], axis=1), limits, strict=True
            ):
                np.logical_or(seen, part >= least, out=seen)
            if order == orders[-1]:
                pairs = np.argwhere(near)
                pairs[:, 1] += chunk.columns.start
                found.append(pairs)
                n_found, near = n_found + len(pairs), None
                if n_found > limit:
                    return None
        pairs = np.concatenate(found)
        rows, columns = pairs[np.argsort(pairs[:, 0], kind="stable")].T
        return rows, columns

    def _ranked(
        self, some: slice | np.ndarray, orders: list[str]
    ) -> Iterator[tuple[Chunk, str, np.ndarray]]:
        """Yield what ranks the proxies of a chunk, for every chunk and order."""
        rows, norms = self.queries.single[some], self.queries.norms[some]
        for chunk, single in zip(self.proxies.chunks, self.proxies.single, strict=True):
            shape = len(rows), len(single)
            products = self._products[: shape[0] * shape[1]].reshape(shape)
            if not all(order.startswith("manhattan") for order in orders):
                np.matmul(rows, single.T, out=products)
            for order in orders:
                if order.startswith("manhattan"):
                    yield chunk, order, self._manhattan(order, rows, single, chunk, norms)
                else:
                    yield chunk, order, self._by_products(order, products, chunk, norms)

    def _by_products(
        self, order: str, products: np.ndarray, chunk: Chunk, norms: np.ndarray
    ) -> np.ndarray:
        values = self._values[: products.size].reshape(products.shape)
        if order == "product":
            if order not in self.lists:
                return products
            np.copyto(values, products)  # `_largest` moves them
        elif order == "angle":
            np.multiply(products, self._inverse[chunk.columns], out=values)
        else:
            scale = scale_of(norms, order.removeprefix("distance "))
            np.multiply(products, scale.astype(np.float32)[:, None], out=values)
            values -= self._halves[chunk.columns]
        return values

    def _manhattan(
        self,
        order: str,
        rows: np.ndarray,
        single: np.ndarray,
        chunk: Chunk,
        norms: np.ndarray,
    ) -> np.ndarray:
        """Return the Manhattan distances of queries to the proxies of a chunk, negative."""
        _, norm_post, norm_inf = order.split()
        if norm_post == "l2":
            single = single * self._inverse[chunk.columns, None]
        if norm_inf == "l2":
            rows = rows * scale_of(norms, norm_inf).astype(np.float32)[:, None]
        values = self._values[: len(rows) * len(single)].reshape(len(rows), len(single))
        kernel()(np.ascontiguousarray(rows), np.ascontiguousarray(single), values)
        return np.negative(values, out=values)


def _largest(values: np.ndarray, starts: np.ndarray, *, depth: int) -> list[np.ndarray]:
    """Return the largest values of every class, in no order; `values` are put in another order."""
    lists = []
    for part in np.split(values, starts[1:], axis=1):
        if (rest := part.shape[1] - depth) > 0:
            part.partition(rest, axis=1)
            lists.append(part[:, rest:].copy())
        else:
            lists.append(part.copy())
    return lists

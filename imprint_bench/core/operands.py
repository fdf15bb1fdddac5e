"""The two sides of the product of queries with proxies, and what is needed of them again."""

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from imprint_bench.core.normalization import RankedProxies

CHUNK = 1 << 12  # proxies that are multiplied at a time, unless one class has more
SLICE = 1 << 11  # rows that are turned to float64 at a time


class Queries:
    """Embeddings of the test rows.

    Parameters
    ----------
    rows : ndarray of shape (n, l), float32 or float64
    """

    def __init__(self, rows: np.ndarray) -> None:
        self.rows = rows

    @cached_property
    def single(self) -> np.ndarray:
        """The rows in float32."""
        return self.rows.astype(np.float32, copy=False)

    @cached_property
    def norms(self) -> np.ndarray:
        """Their lengths in float64."""
        return np.sqrt(squares(self.rows))


class Chunk(NamedTuple):
    """Some consecutive classes.

    Attributes
    ----------
    columns : slice
        Of their proxies among all.
    classes : slice
    starts : ndarray of int
        First column of every class, within the chunk.
    """

    columns: slice
    classes: slice
    starts: np.ndarray


class Proxies:
    """The proxies of all classes, in the order of the classes.

    Parameters
    ----------
    parts : sequence of ndarray or RankedProxies of shape (p_c, l)
    """

    def __init__(self, parts: Sequence[np.ndarray | RankedProxies]) -> None:
        self.parts = parts
        self.counts = np.array([len(part) for part in parts])
        self.starts = np.concatenate([[0], np.cumsum(self.counts)[:-1]])

    def __len__(self) -> int:
        return int(self.counts.sum())

    @property
    def length(self) -> int:
        """The length of a proxy."""
        return int(self.parts[0].shape[1])

    @cached_property
    def squares(self) -> np.ndarray:
        """Their squared lengths in float64."""
        return np.concatenate([squares(part) for part in self.parts])

    @cached_property
    def norms(self) -> np.ndarray:
        """Their lengths in float64."""
        return np.sqrt(self.squares)

    @cached_property
    def chunks(self) -> list[Chunk]:
        """All classes, a few at a time where they are small."""
        return list(self._chunks())

    @cached_property
    def single(self) -> list[np.ndarray]:
        """The proxies of every chunk in float32; those of a class alone are not copied."""
        return [_joined(self.parts[chunk.classes], np.float32) for chunk in self.chunks]

    @cached_property
    def double(self) -> np.ndarray:
        """All proxies in float64."""
        return _joined(self.parts, np.float64)

    def inner(self, queries: np.ndarray) -> np.ndarray:
        """Return the inner products of queries (float64) with all proxies, in float64."""
        products = np.empty((len(queries), len(self)))
        for chunk in self.chunks:
            part = _joined(self.parts[chunk.classes], np.float64)
            np.matmul(queries, part.T, out=products[:, chunk.columns])
        return products

    def rows(self, columns: np.ndarray) -> np.ndarray:
        """Return some proxies in float64."""
        of = np.searchsorted(self.starts, columns, side="right") - 1
        found = np.empty((len(columns), self.length))
        for c in np.unique(of):
            here = of == c
            found[here] = self.parts[c][columns[here] - self.starts[c]].astype(np.float64)
        return found

    def of(self, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the columns of some classes, in their order, and labels 0..C-1."""
        columns = [np.arange(self.starts[c], self.starts[c] + self.counts[c]) for c in classes]
        return np.concatenate(columns), np.repeat(np.arange(len(classes)), self.counts[classes])

    def _chunks(self) -> Iterator[Chunk]:
        first = 0
        for last in range(len(self.counts)):
            if last + 1 < len(self.counts) and self.counts[first : last + 2].sum() <= CHUNK:
                continue
            start, stop = int(self.starts[first]), int(self.starts[last] + self.counts[last])
            classes = slice(first, last + 1)
            yield Chunk(slice(start, stop), classes, self.starts[classes] - start)
            first = last + 1


def squares(rows: np.ndarray | RankedProxies) -> np.ndarray:
    """Return the squared length of every row in float64.

    Parameters
    ----------
    rows : ndarray or RankedProxies of shape (n, l)
    """
    if isinstance(rows, RankedProxies):
        return np.full(len(rows), rows.values @ rows.values)
    found = np.empty(len(rows))
    for start in range(0, len(rows), SLICE):
        some = rows[start : start + SLICE].astype(np.float64)
        np.einsum("nl,nl->n", some, some, out=found[start : start + SLICE])
    return found


def _joined(parts: Sequence[np.ndarray | RankedProxies], dtype: type) -> np.ndarray:
    arrays = [part.astype(dtype, copy=False) for part in parts]
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)

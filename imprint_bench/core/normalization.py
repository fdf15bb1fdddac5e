"""Normalizations of embeddings and queries (row by row) and of proxies (class by class)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imprint_bench.registry import Registry

RowNormalization = Callable[[np.ndarray], np.ndarray]
ProxyNormalization = Callable[[np.ndarray, np.ndarray], np.ndarray]

ROW_NORMALIZATIONS: Registry[RowNormalization] = Registry("row normalization")
PROXY_NORMALIZATIONS: Registry[ProxyNormalization] = Registry("proxy normalization")


@ROW_NORMALIZATIONS.register("none")
def unchanged(X: np.ndarray) -> np.ndarray:
    """Return the rows as they are.

    Parameters
    ----------
    X : ndarray of shape (n, l)
    """
    return X


@ROW_NORMALIZATIONS.register("l2")
def l2_normalize(X: np.ndarray) -> np.ndarray:
    """Divide every row by its Euclidean norm; a zero row stays zero.

    Parameters
    ----------
    X : ndarray of shape (n, l), float32 or float64

    Returns
    -------
    ndarray of shape (n, l), dtype of `X`
        The norms and the quotient are computed in float64.

    Examples
    --------
    >>> l2_normalize(np.array([[3.0, 4.0], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    return (X * inverse_norms(X)[:, None]).astype(X.dtype)


def inverse_norms(X: np.ndarray) -> np.ndarray:
    """Return 1 / Euclidean norm of every row in float64, and 1 for a zero row.

    Parameters
    ----------
    X : ndarray of shape (n, l)

    Returns
    -------
    ndarray of shape (n,), float64
    """
    X = X.astype(np.float64)  # first: a sum over buffered casts would depend on the row's place
    return inverse(np.sqrt(np.einsum("nl,nl->n", X, X)))


def inverse(norms: np.ndarray) -> np.ndarray:
    """Return 1 / norm, and 1 for a norm of zero."""
    return 1 / np.where(norms == 0, 1, norms)


@PROXY_NORMALIZATIONS.register("none")
def unchanged_proxies(proxies: np.ndarray, proxy_labels: np.ndarray) -> np.ndarray:
    """Return the proxies as they are."""
    return proxies


@PROXY_NORMALIZATIONS.register("l2")
def l2_normalize_proxies(proxies: np.ndarray, proxy_labels: np.ndarray) -> np.ndarray:
    """Divide every proxy by its Euclidean norm; its label does not matter."""
    return l2_normalize(proxies)


@PROXY_NORMALIZATIONS.register("quantile")
def quantile_normalize(proxies: np.ndarray, proxy_labels: np.ndarray) -> np.ndarray:
    """Give the proxies of every class the value distribution of the classes before it.

    Classes are imprinted in the order of their labels. The first keeps its
    proxies. For each later class the reference is the flattened values of all
    proxies imprinted so far, already normalized; each new proxy's values are
    replaced, by rank, with the reference's quantiles at levels (i + 1/2) / l.
    Equal values inside a proxy keep the order of their features.

    Parameters
    ----------
    proxies : ndarray of shape (p, l)
    proxy_labels : ndarray of shape (p,)
        Labels 0..C-1 in ascending order.

    Returns
    -------
    ndarray of shape (p, l), dtype of `proxies`

    References
    ----------
    J. Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 3.1.

    Examples
    --------
    >>> quantile_normalize(np.array([[0.0, 10.0], [3.0, 2.0]]), np.array([0, 1]))
    array([[ 0. , 10. ],
           [ 7.5,  2.5]])
    """
    rows = np.searchsorted(proxy_labels, np.unique(proxy_labels))
    parts = np.split(proxies, rows[1:])
    normalized = [np.asarray(part) for part in quantile_normalize_in_turn(parts)]
    return np.concatenate(normalized).astype(proxies.dtype)


@dataclass(frozen=True)
class RankedProxies:
    """Proxies that hold the same values, each in an order of its own.

    Attributes
    ----------
    ranks : ndarray of shape (p, l), int
        Which of the values stands where.
    values : ndarray of shape (l,), float64
        Ascending.
    """

    ranks: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.ranks)

    def __getitem__(self, rows: Any) -> "RankedProxies":
        return RankedProxies(self.ranks[rows], self.values)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self.astype(dtype or self.values.dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """Proxies and length."""
        return self.ranks.shape

    def astype(self, dtype: Any, *, copy: bool = True) -> np.ndarray:
        """Return the proxies as an array, which is always a new one."""
        return self.values.astype(dtype)[self.ranks]


def quantile_normalize_in_turn(
    classes: Sequence[np.ndarray], ranks: Callable[[int], np.ndarray] | None = None
) -> Iterator[np.ndarray | RankedProxies]:
    """Yield the quantile-normalized proxies (float64) of one class after the other.

    What is yielded for a class depends on it and on the classes before it,
    which lets tasks that begin with the same classes share their proxies.

    Parameters
    ----------
    classes : sequence of ndarray of shape (p_c, l)
        Proxies of the classes, in the order of imprinting.
    ranks : callable or None
        Returns `value_ranks` of the class of a number, where they are known already.
    """
    first = classes[0].astype(np.float64)
    yield first
    reference = _Reference(first)
    for i, proxies in enumerate(classes[1:], start=1):
        values = reference.quantiles(proxies.shape[1])
        reference.add(values, times=len(proxies))
        yield RankedProxies(value_ranks(proxies) if ranks is None else ranks(i), values)


def value_ranks(proxies: np.ndarray) -> np.ndarray:
    """Return the rank of every value within its row, from 0; equal values in their order.

    Parameters
    ----------
    proxies : ndarray of shape (p, l)

    Returns
    -------
    ndarray of shape (p, l), uint16 or int64
        As small as l allows: for `all` there are as many as embeddings.
    """
    n, length = proxies.shape
    ranks = np.empty((n, length), dtype=np.uint16 if length <= 1 << 16 else np.int64)
    order = np.argsort(proxies, axis=1, kind="stable")
    np.put_along_axis(ranks, order, np.arange(length, dtype=ranks.dtype)[None], axis=1)
    return ranks


class _Reference:
    """The sorted values imprinted so far, without ever sorting them again.

    Every normalized proxy of one class holds the same l values in another
    order, so the reference is the first class's values, sorted once, plus few
    values ("atoms") that occur many times.
    """

    def __init__(self, first: np.ndarray) -> None:
        self._base = np.sort(first, axis=None)
        self._atoms = np.empty(0)
        self._times = np.empty(0, dtype=np.int64)

    def add(self, values: np.ndarray, *, times: int) -> None:
        """Add ascending `values`, each of them `times` times."""
        place = np.searchsorted(self._atoms, values)
        self._atoms = np.insert(self._atoms, place, values)
        self._times = np.insert(self._times, place, times)

    def quantiles(self, n: int) -> np.ndarray:
        """Return the quantiles at levels (i + 1/2) / n, linear between order statistics."""
        size = len(self._base) + int(self._times.sum())
        position = (np.arange(n) + 0.5) / n * (size - 1)
        low = np.floor(position).astype(np.int64)
        below, above = self._order_statistics(low), self._order_statistics(np.ceil(position))
        return below + (above - below) * (position - low)

    def _order_statistics(self, ranks: np.ndarray) -> np.ndarray:
        """Return the values of the given ranks (from 0) in the sorted reference."""
        ranks = ranks.astype(np.int64)
        before = np.concatenate([[0], np.cumsum(self._times)])
        start = np.searchsorted(self._base, self._atoms) + before[:-1]  # first rank of each atom
        atom = np.searchsorted(start, ranks, side="right") - 1
        if not len(start):
            return self._base[ranks]
        inside = (atom >= 0) & (ranks < start[atom] + self._times[atom])
        in_base = np.minimum(ranks - before[atom + 1], len(self._base) - 1)
        return np.where(inside, self._atoms[atom], self._base[in_base])

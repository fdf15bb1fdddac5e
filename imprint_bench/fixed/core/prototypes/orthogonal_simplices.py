"""Mutually orthogonal regular simplices, the cross-polytope among them: no cosine above 0."""

import numpy as np

from imprint_bench.fixed.core.prototype_set import NoSuchSet, prototype_set
from imprint_bench.fixed.core.prototypes.simplex import d_simplex


def _few_enough(c: int, d: int) -> None:
    if c > 2 * d:
        raise NoSuchSet(f"{c} classes need d >= {(c + 1) // 2}, got d={d}")


def _more_than_a_simplex(c: int, d: int) -> None:
    _few_enough(c, d)
    if c <= d + 1:
        raise NoSuchSet(f"{c} classes need d <= {c - 2}, got d={d}, where one simplex is optimal")


@prototype_set("orthogonal_simplices", limit=_more_than_a_simplex)
def orthogonal_simplices(c: int, d: int) -> np.ndarray:
    """Return c - d simplices, orthogonal to each other, whose dimensions sum to d.

    The maximal cosine is 0, than which there is no less for c > d + 1 (Rankin). The simplices
    are as equal in size as possible; for c = 2d they are pairs, the cross-polytope.

    Parameters
    ----------
    c, d : int
        d + 1 < c <= 2d.

    Returns
    -------
    vectors : ndarray of shape (c, d), float64
        Row i is of simplex i modulo c - d, so that neighbors are orthogonal.

    Raises
    ------
    NoSuchSet
        If c is outside these limits.

    Examples
    --------
    >>> orthogonal_simplices(4, 2).tolist()
    [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, -1.0]]
    """
    _more_than_a_simplex(c, d)
    n = c - d
    vectors, used = np.zeros((c, d)), 0
    for first in range(n):
        size = len(range(first, c, n))
        vectors[first::n, used : used + size - 1] = d_simplex(size, size - 1)
        used += size - 1
    return vectors


@prototype_set("cross_polytope", limit=_few_enough)
def cross_polytope(c: int, d: int) -> np.ndarray:
    """Return e_1, -e_1, e_2, -e_2, ... until there are `c` vectors.

    For c = 2d no set has a smaller maximal cosine (0), nor any other of DL2PA's potentials.

    Parameters
    ----------
    c, d : int
        c <= 2d.

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If c > 2d.

    Examples
    --------
    >>> cross_polytope(3, 2).tolist()
    [[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]]
    """
    _few_enough(c, d)
    vectors, i = np.zeros((c, d)), np.arange(c)
    vectors[i, i // 2] = np.where(i % 2, -1.0, 1.0)
    return vectors

"""Which neighbors in a ranking a bar may join."""

import numpy as np
from numpy.typing import ArrayLike

from imprint_bench.errors import DataError


def cliques(ranks_sorted: ArrayLike, significant: ArrayLike) -> tuple[tuple[int, int], ...]:
    """Find the maximal runs of neighbors in which no pair differs significantly.

    Parameters
    ----------
    ranks_sorted : array_like of shape (k,)
        Average ranks, ascending.
    significant : array_like of bool, shape (k, k)
        Symmetric; whether two methods differ, in the order of the ranks.

    Returns
    -------
    runs : tuple of (int, int)
        First and last position of each run of two or more, from the best on.
        No run lies within another.

    Raises
    ------
    DataError
        If the ranks are not ascending or the shapes do not fit.

    Examples
    --------
    >>> differs = np.zeros((3, 3), dtype=bool)
    >>> differs[0, 2] = differs[2, 0] = True
    >>> cliques([1.2, 2.0, 2.8], differs)
    ((0, 1), (1, 2))
    """
    ranks, differs = np.asarray(ranks_sorted, dtype=float), np.asarray(significant, dtype=bool)
    k = len(ranks)
    if differs.shape != (k, k) or (np.diff(ranks) < 0).any():
        raise DataError(
            f"cliques: {k} ranks and decisions of shape {differs.shape}; "
            f"expected ascending ranks and shape ({k}, {k})."
        )
    runs: list[tuple[int, int]] = []
    last = 0
    for first in range(k):
        reached = last
        while last + 1 < k and not differs[first : last + 1, last + 1].any():
            last += 1
        if last > max(reached, first):
            runs.append((first, last))
        last = max(last, first + 1)
    return tuple(runs)

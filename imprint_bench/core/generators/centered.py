"""Embeddings kept twice: in float64 to be right, in float32 to be fast, with a bound between."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

SINGLE_UNIT = 2.0**-24  # largest relative error of rounding to float32
DOUBLE_UNIT = 2.0**-53
SAFE_SQUARES = (1e-20, 1e20)  # squared norms whose products neither overflow nor vanish in float32


@dataclass(frozen=True)
class Centered:
    """Embeddings with their mean moved to the origin.

    Attributes
    ----------
    mean : ndarray of shape (l,), float64
        What was subtracted from every row.
    rows : ndarray of shape (n, l), float64
        The centered rows.
    single : ndarray of shape (n, l), float32
        The same, rounded, for distances with an error below `bound`. Zeros if not `safe`.
    squares : ndarray of shape (n,), float64
        Squared norms of the centered rows.
    """

    mean: Array
    rows: Array
    single: Array
    squares: Array

    @property
    def scale(self) -> float:
        """The largest squared norm."""
        return float(self.squares.max())

    @property
    def safe(self) -> bool:
        """Whether products of the rows neither overflow nor vanish in float32."""
        return SAFE_SQUARES[0] < self.scale < SAFE_SQUARES[1]

    @property
    def spacing(self) -> float:
        """How far two float64 computations of one sum over rows may lie apart, relatively.

        A sum of n inner products of length l is wrong by less than (n + l) units,
        in whatever order it is formed; 16 is room for differences and factors of two.
        """
        return 16 * sum(self.rows.shape) * DOUBLE_UNIT

    def bound(self, points: Array) -> Array:
        """Return a bound on the error of squared distances that are computed in float32.

        They are meant to be formed from a matrix product of `single` with the rounded
        points and from squared norms, rounded from float64. The bound holds whatever
        the order in which the product adds its l terms.

        Parameters
        ----------
        points : ndarray of shape (p, l), float64
            Centered points, no longer than the longest row.

        Returns
        -------
        bound : ndarray of shape (n,), float32
            Infinite if the rows are not `safe`.
        """
        if not self.safe:
            return np.full(len(self.rows), np.inf, dtype=np.float32)
        longest = float(np.einsum("ij,ij->i", points, points).max(initial=0.0)) ** 0.5
        norms = np.sqrt(self.squares)
        products = 2 * (self.rows.shape[1] + 4) * longest * norms
        bound = SINGLE_UNIT * (products + 8 * (norms + longest) ** 2 + SAFE_SQUARES[0])
        return bound.astype(np.float32)


def center(X: Array) -> Centered:
    """Return `X` with its mean moved to the origin; `X` is not modified.

    Parameters
    ----------
    X : ndarray of shape (n, l), float32 or float64
        Embeddings, n >= 1.
    """
    mean = X.mean(axis=0, dtype=np.float64)
    rows = X - mean
    squares = np.einsum("ij,ij->i", rows, rows)
    found = Centered(mean, rows, np.zeros(rows.shape, dtype=np.float32), squares)
    return replace(found, single=rows.astype(np.float32)) if found.safe else found

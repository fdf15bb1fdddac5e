"""All pairwise cosines of many vectors, a block of bounded size at a time."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

ROWS = 2048  # of a block: 32 MiB in float64


class Block(NamedTuple):
    """Inner products of two stretches of rows; on the diagonal the two are the same stretch.

    Attributes
    ----------
    rows, columns : slice
        Which vectors, with columns from `rows` on or later.
    cosines : ndarray of shape (n_rows, n_columns)
        The block's own: it may be overwritten. A vector with itself is -inf.
    weight : int
        How often a sum over all ordered pairs counts each value: 1 on the diagonal, where both
        (i, j) and (j, i) are in the block, 2 elsewhere.
    """

    rows: slice
    columns: slice
    cosines: np.ndarray
    weight: int


def cosine_blocks(vectors: np.ndarray, *, n_rows: int = ROWS) -> Iterator[Block]:
    """Yield the upper triangle of the Gram matrix in blocks.

    Parameters
    ----------
    vectors : ndarray of shape (c, d)
        Rows of unit norm; the blocks have its dtype.
    n_rows : int
        Largest number of rows and columns of a block.

    Examples
    --------
    >>> [block.cosines.tolist() for block in cosine_blocks(np.array([[1.0], [-1.0]]))]
    [[[-inf, -1.0], [-1.0, -inf]]]
    """
    stretches = [slice(i, min(i + n_rows, len(vectors))) for i in range(0, len(vectors), n_rows)]
    for i, rows in enumerate(stretches):
        for columns in stretches[i:]:
            cosines = vectors[rows] @ vectors[columns].T
            if rows == columns:
                np.fill_diagonal(cosines, -np.inf)
            yield Block(rows, columns, cosines, 1 if rows == columns else 2)

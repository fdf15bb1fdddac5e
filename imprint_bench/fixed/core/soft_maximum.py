"""The smooth maximum of all pairwise cosines, with its gradient: what prototypes minimize."""

import numpy as np

from imprint_bench.fixed.core.cosine_blocks import ROWS, cosine_blocks


def soft_maximum(
    vectors: np.ndarray, *, sharpness: float, n_rows: int = ROWS
) -> tuple[float, np.ndarray]:
    """Return log(sum_{i != j} exp(b cos_ij)) / b of unit vectors, and its gradient on the sphere.

    It lies above the maximal cosine by at most log(c (c - 1)) / b. With b = 2t it is the
    Gaussian potential of DL2PA up to constants: L = b value - b - log(c (c - 1)).

    Parameters
    ----------
    vectors : ndarray of shape (c, d), float32 or float64
        Rows of unit norm. Products are computed in this dtype, sums in float64.
    sharpness : float
        b > 0.
    n_rows : int
        Memory is that of one block of so many rows and columns, and of a few copies of the vectors.

    Returns
    -------
    value : float
    gradient : ndarray of shape (c, d)
        Each row is orthogonal to its vector; same dtype.

    Examples
    --------
    >>> value, gradient = soft_maximum(np.array([[1.0, 0], [0, 1]]), sharpness=1.0)
    >>> round(value, 4), gradient.tolist()  # log 2, and away from each other
    (0.6931, [[0.0, 1.0], [1.0, 0.0]])
    """
    gradient = np.zeros_like(vectors)
    total, highest = 0.0, -np.inf
    for rows, columns, cosines, weight in cosine_blocks(vectors, n_rows=n_rows):
        here = float(cosines.max())
        if here > highest:  # what was summed so far is relative to the highest cosine so far
            shrink = np.exp(sharpness * (highest - here))
            total, highest = total * shrink, here
            gradient *= gradient.dtype.type(shrink)
        cosines -= cosines.dtype.type(highest)
        cosines *= cosines.dtype.type(sharpness)
        shares = np.exp(cosines, out=cosines)
        total += weight * float(shares.sum(dtype=np.float64))
        gradient[rows] += shares @ vectors[columns]
        if rows != columns:
            gradient[columns] += shares.T @ vectors[rows]
    gradient *= gradient.dtype.type(2 / total)
    gradient -= np.einsum("ij,ij->i", gradient, vectors)[:, None] * vectors
    return highest + float(np.log(total)) / sharpness, gradient

"""Coordinates: random orthonormal frames, and vectors that fill only some dimensions."""

import numpy as np


def random_frame(n: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return `n` orthonormal rows in `d` >= `n` dimensions, uniform among all such frames.

    Parameters
    ----------
    n, d : int
    rng : numpy.random.Generator

    Returns
    -------
    frame : ndarray of shape (n, d), float64
        ``frame @ frame.T`` is the identity.
    """
    Q, R = np.linalg.qr(rng.standard_normal((d, n)))
    # The signs that LAPACK chose would favor some frames.
    return (Q * np.where(np.diagonal(R) < 0, -1.0, 1.0)).T


def padded(vectors: np.ndarray, d: int) -> np.ndarray:
    """Return vectors with zeros after their own dimensions, `d` in all.

    Examples
    --------
    >>> padded(np.ones((1, 2)), 3).tolist()
    [[1.0, 1.0, 0.0]]
    """
    out = np.zeros((len(vectors), d))
    out[:, : vectors.shape[1]] = vectors
    return out

"""The generator whose proxy is a new point and needs no clustering: mean."""

import numpy as np

from imprint_bench.core.generator import for_each_class
from imprint_bench.core.generators.centered import Array


@for_each_class("mean")
def mean_row(X: Array) -> Array:
    """Return the mean embedding of one class.

    Parameters
    ----------
    X : ndarray of shape (n, l)
        Embeddings of one class, n >= 1.

    Returns
    -------
    proxies : ndarray of shape (1, l)
        Summed in float64; same dtype as `X`.

    References
    ----------
    H. Qi, M. Brown and D. G. Lowe, "Low-shot learning with imprinted weights",
    CVPR 2018, section 3.2.

    Examples
    --------
    >>> mean_row(np.array([[1.0, 0.0], [3.0, 0.0]])).tolist()
    [[2.0, 0.0]]
    """
    return X.mean(axis=0, keepdims=True, dtype=np.float64).astype(X.dtype)

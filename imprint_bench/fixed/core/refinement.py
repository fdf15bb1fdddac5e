"""Vectors moved apart: the smooth maximum of their cosines, minimized ever more sharply."""

from collections.abc import Iterator, Sequence

import numpy as np

from imprint_bench.fixed.core.cosine_blocks import cosine_blocks
from imprint_bench.fixed.core.soft_maximum import soft_maximum

FIRST = 10.0  # sharpness of the first sharp stage
FACTOR = 2.0  # between sharp stages
MEMORY = 20  # corrections that L-BFGS keeps, fewer for very many vectors


def spread(
    vectors: np.ndarray,
    *,
    sharpness: Sequence[float],
    iterations: int,
    tolerance: float = 0.0,
) -> np.ndarray:
    """Return unit vectors moved apart by minimizing the soft maximum of their cosines.

    Parameters
    ----------
    vectors : ndarray of shape (c, d), float32 or float64
        Rows of unit norm, the start. Not modified.
    sharpness : sequence of float
        One stage for each, from the result of the one before.
    iterations : int
        Of L-BFGS, for each stage at most.
    tolerance : float
        A stage ends when a step lowers the soft maximum by less than this share of it; no less
        than rounding allows is asked for.

    Returns
    -------
    spread : ndarray of shape (c, d)
        Rows of unit norm, same dtype.
    """
    from scipy.optimize import minimize

    W = vectors
    smallest = max(tolerance, 10 * float(np.finfo(W.dtype).eps))
    for b in sharpness:
        found = minimize(
            _free, W.ravel().astype(np.float64), args=(W.shape, W.dtype, b), jac=True,
            method="L-BFGS-B",
            options={
                "maxiter": iterations,
                "maxfun": 2 * iterations,
                "maxcor": MEMORY if W.size < 100_000 else MEMORY // 4,
                "ftol": smallest,
                "gtol": 1e-9,
            },
        )  # fmt: skip
        W = unit_rows(found.x.reshape(W.shape)).astype(W.dtype)
    return W


def sharp_stages(last: float) -> Iterator[float]:
    """Yield the sharpness of every stage from 10, or `last` if that is less, up to `last`.

    Examples
    --------
    >>> list(sharp_stages(100.0))
    [10.0, 20.0, 40.0, 80.0, 100.0]
    """
    b = FIRST
    while b < last:
        yield b
        b *= FACTOR
    yield last


def random_directions(c: int, d: int, rng: np.random.Generator) -> np.ndarray:
    """Return `c` independent directions in `d` dimensions, uniform on the sphere, float64."""
    return unit_rows(rng.standard_normal((c, d)))


def unit_rows(X: np.ndarray) -> np.ndarray:
    """Return the rows of `X`, none of which is zero, at unit norm."""
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def largest_cosine(vectors: np.ndarray) -> float:
    """Return the largest cosine between two of the unit vectors."""
    return max(float(block.cosines.max()) for block in cosine_blocks(vectors))


def _free(
    x: np.ndarray, shape: tuple[int, int], dtype: np.dtype, sharpness: float
) -> tuple[float, np.ndarray]:
    """Return soft maximum and gradient as a function of vectors of any norm."""
    X = x.reshape(shape)
    norms = np.linalg.norm(X, axis=1, keepdims=True)
    value, gradient = soft_maximum((X / norms).astype(dtype, copy=False), sharpness=sharpness)
    return value, (gradient / norms).ravel()

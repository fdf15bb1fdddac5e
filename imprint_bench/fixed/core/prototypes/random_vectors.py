"""Vectors that nothing moved apart: random ones, and random orthogonal ones, as controls."""

import numpy as np

from imprint_bench.fixed.core.frames import random_frame
from imprint_bench.fixed.core.prototype_set import NoSuchSet, prototype_set


def _no_more_than_dimensions(c: int, d: int) -> None:
    if d < c:
        raise NoSuchSet(f"{c} orthogonal classes need d >= {c}, got d={d}")


@prototype_set("random")
def random(
    c: int, d: int, *, rng: np.random.Generator, mean: float = 0.0, std: float = 1.0
) -> np.ndarray:
    """Return Gaussian vectors at unit norm; with mean 0 they are uniform on the sphere.

    Parameters
    ----------
    c, d : int
    rng : numpy.random.Generator
    mean, std : float
        Of every coordinate before normalization; std > 0. The mean cosine of large sets is
        near 1 / (1 + (std / mean)^2).

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If `std` is not above 0.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype Assignment"
    (DL2PA), CVPR 2024, figure 2.
    """
    if std <= 0:
        raise NoSuchSet(f"std={std:g}; expected a number above 0")
    vectors = rng.normal(mean, std, (c, d))
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@prototype_set("orthogonal", limit=_no_more_than_dimensions)
def orthogonal(c: int, d: int, *, rng: np.random.Generator) -> np.ndarray:
    """Return random orthogonal vectors.

    Parameters
    ----------
    c, d : int
        d >= c.
    rng : numpy.random.Generator

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If d < c.
    """
    _no_more_than_dimensions(c, d)
    return random_frame(c, d, rng)

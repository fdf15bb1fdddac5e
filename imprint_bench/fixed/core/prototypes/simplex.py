"""The regular simplex: every pair at -1/(c-1), the smallest maximal cosine there is."""

import numpy as np

from imprint_bench.fixed.core.frames import padded, random_frame
from imprint_bench.fixed.core.prototype_set import NoSuchSet, prototype_set


def needs_a_simplex(c: int, d: int) -> None:
    """Raise NoSuchSet unless a regular simplex of `c` vertices fits into `d` dimensions."""
    if d < c - 1:
        raise NoSuchSet(f"{c} classes need d >= {c - 1}, got d={d}")


@prototype_set("simplex", limit=needs_a_simplex)
def simplex(c: int, d: int, *, rng: np.random.Generator) -> np.ndarray:
    """Return a randomly turned regular simplex (an equiangular tight frame).

    Parameters
    ----------
    c, d : int
        d >= c - 1.
    rng : numpy.random.Generator
        For the rotation, uniform among all.

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If d < c - 1.

    References
    ----------
    Yang et al., "Inducing Neural Collapse in Imbalanced Learning: Do We Really Need a Learnable
    Classifier at the End of Deep Neural Network?", NeurIPS 2022. Their route, U centered
    with U^T U = I, needs d >= c; vertices in c - 1 dimensions times a random frame give the same
    sets, and d = c - 1 as well.
    """
    needs_a_simplex(c, d)
    return d_simplex(c, c - 1) @ random_frame(c - 1, d, rng)


@prototype_set("d_simplex", limit=needs_a_simplex)
def d_simplex(c: int, d: int) -> np.ndarray:
    """Return the simplex of the unit vectors and one more, centered.

    The vertices are e_1, ..., e_(c-1) and a(1, ..., 1) with a = (1 - sqrt(c)) / (c - 1), less
    their mean, at unit norm.

    Parameters
    ----------
    c, d : int
        d >= c - 1; dimensions after c - 1 are zero.

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If d < c - 1.

    References
    ----------
    Pernici et al., "Regular Polytope Networks", IEEE TNNLS 2021; Biondi et al.,
    "CoReS: Compatible Representations via Stationarity", IEEE TPAMI 2023.

    Examples
    --------
    >>> V = d_simplex(3, 2)
    >>> (V @ V.T).round(6).tolist()
    [[1.0, -0.5, -0.5], [-0.5, 1.0, -0.5], [-0.5, -0.5, 1.0]]
    """
    needs_a_simplex(c, d)
    vertices = np.vstack([np.eye(c - 1), np.full((1, c - 1), (1 - np.sqrt(c)) / (c - 1))])
    vertices -= vertices.mean(axis=0)
    return padded(vertices / np.linalg.norm(vertices, axis=1, keepdims=True), d)


@prototype_set("kasarla", limit=needs_a_simplex)
def kasarla(c: int, d: int) -> np.ndarray:
    """Return the simplex of the maximum-separation recursion, without recursion.

    With P_1 = [1, -1] and P_k = [[1, -1/k ... -1/k], [0, sqrt(1 - 1/k^2) P_(k-1)]], the vectors
    are the columns of P_(c-1). The factors of the rows from the top are a product that
    telescopes: that of the row that ends in P_m is sqrt(m c / ((m + 1) (c - 1))).

    Parameters
    ----------
    c, d : int
        d >= c - 1; dimensions after c - 1 are zero.

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If d < c - 1.

    References
    ----------
    Kasarla et al., "Maximum Class Separation as Inductive Bias in One Matrix", NeurIPS 2022.

    Examples
    --------
    >>> kasarla(2, 1).tolist()
    [[1.0], [-1.0]]
    """
    needs_a_simplex(c, d)
    m = np.arange(c - 1, 0, -1)  # of the recursion, from the outermost row inwards
    scale = np.sqrt(m * c / ((m + 1) * (c - 1)))
    rows = np.triu(np.broadcast_to((-scale / m)[:, None], (c - 1, c)), k=1)
    rows[np.arange(c - 1), np.arange(c - 1)] = scale
    return padded(rows.T, d)

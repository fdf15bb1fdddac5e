"""Hyperspherical prototype networks: the nearest other vector pushed away, step by step."""

import numpy as np

from imprint_bench.fixed.core.prototype_set import NoSuchSet, needs_two_dimensions, prototype_set
from imprint_bench.fixed.core.refinement import random_directions, unit_rows
from imprint_bench.params import PositiveInt


@prototype_set("hpn", limit=needs_two_dimensions)
def hpn(
    c: int,
    d: int,
    *,
    rng: np.random.Generator,
    iterations: PositiveInt = 10_000,
    lr: float = 0.1,
    momentum: float = 0.0,
    semantic: np.ndarray | str | None = None,
    neighbors: PositiveInt = 2,
    weight: float = 1.0,
) -> np.ndarray:
    """Return vectors from gradient descent on mean_i max_{j != i} cos_ij.

    With class embeddings, `weight` times a ranking loss is added: the mean of -cos_ij + cos_ik
    over the classes i, the classes j whose embeddings are among the nearest of i's (by cosine)
    and all other classes k.

    Parameters
    ----------
    c, d : int
    rng : numpy.random.Generator
        For the start, uniform on the sphere.
    iterations : int
    lr : float
        Above 0.
    momentum : float
        In [0, 1). The paper says 0.9; its code makes a new optimizer at every step, which is 0.
    semantic : ndarray of shape (c, e), str or None
        Class embeddings. In YAML, the path of their file, which `fixed.prototype_cache` reads;
        this function cannot.
    neighbors : int
        Nearest classes by embedding, fewer than c - 1.
    weight : float
        Of the ranking loss.

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If a number is outside its limits, or `semantic` is not of c finite rows other than 0.

    References
    ----------
    Mettes et al., "Hyperspherical Prototype Networks", NeurIPS 2019.
    """
    if lr <= 0 or not 0 <= momentum < 1:
        raise NoSuchSet(f"lr={lr:g}, momentum={momentum:g}; expected lr > 0 and 0 <= momentum < 1")
    ranking = None
    if isinstance(semantic, str):
        raise NoSuchSet(f"the unread file {semantic!r} as class embeddings; expected an array")
    if semantic is not None:
        ranking = weight * ranking_coefficients(semantic, c=c, neighbors=neighbors)
    W = random_directions(c, d, rng)
    velocity = np.zeros_like(W)
    for _ in range(iterations):
        gradient = separation_gradient(W)
        if ranking is not None:
            gradient += (ranking + ranking.T) @ W
        velocity = momentum * velocity + gradient
        W = unit_rows(W - lr * velocity)
    return W


def separation_gradient(vectors: np.ndarray) -> np.ndarray:
    """Return the gradient of mean_i max_{j != i} <w_i, w_j>, as of free vectors.

    Parameters
    ----------
    vectors : ndarray of shape (c, d)

    Returns
    -------
    gradient : ndarray of shape (c, d)
        The first of several nearest vectors counts.
    """
    c = len(vectors)
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -np.inf)
    nearest = cosines.argmax(axis=1)
    gradient = vectors[nearest]
    np.add.at(gradient, nearest, vectors)
    return gradient / c


def ranking_coefficients(semantic: np.ndarray, *, c: int, neighbors: int) -> np.ndarray:
    """Return R such that the ranking loss is sum_ij R_ij cos_ij.

    Parameters
    ----------
    semantic : ndarray of shape (c, e)
        Class embeddings.
    c : int
    neighbors : int
        Nearest classes by cosine of their embeddings, fewer than c - 1; ties by class.

    Returns
    -------
    coefficients : ndarray of shape (c, c)
        -1 / (c neighbors) for the nearest of each class, 1 / (c (c - 1 - neighbors)) for the
        others, 0 on the diagonal.

    Raises
    ------
    NoSuchSet
        If there are too many neighbors, or the embeddings are not of c finite rows other than 0.
    """
    table = np.asarray(semantic, dtype=np.float64)
    if table.ndim != 2 or len(table) != c:
        raise NoSuchSet(
            f"class embeddings of shape {table.shape}; expected one row for each of c={c} classes"
        )
    if not np.isfinite(table).all() or not table.any(axis=1).all():
        raise NoSuchSet("class embeddings with a row that is not finite, or zero; expected numbers")
    if neighbors >= c - 1:
        raise NoSuchSet(f"neighbors={neighbors}; expected fewer than c - 1 = {c - 1}")
    unit = unit_rows(table)
    near = unit @ unit.T
    np.fill_diagonal(near, -np.inf)
    nearest = np.argsort(-near, axis=1, kind="stable")[:, :neighbors]
    coefficients = np.full((c, c), 1.0 / (c * (c - 1 - neighbors)))
    np.put_along_axis(coefficients, nearest, -1.0 / (c * neighbors), axis=1)
    np.fill_diagonal(coefficients, 0.0)
    return coefficients

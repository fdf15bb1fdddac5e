"""The certificate of a prototype set: how its vectors lie, beside what is possible at best."""

from dataclasses import dataclass

import numpy as np

from imprint_bench.fixed.core.bounds import max_cosine_bound
from imprint_bench.fixed.core.cosine_blocks import cosine_blocks

TOUCHING = 1e-6  # below the largest cosine


@dataclass(frozen=True)
class Certificate:
    """Statistics of the cosines of all pairs of different vectors.

    Attributes
    ----------
    max_cosine, min_cosine, mean_cosine, std_cosine : float
        Over all pairs i < j, never with the diagonal. The mean is -1/(c-1) for every set whose
        sum is zero, and so tells little.
    mean_nearest : float
        Mean over vectors of the cosine with the nearest other one.
    uniformity : float
        log of the mean over pairs of exp(-2 |w_i - w_j|^2): the L_uni of DL2PA with t = 2.
    n_touching : int
        Pairs whose cosine is within 1e-6 of the largest.
    bound : float
        No set of this size in this dimension has a smaller `max_cosine`.
    bound_name : str
        "rankin", "polygon", "fejes_toth" or "delsarte": see `bounds.max_cosine_bound`.
    """

    max_cosine: float
    min_cosine: float
    mean_cosine: float
    std_cosine: float
    mean_nearest: float
    uniformity: float
    n_touching: int
    bound: float
    bound_name: str

    @property
    def closest_degrees(self) -> float:
        """The angle of the closest pair, in degrees."""
        return float(np.degrees(np.arccos(np.clip(self.max_cosine, -1, 1))))


def certify(vectors: np.ndarray) -> Certificate:
    """Return the certificate of unit vectors; memory grows with their number, not its square.

    Parameters
    ----------
    vectors : ndarray of shape (c, d)
        Rows of unit norm, c >= 2.

    Raises
    ------
    ValueError
        If there are fewer than two vectors, or a norm is not 1 within 1e-6.

    Examples
    --------
    >>> square = certify(np.array([[1.0, 0], [0, 1], [-1, 0], [0, -1]]))
    >>> square.max_cosine, square.min_cosine, square.n_touching, square.bound_name
    (0.0, -1.0, 4, 'polygon')
    """
    W = np.asarray(vectors, dtype=np.float64)
    if W.ndim != 2 or len(W) < 2:
        raise ValueError(f"vectors of shape {W.shape}; expected (c, d) with c >= 2")
    norms = np.linalg.norm(W, axis=1)
    if not np.allclose(norms, 1, rtol=0, atol=1e-6):
        raise ValueError(f"norms from {norms.min():g} to {norms.max():g}; expected 1")
    c, d = W.shape
    n_pairs = c * (c - 1)  # ordered: (i, j) and (j, i)
    total = W.sum(axis=0)
    mean = float((total @ total - (W * W).sum()) / n_pairs)
    nearest, lowest = np.full(c, -np.inf), np.inf
    squares = potential = 0.0
    for rows, columns, cosines, weight in cosine_blocks(W):
        nearest[rows] = np.maximum(nearest[rows], cosines.max(axis=1))
        nearest[columns] = np.maximum(nearest[columns], cosines.max(axis=0))
        potential += weight * float(np.exp(4 * (cosines - 1)).sum())
        if weight == 1:
            np.fill_diagonal(cosines, np.inf)
        lowest = min(lowest, float(cosines.min()))
        if weight == 1:
            np.fill_diagonal(cosines, mean)
        squares += weight * float(((cosines - mean) ** 2).sum())
    largest, bound = float(nearest.max()), max_cosine_bound(c, d)
    return Certificate(
        max_cosine=largest,
        min_cosine=lowest,
        mean_cosine=mean,
        std_cosine=float(np.sqrt(squares / n_pairs)),
        mean_nearest=float(nearest.mean()),
        uniformity=float(np.log(potential / n_pairs)),
        n_touching=_count_from(W, largest - TOUCHING),
        bound=bound.value,
        bound_name=bound.name,
    )


def _count_from(W: np.ndarray, cosine: float) -> int:
    """Return the number of pairs i < j with at least this cosine."""
    ordered = sum(
        int(np.count_nonzero(block.cosines >= cosine)) * block.weight for block in cosine_blocks(W)
    )
    return ordered // 2

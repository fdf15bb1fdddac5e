"""DL2PA's prototypes: gradient descent on the Gaussian potential, as published and converging."""

from typing import Literal

import numpy as np

from imprint_bench.fixed.core.prototype_set import NoSuchSet, needs_two_dimensions, prototype_set
from imprint_bench.fixed.core.refinement import largest_cosine, unit_rows
from imprint_bench.fixed.core.soft_maximum import soft_maximum
from imprint_bench.params import PositiveInt


@prototype_set("gaussian_potential", limit=needs_two_dimensions)
def gaussian_potential(
    c: int,
    d: int,
    *,
    rng: np.random.Generator,
    t: float = 2.0,
    lr: float | Literal["auto"] = "auto",
    iterations: PositiveInt = 1000,
    subset: PositiveInt | None = None,
    restarts: PositiveInt = 1,
    score: Literal["potential", "max_cosine"] = "potential",
) -> np.ndarray:
    """Return vectors from gradient descent on L = log mean_{i<j} exp(-t |w_i - w_j|^2).

    The start is uniform in the cube at unit norm. As in the published code, the vectors are
    normalized inside the loss and not after a step: their norms grow where steps are too long,
    and so shorten them. The gradient of a vector shrinks like 1/c, as L has a mean over pairs:
    the published ``lr=0.1`` with 1000 iterations stops far from the optimum. "auto" is c / 2,
    which reaches it.

    Parameters
    ----------
    c, d : int
    rng : numpy.random.Generator
        For the starts and the subsets.
    t : float
        Above 0; 2 in the published code.
    lr : float or "auto"
        Learning rate; "auto" is c / 2, with a subset half of its size.
    iterations : int
    subset : int or None
        Vectors drawn anew for every step; None is all.
    restarts : int
        Starts, of which the best by `score` is kept.
    score : {"potential", "max_cosine"}

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If `t` or `lr` is not above 0, or the subset is not of 2 to c vectors.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype Assignment"
    (DL2PA), CVPR 2024, eq. 5. Theirs includes i = j, which only adds a constant inside the
    logarithm; their code does not, and neither does this.
    """
    if t <= 0 or (lr != "auto" and lr <= 0):
        raise NoSuchSet(f"t={t:g}, lr={lr}; expected numbers above 0")
    if subset is not None and not 2 <= subset <= c:
        raise NoSuchSet(f"subset={subset}; expected 2 to c={c}")
    size = c if subset is None else subset
    rate = size / 2 if lr == "auto" else lr
    found = []
    for _ in range(restarts):
        X = unit_rows(rng.uniform(-1, 1, (c, d)))
        for _ in range(iterations):
            chosen = slice(None) if size == c else rng.choice(c, size, replace=False)
            norms = np.linalg.norm(X[chosen], axis=1, keepdims=True)
            # dL = 2t d(soft maximum with b = 2t)
            gradient = 2 * t * soft_maximum(X[chosen] / norms, sharpness=2 * t)[1]
            X[chosen] -= rate * gradient / norms
        found.append(unit_rows(X))
    if score == "max_cosine":
        return min(found, key=largest_cosine)
    return min(found, key=lambda W: soft_maximum(W, sharpness=2 * t)[0])

"""Prototypes as far apart as can be: in closed form where one is optimal, else optimized."""

from typing import Literal

import numpy as np

from imprint_bench.fixed.core.frames import padded
from imprint_bench.fixed.core.prototype_set import NoSuchSet, prototype_set
from imprint_bench.fixed.core.prototypes.orthogonal_simplices import orthogonal_simplices
from imprint_bench.fixed.core.prototypes.regular_polygon import regular_polygon
from imprint_bench.fixed.core.prototypes.simplex import d_simplex
from imprint_bench.fixed.core.refinement import (
    largest_cosine,
    random_directions,
    sharp_stages,
    spread,
    unit_rows,
)
from imprint_bench.params import PositiveInt

MANY = 2000  # classes, from which on everything is computed in float32
FEW_STEPS = 60  # of each stage, with many classes
# Sharpness at which a soft maximum has so few minima that descent finds symmetric sets, which
# a sharp start misses: the 24-cell, or that of the Higman-Sims graph.
BLUNT, BLUNT_FOR_SMALL, SMALL = (8.0, 16.0), (1.0, 2.0, 4.0, 8.0), 500  # coordinates c d
BLUNT_STEPS, BLUNT_TOLERANCE = 600, 1e-9


@prototype_set("equidistributed")
def equidistributed(
    c: int,
    d: int,
    *,
    rng: np.random.Generator,
    restarts: PositiveInt | Literal["auto"] = "auto",
    iterations: PositiveInt = 100,
    sharpness: float = 1e5,
    closed_form: bool = True,
) -> np.ndarray:
    """Return vectors whose maximal cosine is the smallest that is known or found.

    The closed forms are the simplex (c <= d + 1), the regular polygon (d = 2) and orthogonal
    simplices (c <= 2d, with the cross-polytope at c = 2d); their maximal cosine is optimal.
    Elsewhere, random directions are moved apart by minimizing log(sum exp(b cos)) / b with
    L-BFGS for b = 10 up to `sharpness`. One of the starts is the best of many that a small b
    has moved apart.

    Parameters
    ----------
    c, d : int
        d >= 2, or c = 2.
    rng : numpy.random.Generator
        For the starts.
    restarts : int or "auto"
        Number of random starts of the sharp stages, and a sixth of those of the blunt ones;
        "auto" is 1 to 12 and 2 to 24, the fewer the larger c^2 d is.
    iterations : int
        Of L-BFGS at each sharp stage, at most; above 2000 classes at most 60.
    sharpness : float
        Largest b, at least 10; above 2000 classes at most 1000, as they are float32.
    closed_form : bool
        False optimizes everywhere.

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If `sharpness` is below 10.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype Assignment"
    (DL2PA), CVPR 2024: the same aim, with b = 4 alone.

    Examples
    --------
    >>> vectors = equidistributed(12, 3, rng=np.random.default_rng(0))  # the icosahedron
    >>> round(float((vectors @ vectors.T - 2 * np.eye(12)).max()), 5)
    0.44721
    """
    if sharpness < 10:
        raise NoSuchSet(f"sharpness={sharpness:g}; expected at least 10")
    known = _closed_form(c, d) if closed_form or d == 1 else None
    if known is not None:
        return known
    if c > MANY:
        return _many(c, d, rng, iterations=min(iterations, FEW_STEPS), last=min(sharpness, 1e3))
    work = c * c * d
    n = int(np.clip(4e5 / work, 1, 12)) if restarts == "auto" else restarts
    n_blunt = int(np.clip(2.4e6 / work, 2, 24)) if restarts == "auto" else 6 * restarts
    starts = [_best_blunt(c, d, rng, n=n_blunt), *(random_directions(c, d, rng) for _ in range(n))]
    stages = list(sharp_stages(sharpness))
    found = []
    for i, W in enumerate(starts):
        # Where few minima are found from one first sharpness, others are found from another.
        skipped = 2 * (i % 3) if c * d <= SMALL else 0
        found.append(spread(W, sharpness=stages[skipped:] or stages, iterations=iterations))
    return min(found, key=largest_cosine)


def _closed_form(c: int, d: int) -> np.ndarray | None:
    """Return the set with the smallest maximal cosine where theory gives one."""
    if c <= d + 1:
        return padded(d_simplex(c, c - 1), d)
    if d == 2:
        return regular_polygon(c, d)
    return orthogonal_simplices(c, d) if c <= 2 * d else None


def _best_blunt(c: int, d: int, rng: np.random.Generator, *, n: int) -> np.ndarray:
    """Return the best of `n` starts after blunt stages, by maximal cosine."""
    blunt = BLUNT_FOR_SMALL if c * d <= SMALL else BLUNT
    found = (
        spread(
            random_directions(c, d, rng),
            sharpness=blunt,
            iterations=BLUNT_STEPS,
            tolerance=BLUNT_TOLERANCE,
        )
        for _ in range(n)
    )
    return min(found, key=largest_cosine)


def _many(c: int, d: int, rng: np.random.Generator, *, iterations: int, last: float) -> np.ndarray:
    """Return vectors from one start, optimized in float32 and with few steps."""
    start = random_directions(c, d, rng).astype(np.float32)
    stages = list(sharp_stages(last))
    return unit_rows(spread(start, sharpness=stages, iterations=iterations).astype(np.float64))

"""How close c unit vectors in d dimensions must come: proven lower bounds on their max cosine."""

from functools import cache
from typing import NamedTuple

import numpy as np

DEGREE = 30  # of the polynomials of the linear program
N_CONSTRAINTS = 400  # points at which the linear program asks for a sign
N_CHECKS = 100_000  # points at which the proof checks it
PRECISION = 1e-6  # of the bound


class Bound(NamedTuple):
    """No c unit vectors in d dimensions have a maximal cosine below `value`; who proved it."""

    value: float
    name: str


def max_cosine_bound(c: int, d: int) -> Bound:
    """Return the best lower bound on the maximal cosine of `c` unit vectors in `d` dimensions.

    Parameters
    ----------
    c : int
        Number of vectors, at least 2.
    d : int
        Dimensions, at least 1.

    Returns
    -------
    bound : Bound
        "rankin" for c <= 2d and "polygon" for d = 2 are attained; "delsarte", and for d = 3
        the better of it and "fejes_toth", need not be.

    Raises
    ------
    ValueError
        If c < 2 or d < 1.

    References
    ----------
    R. A. Rankin, "The closest packing of spherical caps in n dimensions", Proceedings of the
    Glasgow Mathematical Association 2, 1955.
    L. Fejes Toth, "Uber die Abschatzung des kurzesten Abstandes zweier Punkte eines auf einer
    Kugelflache liegenden Punktsystemes", Jahresbericht der DMV 53, 1943.
    P. Delsarte, J. M. Goethals, J. J. Seidel, "Spherical codes and designs", Geometriae
    Dedicata 6, 1977.

    Examples
    --------
    >>> max_cosine_bound(11, 10)
    Bound(value=-0.1, name='rankin')
    >>> max_cosine_bound(100, 50).value
    0.0
    """
    if c < 2 or d < 1:
        raise ValueError(f"c={c}, d={d}; expected c >= 2 and d >= 1")
    if c <= d + 1:
        return Bound(-1.0 / (c - 1), "rankin")
    if d == 1:
        return Bound(1.0, "rankin")  # two of three vectors are the same
    if d == 2:
        return Bound(float(np.cos(2 * np.pi / c)), "polygon")
    if c <= 2 * d:
        return Bound(0.0, "rankin")
    proven = Bound(delsarte(c, d), "delsarte")
    return max(proven, Bound(_fejes_toth(c), "fejes_toth")) if d == 3 else proven


@cache
def delsarte(c: int, d: int) -> float:
    """Return the bound of Delsarte's linear program for c > 2d >= 6, within 1e-6 of its best.

    A polynomial f(t) = 1 + sum_k f_k P_k(t) with f_k >= 0, where P_k are the Gegenbauer
    polynomials of d dimensions with P_k(1) = 1, and f(t) <= 0 on [-1, s], proves that at most
    f(1) vectors have no cosine above s. The bound is the largest s, found by bisection, at which
    that is less than `c`. The polynomial is one of a linear program, whose sign is asked for at
    some points only; `proven_size` makes up for what lies between them.

    Returns
    -------
    bound : float
        In [0, 1).
    """
    low, high = 0.0, 1.0  # at s = 0 there are at most 2d < c vectors
    guess = float(np.clip(2 * (c / 2) ** (-2 / (d - 1)), 0.05, 0.95))
    while high - low > PRECISION:
        s = guess if (low, high) == (0.0, 1.0) else (low + high) / 2
        low, high = (s, high) if proven_size(s, d) < c else (low, s)
    return low


def proven_size(s: float, d: int) -> float:
    """Return a proven upper bound on how many unit vectors have no cosine above `s`.

    Parameters
    ----------
    s : float
        In [0, 1).
    d : int
        At least 3.

    Returns
    -------
    size : float
        Infinite if the linear program finds no polynomial.

    Notes
    -----
    With t = cos(x), every P_k is a trigonometric polynomial of degree k in x, at most 1 in
    absolute value; by Bernstein's inequality its second derivative is at most k^2. Between two
    points h apart f is therefore at most the larger of its two values plus
    h^2 / 8 sum_k f_k k^2. What f can be above 0 at most is subtracted from f. Only rounding
    (about 1e-13) is left out of account.
    """
    coefficients = _program(s, d)
    if coefficients is None:
        return float("inf")
    x = np.linspace(np.arccos(s), np.pi, N_CHECKS)
    degrees = np.arange(1, DEGREE + 1)
    between = (x[1] - x[0]) ** 2 / 8 * float(coefficients @ degrees**2)
    above = float((1 + coefficients @ gegenbauer(np.cos(x), d)).max()) + between + 1e-12
    if above >= 1:
        return float("inf")
    excess = max(above, 0.0)
    return float((1 + coefficients.sum() - excess) / (1 - excess))


def gegenbauer(t: np.ndarray, d: int, *, degree: int = DEGREE) -> np.ndarray:
    """Return the Gegenbauer polynomials of `d` dimensions of degrees 1 to `degree`, 1 at t = 1.

    Parameters
    ----------
    t : ndarray of shape (n,)
        In [-1, 1].
    d : int
        At least 2.

    Returns
    -------
    values : ndarray of shape (degree, n)

    Examples
    --------
    >>> gegenbauer(np.array([0.5]), 3, degree=2).ravel().tolist()  # Legendre
    [0.5, -0.125]
    """
    values = np.empty((degree, len(t)))
    before, now = np.ones_like(t), t
    for k in range(1, degree + 1):
        values[k - 1] = now
        before, now = now, ((2 * k + d - 2) * t * now - k * before) / (k + d - 2)
    return values


def _fejes_toth(c: int) -> float:
    """Return the cosine between corners of the regular triangle, 2c - 4 of which fill a sphere."""
    return float((1 / np.tan(np.pi / 6 * c / (c - 2)) ** 2 - 1) / 2)


def _program(s: float, d: int) -> np.ndarray | None:
    """Return the coefficients f_1, f_2, ... with the smallest sum, if there are any."""
    from scipy.optimize import linprog

    x = np.linspace(np.arccos(s), np.pi, N_CONSTRAINTS)
    constraints = gegenbauer(np.cos(x), d).T
    # A little below 0, as the solver keeps its constraints within 1e-7 only.
    found = linprog(
        np.ones(DEGREE), A_ub=constraints, b_ub=np.full(len(x), -1 - 1e-7), method="highs"
    )
    return None if found.x is None or not found.success else np.maximum(found.x, 0.0)

"""Many tests at once: p-values that hold for all of them together."""

import numpy as np
from numpy.typing import ArrayLike

from imprint_bench.errors import DataError


def holm(p: ArrayLike) -> np.ndarray:
    """Return p-values adjusted for all tests by Holm's step-down.

    Parameters
    ----------
    p : array_like of shape (n_tests,)
        Unadjusted p-values in [0, 1], in any order.

    Returns
    -------
    adjusted : ndarray of shape (n_tests,)
        In the order of `p`. A test is significant where this is at most alpha.

    Raises
    ------
    DataError
        If a value is no probability.

    References
    ----------
    S. Holm, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6, 1979.

    Examples
    --------
    >>> holm([0.01, 0.04, 0.03]).round(2).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, dtype=float)
    bad = values[~((values >= 0) & (values <= 1))]
    if values.ndim != 1 or bad.size:
        got = f"{bad[0]!s}" if bad.size else f"{values.ndim} dimensions"
        raise DataError(f"holm: expected a list of p-values between 0 and 1, got {got}.")
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1.0)
    return adjusted

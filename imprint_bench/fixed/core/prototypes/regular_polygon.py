"""The regular polygon: the optimum in two dimensions."""

import numpy as np

from imprint_bench.fixed.core.prototype_set import NoSuchSet, prototype_set


def _plane(c: int, d: int) -> None:
    if d != 2:
        raise NoSuchSet(f"a polygon lies in d=2, got d={d}")


@prototype_set("regular_polygon", limit=_plane)
def regular_polygon(c: int, d: int) -> np.ndarray:
    """Return the corners of the regular polygon, from (1, 0) on.

    Its maximal cosine cos(2 pi / c) is the smallest possible, and so is its DL2PA potential
    for every t.

    Parameters
    ----------
    c, d : int
        d = 2.

    Returns
    -------
    vectors : ndarray of shape (c, 2), float64

    Raises
    ------
    NoSuchSet
        If d is not 2.

    Examples
    --------
    >>> regular_polygon(4, 2).round(6).tolist()
    [[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-0.0, -1.0]]
    """
    _plane(c, d)
    angles = 2 * np.pi * np.arange(c) / c
    return np.column_stack([np.cos(angles), np.sin(angles)])

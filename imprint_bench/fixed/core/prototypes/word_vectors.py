"""Prototypes from class embeddings of the user, such as word vectors of the class names."""

import numpy as np

from imprint_bench.fixed.core.frames import padded
from imprint_bench.fixed.core.prototype_set import NoSuchSet, prototype_set
from imprint_bench.fixed.core.refinement import unit_rows

RANK = 1e-10  # singular values below this share of the largest are rounding


@prototype_set("word_vectors")
def word_vectors(
    c: int,
    d: int,
    *,
    file: str | None = None,
    table: np.ndarray | None = None,
    pad: bool = False,
) -> np.ndarray:
    """Return class embeddings, brought to `d` dimensions by PCA, at unit norm.

    Where the embeddings are longer than `d`, they are centered and projected onto their first
    `d` principal components, each with the sign that makes its largest weight positive; where
    they are of `d` values, only their length is changed.

    Parameters
    ----------
    c, d : int
        d <= min(c - 1, e), or `pad`.
    file : str or None
        Where YAML says that the table is; `fixed.prototype_cache` reads it, this function cannot.
    table : ndarray of shape (c, e) or None
        Class embeddings in the order of the classes.
    pad : bool
        Whether to fill dimensions that the embeddings cannot fill with zeros.

    Returns
    -------
    vectors : ndarray of shape (c, d), float64

    Raises
    ------
    NoSuchSet
        If there is no table, it is not of c finite rows, is too small for `d`, or a row
        becomes zero.
    """
    if table is None:
        found = "none" if file is None else f"the unread file {file!r}"
        raise NoSuchSet(f"{found} as table; expected one row of class embeddings for each class")
    X = np.asarray(table, dtype=np.float64)
    if X.ndim != 2 or len(X) != c:
        raise NoSuchSet(f"a table of shape {X.shape}; expected one row for each of c={c} classes")
    if not np.isfinite(X).all():
        raise NoSuchSet("a table with values that are not finite; expected numbers")
    e = X.shape[1]
    filled = min(c - 1, e)
    if d > filled and not pad:
        raise NoSuchSet(
            f"{c} class embeddings of {e} values fill {filled} dimensions, got d={d}; "
            f"expected d <= {filled}, or pad: true"
        )
    if e > d or e > filled:
        X = _principal_components(X, min(d, filled))
    norms = np.linalg.norm(X, axis=1)
    zero = np.flatnonzero(norms <= RANK * norms.max(initial=0.0))
    if len(zero):
        raise NoSuchSet(f"class {zero[0]} is zero in d={d}; expected a table without such a row")
    return padded(unit_rows(X), d)


def _principal_components(X: np.ndarray, n: int) -> np.ndarray:
    """Return the scores of the centered rows on the first `n` components, as many as there are."""
    U, S, Vt = np.linalg.svd(X - X.mean(axis=0), full_matrices=False)
    signs = np.where(Vt[np.arange(len(Vt)), np.abs(Vt).argmax(axis=1)] < 0, -1.0, 1.0)
    return (U * S * signs)[:, :n]

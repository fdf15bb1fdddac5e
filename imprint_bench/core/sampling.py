"""Which rows of a dataset a task uses: label mappings, classes, n-shot subsets."""

from collections.abc import Mapping, Sequence

import numpy as np

from imprint_bench.seeding import stream


def map_labels(labels: np.ndarray, mapping: Mapping[int, int] | None) -> np.ndarray:
    """Rename original labels; every label that the mapping does not name becomes -1.

    Parameters
    ----------
    labels : ndarray of shape (n,), integers
    mapping : mapping from original to new label, or None
        None keeps every label.

    Returns
    -------
    ndarray of shape (n,), int64

    Examples
    --------
    >>> map_labels(np.array([3, 7, 9]), {3: 0, 9: 1})
    array([ 0, -1,  1])
    """
    labels = labels.astype(np.int64)
    if mapping is None:
        return labels
    originals, place = np.unique(labels, return_inverse=True)
    renamed = np.array([mapping.get(int(label), -1) for label in originals], dtype=np.int64)
    return renamed[place]


def rows_of(labels: np.ndarray, label: int) -> np.ndarray:
    """Return the indices of the rows that carry `label`, in ascending order."""
    return np.flatnonzero(labels == label)


def n_shot_rows(
    rows: np.ndarray, *, n_shot: int | None, seed: int, names: Sequence[object]
) -> np.ndarray:
    """Draw `n_shot` of the rows of one class.

    The draw takes the first of one random permutation, so that the 5-shot rows
    are among the 10-shot rows; it depends on seed and names alone, so that
    every generator sees the same rows.

    Parameters
    ----------
    rows : ndarray of shape (n,)
        Row indices of one class.
    n_shot : int or None
        Rows wanted; None takes all, and so does a number of `n` or more.
    seed : int
        The trial's seed.
    names : sequence
        Dataset, mapping and class.

    Returns
    -------
    ndarray of shape (min(n_shot, n),)
        In ascending order, so that a large `n_shot` equals all rows.
    """
    if n_shot is None or n_shot >= len(rows):
        return rows
    return np.sort(stream(seed, "n_shot", *names).permutation(rows)[:n_shot])


def d_in_1(
    classes: Sequence[int], *, d: int, n_labels: int, rng: np.random.Generator
) -> dict[int, int]:
    """Join `d` shuffled original classes under each of `n_labels` labels ("d in 1").

    Parameters
    ----------
    classes : sequence of int
        Original labels to choose from, at least ``d * n_labels``.
    d : int
        Original classes per label.
    n_labels : int
        Number of new labels.
    rng : numpy.random.Generator
        Shuffles the classes.

    Returns
    -------
    dict from original to new label

    References
    ----------
    J. Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section 4.
    """
    if len(classes) < d * n_labels:
        raise ValueError(f"d_in_1 needs {d * n_labels} classes, got {len(classes)}")
    shuffled = rng.permutation(np.asarray(classes))[: d * n_labels]
    return {int(label): i // d for i, label in enumerate(shuffled)}

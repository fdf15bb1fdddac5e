"""How good predictions are: accuracy and F1 from the confusion matrix."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Quality:
    """What a trial records of its predictions.

    Attributes
    ----------
    accuracy : float
        Fraction of correct predictions, in [0, 1].
    f1 : tuple of float
        F1 of every class against the rest; 0 where a class is neither present nor predicted.
    f1_macro, f1_weighted : float
        Mean of `f1` over classes, plain and weighted with the number of test rows.
    """

    accuracy: float
    f1: tuple[float, ...]
    f1_macro: float
    f1_weighted: float


def quality(y_true: np.ndarray, y_pred: np.ndarray, *, n_classes: int) -> Quality:
    """Return accuracy and F1 of predictions.

    Parameters
    ----------
    y_true, y_pred : ndarray of shape (n,), integers in 0..n_classes-1, n >= 1
    n_classes : int

    Examples
    --------
    >>> quality(np.array([0, 0, 1, 1]), np.array([0, 1, 1, 1]), n_classes=2).accuracy
    0.75
    """
    confusion = np.bincount(y_true * n_classes + y_pred, minlength=n_classes**2)
    confusion = confusion.reshape(n_classes, n_classes)
    hits, support = confusion.diagonal(), confusion.sum(axis=1)
    f1 = 2 * hits / np.maximum(support + confusion.sum(axis=0), 1)
    return Quality(
        accuracy=float(hits.sum() / len(y_true)),
        f1=tuple(f1.tolist()),
        f1_macro=float(f1.mean()),
        f1_weighted=float(f1 @ support / len(y_true)),
    )

"""Embeddings as planning sees them, before they exist."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Description:
    """What planning needs to know about embeddings, which may not exist yet.

    Attributes
    ----------
    fm, dataset : str
        The user's names.
    fingerprint : str
        As of the `Embeddings`.
    labels : Mapping[str, ndarray]
        int64 of shape (n,) per split.
    length : int
        Values per embedding, l.
    weight_decay : float
        Of the foundation model: lambda of least squares.
    cached : bool
        Whether the cache has them.
    """

    fm: str
    dataset: str
    fingerprint: str
    labels: Mapping[str, np.ndarray]
    length: int
    weight_decay: float
    cached: bool

    def n(self, split: str) -> int:
        """Return the number of rows of `split`."""
        return len(self.labels[split])

"""What a reader of embeddings is."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np


class ArrayReader(Protocol):
    """Embeddings and labels of two splits in one file, or in one per split.

    What a reader hands over is not checked yet; it raises DataError where the
    file is damaged or lacks something.
    """

    @property
    def files(self) -> Mapping[str, Path]:
        """File of "train" and of "test", which may be the same."""

    def place(self, split: str, what: str) -> str:
        """Return where `what`, "embeddings" or "labels", are: file and array, for messages."""

    def facts(self, split: str) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype of the embeddings of `split`, without reading them all."""

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of `split`, as they are."""

    def embeddings(self, split: str) -> np.ndarray:
        """Return the embeddings of `split`: float32 of shape (n, length)."""

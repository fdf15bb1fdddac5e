"""Embeddings in a NumPy archive."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imprint_bench.data.reading.files import npz_array, npz_header


@dataclass(frozen=True)
class NpzReader:
    """An npz file with SPLIT_embeddings and SPLIT_labels for two splits.

    Attributes
    ----------
    path : Path
    splits : Mapping[str, str]
        The prefix that "train" and "test" have in the file.
    """

    path: Path
    splits: Mapping[str, str]

    @property
    def files(self) -> Mapping[str, Path]:
        """The file, for both splits."""
        return dict.fromkeys(self.splits, self.path)

    def place(self, split: str, what: str) -> str:
        """Return the file and the name of the array."""
        return f"{self.path.absolute()}, array {self._name(split, what)}"

    def facts(self, split: str) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype, from the header of the array."""
        shape, dtype = npz_header(self.path, self._name(split, "embeddings"))
        return shape, str(dtype)

    def labels(self, split: str) -> np.ndarray:
        """Return the array of labels."""
        return npz_array(self.path, self._name(split, "labels"))

    def embeddings(self, split: str) -> np.ndarray:
        """Return the array of embeddings as float32."""
        X = npz_array(self.path, self._name(split, "embeddings"))
        with np.errstate(over="ignore"):  # what does not fit becomes infinite and is then refused
            return X.astype(np.float32, copy=False)

    def _name(self, split: str, what: str) -> str:
        return f"{self.splits[split]}_{what}"

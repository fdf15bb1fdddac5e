"""Embeddings that the user computed elsewhere, in one npz file."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import SPLITS, checked_labels
from imprint_bench.data.files import content_hash, existing, npz_array, npz_header
from imprint_bench.errors import DataError


@dataclass(frozen=True)
class PrecomputedArrays:
    """An npz file with train_embeddings, train_labels, test_embeddings and test_labels.

    Attributes
    ----------
    path : Path
        The file.
    """

    path: Path

    def check(self) -> "PrecomputedArrays":
        """Return itself if the four arrays fit together; reads their headers only.

        Raises
        ------
        DataError
            If the file or an array is missing, not numeric or of the wrong shape.
        """
        existing(
            self.path,
            remedy="write it with numpy.savez(file, train_embeddings=..., train_labels=..., "
            "test_embeddings=..., test_labels=...), or mend the parameter file of the "
            "foundation model",
        )
        lengths = {split: self._shape(split)[1] for split in SPLITS}
        if lengths["train"] != lengths["test"]:
            raise DataError(
                f"{self.path.absolute()}: train_embeddings have {lengths['train']} values per row, "
                f"test_embeddings {lengths['test']}; expected as many."
            )
        return self

    @property
    def length(self) -> int:
        """Values per embedding."""
        return self._shape("train")[1]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the file."""
        return content_hash(self.path)

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of `split`: int64 of shape (n,)."""
        name = f"{split}_labels"
        labels = checked_labels(
            npz_array(self.path, name), at=f"{self.path.absolute()}, array {name}"
        )
        rows = self._shape(split)[0]
        if len(labels) != rows:
            raise DataError(
                f"{self.path.absolute()}: {len(labels)} {name} for {rows} {split}_embeddings; "
                "expected one label per row."
            )
        return labels

    def embeddings(self, split: str) -> np.ndarray:
        """Return the embeddings of `split`: float32 of shape (n, length)."""
        self._shape(split)
        with np.errstate(over="ignore"):  # what does not fit becomes infinite and is then refused
            return npz_array(self.path, f"{split}_embeddings").astype(np.float32)

    def _shape(self, split: str) -> tuple[int, int]:
        name = f"{split}_embeddings"
        shape, dtype = npz_header(self.path, name)
        if len(shape) != 2 or min(shape) < 1 or dtype.kind not in "fiu":
            raise DataError(
                f"{self.path.absolute()}: {name} is {dtype} of shape {shape}; "
                "expected numbers of shape (rows, values per embedding), at least one of each."
            )
        return shape[0], shape[1]

"""Embeddings that the user computed elsewhere, in files of several formats."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import SPLITS, checked_labels, digest
from imprint_bench.data.reading.array_readers.npz import NpzReader
from imprint_bench.data.reading.array_readers.parquet import ParquetReader
from imprint_bench.data.reading.array_readers.protocol import ArrayReader
from imprint_bench.data.reading.array_readers.safetensors import SafetensorsReader
from imprint_bench.data.reading.files import content_hash, existing, given_path
from imprint_bench.errors import ConfigError, DataError, did_you_mean

ARRAYS = "train_embeddings{0}..., train_labels{0}..., test_embeddings{0}..., test_labels{0}..."
WRITTEN_WITH = {
    ".npz": f"numpy.savez(file, {ARRAYS.format('=')})",
    ".safetensors": f"safetensors.numpy.save_file({{{ARRAYS.format(': ')}}}, file)",
    ".parquet": "pandas.DataFrame.to_parquet (columns embedding, label and split)",
}


@dataclass(frozen=True)
class PrecomputedArrays:
    """Embeddings and labels of a "train" and a "test" split.

    Attributes
    ----------
    reader : ArrayReader
        Of the format that the file has.
    splits : Mapping[str, str]
        What "train" and "test" are called in the file.
    columns : tuple of str
        Those of embeddings and labels in a parquet file.
    """

    reader: ArrayReader
    splits: Mapping[str, str]
    columns: tuple[str, ...]

    @property
    def path(self) -> Path:
        """The file of the training embeddings, for messages."""
        return self.reader.files["train"]

    def check(self) -> "PrecomputedArrays":
        """Return itself if the embeddings of both splits fit together; reads no labels.

        Raises
        ------
        DataError
            If a file or an array is missing, not numeric or of the wrong shape.
        """
        for path in self.reader.files.values():
            how = WRITTEN_WITH[path.suffix.lower()]
            existing(
                path,
                remedy=f"write it with {how}, or mend the parameter file of the foundation model",
            )
        lengths = {split: self._shape(split)[1] for split in SPLITS}
        if lengths["train"] != lengths["test"]:
            train, test = (f"{self.splits[split]}_embeddings" for split in SPLITS)
            raise DataError(
                f"{self.path.absolute()}: {train} have {lengths['train']} values per row, "
                f"{test} {lengths['test']}; expected as many."
            )
        return self

    @property
    def length(self) -> int:
        """Values per embedding."""
        return self._shape("train")[1]

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the files, and of what in them is read unless by default."""
        files = [content_hash(path) for path in dict.fromkeys(self.reader.files.values())]
        parameters: dict[str, object] = {}
        if self.splits != {split: split for split in SPLITS}:
            parameters["splits"] = dict(self.splits)
        if self.columns != COLUMNS:
            parameters["columns"] = self.columns
        return files[0] if len(files) == 1 and not parameters else digest(files=files, **parameters)

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of `split`: int64 of shape (n,)."""
        at = self.reader.place(split, "labels")
        labels = self.reader.labels(split)
        if labels.dtype.kind in "US":
            raise DataError(
                f"{at}: {labels.dtype} such as {str(labels.flat[0])!r}; expected whole numbers, "
                "for instance numpy.unique(labels, return_inverse=True)[1]."
            )
        labels = checked_labels(labels, at=at)
        rows = self._shape(split)[0]
        if len(labels) != rows:
            name = self.splits[split]
            raise DataError(
                f"{self.reader.files[split].absolute()}: {len(labels)} {name}_labels for {rows} "
                f"{name}_embeddings; expected one label per row."
            )
        return labels

    def embeddings(self, split: str) -> np.ndarray:
        """Return the embeddings of `split`: float32 of shape (n, length)."""
        self._shape(split)
        return self.reader.embeddings(split)

    def _shape(self, split: str) -> tuple[int, int]:
        shape, dtype = self.reader.facts(split)
        if len(shape) != 2 or min(shape) < 1 or not ("int" in dtype or "float" in dtype):
            raise DataError(
                f"{self.reader.files[split].absolute()}: {self.splits[split]}_embeddings is "
                f"{dtype} of shape {shape}; "
                "expected numbers of shape (rows, values per embedding), at least one of each."
            )
        return shape[0], shape[1]


COLUMNS = ("embedding", "label")


def open_arrays(
    file: str, *, splits: Mapping[str, str], columns: tuple[str, str] = COLUMNS
) -> PrecomputedArrays:
    """Return the arrays in a file of embeddings, which are not read yet.

    Parameters
    ----------
    file : str
        Its ending tells the format. ``{split}`` in the name of a parquet file stands for
        the name of a split, for a file per split.
    splits : Mapping[str, str]
        What "train" and "test" are called in the file.
    columns : tuple of str
        Those of embeddings and labels in a parquet file.

    Raises
    ------
    ConfigError
        If the path is empty, the ending is none of those known, or a parameter does not go with it.
    """
    ending = given_path(file, at="precomputed.file").suffix.lower()
    if ending not in WRITTEN_WITH:
        raise ConfigError(
            f"{file}: unknown ending {ending!r}; expected {', '.join(WRITTEN_WITH)}."
            + did_you_mean(ending, WRITTEN_WITH)
        )
    if ending == ".parquet":
        files = {split: Path(file.replace("{split}", name)) for split, name in splits.items()}
        return PrecomputedArrays(ParquetReader(files, splits, *columns), splits, columns)
    if columns != COLUMNS:
        raise ConfigError(
            f"{file}: embedding_column and label_column are {columns[0]!r} and {columns[1]!r}, but "
            "only parquet files have columns; leave them at their defaults."
        )
    reader: ArrayReader
    reader = (NpzReader if ending == ".npz" else SafetensorsReader)(Path(file), splits)
    return PrecomputedArrays(reader, splits, columns)

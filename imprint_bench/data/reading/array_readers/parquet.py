"""Embeddings in parquet files: a column of lists, a column of labels."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.reading.class_names import class_label_names, numbered
from imprint_bench.data.reading.parquet_files import group_sizes, opened, read_column, schema_of
from imprint_bench.errors import DataError, did_you_mean

SPLIT_COLUMN = "split"


@dataclass(frozen=True)
class ParquetReader:
    """One file per split, or one file whose column ``split`` names that of each row.

    Attributes
    ----------
    files : Mapping[str, Path]
        File of "train" and of "test"; if they are the same, the column ``split`` is read.
    splits : Mapping[str, str]
        What "train" and "test" are called in that column.
    embedding_column, label_column : str
    """

    files: Mapping[str, Path]
    splits: Mapping[str, str]
    embedding_column: str
    label_column: str

    def place(self, split: str, what: str) -> str:
        """Return the file, the column and, in a file of several splits, which one."""
        column = self.embedding_column if what == "embeddings" else self.label_column
        of = f" of split {self.splits[split]}" if self._together else ""
        return f"{self.files[split].absolute()}, column {column!r}{of}"

    def facts(self, split: str) -> tuple[tuple[int, ...], str]:
        """Return the shape, from the number of rows and the first embedding, and the dtype."""
        path = self.files[split]
        kind = self._list_type(path)
        rows = int(self._mask(split).sum()) if self._together else sum(group_sizes(path))
        return (rows, self._length(path, kind)), str(kind.value_type).replace("double", "float64")

    def labels(self, split: str) -> np.ndarray:
        """Return the column of labels as whole numbers."""
        path = self.files[split]
        values = self._rows(split, read_column(path, self.label_column))
        return numbered(
            values,
            class_label_names(schema_of(path), self.label_column),
            at=self.place(split, "labels"),
            remedy="number the classes, for instance with pandas.factorize(labels, sort=True)",
        )

    def embeddings(self, split: str) -> np.ndarray:
        """Return the column of embeddings as float32."""
        from pyarrow import compute

        path = self.files[split]
        length = self._length(path, self._list_type(path))
        values = self._rows(split, read_column(path, self.embedding_column))
        lengths = compute.list_value_length(values).to_numpy()
        wrong = lengths != length  # a missing embedding has a length of NaN
        if wrong.any():
            row = int(np.argmax(wrong))
            has = "none" if values[row].as_py() is None else f"one of {int(lengths[row])} values"
            raise DataError(
                f"{self.place(split, 'embeddings')}: {has} in row {row}; expected {length} values "
                "like the first row."
            )
        flat = compute.list_flatten(values)
        with np.errstate(over="ignore"):  # what does not fit becomes infinite and is then refused
            X = flat.to_numpy().astype(np.float32, copy=False)
        return X.reshape(len(values), length)

    @property
    def _together(self) -> bool:
        return self.files["train"] == self.files["test"]

    def _list_type(self, path: Path) -> Any:
        """Return the type of the column of embeddings, which must be lists of numbers."""
        from pyarrow import types

        with opened(path, self.embedding_column) as file:
            kind = file.schema_arrow.field(self.embedding_column).type
        lists = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if not lists or not (
            types.is_floating(kind.value_type) or types.is_integer(kind.value_type)
        ):
            raise DataError(
                f"{path.absolute()}: column {self.embedding_column!r} is {kind}; expected lists of "
                "numbers, each the embedding of a row."
            )
        return kind

    def _length(self, path: Path, kind: Any) -> int:
        """Return the values of an embedding: as the type says, or as many as the first has."""
        from pyarrow import types

        if types.is_fixed_size_list(kind):
            return kind.list_size
        with opened(path, self.embedding_column) as file:
            batches = file.iter_batches(batch_size=1, columns=[self.embedding_column])
            first = next((batch[self.embedding_column][0].as_py() for batch in batches), None)
        return len(first or ())

    def _rows(self, split: str, values: Any) -> Any:
        """Return those of all `values` of a file that belong to the split."""
        return values.filter(self._mask(split)) if self._together else values

    def _mask(self, split: str) -> Any:
        """Return which rows of the file belong to the split: a pyarrow array of booleans."""
        import pyarrow
        from pyarrow import compute

        path, wanted = self.files[split], self.splits[split]
        column = compute.cast(read_column(path, SPLIT_COLUMN), pyarrow.string())
        mask = compute.fill_null(compute.equal(column, wanted), False).combine_chunks()
        if not compute.any(mask).as_py():
            there = sorted(name for name in column.unique().to_pylist() if name is not None)
            raise DataError(
                f"{path.absolute()}: no rows with {SPLIT_COLUMN} {wanted!r}; there are "
                f"{', '.join(there) or 'none'}.{did_you_mean(wanted, there)}"
            )
        return mask

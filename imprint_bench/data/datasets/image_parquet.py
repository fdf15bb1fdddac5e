"""Parquet shards of encoded images, the layout of Hugging Face image datasets."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset, Shape, digest
from imprint_bench.data.decoding import decoded, shape_of
from imprint_bench.data.files import content_hash, identity
from imprint_bench.errors import DataError, did_you_mean

Shards = dict[str, tuple[Path, ...]]


@DATASETS.register("image_parquet")
def image_parquet(
    *, folder: str, image_column: str = "image", label_column: str = "label"
) -> ImageDataset:
    """Return a dataset from a folder of train-*.parquet and test-*.parquet.

    Parameters
    ----------
    folder : str
        Holds the shards; those of one split are read in the order of their names.
    image_column : str
        Column of encoded images (PNG, JPEG, ...): bytes, or a struct with a field ``bytes``.
        The first training image settles size and channels for all.
    label_column : str
        Column of whole numbers.

    Raises
    ------
    DataError
        If a shard is missing. Damaged files are found when they are read.
    """
    shards = {split: _shards(Path(folder), split) for split in SPLITS}
    return ImageDataset(
        where=str(Path(folder).absolute()),
        read_labels=partial(_labels, shards, label_column),
        read_images=partial(_images, shards, image_column),
        read_shape=lambda: _shape(shards["train"], image_column),
        read_fingerprint=lambda: digest(
            shards={split: [content_hash(p) for p in shards[split]] for split in SPLITS},
            columns=[image_column, label_column],
        ),
    )


def _shards(folder: Path, split: str) -> tuple[Path, ...]:
    paths = tuple(sorted(folder.glob(f"{split}-*.parquet")))
    if not paths:
        raise DataError(
            f"{(folder / split).absolute()}-*.parquet: no such file; put the parquet shards of the "
            "dataset (from huggingface.co/datasets) there, or set paths.data=FOLDER to the folder "
            "that has them."
        )
    promised = re.search(r"-of-(\d+)$", paths[0].stem)
    if promised and int(promised[1]) != len(paths):
        raise DataError(
            f"{folder.absolute()}: {len(paths)} of {int(promised[1])} shards {split}-*.parquet; "
            "fetch the others, or remove those that do not belong there."
        )
    return paths


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises on a damaged file into one sentence."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            f"{path.absolute()}: not a whole parquet file ({reason}); fetch the file again."
        ) from error


def _opened(path: Path, column: str) -> Any:
    from pyarrow.parquet import ParquetFile

    with _explained(path):
        file = ParquetFile(path)
    names = file.schema_arrow.names
    if column not in names:
        raise DataError(
            f"{path.absolute()}: no column {column!r}; it holds {', '.join(names)}."
            + did_you_mean(column, names)
        )
    return file


def _labels(shards: Shards, column: str, split: str) -> np.ndarray:
    parts = []
    for path in shards[split]:
        with _opened(path, column) as file, _explained(path):
            values = file.read(columns=[column])[column]
        if values.null_count:
            raise DataError(
                f"{path.absolute()}: {values.null_count} rows without a {column}; "
                "expected whole numbers from 0 on."
            )
        parts.append(values.to_numpy())
    return np.concatenate(parts)


def _images(shards: Shards, column: str, split: str, start: int, stop: int) -> np.ndarray:
    shape = _shape(shards["train"], column)
    blobs = _blobs(shards[split], column, start, stop)
    images = [decoded(blob, shape, at=at) for blob, at in blobs]
    return np.stack(images) if images else np.empty((0, *shape), dtype=np.uint8)


def _shape(train: tuple[Path, ...], column: str) -> Shape:
    return _first_shape(train, column, identity(train[0]))


@lru_cache(maxsize=8)
def _first_shape(train: tuple[Path, ...], column: str, _identity: tuple[int, int, int]) -> Shape:
    for blob, at in _blobs(train, column, 0, 1):
        return shape_of(blob, at=at)
    raise DataError(f"{train[0].absolute()}: no rows; expected at least one.")


def _blobs(
    paths: tuple[Path, ...], column: str, start: int, stop: int
) -> Iterator[tuple[bytes | None, str]]:
    """Yield the encoded images `start` to `stop` of a split, each with its file and row."""
    first = 0  # row of the split with which the row group starts
    for path in paths:
        row = 0  # and its row within the file
        for group, size in enumerate(_group_sizes(path, identity(path))):
            low, high = max(start - first, 0), min(stop - first, size)
            if low < high:
                column_of_group = _row_group(path, column, group, identity(path))
                for i in range(low, high):
                    yield column_of_group[i].as_py(), f"{path.absolute()}, row {row + i}"
            first, row = first + size, row + size


@lru_cache(maxsize=64)
def _group_sizes(path: Path, _identity: tuple[int, int, int]) -> tuple[int, ...]:
    from pyarrow.parquet import ParquetFile

    with _explained(path), ParquetFile(path) as file:
        metadata = file.metadata
        return tuple(metadata.row_group(i).num_rows for i in range(metadata.num_row_groups))


@lru_cache(maxsize=1)  # neighboring chunks lie in one row group
def _row_group(path: Path, column: str, group: int, _identity: tuple[int, int, int]) -> Any:
    """Return the encoded images of one row group: a pyarrow array of binary."""
    import pyarrow

    with _opened(path, column) as file, _explained(path):
        values = file.read_row_group(group, columns=[column])[column].combine_chunks()
    if pyarrow.types.is_struct(values.type) and values.type.get_field_index("bytes") >= 0:
        values = values.field("bytes")
    if not (pyarrow.types.is_binary(values.type) or pyarrow.types.is_large_binary(values.type)):
        raise DataError(
            f"{path.absolute()}: column {column!r} is {values.type}; "
            "expected encoded images, a struct with a field bytes."
        )
    return values

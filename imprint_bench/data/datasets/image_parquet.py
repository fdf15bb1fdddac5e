"""Parquet shards of encoded images, the layout of Hugging Face image datasets."""

from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset, Images, Shape, digest
from imprint_bench.data.reading.class_names import class_label_names, numbered, unique_names
from imprint_bench.data.reading.decoding import Channels, decoded_all, shape_of_first
from imprint_bench.data.reading.files import content_hash, given_path, identity
from imprint_bench.data.reading.parquet_files import group_sizes, opened, read_column, schema_of
from imprint_bench.data.reading.shards import Shards, find_shards
from imprint_bench.errors import DataError

Names = tuple[str, ...] | None


@DATASETS.register("image_parquet")
def image_parquet(
    *,
    folder: str,
    image_column: str = "image",
    label_column: str = "label",
    train_split: str = "train",
    test_split: str = "test",
    channels: Channels | None = None,
    class_names: list[str] | list[int] | None = None,
) -> ImageDataset:
    """Return a dataset from a folder of parquet files, one or several per split.

    Parameters
    ----------
    folder : str
        Holds train-*.parquet or train.parquet, and as many kinds for test, or has a folder
        ``data`` that does; shards of one split are read in the order of their names.
    image_column : str
        Column of encoded images (PNG, JPEG, ...) of any sizes: bytes, or a struct with
        a field ``bytes``.
    label_column : str
        Column of whole numbers, or of names of classes.
    train_split, test_split : str
        Splits of the folder that are trained and tested on, such as train and validation.
    channels : 1, 3 or None
        1 reads grey, 3 color; None as the first training image is.
    class_names : list of str, list of int, or None
        Names of classes 0, 1, 2, ...; a number stands for the text of its digits. None takes
        those of a Hugging Face ClassLabel in the files' metadata. Labels that are names are
        numbered in this order.

    Raises
    ------
    DataError
        If a shard is missing, or reached by two names. Damaged files are found when they are read.
    """
    place = given_path(folder, at="image_parquet.folder")
    shards = find_shards(place, {"train": train_split, "test": test_split})
    given = None
    if class_names is not None:
        given = unique_names([*map(str, class_names)], at="image_parquet.class_names")
    return ImageDataset(
        where=str(place.absolute()),
        read_labels=lambda split: _labels(
            shards[split], label_column, _names(shards, label_column, given)
        ),
        read_images=partial(_images, shards, image_column, channels),
        read_shape=lambda: _shape(shards["train"], image_column, channels),
        read_fingerprint=lambda: _fingerprint(
            shards,
            columns=[image_column, label_column],
            **({} if channels is None else {"channels": channels}),
            **({} if given is None else {"class_names": given}),
        ),
        class_names=lambda: _names(shards, label_column, given) or (),
    )


def _fingerprint(shards: Shards, **parameters: Any) -> str:
    """Return the digest of all shards and of what settles how they are read.

    Parameters that have their default are left out, so that a new one renames nothing.
    """
    hashes = {split: [content_hash(path) for path in shards[split]] for split in SPLITS}
    seen: dict[str, Path] = {}
    for split in SPLITS:
        for path, content in zip(shards[split], hashes[split], strict=True):
            if content in seen:
                raise DataError(
                    f"{path.absolute()}: a copy of {seen[content].name}, the same images twice; "
                    "remove one."
                )
            seen[content] = path
    return digest(shards=hashes, **parameters)


def _names(shards: Shards, column: str, given: Names) -> Names:
    """Return the names of classes: those given, else those in the metadata of the shards."""
    if given is not None:
        return given
    names: Names = None
    source: Path | None = None
    for path in (*shards["train"], *shards["test"]):
        found = class_label_names(schema_of(path), column)
        if found is None:
            continue
        if names is not None and found != names:
            raise DataError(
                f"{path.absolute()}: other class names in column {column!r} than in "
                f"{source}; expected the same in all files, or set dataset.NAME.class_names."
            )
        names, source = found, path.absolute()
    return names


def _labels(paths: tuple[Path, ...], column: str, names: Names) -> np.ndarray:
    return np.concatenate(
        [
            numbered(
                read_column(path, column),
                names,
                at=f"{path.absolute()}, column {column!r}",
                remedy="list them in dataset.NAME.class_names in the order of their numbers",
            )
            for path in paths
        ]
    )


def _images(
    shards: Shards, column: str, channels: int | None, split: str, start: int, stop: int
) -> Images:
    shape = _shape(shards["train"], column, channels)
    pieces = list(_pieces(shards[split], column, start, stop))
    places = [(path, first + i) for path, first, blobs in pieces for i in range(len(blobs))]
    images = decoded_all(
        (blob for _, _, blobs in pieces for blob in blobs),
        channels=shape[2],
        at=lambda i: f"{places[i][0].absolute()}, row {places[i][1]}",
    )
    return images if len(images) else np.empty((0, *shape), dtype=np.uint8)


def _shape(train: tuple[Path, ...], column: str, channels: int | None) -> Shape:
    return _first_shape(train, column, channels, identity(train[0]))


@lru_cache(maxsize=8)
def _first_shape(
    train: tuple[Path, ...], column: str, channels: int | None, _identity: tuple[int, int, int]
) -> Shape:
    if not any(sum(group_sizes(path)) for path in train):
        raise DataError(f"{train[0].absolute()}: no rows; expected at least one.")
    blobs = (
        (blob, f"{path.absolute()}, row {first + i}")
        for path, first, piece in _pieces(train, column, 0, sum(map(sum, map(group_sizes, train))))
        for i, blob in enumerate(piece)
    )
    return shape_of_first(blobs, channels=channels)


def _pieces(
    paths: tuple[Path, ...], column: str, start: int, stop: int
) -> Iterator[tuple[Path, int, list[bytes | None]]]:
    """Yield rows `start` to `stop` of a split: file, row within the file, encoded images."""
    first = 0  # row of the split with which the row group starts
    for path in paths:
        row = 0  # and its row within the file
        for group, size in enumerate(group_sizes(path)):
            low, high = max(start - first, 0), min(stop - first, size)
            if low < high:
                values = _row_group(path, column, group, identity(path))
                yield path, row + low, values.slice(low, high - low).to_pylist()
            first, row = first + size, row + size


@lru_cache(maxsize=1)  # neighboring pieces lie in one row group
def _row_group(path: Path, column: str, group: int, _identity: tuple[int, int, int]) -> Any:
    """Return the encoded images of one row group: a pyarrow ChunkedArray of binary."""
    from pyarrow import compute, types

    with opened(path, column) as file:
        values = file.read_row_group(group, columns=[column])[column]
    if types.is_struct(values.type) and values.type.get_field_index("bytes") >= 0:
        values = compute.struct_field(values, "bytes")
    if not (types.is_binary(values.type) or types.is_large_binary(values.type)):
        raise DataError(
            f"{path.absolute()}: column {column!r} is {values.type}; "
            "expected encoded images, a struct with a field bytes."
        )
    return values

"""Datasets as their authors publish them: where their files lie, and files that are read whole."""

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import SPLITS, ImageDataset, Shape, digest
from imprint_bench.data.reading.files import content_hash, identity
from imprint_bench.errors import DataError

Piece = tuple[Path, ...]  # files that are read together
Read = Callable[..., tuple[np.ndarray, np.ndarray]]


def folder_with(root: Path, folders: Sequence[str], names: Sequence[str]) -> Path:
    """Return the one of `folders` below `root` that has most of the files `names`.

    The first of them if several have as many: where they belong if there are none.
    """
    there = {folder: sum((root / folder / name).is_file() for name in names) for folder in folders}
    return root / max(folders, key=lambda folder: there[folder])


def absent(folder: Path, names: Sequence[str]) -> list[Path]:
    """Return the places of those files `names` that `folder` lacks."""
    return [folder / name for name in names if not (folder / name).is_file()]


def numbered_from_zero(labels: np.ndarray, *, first: int, n_classes: int, path: Path) -> np.ndarray:
    """Return labels that start with `first` as int64 of 0 to `n_classes` - 1.

    Raises
    ------
    DataError
        If a label is outside; `path` is the file it comes from.
    """
    wrong = (labels < first) | (labels > first + n_classes - 1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{path.absolute()}: label {labels[row]} in row {row}; expected {first} to "
            f"{first + n_classes - 1}, fetch the file again."
        )
    return labels.astype(np.int64) - first


def array_dataset(
    folder: Path, pieces: Mapping[str, Sequence[Piece]], *, read: Read, shape: Shape
) -> ImageDataset:
    """Return a dataset from files that can only be read whole, one or several per split.

    Parameters
    ----------
    folder : Path
        For messages.
    pieces : Mapping[str, sequence of tuples of Path]
        Per split, in order; the files of one tuple are read together.
    read : callable
        ``(*files of a piece) -> images, labels``: uint8 (n, *shape) and int64 (n,). A
        function of a module, so that what it returns can be kept from one call to the next.
        One piece's images are kept, and the labels of many.
    shape : tuple of int
        Of one image: height, width, channels.
    """
    return ImageDataset(
        where=str(folder.absolute()),
        read_labels=lambda split: np.concatenate([_labels(read, p) for p in pieces[split]]),
        read_images=lambda split, start, stop: _images(read, pieces[split], shape, start, stop),
        read_shape=lambda: shape,
        read_fingerprint=lambda: digest(
            files={
                split: [content_hash(p) for piece in pieces[split] for p in piece]
                for split in SPLITS
            }
        ),
    )


def _images(read: Read, pieces: Sequence[Piece], shape: Shape, start: int, stop: int) -> np.ndarray:
    found, first = [np.empty((0, *shape), dtype=np.uint8)], 0
    for piece in pieces:
        size = len(_labels(read, piece))
        low, high = max(start - first, 0), min(stop - first, size)
        if low < high:
            found.append(_kept(read, piece, tuple(map(identity, piece)))[0][low:high])
        first += size
    return np.ascontiguousarray(np.concatenate(found))


def _labels(read: Read, piece: Piece) -> np.ndarray:
    return _kept_labels(read, piece, tuple(map(identity, piece)))


@lru_cache(maxsize=1)
def _kept(read: Read, piece: Piece, _identities: tuple) -> tuple[np.ndarray, np.ndarray]:
    images, labels = read(*piece)
    if len(images) != len(labels):
        raise DataError(
            f"{piece[-1].absolute()}: {len(labels)} labels for {len(images)} images; expected one "
            "label per image, fetch the file again."
        )
    return images, labels


@lru_cache(maxsize=64)
def _kept_labels(read: Read, piece: Piece, _identities: tuple) -> np.ndarray:
    labels = _kept(read, piece, _identities)[1]
    labels.setflags(write=False)
    return labels

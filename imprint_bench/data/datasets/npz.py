"""One npz file with images and labels of all splits, the layout of MedMNIST."""

from functools import partial
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import CHANNELS, DATASETS, SPLITS, ImageDataset, Shape, digest
from imprint_bench.data.reading.files import content_hash, existing, npz_array, npz_header
from imprint_bench.data.reading.npz_rows import npz_rows
from imprint_bench.data.reading.shards import check_different
from imprint_bench.errors import DataError


@DATASETS.register("npz")
def npz(*, file: str, train_split: str = "train", test_split: str = "test") -> ImageDataset:
    """Return a dataset from an npz file as MedMNIST has it.

    Parameters
    ----------
    file : str
        Holds train_images, test_images (uint8 of shape (n, h, w) or (n, h, w, 3))
        and train_labels, test_labels (whole numbers, (n,) or (n, 1)). Other
        arrays are left alone.
    train_split, test_split : str
        Prefix of the arrays that are trained and tested on, such as train and val.

    Raises
    ------
    DataError
        If the file is missing. Damaged arrays are found when they are read.

    References
    ----------
    J. Yang et al., "MedMNIST v2: a large-scale lightweight benchmark for 2D and 3D
    biomedical image classification", Scientific Data 10, 2023.
    """
    path = existing(
        Path(file),
        remedy="put an npz file in MedMNIST's layout there, or set paths.data=FOLDER to the "
        "folder that has it",
    )
    prefixes = {"train": train_split, "test": test_split}
    check_different(prefixes, kind="npz")
    return ImageDataset(
        where=str(path.absolute()),
        read_labels=lambda split: _labels(path, prefixes[split]),
        read_images=lambda split, start, stop: _images(path, prefixes[split], start, stop),
        read_shape=lambda: _shape(path, train_split)[1],
        read_fingerprint=partial(_fingerprint, path, prefixes),
    )


def _fingerprint(path: Path, prefixes: dict[str, str]) -> str:
    """Return the hash of the file, together with the prefixes unless they are the usual ones."""
    if prefixes == {split: split for split in SPLITS}:
        return content_hash(path)
    return digest(file=content_hash(path), splits=prefixes)


def _shape(path: Path, split: str) -> tuple[int, Shape]:
    """Return the number of images of `split` and the shape of one."""
    name = f"{split}_images"
    shape, dtype = npz_header(path, name)
    grey = len(shape) == 3
    if dtype != np.uint8 or not (grey or (len(shape) == 4 and shape[3] in CHANNELS)):
        raise DataError(
            f"{path.absolute()}: {name} is {dtype} of shape {shape}; "
            "expected uint8 of shape (n, h, w) or (n, h, w, 3)."
        )
    return shape[0], (shape[1], shape[2], 1 if grey else shape[3])


def _labels(path: Path, split: str) -> np.ndarray:
    labels = npz_array(path, f"{split}_labels")
    rows, _ = _shape(path, split)
    if labels.ndim and len(labels) != rows:
        raise DataError(
            f"{path.absolute()}: {len(labels)} {split}_labels for {rows} {split}_images; "
            "expected one label per image."
        )
    if labels.dtype.kind in "US":
        raise DataError(
            f"{path.absolute()}: {split}_labels is {labels.dtype} such as {str(labels.flat[0])!r}; "
            "expected whole numbers, for instance numpy.unique(labels, return_inverse=True)[1]."
        )
    return labels


def _images(path: Path, split: str, start: int, stop: int) -> np.ndarray:
    _, shape = _shape(path, split)
    return npz_rows(path, f"{split}_images", start, stop).reshape(-1, *shape)

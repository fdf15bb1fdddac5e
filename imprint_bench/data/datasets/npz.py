"""One npz file with images and labels of all splits, the layout of MedMNIST."""

from functools import lru_cache, partial
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import CHANNELS, DATASETS, ImageDataset, Shape
from imprint_bench.data.files import content_hash, existing, identity, npz_array, npz_header
from imprint_bench.errors import DataError


@DATASETS.register("npz")
def npz(*, file: str) -> ImageDataset:
    """Return a dataset from an npz file as MedMNIST has it.

    Parameters
    ----------
    file : str
        Holds train_images, test_images (uint8 of shape (n, h, w) or (n, h, w, 3))
        and train_labels, test_labels (whole numbers, (n,) or (n, 1)). Other
        arrays, such as a validation split, are left alone.

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
    return ImageDataset(
        where=str(path.absolute()),
        read_labels=partial(_labels, path),
        read_images=lambda split, start, stop: _all_images(path, split, identity(path))[start:stop],
        read_shape=lambda: _shape(path, "train")[1],
        read_fingerprint=partial(content_hash, path),
    )


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
    return labels


@lru_cache(maxsize=1)  # an array in an npz file can only be read whole
def _all_images(path: Path, split: str, _identity: tuple[int, int, int]) -> np.ndarray:
    rows, shape = _shape(path, split)
    return npz_array(path, f"{split}_images").reshape(rows, *shape)

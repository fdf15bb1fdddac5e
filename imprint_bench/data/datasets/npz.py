"""One npz file with images and labels of all splits, the layout of MedMNIST."""

import difflib
from functools import partial
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import CHANNELS, DATASETS, SPLITS, ImageDataset, Shape, digest
from imprint_bench.data.reading.files import (
    content_hash,
    existing,
    given_path,
    npz_array,
    npz_header,
    npz_names,
)
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
        given_path(file, at="npz.file"),
        remedy="put an npz file in MedMNIST's layout there, or set paths.data=FOLDER to the "
        "folder that has it",
    )
    prefixes = {"train": train_split, "test": test_split}
    check_different(prefixes, kind="npz")
    return ImageDataset(
        where=str(path.absolute()),
        read_labels=lambda split: _labels(path, prefixes, split),
        read_images=lambda split, start, stop: _images(path, prefixes[split], start, stop),
        read_shape=lambda: _shape_of_both(path, prefixes),
        read_fingerprint=partial(_fingerprint, path, prefixes),
    )


def _fingerprint(path: Path, prefixes: dict[str, str]) -> str:
    """Return the hash of the file, together with the prefixes unless they are the usual ones."""
    if prefixes == {split: split for split in SPLITS}:
        return content_hash(path)
    return digest(file=content_hash(path), splits=prefixes)


def _shape_of_both(path: Path, prefixes: dict[str, str]) -> Shape:
    """Return the shape of a training image; test images have as many channels."""
    _check_split(path, prefixes, "train")
    shape = _shape(path, prefixes["train"])[1]
    test = f"{prefixes['test']}_images"
    if test in npz_names(path, test):
        other = _shape(path, prefixes["test"])[1]
        if other[2] != shape[2]:
            kinds = {1: "grey", 3: "in color"}
            raise DataError(
                f"{path.absolute()}: {prefixes['train']}_images are {kinds[shape[2]]}, {test} "
                f"{kinds[other[2]]}; expected as many channels in both."
            )
    return shape


def _check_split(path: Path, prefixes: dict[str, str], split: str) -> None:
    """Raise DataError if the file has nothing of a split, but has another one instead."""
    prefix, wanted = prefixes[split], f"{prefixes[split]}_images"
    names = npz_names(path, wanted)
    if any(name.startswith(f"{prefix}_") for name in names):
        return
    whole = [name.removesuffix("_images") for name in names if name.endswith("_images")]
    whole = [p for p in whole if f"{p}_labels" in names and p not in prefixes.values()]
    if whole:
        near = difflib.get_close_matches(prefix, whole, n=1) or whole
        key = f"dataset.NAME.{split}_split={' or '.join(near)}"
        raise DataError(
            f"{path.absolute()}: no array {wanted!r}; it holds {', '.join(names)}, so set {key}."
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


def _labels(path: Path, prefixes: dict[str, str], of: str) -> np.ndarray:
    _check_split(path, prefixes, of)
    split = prefixes[of]
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

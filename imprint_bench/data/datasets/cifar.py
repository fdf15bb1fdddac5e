"""CIFAR-10 and CIFAR-100 in every layout in which they are handed around."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from imprint_bench.data.dataset import DATASETS, ImageDataset
from imprint_bench.data.datasets.image_parquet import image_parquet
from imprint_bench.data.fetching.downloads import Download, MissingFilesError, missing
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.data.reading.array_pickle import load_arrays
from imprint_bench.data.reading.files import absence, given_path
from imprint_bench.data.reading.parquet_files import schema_of
from imprint_bench.data.reading.published import Read, absent, array_dataset, numbered_from_zero
from imprint_bench.data.reading.shards import find_shards
from imprint_bench.errors import DataError

SHAPE = (32, 32, 3)
VALUES = 3 * 32 * 32

# Columns of the parquet files, in the order of preference.
IMAGE_COLUMNS = ("image", "img")
LABEL_COLUMNS = {10: ("label", "labels"), 100: ("fine_label", "label")}


@DATASETS.register("cifar")
def cifar(*, root: str, n_classes: Literal[10, 100] = 10) -> ImageDataset:
    """Return CIFAR-10, or CIFAR-100 with its fine labels: color photos of 32 x 32 pixels.

    Parameters
    ----------
    root : str
        Holds, for CIFAR-10 (for CIFAR-100), the first of: ``cifar-10-batches-py``
        (``cifar-100-python``), as torchvision unpacks it; ``cifar-10-batches-bin``
        (``cifar-100-binary``); ``cifar10`` (``cifar100``) with Hugging Face image parquet.
    n_classes : 10 or 100
        Which of the two.

    Raises
    ------
    MissingFilesError
        If there is none of these folders, or a file is missing in the first that is there.
    DataError
        If the parquet files are incomplete. Damaged files are found when they are read.

    References
    ----------
    A. Krizhevsky, "Learning multiple layers of features from tiny images", 2009. Files:
    https://www.cs.toronto.edu/~kriz/cifar.html, "Dataset layout".
    """
    place = given_path(root, at="cifar.root")
    layouts = _layouts(n_classes)
    for name, (files, read) in layouts.items():
        folder = place / name
        names = [file for split in files.values() for file in split]
        if folder.is_dir() and len(absent(folder, names)) < len(names):
            if lacking := absent(folder, names):
                raise _missing(place, lacking[0], n_classes)
            pieces = {split: [(folder / file,) for file in files[split]] for split in files}
            return array_dataset(folder, pieces, read=read, shape=SHAPE)
    parquet = place / f"cifar{n_classes}"
    if any(parquet.rglob("*.parquet")):
        return _from_parquet(parquet, n_classes)
    raise _missing(place, place / next(iter(layouts)), n_classes)


def _layouts(n_classes: int) -> dict[str, tuple[Mapping[str, Sequence[str]], Read]]:
    """Return the files per split, and what reads one, by the name of the folder."""
    if n_classes == 100:
        return {
            "cifar-100-python": ({"train": ["train"], "test": ["test"]}, _read_pickle_100),
            "cifar-100-binary": ({"train": ["train.bin"], "test": ["test.bin"]}, _read_binary_100),
        }
    batches = [f"data_batch_{i}" for i in range(1, 6)]
    binary = {"train": [f"{batch}.bin" for batch in batches], "test": ["test_batch.bin"]}
    return {
        "cifar-10-batches-py": ({"train": batches, "test": ["test_batch"]}, _read_pickle_10),
        "cifar-10-batches-bin": (binary, _read_binary_10),
    }


def _missing(root: Path, path: Path, n_classes: int) -> MissingFilesError:
    published = getattr(torchvision().datasets, f"CIFAR{n_classes}")
    archive = Download(
        published.url,
        root / published.filename,
        checksum=f"md5:{published.tgz_md5}",
        unpack=True,
    )
    is_file = path.parent.name in _layouts(n_classes)
    return missing(path, [archive], what=absence(path, "file" if is_file else "folder"))


def _from_parquet(folder: Path, n_classes: int) -> ImageDataset:
    train = find_shards(folder, {"train": "train", "test": "test"})["train"][0]
    columns = schema_of(train).names
    image = next((name for name in IMAGE_COLUMNS if name in columns), IMAGE_COLUMNS[0])
    wanted = LABEL_COLUMNS[n_classes]
    label = next((name for name in wanted if name in columns), wanted[0])
    return image_parquet(folder=str(folder), image_column=image, label_column=label)


def _read_pickle_10(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return _read_pickle(path, "labels", 10)


def _read_pickle_100(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return _read_pickle(path, "fine_labels", 100)


def _read_pickle(path: Path, key: str, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    content = load_arrays(path)
    rows, labels = content.get("data"), content.get(key)
    if not isinstance(rows, np.ndarray) or rows.dtype != np.uint8 or rows.shape[1:] != (VALUES,):
        raise _damaged(path, f"its data are no bytes in rows of {VALUES}")
    labels = labels.tolist() if isinstance(labels, np.ndarray) else labels
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise _damaged(path, f"its {key} are no list of whole numbers")
    numbers = numbered_from_zero(np.array(labels, object), first=0, n_classes=n_classes, path=path)
    return _as_images(rows), numbers


def _read_binary_10(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return _read_binary(path, 1, 10)


def _read_binary_100(path: Path) -> tuple[np.ndarray, np.ndarray]:
    return _read_binary(path, 2, 100)  # the coarse label stands before the fine one


def _read_binary(path: Path, n_labels: int, n_classes: int) -> tuple[np.ndarray, np.ndarray]:
    size = path.stat().st_size
    if size == 0 or size % (n_labels + VALUES):
        raise _damaged(path, f"it has {size} bytes, no multiple of {n_labels + VALUES}")
    rows = np.memmap(path, np.uint8, "r").reshape(-1, n_labels + VALUES)
    labels = numbered_from_zero(rows[:, n_labels - 1], first=0, n_classes=n_classes, path=path)
    return _as_images(rows[:, n_labels:]), labels


def _as_images(rows: np.ndarray) -> np.ndarray:
    """Return rows of all red, then all green, then all blue values as (n, 32, 32, 3)."""
    return rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path.absolute()}: no CIFAR file, {reason}; fetch it again.")

"""A folder of image files, one folder per class, as many of them have their data."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset, Images, Shape, digest
from imprint_bench.data.reading.decoding import Channels, decoded_all, shape_of_first
from imprint_bench.data.reading.files import absence, given_path
from imprint_bench.data.reading.image_digests import content_of
from imprint_bench.data.reading.image_files import (
    ENDINGS,
    Listing,
    check_once,
    first_few,
    listing,
    remark_on,
    visible_folders,
)
from imprint_bench.data.reading.shards import check_different
from imprint_bench.errors import DataError, did_you_mean


@DATASETS.register("image_folder")
def image_folder(
    *,
    folder: str,
    train_split: str = "train",
    test_split: str = "test",
    channels: Channels | None = None,
) -> ImageDataset:
    """Return a dataset from image files in ``folder/SPLIT/CLASS/``, at any depth below.

    Classes are numbered in the order of their names; where all names are whole
    numbers, in the order of those. Hidden files and files without the ending of an
    image are left out; the `remark` counts the latter. Rows come class by class, sorted by name.

    Parameters
    ----------
    folder : str
        Holds a folder per split, and that one per class; both splits have the same classes.
    train_split, test_split : str
        Folders that are trained and tested on, such as train and val.
    channels : 1, 3 or None
        1 reads grey, 3 color; None as the first training image is.

    Raises
    ------
    DataError
        If a split is missing. What is wrong with classes and files is found when they are listed.
    """
    splits = {"train": train_split, "test": test_split}
    check_different(splits, kind="image_folder")
    place = given_path(folder, at="image_folder.folder")
    folders = {split: _split_folder(place, name) for split, name in splits.items()}
    files = _Files(folders, channels)
    return ImageDataset(
        where=str(place.absolute()),
        read_labels=lambda split: np.array(files.listed[split].labels),
        read_images=files.images,
        read_shape=lambda: files.shape,
        read_fingerprint=files.fingerprint,
        class_names=lambda: files.listed["train"].classes,
        remark=lambda: remark_on(files.listed.values()),
    )


@dataclass(frozen=True, eq=False)
class _Files:
    """The files of both splits, listed at the first look."""

    folders: Mapping[str, Path]
    channels: int | None

    @cached_property
    def listed(self) -> dict[str, Listing]:
        """Files by split."""
        return _listed(self.folders)

    @cached_property
    def shape(self) -> Shape:
        """Of the first training image."""
        train = self.listed["train"]
        blobs = ((train.read(row), _place(train, row)) for row in range(len(train.names)))
        return shape_of_first(blobs, channels=self.channels)

    def images(self, split: str, start: int, stop: int) -> Images:
        """Read and decode rows `start` to `stop`."""
        found = self.listed[split]
        rows = range(start, min(stop, len(found.names)))
        images = decoded_all(
            map(found.read, rows),
            channels=self.shape[2],
            at=lambda i: _place(found, rows[i]),
        )
        return images if len(images) else np.empty((0, *self.shape), dtype=np.uint8)

    def fingerprint(self) -> str:
        """Return the digest of names and contents, and of what settles how they are read."""
        return digest(
            files={split: content_of(found) for split, found in self.listed.items()},
            **({} if self.channels is None else {"channels": self.channels}),
        )


def _place(found: Listing, row: int) -> str:
    return str(found.path(row).absolute())


def _split_folder(folder: Path, split: str) -> Path:
    """Return the folder of a split, or say what is there instead."""
    at = folder.absolute()
    if not folder.is_dir():
        raise DataError(
            f"{at}: {absence(folder, 'folder')}; put the images there as {split}/CLASS/FILE, "
            "or set paths.data=FOLDER to the folder that has it."
        )
    if (folder / split).is_dir():
        return folder / split
    if (folder / split).exists():
        raise DataError(
            f"{at / split}: {absence(folder / split, 'folder')}; put the images there as "
            "CLASS/FILE."
        )
    there = visible_folders(folder)
    with_images = [name for name in there if _has_images(folder / name)]
    if with_images:
        raise DataError(
            f"{at}: no folder {split!r}; its folders are classes ({first_few(with_images)}), so "
            "move them into a folder train, and some images of each class into "
            "test/CLASS beside it."
        )
    raise DataError(
        f"{at}: no folder {split!r}; there are {first_few(there) or 'none'}, to be chosen with "
        f"train_split and test_split.{did_you_mean(split, there)}"
    )


def _has_images(folder: Path) -> bool:
    return any(path.name.lower().endswith(ENDINGS) for path in folder.iterdir())


def _listed(folders: Mapping[str, Path]) -> dict[str, Listing]:
    """Return the files of both splits, which have the same classes and no file in common."""
    found = {split: listing(folders[split]) for split in SPLITS}
    train, test = found["train"], found["test"]
    for one, other in ((train, test), (test, train)):
        only = [name for name in one.classes if name not in set(other.classes)]
        if only:
            raise DataError(
                f"{one.folder.absolute()}: classes that {other.folder.name} lacks "
                f"({first_few(only)}); expected the same classes in both."
                + did_you_mean(only[0], other.classes)
            )
    check_once(train, test)
    return found

"""ImageNet (ILSVRC 2012): photos of a thousand classes, in folders as torchvision unpacks them."""

import hashlib
import logging
import os
import re
from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset, Images, Shape
from imprint_bench.data.reading.decoding import decoded_all, shape_of_first
from imprint_bench.data.reading.files import absence, given_path, identity
from imprint_bench.data.reading.image_files import Listing, first_few, visible_folders
from imprint_bench.errors import ConfigError, DataError

FOLDERS = {"train": "train", "test": "val"}
TARS = {"train": "ILSVRC2012_img_train.tar", "test": "ILSVRC2012_img_val.tar"}
DEVKIT = "ILSVRC2012_devkit_t12.tar.gz"
WNID = re.compile(r"n\d{8}")  # WordNet's number of a noun
N_CLASSES = 1000
ENDINGS = (".jpeg", ".jpg")

log = logging.getLogger(__name__)


@DATASETS.register("imagenet")
def imagenet(*, root: str, classes: list[int] | None = None) -> ImageDataset:
    """Return ImageNet's training images, and its validation images for testing.

    The label of a class is the position of its WordNet number (wnid) among all of them,
    sorted, from 0 to 999, as in the outputs of networks trained on ImageNet. Rows come class
    by class, sorted by name.

    The fingerprint is made of the names and sizes of the files in use; reading 150 GB to
    tell one ImageNet from another would take longer than some networks need to embed it.

    Parameters
    ----------
    root : str
        Holds ``train/<wnid>/*.JPEG`` and ``val/<wnid>/*.JPEG``.
    classes : list of int, or None
        Labels in use, of both splits; images of other classes are neither read nor listed.
        None is all.

    Raises
    ------
    DataError
        If a folder is missing: the files need an account, so nothing is downloaded. What is
        wrong with the folders of classes is found when they are listed.

    References
    ----------
    O. Russakovsky et al., "ImageNet large scale visual recognition challenge", International
    Journal of Computer Vision 115, 2015. https://image-net.org/challenges/LSVRC/2012.
    """
    place = given_path(root, at="imagenet.root")
    for split in SPLITS:
        if not (place / FOLDERS[split]).is_dir():
            raise _missing(place, split)
    files = _Files(place, None if classes is None else _checked(classes))
    return ImageDataset(
        where=str(place.absolute()),
        read_labels=lambda split: np.array(files.listed[split].labels),
        read_images=files.images,
        read_shape=lambda: files.shape,
        read_fingerprint=files.fingerprint,
        class_names=lambda: files.wnids,
    )


@dataclass(frozen=True, eq=False)
class _Files:
    """The image files of the classes in use, listed at the first look."""

    root: Path
    classes: tuple[int, ...] | None

    @cached_property
    def wnids(self) -> tuple[str, ...]:
        """WordNet numbers of all classes, in the order of their labels."""
        train, test = (_wnids(self.root / FOLDERS[split]) for split in SPLITS)
        if differing := sorted(set(train) ^ set(test)):
            raise DataError(
                f"{self.root.absolute()}: {first_few(differing)} is in one of train and val only; "
                "expected the same classes in both."
            )
        if len(train) != N_CLASSES:
            _warn_once(str(self.root.absolute()), len(train))
        return train

    @cached_property
    def listed(self) -> dict[str, Listing]:
        """Files by split: one look for all rows, so that rows never shift."""
        wnids, used = self.wnids, self.classes
        if used is not None and used[-1] >= len(wnids):
            raise ConfigError(
                f"imagenet.classes: no class {used[-1]}; {self.root.absolute()} has classes 0 to "
                f"{len(wnids) - 1}."
            )
        labels = tuple(range(len(wnids))) if used is None else used
        found = {}
        for split in SPLITS:
            folder = self.root / FOLDERS[split]
            identities = tuple(identity(folder / wnids[label]) for label in labels)
            found[split] = _listing(folder, wnids, labels, identities)
        return found

    @cached_property
    def shape(self) -> Shape:
        """Of the first training image."""
        train = self.listed["train"]
        blobs = ((train.read(row), _place(train, row)) for row in range(len(train.names)))
        return shape_of_first(blobs, channels=3)

    def images(self, split: str, start: int, stop: int) -> Images:
        """Read and decode rows `start` to `stop`, in color."""
        found = self.listed[split]
        rows = range(start, min(stop, len(found.names)))
        images = decoded_all(map(found.read, rows), channels=3, at=lambda i: _place(found, rows[i]))
        return images if len(images) else np.empty((0, *self.shape), dtype=np.uint8)

    def fingerprint(self) -> str:
        """Return the digest of labels, names and sizes."""
        content = hashlib.sha256(b"ImageNet by names and sizes\n")
        for split in SPLITS:
            found = self.listed[split]
            for row, (name, label) in enumerate(zip(found.names, found.labels, strict=True)):
                content.update(f"{split}/{name} {_size(found, row)} {label}\n".encode())
        return content.hexdigest()


@lru_cache(maxsize=4)
def _listing(
    folder: Path,
    wnids: tuple[str, ...],
    classes: tuple[int, ...],
    _identities: tuple[tuple[int, int, int], ...],
) -> Listing:
    names: list[str] = []
    labels: list[int] = []
    for label in classes:
        files = (entry.name for entry in os.scandir(folder / wnids[label]))
        own = sorted(name for name in files if name.lower().endswith(ENDINGS) and name[0] != ".")
        if not own:
            raise DataError(
                f"{(folder / wnids[label]).absolute()}: a class without images (*.JPEG); unpack "
                "it again."
            )
        names += [f"{wnids[label]}/{name}" for name in own]
        labels += [label] * len(own)
    return Listing(folder, wnids, tuple(names), tuple(labels), inodes=(), folders=())


@cache
def _warn_once(root: str, n_classes: int) -> None:
    log.warning(
        "%s: %d classes instead of %d, so that labels are not those of ImageNet.",
        *(root, n_classes, N_CLASSES),
    )


def _wnids(folder: Path) -> tuple[str, ...]:
    found = visible_folders(folder)
    if strange := [name for name in found if not WNID.fullmatch(name)]:
        raise DataError(
            f"{folder.absolute()}: a folder {strange[0]!r}; expected one folder per class, called "
            "like n01440764."
        )
    if not found:
        raise DataError(
            f"{folder.absolute()}: no folders; expected one per class, called like n01440764."
        )
    return tuple(found)


def _checked(classes: list[int]) -> tuple[int, ...]:
    if not classes:
        raise ConfigError("imagenet.classes: an empty list; expected labels, or null for all.")
    for i, label in enumerate(classes):
        if not 0 <= label < N_CLASSES:
            raise ConfigError(f"imagenet.classes[{i}]: {label}; expected a label from 0 to 999.")
    return tuple(sorted(set(classes)))


def _size(found: Listing, row: int) -> int | None:
    """Return the bytes of a file, or None: then it is refused or skipped where it is read."""
    try:
        return found.path(row).stat().st_size
    except OSError:
        return None


def _place(found: Listing, row: int) -> str:
    return str(found.path(row).absolute())


def _missing(root: Path, split: str) -> DataError:
    folder, tar = FOLDERS[split], TARS[split]
    at = root.absolute()
    if (root / tar).is_file() and (root / DEVKIT).is_file():
        remedy = f"{tar} is there, unpack it"
    else:
        remedy = (
            f"get {tar} and {DEVKIT} from https://image-net.org (which needs an account), put "
            f"them into {at} and unpack them"
        )
    return DataError(
        f"{at / folder}: {absence(at / folder, 'folder')}; {remedy} with "
        f"torchvision.datasets.ImageNet({str(at)!r}, split={folder!r}), or set "
        "paths.data=FOLDER to the folder that has it."
    )

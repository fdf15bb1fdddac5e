"""Tiny ImageNet: 200 classes of ImageNet at 64 x 64 pixels, in the folders of its archive."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import DATASETS, ImageDataset, digest
from imprint_bench.data.fetching.downloads import Download, missing
from imprint_bench.data.reading.files import absence, given_path
from imprint_bench.data.reading.image_digests import content_of
from imprint_bench.data.reading.image_files import Listing, visible_folders
from imprint_bench.data.reading.listed_images import images_of, shape_of_listing
from imprint_bench.errors import DataError, did_you_mean

URL = "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
MD5 = "90528d7ca1a48142e341f4ef8d21d0de"
N_BYTES = 248_100_043
FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val_annotations.txt"
ENDINGS = (".jpeg", ".jpg")


@DATASETS.register("tiny_imagenet")
def tiny_imagenet(*, root: str) -> ImageDataset:
    """Return Tiny ImageNet's training images, and its validation images for testing.

    100,000 + 10,000 photos, all read in color. The label of a class is the position of its
    WordNet number (wnid) among those of the training folders, sorted. Rows come class by class,
    sorted by name. The archive's own test images have no labels and are not read.

    Parameters
    ----------
    root : str
        Holds ``train/<wnid>/images/*.JPEG``, ``val/images/*.JPEG`` and
        ``val/val_annotations.txt``: the folder ``tiny-imagenet-200`` of the archive.

    Raises
    ------
    MissingFilesError
        If one of these is missing: DataError in a folder of another name. What is wrong with the
        files is found when they are listed.

    References
    ----------
    Y. Le, X. Yang, "Tiny ImageNet visual recognition challenge", CS 231N, Stanford, 2015.
    """
    place = given_path(root, at="tiny_imagenet.root")
    _check_there(place)
    files = _Files(place)
    return ImageDataset(
        where=str(place.absolute()),
        read_labels=lambda split: np.array(files.listed[split].labels),
        read_images=lambda split, start, stop: images_of(
            files.listed[split], start, stop, shape=files.shape
        ),
        read_shape=lambda: files.shape,
        read_fingerprint=lambda: digest(
            files={split: content_of(found) for split, found in files.listed.items()}
        ),
        class_names=lambda: files.wnids,
    )


@dataclass(frozen=True)
class _Zip(Download):
    """A zip archive, which not every tar can unpack."""

    @property
    def command(self) -> str:
        """The shell command that fetches and unpacks it."""
        path, folder = (shlex.quote(str(p.absolute())) for p in (self.path, self.path.parent))
        fetched = f"curl -L -o {path} {shlex.quote(self.url)} --create-dirs"
        return f"{fetched} && python -m zipfile -e {path} {folder}"


@dataclass(frozen=True, eq=False)
class _Files:
    """The image files of both splits, listed at the first look."""

    root: Path

    @cached_property
    def wnids(self) -> tuple[str, ...]:
        """WordNet numbers of the classes, in the order of their labels."""
        if not (found := visible_folders(self.root / "train")):
            raise DataError(
                f"{(self.root / 'train').absolute()}: no folders; expected one per class, called "
                "like n01443537."
            )
        return tuple(found)

    @cached_property
    def listed(self) -> Mapping[str, Listing]:
        """Files by split: one look for all rows, so that rows never shift."""
        return {
            "train": _training_images(self.root / "train", self.wnids),
            "test": _validation_images(self.root / "val", self.wnids),
        }

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Of the first training image."""
        return shape_of_listing(self.listed["train"])


def _check_there(root: Path) -> None:
    wanted = {root / "train": "folder", root / "val" / "images": "folder"}
    lacking = [path for path in wanted if not path.is_dir()]
    if not (root / "val" / ANNOTATIONS).is_file():
        lacking.append(root / "val" / ANNOTATIONS)
    if not lacking:
        return
    what = absence(lacking[0], "folder" if lacking[0] in wanted else "file")
    if root.name != FOLDER:  # the archive would be unpacked beside it
        raise DataError(
            f"{lacking[0].absolute()}: {what}; expected the folder {FOLDER} of {URL}, or choose "
            "dataset=[image_folder] for other layouts."
        )
    archive = root.parent / f"{FOLDER}.zip"
    raise missing(lacking[0], [_Zip(URL, archive, f"md5:{MD5}", N_BYTES, unpack=True)], what=what)


def _training_images(folder: Path, wnids: tuple[str, ...]) -> Listing:
    names: list[str] = []
    labels: list[int] = []
    for label, wnid in enumerate(wnids):
        place = folder / wnid / "images"
        own = sorted(_images_in(place)) if place.is_dir() else []
        if not own:
            raise DataError(
                f"{place.absolute()}: a class without images (*.JPEG); unpack the archive again."
            )
        names += [f"{wnid}/images/{name}" for name in own]
        labels += [label] * len(own)
    return Listing(folder, wnids, tuple(names), tuple(labels), inodes=(), folders=())


def _validation_images(folder: Path, wnids: tuple[str, ...]) -> Listing:
    label_of = {wnid: label for label, wnid in enumerate(wnids)}
    annotations = folder / ANNOTATIONS
    found: dict[str, int] = {}
    for number, line in enumerate(_lines(annotations), 1):
        name, wnid, *_ = (*line.split("\t"), "")
        if wnid not in label_of:
            raise DataError(
                f"{annotations.absolute()}: line {number} gives {name!r} the class {wnid!r}, which "
                f"has no training images; expected a file and its class.{did_you_mean(wnid, wnids)}"
            )
        found[name] = label_of[wnid]
    there = set(_images_in(folder / "images"))
    for some, lack in ((there - set(found), "no class"), (set(found) - there, "no image")):
        if some:
            raise DataError(
                f"{annotations.absolute()}: {lack} for {min(some)} and {len(some) - 1} more; "
                "expected a line per image, unpack the archive again."
            )
    rows = sorted((label, name) for name, label in found.items())
    names = tuple(f"images/{name}" for _, name in rows)
    labels = tuple(label for label, _ in rows)
    return Listing(folder, wnids, names, labels, inodes=(), folders=())


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path.absolute()}: cannot be read as text ({type(error).__name__}); unpack the "
            "archive again."
        ) from error


def _images_in(folder: Path) -> list[str]:
    names = (path.name for path in folder.iterdir())
    return [name for name in names if name.lower().endswith(ENDINGS) and name[0] != "."]

"""Image files that a list names with their labels, as ImageNet-LT is published."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset
from imprint_bench.data.reading.files import absence, existing, given_path
from imprint_bench.data.reading.image_files import Listing
from imprint_bench.data.reading.listed_images import images_of, shape_of_listing
from imprint_bench.errors import DataError


@DATASETS.register("image_list")
def image_list(*, root: str, train_list: str, test_list: str) -> ImageDataset:
    """Return the images that two lists name: a path and a label per line. All are read in color.

    Rows are in the order of the lists. The lists of ImageNet-LT name the validation images as
    they come out of their archive, ``val/NAME``. Where the first of a list is not there, its
    images are looked for in the folders of their classes, ``val/<wnid>/NAME``, as torchvision
    unpacks them; the training images say which folder is that of a label.

    The fingerprint is made of the names, labels and sizes of the files.

    Parameters
    ----------
    root : str
        Folder that the paths of the lists are relative to.
    train_list, test_list : str
        Text files with lines like ``train/n01440764/n01440764_190.JPEG 0``.

    Raises
    ------
    DataError
        If the folder or a list is missing. What is wrong with a list, and an image that is
        missing, is found when it is read.

    References
    ----------
    Z. Liu et al., "Large-scale long-tailed recognition in an open world", CVPR 2019
    (ImageNet-LT: 115,846 training images, 1,280 to 5 of a class).
    """
    place = given_path(root, at="image_list.root")
    if not place.is_dir():
        raise DataError(
            f"{place.absolute()}: {absence(place, 'folder')}; put the images there, or set "
            "paths.data=FOLDER to the folder that has them."
        )
    lists = {
        "train": given_path(train_list, at="image_list.train_list"),
        "test": given_path(test_list, at="image_list.test_list"),
    }
    for path in lists.values():
        existing(path, remedy="put the list there that is published with the dataset's paper")
    files = _Files(place, lists)
    return ImageDataset(
        where=str(place.absolute()),
        read_labels=lambda split: np.array(files.listed[split].labels),
        read_images=lambda split, start, stop: images_of(
            files.listed[split], start, stop, shape=files.shape
        ),
        read_shape=lambda: files.shape,
        read_fingerprint=files.fingerprint,
        class_names=lambda: files.class_names,
    )


@dataclass(frozen=True, eq=False)
class _Files:
    """The files that the lists name, read at the first look."""

    root: Path
    lists: Mapping[str, Path]

    @cached_property
    def listed(self) -> Mapping[str, Listing]:
        """Files by split."""
        rows = {split: _rows(path) for split, path in self.lists.items()}
        train = {name for name, _ in rows["train"]}
        if both := next((name for name, _ in rows["test"] if name in train), None):
            raise DataError(
                f"{self.lists['test'].absolute()}: {both} is a training image, too; expected "
                "lists without an image in common."
            )
        folders = _folders(rows["train"])
        return {split: self._found(split, rows[split], folders) for split in SPLITS}

    @cached_property
    def class_names(self) -> tuple[str, ...]:
        """Folders of the training images by label, if every label has one of its own."""
        train = self.listed["train"]
        folders = _folders(zip(train.names, train.labels, strict=True))
        if len(set(folders.values())) < len(folders) or max(folders) >= len(folders):
            return ()
        return tuple(folders[label] for label in range(len(folders)))

    @cached_property
    def shape(self) -> tuple[int, int, int]:
        """Of the first training image."""
        return shape_of_listing(self.listed["train"])

    def fingerprint(self) -> str:
        """Return the digest of names, labels and sizes."""
        content = hashlib.sha256(b"listed images by names and sizes\n")
        for split, found in self.listed.items():
            for row, (name, label) in enumerate(zip(found.names, found.labels, strict=True)):
                content.update(f"{split}/{name} {_size(found, row)} {label}\n".encode())
        return content.hexdigest()

    def _found(
        self, split: str, rows: list[tuple[str, int]], folders: Mapping[int, str]
    ) -> Listing:
        """Return the listing of a split, in the class folders where the first image is there."""
        first = self.root / rows[0][0]
        inside = [(_in_class_folder(name, folders.get(label)), label) for name, label in rows]
        if not first.is_file():
            if not (self.root / inside[0][0]).is_file():
                raise DataError(
                    f"{first.absolute()}: {absence(first, 'file')} (nor in a folder of its class); "
                    f"{self.lists[split].name} names it, put the images there."
                )
            rows = inside
        names, labels = zip(*rows, strict=True)
        return Listing(self.root, (), names, labels, inodes=(), folders=())


def _folders(rows: Iterable[tuple[str, int]]) -> dict[int, str]:
    """Return the name of the folder in which the images of a label lie, by label."""
    return {label: PurePosixPath(name).parent.name for name, label in rows}


def _in_class_folder(name: str, folder: str | None) -> str:
    path = PurePosixPath(name)
    return name if folder is None else str(path.parent / folder / path.name)


def _rows(path: Path) -> list[tuple[str, int]]:
    """Return names and labels of a list."""
    try:
        lines = path.read_text().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path.absolute()}: cannot be read as text ({type(error).__name__}); expected lines "
            "like 'train/n01440764/n01440764_190.JPEG 0'."
        ) from error
    rows = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        name, label = [*line.rsplit(maxsplit=1), ""][:2]
        if not label.isdecimal():
            raise DataError(
                f"{path.absolute()}: line {number} is {line[:60]!r}; expected a path, a blank and "
                "a label from 0 on."
            )
        if _outside(name):
            raise DataError(
                f"{path.absolute()}: line {number} names {name!r}, which lies outside the folder; "
                "expected a path within it."
            )
        rows.append((name.strip(), int(label)))
    if not rows:
        raise DataError(f"{path.absolute()}: no lines; expected a path and a label per line.")
    return rows


def _outside(name: str) -> bool:
    return any(
        path.is_absolute() or path.drive or ".." in path.parts
        for path in (PurePosixPath(name), PureWindowsPath(name))
    )


def _size(found: Listing, row: int) -> int | None:
    """Return the bytes of a file, or None: then it is refused or skipped where it is read."""
    try:
        return found.path(row).stat().st_size
    except OSError:
        return None

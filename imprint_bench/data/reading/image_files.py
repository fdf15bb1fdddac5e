"""Folders of image files: which files are there, in which class, and what is wrong with them."""

import hashlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from imprint_bench.data.reading.files import identity
from imprint_bench.errors import DataError, ImageError

ENDINGS = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
HASHED = 1 << 30  # bytes of images of which the content is hashed; above, sizes and times are
SHOWN = 5  # names that a message lists

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Listing:
    """The image files of one split.

    Attributes
    ----------
    folder : Path
        Of the split; the names are relative to it.
    classes : tuple of str
        Names of the class folders, in the order of their numbers.
    names : tuple of str
        Of the files, with "/", class by class and sorted within a class.
    labels : tuple of int
        Number of the class of every file.
    inodes : tuple of (int, int)
        Device and inode of every file: the same for two names of one file.
    folders : tuple
        Every folder that was looked into, with its identity then.
    """

    folder: Path
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    inodes: tuple[tuple[int, int], ...]
    folders: tuple[tuple[Path, tuple[int, int, int]], ...]

    def path(self, row: int) -> Path:
        """Return the file of a row."""
        return self.folder / self.names[row]

    def read(self, row: int) -> bytes:
        """Return the content of the file of a row.

        Raises
        ------
        ImageError
            If it cannot be read.
        """
        try:
            return self.path(row).read_bytes()
        except OSError as error:
            raise ImageError(
                f"{self.path(row).absolute()}: cannot be read ({error.strerror or error}); "
                "mend or remove it."
            ) from error


def visible_folders(folder: Path) -> list[str]:
    """Return the names of the folders in `folder` that are not hidden, sorted."""
    return sorted(e.name for e in _entries(folder) if e.is_dir() and not _hidden(e.name))


def in_order(classes: list[str]) -> tuple[str, ...]:
    """Return names of classes in the order of their numbers: sorted, whole numbers by value.

    Examples
    --------
    >>> in_order(["10", "2", "1"]), in_order(["b", "10", "2"])
    (('1', '2', '10'), ('10', '2', 'b'))
    """
    if all(name.isdecimal() for name in classes):
        return tuple(sorted(classes, key=lambda name: (int(name), name)))
    return tuple(sorted(classes))


def listing(folder: Path) -> Listing:
    """Return the image files below the class folders of `folder`.

    Hidden files and folders are left out, and so are files without the ending
    of an image. Links are followed. An unchanged folder is listed once per process.

    Raises
    ------
    DataError
        If there are no class folders or only one, a class without images, images
        beside the class folders, or two names of one file.
    """
    found = _listing(folder)
    if any(not place.is_dir() or identity(place) != then for place, then in found.folders):
        _listing.cache_clear()
        found = _listing(folder)
    return found


@lru_cache(maxsize=16)
def _listing(folder: Path) -> Listing:
    classes = in_order(visible_folders(folder))
    at = folder.absolute()
    beside = sorted(e.name for e in _entries(folder) if e.is_file() and _is_image(e.name))
    if beside:
        raise DataError(
            f"{at}: {len(beside)} images lie beside the class folders (first: {beside[0]}); "
            "move each into the folder of its class."
        )
    if len(classes) < 2:
        has = f"only one class folder, {classes[0]}" if classes else "no class folders"
        raise DataError(f"{at}: {has}; expected a folder per class, at least two.")
    names: list[str] = []
    labels: list[int] = []
    inodes: list[tuple[int, int]] = []
    folders = [(folder, identity(folder))]
    for number, name in enumerate(classes):
        files = sorted(_walk(folder / name, name, folders, set()))
        if not files:
            raise DataError(
                f"{at / name}: a class without images ({', '.join(e[1:] for e in ENDINGS)}); add "
                "some, or remove the folder."
            )
        names += [file for file, _ in files]
        inodes += [inode for _, inode in files]
        labels += [number] * len(files)
    found = Listing(folder, classes, tuple(names), tuple(labels), tuple(inodes), tuple(folders))
    check_once(found)
    return found


def _walk(
    folder: Path,
    relative: str,
    folders: list[tuple[Path, tuple[int, int, int]]],
    above: set[tuple[int, int]],
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the relative name and inode of every image below `folder`; note all folders."""
    stat = folder.stat()
    here = (stat.st_dev, stat.st_ino)
    if here in above:
        raise DataError(f"{folder.absolute()}: a link to a folder above it; remove the link.")
    folders.append((folder, identity(folder)))
    for entry in _entries(folder):
        if _hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(
                folder / entry.name, f"{relative}/{entry.name}", folders, above | {here}
            )
        elif not _is_image(entry.name):
            log.debug("%s: left out, not an image by its ending.", entry.path)
        else:
            try:
                stat = entry.stat()
            except FileNotFoundError as error:
                raise DataError(
                    f"{entry.path}: a link to a file that is not there; mend or remove it."
                ) from error
            yield f"{relative}/{entry.name}", (stat.st_dev, stat.st_ino)


def check_once(*listings: Listing) -> None:
    """Raise DataError if one file has two names in the listings, through links.

    A test image that is a training image, too, would be recognized for the wrong reason.
    """
    inodes = [inode for found in listings for inode in found.inodes]
    if len(set(inodes)) == len(inodes):
        return
    seen: dict[tuple[int, int], Path] = {}
    for found in listings:
        for row, inode in enumerate(found.inodes):
            path = found.path(row).absolute()
            if inode in seen:
                raise DataError(
                    f"{path}: the same file as {seen[inode]}, reached by two names; remove one."
                )
            seen[inode] = path


def content_of(found: Listing) -> list[tuple[str, str]]:
    """Return what settles the images and labels: a name and a digest per file.

    The digest is that of the content if all images of the split fill at most 1 GiB;
    else it is made of size and time of change, since reading all would take minutes.
    """
    identities = tuple(identity(found.path(row)) for row in range(len(found.names)))
    return list(zip(found.names, _digests(found, identities), strict=True))


@lru_cache(maxsize=4)
def _digests(found: Listing, identities: tuple[tuple[int, int, int], ...]) -> list[str]:
    if sum(size for _, size, _ in identities) <= HASHED:
        return [hashlib.sha256(found.read(row)).hexdigest() for row in range(len(identities))]
    return [f"{size} bytes of {time} ns" for _, size, time in identities]


def first_few(names: list[str]) -> str:
    """Return a few of the names, for a message."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return list(entries)


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not _hidden(name)

"""Folders of image files: which files are there, in which class, and what is wrong with them."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from imprint_bench.data.reading.files import identity
from imprint_bench.errors import DataError, ImageError

ENDINGS = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm",
)  # fmt: skip
SHOWN = 5  # names that a message lists

Inode = tuple[int, int]  # device and number


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
    unread : tuple of str
        Names of the files in the class folders that do not end like an image.
    """

    folder: Path
    classes: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    inodes: tuple[Inode, ...]
    folders: tuple[tuple[Path, tuple[int, int, int]], ...]
    unread: tuple[str, ...] = ()

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
            if isinstance(error, FileNotFoundError) and self.path(row).is_symlink():
                raise ImageError(
                    f"{self.path(row).absolute()}: a link to a file that is not there; mend or "
                    "remove it."
                ) from error
            raise ImageError(
                f"{self.path(row).absolute()}: cannot be read ({error.strerror or error}); "
                "mend or remove it."
            ) from error


def visible_folders(folder: Path) -> list[str]:
    """Return the names of the folders in `folder` that are not hidden, sorted."""
    return sorted(e.name for e in _entries(folder) if _is_folder(e) and not _hidden(e.name))


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
    of an image. Links are followed; one to no file is listed, and refused when it is read.
    An unchanged folder is listed once per process.

    Raises
    ------
    DataError
        If there are no class folders or only one, a class without images, images
        beside the class folders, a link to a folder above it, or two names of one file.
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
    beside = sorted(e.name for e in _entries(folder) if _is_image(e.name) and not _is_folder(e))
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
    inodes: list[Inode] = []
    unread: list[str] = []
    folders = [(folder, identity(folder))]
    above = _with_parents(folder)
    for number, name in enumerate(classes):
        files = sorted(_walk(folder, name, folders, above))
        images = [(file, inode) for file, inode in files if inode]
        if not images:
            raise DataError(
                f"{at / name}: a class without images ({', '.join(e[1:] for e in ENDINGS)}); add "
                "some, or remove the folder."
            )
        names += [file for file, _ in images]
        inodes += [inode for _, inode in images]
        labels += [number] * len(images)
        unread += [file for file, inode in files if not inode]
    found = Listing(
        *(folder, classes, tuple(names), tuple(labels), tuple(inodes), tuple(folders)),
        unread=tuple(unread),
    )
    check_once(found)
    return found


def _walk(
    root: Path,
    relative: str,
    folders: list[tuple[Path, tuple[int, int, int]]],
    above: frozenset[Inode],
) -> Iterator[tuple[str, Inode | None]]:
    """Yield the relative name of every file below a folder, and the inode if it is an image.

    All folders are noted in `folders`. Those in `above` hold this one, as the disk has it.
    """
    folder = root / relative
    here = _inode(folder.stat())
    if here in above:
        raise DataError(f"{folder.absolute()}: a link to a folder above it; remove the link.")
    above |= _with_parents(folder) if folder.is_symlink() else {here}
    folders.append((folder, identity(folder)))
    for entry in _entries(folder):
        name = f"{relative}/{entry.name}"
        if _hidden(entry.name):
            continue
        if _is_folder(entry):
            yield from _walk(root, name, folders, above)
        else:
            yield name, _inode_of(entry) if _is_image(entry.name) else None


def _inode(stat: os.stat_result) -> Inode:
    return stat.st_dev, stat.st_ino


def _inode_of(entry: os.DirEntry[str]) -> Inode:
    """Return the inode of a file, or that of a link to nothing."""
    try:
        return _inode(entry.stat())
    except OSError:
        return _inode(entry.stat(follow_symlinks=False))


def _with_parents(folder: Path) -> frozenset[Inode]:
    """Return the inodes of a folder and of all that hold it, whatever links lead to it."""
    place = folder.resolve()
    return frozenset(_inode(p.stat()) for p in (place, *place.parents))


def check_once(*listings: Listing) -> None:
    """Raise DataError if one file has two names in the listings, through links.

    A test image that is a training image, too, would be recognized for the wrong reason.
    """
    inodes = [inode for found in listings for inode in found.inodes]
    if len(set(inodes)) == len(inodes):
        return
    seen: dict[Inode, Path] = {}
    for found in listings:
        for row, inode in enumerate(found.inodes):
            path = found.path(row).absolute()
            if inode in seen:
                raise DataError(
                    f"{path}: the same file as {seen[inode]}, reached by two names; remove one."
                )
            seen[inode] = path


def remark_on(listings: Iterable[Listing]) -> str:
    """Return a sentence on the files that are not read for their endings, or nothing."""
    paths = [found.folder.absolute() / name for found in listings for name in found.unread]
    if not paths:
        return ""
    counted = (
        f"1 file with another ending ({paths[0]}) is"
        if len(paths) == 1
        else f"{len(paths)} files with other endings (first: {paths[0]}) are"
    )
    return f"{counted} not read; image files end in {', '.join(e[1:] for e in ENDINGS)}."


def first_few(names: list[str]) -> str:
    """Return a few of the names, for a message."""
    return ", ".join(names[:SHOWN]) + (", ..." if len(names) > SHOWN else "")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise DataError(
            f"{folder.absolute()}: cannot be listed ({error.strerror or error}); make it a folder "
            "that can be read, or remove it."
        ) from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _is_image(name: str) -> bool:
    return name.lower().endswith(ENDINGS) and not _hidden(name)

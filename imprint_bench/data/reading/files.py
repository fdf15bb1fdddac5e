"""Files of the user: found or named, hashed once, and read as data, never as code."""

import difflib
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from imprint_bench.durable import sha256_of
from imprint_bench.errors import ConfigError, DataError, did_you_mean

NO_PICKLE = "holds Python objects (a pickle), which are never loaded; save plain numeric arrays"


def existing(path: Path, *, remedy: str) -> Path:
    """Return `path` if it is a file.

    Raises
    ------
    DataError
        If it is not; the message says what is there instead, and ends with the `remedy`.
    """
    if not path.parts:
        raise DataError(f"{str(path)!r}: this folder, or an empty path; {remedy}.")
    if not path.is_file():
        raise DataError(f"{path.absolute()}: {absence(path, 'file')}; {remedy}.")
    return path


def absence(path: Path, wanted: Literal["file", "folder"]) -> str:
    """Return why there is no file (no folder) at `path`: nothing, or something else.

    Examples
    --------
    >>> absence(Path("/nowhere"), "file"), absence(Path("/"), "file")
    ('no such file', 'a folder, where a file is expected')
    """
    if wanted == "file" and path.is_dir():
        return "a folder, where a file is expected"
    if wanted == "folder" and path.is_file():
        return "a file, where a folder is expected"
    if path.is_symlink():
        return f"no such {wanted}, but a link to one that is not there"
    in_the_way = next((place for place in path.parents if place.is_file()), None)
    if in_the_way is not None:
        return f"no such {wanted}, as {in_the_way.absolute()} is a file and no folder"
    return f"no such {wanted}"


def given_path(text: str, *, at: str) -> Path:
    """Return the path that a user gave.

    Raises
    ------
    ConfigError
        If it is empty, which would stand for the folder that the command runs in.
    """
    if not text.strip():
        raise ConfigError(f"{at}: an empty path; expected that of a file or folder, or . for this.")
    return Path(text)


def identity(path: Path) -> tuple[int, int, int]:
    """Return what changes when the file does: inode, bytes, time of change in ns."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def content_hash(path: Path) -> str:
    """Return the SHA-256 (hexadecimal) of the file; an unchanged file is read once per process."""
    return _content_hash(path, identity(path))


@lru_cache(maxsize=8192)  # more than the shards of any dataset: they are asked for in turn
def _content_hash(path: Path, _identity: tuple[int, int, int]) -> str:
    return sha256_of(path)


def npz_names(path: Path, name: str) -> list[str]:
    """Return the names of all arrays in the npz file, in which `name` is looked for.

    Raises
    ------
    DataError
        If the file is no npz file.
    """
    with explained(path, name), zipfile.ZipFile(path) as archive:
        return _names_in(archive)


def nearest_array(name: str, names: Sequence[str]) -> str:
    """Return the question whether a near name was meant, or nothing.

    Names like SPLIT_WHAT are compared part by part: one that shares a part is near
    if the other part is, and images are no labels however much their names share.

    Examples
    --------
    >>> nearest_array("vall_images", ["val_labels", "val_images"])
    " Did you mean 'val_images'?"
    >>> nearest_array("test_labels", ["train_labels", "test_images"])
    ''
    """
    split, _, what = name.rpartition("_")
    parts = {n: n.rpartition("_")[::2] for n in names}
    splits = {theirs: n for n, (theirs, kind) in parts.items() if kind == what}
    kinds = {kind: n for n, (theirs, kind) in parts.items() if theirs == split}
    for part, those in ((split, splits), (what, kinds)):
        if near := difflib.get_close_matches(part, those, n=1, cutoff=0.6):
            return f" Did you mean {those[near[0]]!r}?"
    others = [n for n in names if n not in (*splits.values(), *kinds.values())]
    return did_you_mean(name, others)


def npz_header(path: Path, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Return shape and dtype of the array `name` in the npz file, without reading the array.

    Raises
    ------
    DataError
        If the file is no npz file, lacks the array, or the array holds Python
        objects or is not as long as its header says.
    """
    return _npz_header(path, name, identity(path))


@lru_cache(maxsize=64)
def _npz_header(
    path: Path, name: str, _identity: tuple[int, int, int]
) -> tuple[tuple[int, ...], np.dtype]:
    with explained(path, name), zipfile.ZipFile(path) as archive:
        names = _names_in(archive)
        if name not in names:
            raise DataError(
                f"{path.absolute()}: no array {name!r}; it holds {', '.join(names) or 'nothing'}."
                + nearest_array(name, names)
            )
        with archive.open(f"{name}.npy") as member:
            version = np.lib.format.read_magic(member)
            if version == (1, 0):
                shape, _, dtype = np.lib.format.read_array_header_1_0(member)
            else:
                shape, _, dtype = np.lib.format.read_array_header_2_0(member)
            held = archive.getinfo(f"{name}.npy").file_size - member.tell()
    if dtype.hasobject:
        raise DataError(f"{path.absolute()}: {name} {NO_PICKLE}.")
    needed = int(np.prod(shape, dtype=object)) * dtype.itemsize
    if needed != held:
        raise DataError(
            f"{path.absolute()}: {name} has {held} bytes, but its header promises {needed}; "
            "copy or save the file again."
        )
    return shape, dtype


def _names_in(archive: zipfile.ZipFile) -> list[str]:
    return [name.removesuffix(".npy") for name in archive.namelist()]


def npz_array(path: Path, name: str) -> np.ndarray:
    """Return the array `name` of the npz file; see `npz_header` for what is refused."""
    npz_header(path, name)  # refuses a header that would ask for more memory than the file fills
    with explained(path, name), np.load(path, allow_pickle=False) as archive:
        return archive[name]


@contextmanager
def explained(path: Path, name: str) -> Iterator[None]:
    """Turn what zipfile, zlib and NumPy raise on a damaged file into one sentence."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, NotImplementedError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise DataError(
            f"{path.absolute()}: array {name} cannot be read ({reason}); "
            "expected a whole npz file as numpy.savez writes it."
        ) from error
    except MemoryError as error:
        raise DataError(
            f"{path.absolute()}: array {name} does not fit into memory; split the file."
        ) from error

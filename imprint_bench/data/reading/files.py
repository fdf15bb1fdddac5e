"""Files of the user: found or named, hashed once, and read as data, never as code."""

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import numpy as np

from imprint_bench.durable import sha256_of
from imprint_bench.errors import DataError, did_you_mean

NO_PICKLE = "holds Python objects (a pickle), which are never loaded; save plain numeric arrays"


def existing(path: Path, *, remedy: str) -> Path:
    """Return `path` if it is a file.

    Raises
    ------
    DataError
        If it is not; the message ends with the `remedy`.
    """
    if not path.is_file():
        raise DataError(f"{path.absolute()}: no such file; {remedy}.")
    return path


def identity(path: Path) -> tuple[int, int, int]:
    """Return what changes when the file does: inode, bytes, time of change in ns."""
    stat = path.stat()
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def content_hash(path: Path) -> str:
    """Return the SHA-256 (hexadecimal) of the file; an unchanged file is read once per process."""
    return _content_hash(path, identity(path))


@lru_cache(maxsize=256)
def _content_hash(path: Path, _identity: tuple[int, int, int]) -> str:
    return sha256_of(path)


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
        names = [n.removesuffix(".npy") for n in archive.namelist()]
        if name not in names:
            raise DataError(
                f"{path.absolute()}: no array {name!r}; it holds {', '.join(names) or 'nothing'}."
                + did_you_mean(name, names)
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

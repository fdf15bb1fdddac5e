"""Rows of an array in an npz file: from memory if it is small, else read as they are needed."""

import math
import threading
import zipfile
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import IO

import numpy as np

from imprint_bench.data.reading.files import explained, identity, npz_array, npz_header

WHOLE = 1 << 30  # bytes of an array that is kept in memory; larger ones are not


def npz_rows(path: Path, name: str, start: int, stop: int) -> np.ndarray:
    """Return rows `start` to `stop` of the array `name`.

    A compressed file can only be read from its beginning. An array of up to 1 GiB is read once
    and kept; of a larger one (images of 224 x 224 pixels) nothing is kept, and rows
    cost little if they are asked for in ascending order, as embedding does.

    Parameters
    ----------
    path : Path
    name : str
        Of the array, without ".npy".
    start, stop : int
        `stop` is excluded; rows beyond the end are left out.

    Raises
    ------
    DataError
        As `files.npz_header`.
    """
    shape, dtype = npz_header(path, name)
    if math.prod(shape) * dtype.itemsize <= WHOLE:
        return _whole(path, name, identity(path))[start:stop]
    return _stream(path, name, identity(path)).rows(start, min(stop, shape[0]))


@lru_cache(maxsize=1)
def _whole(path: Path, name: str, _identity: tuple[int, int, int]) -> np.ndarray:
    return npz_array(path, name)


@lru_cache(maxsize=2)  # training and test images
def _stream(path: Path, name: str, _identity: tuple[int, int, int]) -> "_Stream | _Whole":
    with explained(path, name):
        member = zipfile.ZipFile(path).open(f"{name}.npy")  # noqa: SIM115 - stays open
        version = np.lib.format.read_magic(member)
        read = (
            np.lib.format.read_array_header_1_0
            if version == (1, 0)
            else np.lib.format.read_array_header_2_0
        )
        shape, by_column, dtype = read(member)
    if by_column:  # rows do not lie together
        return _Whole(npz_array(path, name))
    return _Stream(path, name, member, member.tell(), shape, dtype)


@dataclass(frozen=True, eq=False)
class _Whole:
    array: np.ndarray

    def rows(self, start: int, stop: int) -> np.ndarray:
        return self.array[start:stop]


@dataclass(frozen=True, eq=False)
class _Stream:
    """An open array of an npz file; going back in it starts from its beginning."""

    path: Path
    name: str
    member: IO[bytes]
    offset: int  # bytes before the values
    shape: tuple[int, ...]
    dtype: np.dtype
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def row_bytes(self) -> int:
        return math.prod(self.shape[1:]) * self.dtype.itemsize

    def rows(self, start: int, stop: int) -> np.ndarray:
        wanted = max(stop - start, 0) * self.row_bytes
        with self.lock, explained(self.path, self.name):
            self.member.seek(self.offset + start * self.row_bytes)
            content = bytearray(self.member.read(wanted))
            if len(content) != wanted:
                raise EOFError("it ends before its last row")
        return np.frombuffer(content, self.dtype).reshape(-1, *self.shape[1:])

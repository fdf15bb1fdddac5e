"""An .npy file that is filled in pieces, in any order and from any process."""

import os
import zlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imprint_bench.durable import explained

HALF_MAX = 65504  # the largest float16


class NotFinite(NamedTuple):
    """Rows that hold what is no number: how many, the first of them, and what it is.

    `rows` is 0, and `first` -1, where there are none.
    """

    rows: int
    first: int
    kinds: tuple[str, ...]


def allocate(path: Path, shape: tuple[int, int], dtype: str) -> None:
    """Make an array file of the given shape and dtype; what it holds is not yet defined."""
    descr = np.lib.format.dtype_to_descr(np.dtype(dtype).newbyteorder("<"))
    with explained(path), path.open("wb") as file:
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        file.truncate(file.tell() + shape[0] * shape[1] * np.dtype(dtype).itemsize)


def fill(path: Path, start: int, piece: np.ndarray) -> int:
    """Write rows `start` on of an array file, and return the checksum of what was written.

    Plain writes, not a memory map: on a full disk a write raises, where a memory map would
    kill the process.

    Parameters
    ----------
    path : Path
        From `allocate`.
    start : int
    piece : ndarray of shape (b, length)
        Of the file's dtype.

    Returns
    -------
    checksum : int
        CRC-32 of the bytes, as `checksum` gives it.
    """
    content = np.ascontiguousarray(piece)
    with explained(path), path.open("r+b", buffering=0) as file:
        stat = os.fstat(file.fileno())
        offset, (rows, length), dtype = _layout(path, stat.st_ino, stat.st_size)
        if content.shape[1] != length or content.dtype != dtype or start + len(content) > rows:
            raise RuntimeError(
                f"{path.name}: rows {start} on are {content.dtype} of shape {content.shape}; "
                f"expected {dtype} of shape (at most {rows - start}, {length})"
            )
        file.seek(offset + start * length * dtype.itemsize)
        left = content.data.cast("B")
        while len(left):
            left = left[file.write(left) :]
    return zlib.crc32(content.data)


def checksum(path: Path, start: int, stop: int) -> int:
    """Return the CRC-32 of rows `start` to `stop` (excluded) of an array file."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    return zlib.crc32(np.ascontiguousarray(array[start:stop]).data)


def not_finite(embeddings: np.ndarray, stored: np.ndarray, *, start: int) -> NotFinite:
    """Return which rows of a piece hold no numbers once they are stored.

    Parameters
    ----------
    embeddings : ndarray of shape (b, length)
        As computed.
    stored : ndarray of shape (b, length)
        In the dtype of the file.
    start : int
        Row of the array with which the piece starts.
    """
    bad = np.flatnonzero(~np.isfinite(stored).all(axis=1))
    if not len(bad):
        return NotFinite(0, -1, ())
    named = {
        "NaN": np.isnan(embeddings).any(),
        "infinite values": np.isinf(embeddings).any(),
        f"values above {HALF_MAX}, which float16 cannot hold": np.isfinite(embeddings)
        .all(axis=1)[bad]
        .any(),
    }
    return NotFinite(len(bad), start + int(bad[0]), tuple(n for n, there in named.items() if there))


@lru_cache(maxsize=256)  # a batch is written in a tenth of a millisecond; the header takes as long
def _layout(path: Path, _inode: int, _n_bytes: int) -> tuple[int, tuple[int, ...], np.dtype]:
    """Return the bytes before the values, the shape and the dtype of an array file."""
    with path.open("rb") as file:
        np.lib.format.read_magic(file)
        shape, _, dtype = np.lib.format.read_array_header_1_0(file)
        return file.tell(), shape, dtype

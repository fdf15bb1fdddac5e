"""An .npy file that is filled in pieces, in any order, and refuses what is not finite."""

import os
from pathlib import Path
from types import TracebackType

import numpy as np

from imprint_bench.durable import explained
from imprint_bench.errors import DataError


class ArrayFile:
    """A float32 array on disk, written piece by piece.

    Written with plain writes, not through a memory map: on a full disk a write
    raises, where a memory map would kill the process.

    Parameters
    ----------
    path : Path
        Must not exist.
    rows, length : int
        Shape of the array.
    """

    def __init__(self, path: Path, rows: int, length: int) -> None:
        self.path, self.rows, self.length = path, rows, length
        self.filled = 0
        self._bad_rows = 0
        self._first_bad: int | None = None
        self._bad_kinds: set[str] = set()
        header = {"descr": "<f4", "fortran_order": False, "shape": (rows, length)}
        with explained(path):
            self._file = path.open("xb")
            np.lib.format.write_array_header_1_0(self._file, header)
            self._offset = self._file.tell()
            self._file.truncate(self._offset + rows * length * 4)

    def __enter__(self) -> "ArrayFile":
        """Return itself; the file is closed when the block ends."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self._file.close()

    def fill(self, start: int, piece: np.ndarray) -> None:
        """Write the rows from `start` on: float32 of shape (b, length)."""
        self._inspect(start, piece)
        with explained(self.path):
            self._file.seek(self._offset + start * self.length * 4)
            self._file.write(np.ascontiguousarray(piece, dtype="<f4").data)
        self.filled += len(piece)

    def finish(self, *, at: str, remedy: str) -> None:
        """Flush to the disk.

        Raises
        ------
        DataError
            If rows contain NaN or infinite values; the message counts them.
        RuntimeError
            If pieces are missing or came twice.
        """
        if self._first_bad is not None:
            kinds = " and ".join(sorted(self._bad_kinds))
            raise DataError(
                f"{at}: {self._bad_rows} of {self.rows} rows contain {kinds} "
                f"(first: row {self._first_bad}); {remedy}."
            )
        if self.filled != self.rows:
            raise RuntimeError(f"{at}: {self.filled} of {self.rows} rows were written")
        with explained(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def _inspect(self, start: int, piece: np.ndarray) -> None:
        if piece.ndim != 2 or piece.shape[1] != self.length or start + len(piece) > self.rows:
            raise RuntimeError(
                f"{self.path.name}: rows {start} on are of shape {piece.shape}; "
                f"expected (at most {self.rows - start}, {self.length})"
            )
        bad = np.flatnonzero(~np.isfinite(piece).all(axis=1))
        if len(bad):
            self._bad_rows += len(bad)
            first = start + int(bad[0])
            self._first_bad = first if self._first_bad is None else min(first, self._first_bad)
            self._bad_kinds |= {"NaN"} if np.isnan(piece).any() else set()
            self._bad_kinds |= {"infinite values"} if np.isinf(piece).any() else set()

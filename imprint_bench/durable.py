"""Files that are whole at their final name, or not there at all."""

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from imprint_bench.errors import StoreError

TEMPORARY = ".tmp-"  # prefix of files that are not finished


@contextmanager
def atomic(path: Path) -> Iterator[IO[bytes]]:
    """Open a temporary file for writing that takes the name `path` when the block ends well.

    The temporary file lies in the same folder; it is flushed to the disk before
    it is renamed, and the folder after. When the block raises, the temporary
    file is removed and `path` is as it was.

    Parameters
    ----------
    path : Path
        Final name; missing folders are made.

    Raises
    ------
    StoreError
        If the folder cannot be written or the disk is full.
    """
    temporary = path.parent / f"{TEMPORARY}{uuid4().hex}-{path.name}"
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise
        sync_folder(path.parent)


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn a failure to write below `path` into one sentence."""
    try:
        yield
    except OSError as error:
        raise StoreError(_sentence(path, error)) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write `content` to `path` in one atomic step."""
    with atomic(path) as file:
        file.write(content)


def sync_folder(folder: Path) -> None:
    """Flush the names in `folder` to the disk, where the system can."""
    with suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sha256_of(*paths: Path) -> str:
    """Return the SHA-256 (hexadecimal) of the contents of `paths`, in that order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
    return digest.hexdigest()


def _sentence(path: Path, error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return f"{path}: no space left on the disk; free some and run again, all finished is kept."
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path}: not writable; choose another folder with paths.results=FOLDER."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{path}: a file stands where a folder is needed; set paths.results=FOLDER."
    return f"{path}: cannot be written ({error.strerror or error})."

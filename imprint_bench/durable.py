"""Files that are whole at their final name, or not there at all."""

import errno
import hashlib
import logging
import os
import re
import shutil
import socket
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO
from uuid import uuid4

from imprint_bench.errors import StoreError

TEMPORARY = ".tmp-"  # prefix of what is not finished
UNFINISHED = re.compile(re.escape(TEMPORARY) + r"(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-[0-9a-f]{8}-.+")
DAY = 86_400  # seconds
SPARE = 1 << 24  # bytes left free on a disk

log = logging.getLogger(__name__)


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
    temporary = temporary_beside(path)
    with explained(path):
        make_folder(path.parent)
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


def make_folder(folder: Path) -> None:
    """Make `folder` and those above it, each known to the disk."""
    new = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for place in new:
        sync_folder(place.parent)


def check_writable(folder: Path, *, n_bytes: int = 0) -> None:
    """Raise StoreError unless `folder`, which is made if missing, takes `n_bytes` more.

    Nothing is left behind.
    """
    with explained(folder):
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
        free = shutil.disk_usage(folder).free
    if n_bytes + SPARE > free:
        raise StoreError(
            f"{folder}: needs {(n_bytes + SPARE) / 1e9:.2f} GB, {free / 1e9:.2f} GB are free; "
            "free some or choose another folder with paths.results=FOLDER."
        )


def temporary_beside(path: Path) -> Path:
    """Return a new name in the folder of `path` that tells which process writes there."""
    return path.with_name(f"{TEMPORARY}{_host()}-{os.getpid()}-{uuid4().hex[:8]}-{path.name}")


def remove_unfinished(root: Path) -> None:
    """Remove temporary files and folders below `root` that nobody writes any more.

    That is: the process that the name tells is on this machine and gone, or
    nothing was written for a day (another machine; a process number used again).
    """
    for path in list(root.rglob(f"{TEMPORARY}*")):
        match = UNFINISHED.fullmatch(path.name)
        gone = match and match["host"] == _host() and not _alive(int(match["pid"]))
        if gone or time.time() - _last_written(path) > DAY:
            log.info("removing %s, which an interrupted run left.", path)
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                with suppress(OSError):
                    path.unlink()


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


def _last_written(path: Path) -> float:
    times = [0.0]
    for place in (path, *path.glob("*")):
        try:
            times.append(place.stat().st_mtime)
        except OSError:  # its process has just renamed or removed it
            return time.time()
    return max(times)


def _host() -> str:
    """Return a name for where process numbers mean what they mean here: machine and container."""
    namespace = ""
    with suppress(OSError):
        namespace = str(Path("/proc/self/ns/pid").readlink())
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it is there, but another user's
        return True
    return True


def _sentence(path: Path, error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{path}: no space left on the disk; free some and run again, all finished is kept."
    if error.errno == errno.EFBIG:
        return (
            f"{path}: larger than files may be here (ulimit -f); raise the limit and run again, "
            "all finished is kept."
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{path}: not writable; choose another folder with paths.results=FOLDER."
    if error.errno in (errno.ENOTDIR, errno.EEXIST):
        return f"{path}: a file stands where a folder is needed; set paths.results=FOLDER."
    return f"{path}: cannot be written ({error.strerror or error})."

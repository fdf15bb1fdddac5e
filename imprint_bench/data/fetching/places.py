"""Places on the disk that files from the network are to take: free, writable, large enough."""

import logging
import os
import shutil
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from imprint_bench.durable import SPARE, TEMPORARY, UNFINISHED, make_folder
from imprint_bench.errors import StoreError

ABANDONED = 3600  # seconds without a byte, after which a temporary file is nobody's

log = logging.getLogger(__name__)


def check_target(path: Path) -> None:
    """Raise StoreError unless a file can come to be at `path`; nothing is written or made."""
    remedy = "choose another folder with paths.data=FOLDER or paths.weights=FOLDER."
    if path.is_dir():
        raise StoreError(
            f"{path.absolute()}: a folder stands where a file is needed; move it, or {remedy}"
        )
    there = next(place for place in path.absolute().parents if os.path.lexists(place))
    if there.is_symlink() and not there.exists():
        raise StoreError(
            f"{there}: a link to a folder that is not there; make that folder, or {remedy}"
        )
    if not there.is_dir():
        raise StoreError(f"{there}: a file stands where a folder is needed; move it, or {remedy}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise StoreError(f"{there}: cannot be written; make it writable, or {remedy}")


def check_room(folder: Path, n_bytes: int) -> None:
    """Raise StoreError unless `folder`, which is made if missing, takes `n_bytes` more."""
    try:
        make_folder(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StoreError(
            f"{folder.absolute()}: cannot be written ({error.strerror}); make it writable, or "
            "choose another folder with paths.data=FOLDER or paths.weights=FOLDER."
        ) from error
    free = shutil.disk_usage(folder).free
    if n_bytes + SPARE > free:
        raise StoreError(
            f"{folder.absolute()}: needs {(n_bytes + SPARE) / 1e9:.2f} GB for a download, "
            f"{free / 1e9:.2f} GB are free; free some and run again."
        )


def remove_abandoned(path: Path) -> None:
    """Remove what an interrupted process has left of the same file, once it is surely dead."""
    for left in path.parent.glob(f"{TEMPORARY}*-{path.name}"):
        with suppress(OSError):
            if UNFINISHED.fullmatch(left.name) and _age(left) > ABANDONED:
                log.info("removing %s, which an interrupted run left.", left)
                shutil.rmtree(left) if left.is_dir() else left.unlink()


def _age(path: Path) -> float:
    return time.time() - max(p.stat().st_mtime for p in (path, *path.rglob("*")))

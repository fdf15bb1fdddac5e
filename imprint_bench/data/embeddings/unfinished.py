"""The folder of an entry that is being made: it outlives a kill, and is whole before it is found.

``<root>/<dataset>/<fm>-<fingerprint>.partial/`` holds the arrays, a journal of the rows that
are in them, and a file that the process which fills it has locked.
"""

import fcntl
import logging
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np

from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.embeddings.array_file import allocate
from imprint_bench.data.embeddings.entry import unfinished
from imprint_bench.data.embeddings.journal import (
    JOURNAL,
    Written,
    array_name,
    keep_what_is_whole,
    read_journal,
    start_journal,
)
from imprint_bench.durable import explained, make_folder

ENDING = ".partial"
LOCK = "lock"
ABANDONED = 30 * 86_400  # seconds after which nobody will go on with it

log = logging.getLogger(__name__)


def header_of(fingerprint: str, rows: Mapping[str, int], length: int, dtype: str) -> dict[str, Any]:
    """Return what a journal starts with: what the entry is to be."""
    return {
        "format": 1,
        "fingerprint": fingerprint,
        "rows": dict(rows),
        "length": length,
        "dtype": dtype,
    }


@contextmanager
def entry_in_progress(
    final: Path, header: Mapping[str, Any], *, fresh: bool, skip: bool
) -> Iterator[tuple[Path, Written]]:
    """Open the folder in which an entry is made, with what an interrupted run left in it.

    It stays when the block raises, so that the next run goes on, unless no batch is in it.
    Where another process is filling it just now, it is a folder of this process alone, which
    vanishes if the block raises.

    Parameters
    ----------
    final : Path
        The name of the finished entry.
    header : Mapping[str, Any]
        From `header_of`; what was left for another header is thrown away.
    fresh : bool
        Throw away in any case what was left, unless it was begun with `fresh`, too.
    skip : bool
        Whether images may have been left out of what an interrupted run embedded.

    Yields
    ------
    folder : Path
    written : Written
        What is there already.
    """
    header = {**header, "fresh": fresh}
    folder = final.with_name(final.name + ENDING)
    with explained(folder):
        make_folder(folder)
        lock = (folder / LOCK).open("ab")
    with lock:
        if not _locked(lock):
            log.info("%s: another run embeds it, too; the first to finish wins.", final.name)
            with unfinished(final) as own:
                yield own, _begun(own, header)
            return
        try:
            yield folder, _gone_on_with(folder, header, skip=skip)
        except BaseException:
            if not has_rows(folder, header):
                discard(folder)
            raise


def has_rows(folder: Path, header: Mapping[str, Any]) -> bool:
    """Tell whether any batch of an unfinished entry is on the disk."""
    written = read_journal(folder, header)
    return written is not None and any(done.any() for done in written.done.values())


def progress_of(final: Path, fingerprint: str) -> float | None:
    """Return the share of an entry that an interrupted run has left, or None if there is none."""
    import json

    folder = final.with_name(final.name + ENDING)
    try:
        first = (folder / JOURNAL).read_text(encoding="utf-8").split("\n", 1)[0]
        header = json.loads(first)
    except (OSError, ValueError):
        return None
    if not isinstance(header, dict) or header.get("fingerprint") != fingerprint:
        return None
    written = read_journal(folder, header)
    if written is None:
        return None
    done = sum(int(mask.sum()) for mask in written.done.values())
    return done / max(1, sum(len(mask) for mask in written.done.values()))


def sync_arrays(folder: Path) -> None:
    """Flush the arrays of an entry to the disk."""
    for split in SPLITS:
        path = folder / array_name(split)
        with explained(path), path.open("rb") as file:
            os.fsync(file.fileno())


def leave_no_trace(folder: Path) -> None:
    """Remove what only an unfinished entry needs."""
    for name in (JOURNAL, LOCK):
        with suppress(OSError):
            (folder / name).unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove an unfinished entry."""
    shutil.rmtree(folder, ignore_errors=True)


def discard_abandoned(root: Path) -> None:
    """Remove unfinished entries below `root` in which nobody wrote for thirty days."""
    for journal in list(root.glob(f"*/*{ENDING}/{JOURNAL}")):
        with suppress(OSError):
            if time.time() - journal.stat().st_mtime > ABANDONED:
                log.info("removing %s, with which nobody went on.", journal.parent)
                discard(journal.parent)


def _locked(lock: IO[bytes]) -> bool:
    """Lock the file until it is closed, or the process dies; tell whether that worked.

    Where the file system knows no locks, one run at a time is for the user to see to.
    """
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        log.debug("%s: cannot be locked (%s).", lock.name, error)
        return True
    with suppress(OSError):
        return os.fstat(lock.fileno()).st_ino == Path(lock.name).stat().st_ino
    return False  # another run has just finished the entry


def _gone_on_with(folder: Path, header: Mapping[str, Any], *, skip: bool) -> Written:
    with suppress(OSError, ValueError):  # an array is lost or cut: all is embedded again
        keep_what_is_whole(folder, header, skip=skip)
        written = read_journal(folder, header)
        if written is not None:
            return written
    _clear(folder)
    return _begun(folder, header)


def _begun(folder: Path, header: Mapping[str, Any]) -> Written:
    for split, n in header["rows"].items():
        allocate(folder / array_name(split), (n, header["length"]), header["dtype"])
    start_journal(folder, header)
    return Written({split: np.zeros(n, dtype=bool) for split, n in header["rows"].items()})


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.name != LOCK:
            path.unlink()

"""The journal of an unfinished entry: which rows are on the disk, so that a restart goes on.

One line of JSON per batch, appended after the rows were written, by whichever process
computed them. A line has the checksum of its rows: after a power loss, a batch whose rows
did not reach the disk is noticed and embedded again.
"""

import errno
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.embeddings.array_file import NotFinite, checksum, fill, not_finite
from imprint_bench.durable import explained, write_bytes

JOURNAL = "journal.jsonl"
KEYS = {"split", "start", "stop", "crc", "skipped", "bad"}


@dataclass
class Written:
    """What a journal says.

    Attributes
    ----------
    done : dict from split to ndarray of shape (n,), bool
        Rows that are on the disk.
    skipped : dict from split to {row: reason}
        Images that could not be read; their rows are zero.
    bad : dict from split to list of NotFinite
        Rows that hold what is no number.
    """

    done: dict[str, np.ndarray]
    skipped: dict[str, dict[int, str]] = field(default_factory=dict)
    bad: dict[str, list[NotFinite]] = field(default_factory=dict)


def array_name(split: str) -> str:
    """Return the name of the file with the embeddings of a split."""
    return f"{split}_embeddings.npy"


def record(
    folder: Path,
    split: str,
    start: int,
    embeddings: np.ndarray,
    *,
    dtype: str,
    skipped: Mapping[int, str],
) -> None:
    """Write the embeddings of a batch into an unfinished entry, and note that they are there.

    Parameters
    ----------
    folder : Path
        Holds the allocated arrays.
    split : str
    start : int
        Row of the split with which the batch starts.
    embeddings : ndarray of shape (b, length)
    dtype : str
        Of the file.
    skipped : Mapping[int, str]
        Rows without an image, with the reason.

    Raises
    ------
    StoreError
        If the disk is full or the folder is gone.
    """
    with np.errstate(over="ignore"):  # what does not fit becomes infinite, and is then counted
        stored = np.ascontiguousarray(embeddings, dtype=np.dtype(dtype).newbyteorder("<"))
    line = {
        "split": split,
        "start": start,
        "stop": start + len(stored),
        "crc": fill(folder / array_name(split), start, stored),
        "skipped": {str(row): reason for row, reason in skipped.items()},
        "bad": not_finite(embeddings, stored, start=start),
    }
    path = folder / JOURNAL
    with explained(path):
        file = os.open(path, os.O_WRONLY | os.O_APPEND)
        try:  # one write: lines of several processes do not mix
            content = (json.dumps(line) + "\n").encode()
            if os.write(file, content) != len(content):
                raise OSError(errno.ENOSPC, "No space left on device")
        finally:
            os.close(file)


def start_journal(folder: Path, header: Mapping[str, Any]) -> None:
    """Begin an empty journal, with what the entry is to be."""
    path = folder / JOURNAL
    with explained(path):
        path.write_text(json.dumps(header, sort_keys=True) + "\n", encoding="utf-8")


def read_journal(folder: Path, header: Mapping[str, Any]) -> Written | None:
    """Return what the journal of an unfinished entry says; where lines overlap, the last is right.

    Parameters
    ----------
    folder : Path
    header : Mapping[str, Any]
        What the entry is to be; has `rows`, a mapping from split to their number.

    Returns
    -------
    written : Written or None
        None if there is no journal, or it is that of another entry.
    """
    lines = _lines(folder, header)
    if lines is None:
        return None
    written = Written({split: np.zeros(n, dtype=bool) for split, n in header["rows"].items()})
    bad: dict[tuple[str, int, int], NotFinite] = {}
    for batch in lines:
        split, start, stop = batch["split"], batch["start"], batch["stop"]
        written.done[split][start:stop] = True
        skipped = written.skipped.setdefault(split, {})
        for row in [row for row in skipped if start <= row < stop]:
            del skipped[row]
        skipped |= {int(row): reason for row, reason in batch["skipped"].items()}
        rows, first, kinds = batch["bad"]
        bad[split, start, stop] = NotFinite(rows, first, tuple(kinds))
    for (split, _, _), some in bad.items():
        written.bad.setdefault(split, []).extend([some] if some.rows else [])
    return written


def keep_what_is_whole(folder: Path, header: Mapping[str, Any], *, skip: bool) -> None:
    """Drop from a journal what must be embedded again, before a run goes on.

    That is: batches whose rows are not on the disk as they were written, torn lines, and
    batches in which images were left out, if that is not wanted any more.

    Parameters
    ----------
    folder : Path
    header : Mapping[str, Any]
    skip : bool
        Whether images that cannot be read may be left out.
    """
    lines = _lines(folder, header)
    if lines is None:
        return
    kept = [
        line
        for line in lines
        if (skip or not line["skipped"])
        and checksum(folder / array_name(line["split"]), line["start"], line["stop"]) == line["crc"]
    ]
    content = "".join(json.dumps(line) + "\n" for line in [header, *kept])
    write_bytes(folder / JOURNAL, content.encode())


def _lines(folder: Path, header: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """Return the whole lines of a journal, or None if it is not that of this entry."""
    try:
        first, *others = (folder / JOURNAL).read_text(encoding="utf-8").split("\n")
        if json.loads(first) != json.loads(json.dumps(header)):
            return None
    except (OSError, ValueError):
        return None
    lines = []
    for text in others:
        try:
            line = json.loads(text)
        except ValueError:  # torn by a kill
            continue
        if isinstance(line, dict) and line.keys() >= KEYS:
            lines.append(line)
    return lines

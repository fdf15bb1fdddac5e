"""The journal of an unfinished entry: which rows are on the disk, so that a restart goes on.

One line of JSON per batch, appended after the rows were written, by whichever process
computed them. A line has the checksum of its rows: after a power loss, a batch whose rows
did not reach the disk is noticed and embedded again.
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.embeddings.array_file import NotFinite, checksum, fill, not_finite
from imprint_bench.durable import explained

JOURNAL = "journal.jsonl"


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
            os.write(file, (json.dumps(line) + "\n").encode())
        finally:
            os.close(file)


def start_journal(folder: Path, header: Mapping[str, Any]) -> None:
    """Begin an empty journal, with what the entry is to be."""
    path = folder / JOURNAL
    with explained(path):
        path.write_text(json.dumps(header, sort_keys=True) + "\n", encoding="utf-8")


def read_journal(folder: Path, header: Mapping[str, Any], *, verify: bool) -> Written | None:
    """Return what is on the disk of an unfinished entry.

    Parameters
    ----------
    folder : Path
    header : Mapping[str, Any]
        What the entry is to be; has `rows`, a mapping from split to their number.
    verify : bool
        Compare the checksum of every batch; those that differ count as not written.

    Returns
    -------
    written : Written or None
        None if there is no journal, or it is that of another entry.
    """
    try:
        lines = (folder / JOURNAL).read_text(encoding="utf-8").split("\n")
        if json.loads(lines[0]) != json.loads(json.dumps(header)):
            return None
    except (OSError, ValueError):
        return None
    written = Written({split: np.zeros(n, dtype=bool) for split, n in header["rows"].items()})
    for line in lines[1:]:
        try:
            batch = json.loads(line)
            split, start, stop = batch["split"], batch["start"], batch["stop"]
            if verify and checksum(folder / array_name(split), start, stop) != batch["crc"]:
                continue
        except (OSError, ValueError, KeyError, TypeError):  # a torn line, or a lost file
            continue
        if written.done[split][start:stop].all():
            continue  # two processes were faster than one another
        written.done[split][start:stop] = True
        skipped = {int(row): reason for row, reason in batch["skipped"].items()}
        written.skipped.setdefault(split, {}).update(skipped)
        bad = NotFinite(batch["bad"][0], batch["bad"][1], tuple(batch["bad"][2]))
        written.bad.setdefault(split, []).extend([bad] if bad.rows else [])
    return written

"""Filling the folder of an entry: arrays in pieces, then the manifest's facts about them."""

import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.array_file import ArrayFile
from imprint_bench.data.chunks import Embedded
from imprint_bench.durable import check_writable, explained, sha256_of

Progress = Callable[[int], object]


def check_space(folder: Path, rows: Mapping[str, int], length: int) -> None:
    """Raise StoreError if the disk has no room for the entry.

    Parameters
    ----------
    folder : Path
        Where it will lie; made if missing.
    rows : Mapping[str, int]
        Rows per split.
    length : int
        Values per embedding.
    """
    check_writable(folder, n_bytes=sum(rows.values()) * (4 * length + 8))


def write_arrays(
    folder: Path,
    pieces: Iterable[Embedded],
    labels: Mapping[str, np.ndarray],
    *,
    length: int,
    at: str,
    remedy: str,
    progress: Progress,
) -> None:
    """Write embeddings and labels of all splits into `folder` and flush them to the disk.

    Parameters
    ----------
    folder : Path
        Exists and is empty.
    pieces : iterable of (Chunk, ndarray)
        All chunks of all splits, in any order.
    labels : Mapping[str, ndarray]
        int64 of shape (n,) per split.
    length : int
        Values per embedding.
    at, remedy : str
        Beginning and end of the message if embeddings are not finite.
    progress : callable
        Called with the number of rows just written.
    """
    with ExitStack() as stack:
        files = {
            split: stack.enter_context(
                ArrayFile(folder / f"{split}_embeddings.npy", len(y), length)
            )
            for split, y in labels.items()
        }
        for chunk, piece in pieces:
            files[chunk.split].fill(chunk.start, piece)
            progress(len(piece))
        for split, file in files.items():
            file.finish(at=f"{at}/{split}", remedy=remedy)
    for split, y in labels.items():
        path = folder / f"{split}_labels.npy"
        with explained(path), path.open("xb") as opened:
            np.save(opened, y.astype("<i8"), allow_pickle=False)
            opened.flush()
            os.fsync(opened.fileno())


def array_facts(folder: Path) -> dict[str, dict[str, Any]]:
    """Return size, checksum, shape and dtype of every array in `folder`, by file name."""
    facts = {}
    for path in sorted(folder.glob("*.npy")):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        facts[path.name] = {
            "bytes": path.stat().st_size,
            "sha256": sha256_of(path),
            "shape": list(array.shape),
            "dtype": str(array.dtype),
        }
    return facts

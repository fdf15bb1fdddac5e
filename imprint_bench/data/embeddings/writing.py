"""The last files of an entry: labels, and the manifest's facts about all arrays."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.durable import explained, sha256_of


def write_labels(folder: Path, labels: Mapping[str, np.ndarray]) -> None:
    """Write the labels of every split, int64 of shape (n,), and flush them to the disk."""
    for split, y in labels.items():
        path = folder / f"{split}_labels.npy"
        with explained(path), path.open("wb") as file:
            np.save(file, y.astype("<i8"), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())


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

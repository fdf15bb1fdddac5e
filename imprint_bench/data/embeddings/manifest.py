"""The manifest of an entry: what it holds, and whether the files still agree."""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.dataset import digest
from imprint_bench.data.embeddings.material import Material
from imprint_bench.durable import sha256_of

MANIFEST = "manifest.json"
FORMAT = 1
# What can change an embedding in its last bits without being part of its identity.
PACKAGES = (
    "imprint-bench",
    "numpy",
    "torch",
    "torchvision",
    "timm",
    "pillow",
    "simplejpeg",
    "ai-edge-litert",
    "scikit-learn",
    "pyarrow",
)


def new_manifest(
    fm: str,
    dataset: str,
    material: Material,
    labels: Mapping[str, np.ndarray],
    skipped: Mapping[str, Mapping[int, str]],
) -> dict[str, Any]:
    """Return the manifest of a new entry, but for its files and the seconds it took.

    Parameters
    ----------
    fm, dataset : str
        The user's names.
    material : Material
    labels : Mapping[str, ndarray]
        int64 of shape (n,) per split; -1 where the image was skipped.
    skipped : Mapping from split to {row: reason}
        Images that could not be read.
    """
    counts = {split: class_counts(y[y >= 0]) for split, y in labels.items()}
    return {
        "format": FORMAT,
        "fm": fm,
        "dataset": dataset,
        "fingerprint": material.fingerprint,
        **material.identity,
        "length": material.length,
        "dtype": material.dtype,
        "rows": {split: len(y) for split, y in labels.items()},
        "skipped": {split: {str(r): why for r, why in s.items()} for split, s in skipped.items()},
        "classes": sorted({int(c) for of_split in counts.values() for c in of_split}),
        "class_counts": counts,
        "versions": versions(),
    }


def sealed(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return `manifest` with a checksum of itself."""
    return {**manifest, "checksum": digest(**manifest)}


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest in `folder`, or None if it is missing or was altered."""
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(manifest, dict):
        return None
    checksum = manifest.pop("checksum", None)
    if checksum != digest(**manifest):
        return None
    counts = manifest.get("class_counts", {})  # of which entries were made that say no `rows`
    return {"rows": {split: sum(c.values()) for split, c in counts.items()}} | manifest


def damage(folder: Path, fingerprint: str, *, verify: bool = False) -> str | None:
    """Return what is wrong with the entry in `folder`, or None if it is whole.

    Parameters
    ----------
    folder : Path
        An existing folder.
    fingerprint : str
        What the manifest must say.
    verify : bool
        Read every file and compare its checksum, not only its size.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        return f"{MANIFEST} is missing or fails its checksum"
    if manifest.get("format") != FORMAT or manifest.get("fingerprint") != fingerprint:
        return f"{MANIFEST} belongs to something else"
    for name, facts in manifest["files"].items():
        path = folder / name
        if not path.is_file():
            return f"{name} is missing"
        if path.stat().st_size != facts["bytes"]:
            return f"{name} has {path.stat().st_size} bytes instead of {facts['bytes']}"
        if verify and sha256_of(path) != facts["sha256"]:
            return f"{name} fails its checksum"
    return None


def class_counts(labels: np.ndarray) -> dict[str, int]:
    """Return the rows per class, by the class's text, as JSON wants its keys."""
    classes, counts = np.unique(labels, return_counts=True)
    return {str(c): int(n) for c, n in zip(classes, counts, strict=True)}


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that touch an embedding."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found

"""Embeddings on disk: described before they exist, found, opened as memory maps.

``<root>/<dataset>/<fm>-<fingerprint>/`` holds ``{train,test}_embeddings.npy``,
``{train,test}_labels.npy`` and ``manifest.json``. It appears in one step, whole;
`imprint_bench.data.embeddings.creation` makes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.dataset import SPLITS, digest
from imprint_bench.data.embeddings.description import Description
from imprint_bench.data.embeddings.entry import entry_folder, others, set_aside
from imprint_bench.data.embeddings.journal import array_name
from imprint_bench.data.embeddings.manifest import damage, read_manifest
from imprint_bench.data.embeddings.material import Material, build_material
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.errors import CacheError
from imprint_bench.params import Source

DEFAULT = EmbedSettings()


@dataclass(frozen=True)
class Embeddings:
    """The embeddings of one dataset by one foundation model; cheap to send to a worker.

    Attributes
    ----------
    fm, dataset : str
        The user's names.
    folder : Path
        Where the arrays lie.
    fingerprint : str
        SHA-256 (hexadecimal) of weights, preprocessing and data, without images left out.
    length : int
        Values per embedding, l.
    class_counts : Mapping[str, Mapping[int, int]]
        Rows per class, per split.
    rows : Mapping[str, int]
        Rows per split, with those of images that could not be read.
    dtype : str
        In which they are stored.
    left_out : tuple of str
        For each split, how many of its images could not be read, and the first of them.
    """

    fm: str
    dataset: str
    folder: Path
    fingerprint: str
    length: int
    class_counts: Mapping[str, Mapping[int, int]]
    rows: Mapping[str, int]
    dtype: str = "float32"
    left_out: tuple[str, ...] = ()

    def X(self, split: str) -> np.ndarray:  # noqa: N802 - the field's name for the matrix
        """Return the embeddings of `split`: read-only float32 of shape (n, length).

        A memory map, unless they are stored in another dtype.
        """
        stored = self._open(array_name(split), self.dtype, (self.n(split), self.length))
        if stored.dtype == np.float32:
            return stored
        X = stored.astype(np.float32)
        X.flags.writeable = False
        return X

    def y(self, split: str) -> np.ndarray:
        """Open the labels of `split`: read-only int64 of shape (n,).

        -1 where the image could not be read.
        """
        return self._open(f"{split}_labels.npy", "int64", (self.n(split),))

    def n(self, split: str) -> int:
        """Return the number of rows of `split`."""
        return self.rows[split]

    def counts(self, split: str) -> dict[int, int]:
        """Return the number of rows per class of `split`."""
        return dict(self.class_counts[split])

    def _open(self, name: str, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
        path = self.folder / name
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise CacheError(
                f"{path}: cannot be opened ({error}); set embed.force=true to embed again."
            ) from error
        if array.dtype != dtype or array.shape != shape:
            raise CacheError(
                f"{path}: holds {array.dtype} of shape {array.shape} instead of "
                f"{np.dtype(dtype)} of shape {shape}; set embed.force=true to embed again."
            )
        return array


def describe(
    root: Path, fm: Source, dataset: Source, settings: EmbedSettings = DEFAULT
) -> Description:
    """Return what the entry is or would be, without embedding anything.

    Labels come from the cache when the entry is there and whole, else from the
    dataset, or from the npz file of a precomputed foundation model.

    Raises
    ------
    ConfigError, DataError
        If the foundation model or the dataset cannot be built or read.
    """
    material = build_material(fm, dataset, settings)
    folder = entry_folder(root, fm.name, dataset.name, material.fingerprint)
    cached = folder.is_dir() and damage(folder, material.fingerprint) is None
    fingerprint = material.fingerprint
    if cached and not settings.force:
        entry = opened(folder)
        fingerprint = entry.fingerprint
        labels, length = {split: np.array(entry.y(split)) for split in SPLITS}, entry.length
    else:
        labels, length = {split: material.labels(split) for split in SPLITS}, material.length
    return Description(
        fm=fm.name,
        dataset=dataset.name,
        fingerprint=fingerprint,
        labels=labels,
        length=length,
        weight_decay=material.fm.weight_decay,
        cached=cached,
    )


def find(
    root: Path, fm: Source, dataset: Source, settings: EmbedSettings = DEFAULT
) -> Embeddings | None:
    """Return the entry if it is in the cache.

    A damaged entry is moved to ``<root>/quarantine`` with a warning, and counts as absent.

    Parameters
    ----------
    root : Path
        The cache.
    fm, dataset : Source
        What is wanted.
    settings : EmbedSettings
        `verify` compares checksums, not only sizes.

    Raises
    ------
    CacheError
        If the cache has embeddings under these names, but only with other weights, other
        preprocessing or other data; or if it lacks images that could not be read, and the
        settings do not allow that.
    """
    material = build_material(fm, dataset, settings)
    folder = entry_folder(root, fm.name, dataset.name, material.fingerprint)
    if folder.is_dir():
        reason = damage(folder, material.fingerprint, verify=settings.verify)
        if reason is None:
            _refuse_gaps(folder, skip=settings.on_error == "skip")
            return opened(folder)
        set_aside(root, folder, reason)
        return None
    _refuse_others(folder, fm.name, material)
    return None


def opened(folder: Path) -> Embeddings:
    """Return the entry in a folder that is whole.

    Raises
    ------
    CacheError
        If its manifest is not there.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise CacheError(
            f"{folder}: its manifest vanished; run again, the embeddings are computed anew."
        )
    return Embeddings(
        fm=manifest["fm"],
        dataset=manifest["dataset"],
        folder=folder,
        fingerprint=_identity(manifest),
        length=manifest["length"],
        class_counts={
            split: {int(c): n for c, n in counts.items()}
            for split, counts in manifest["class_counts"].items()
        },
        rows=manifest["rows"],
        dtype=manifest["dtype"],
        left_out=_left_out(manifest),
    )


def _refuse_others(folder: Path, fm: str, material: Material) -> None:
    """Raise CacheError if only entries of the same name with another identity are there."""
    for other, manifest in others(folder, fm):
        wanted = material.identity
        changed = [what for what in wanted if manifest.get(what) != wanted[what]]
        whose = "dataset" if changed == ["data"] else "foundation model"
        raise CacheError(
            f"embeddings {folder.parent.name}/{fm}: cached with other {' and '.join(changed)} "
            f"({other.name}); set embed.force=true to embed again into a folder of its own, "
            f"or give the {whose} another name."
        )


def _refuse_gaps(folder: Path, *, skip: bool) -> None:
    """Raise CacheError if the entry was made without some images, which now may not be skipped."""
    gaps = opened(folder).left_out
    if gaps and not skip:
        raise CacheError(
            f"embeddings {folder.parent.name}/{folder.name}: made without {'; '.join(gaps)}; set "
            "embed.on_error=skip to use them as they are, or mend the images."
        )


def _identity(manifest: Mapping[str, Any]) -> str:
    """Return the fingerprint of what the entry holds: fewer images are other data."""
    skipped = {s: sorted(map(int, rows)) for s, rows in manifest.get("skipped", {}).items() if rows}
    fingerprint: str = manifest["fingerprint"]
    return digest(fingerprint=fingerprint, skipped=skipped) if skipped else fingerprint


def _left_out(manifest: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a phrase for each split of which images could not be read."""
    phrases = []
    for split, reasons in manifest.get("skipped", {}).items():
        if reasons:
            first = reasons[min(reasons, key=int)].rstrip(".")
            n = f"{len(reasons)} of {manifest['rows'][split]} {split} images"
            phrases.append(f"{n} that could not be read (first: {first})")
    return tuple(phrases)

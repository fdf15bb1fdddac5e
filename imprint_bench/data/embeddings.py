"""Embeddings on disk: described before, found or created once, opened as memory maps.

``<root>/<dataset>/<fm>-<fingerprint>/`` holds ``{train,test}_embeddings.npy``,
``{train,test}_labels.npy`` and ``manifest.json``. It appears in one step, whole.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from imprint_bench.data.chunks import Each, chunks_of, embed_chunk
from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.description import Description
from imprint_bench.data.entry import (
    entry_folder,
    others,
    publish,
    set_aside,
    unfinished,
)
from imprint_bench.data.manifest import damage, new_manifest, read_manifest
from imprint_bench.data.material import Material, build_material
from imprint_bench.data.writing import (
    Progress,
    array_facts,
    check_space,
    write_arrays,
)
from imprint_bench.durable import remove_unfinished
from imprint_bench.errors import CacheError
from imprint_bench.params import Source


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
        SHA-256 (hexadecimal) of weights, preprocessing and data.
    length : int
        Values per embedding, l.
    class_counts : Mapping[str, Mapping[int, int]]
        Rows per class, per split.
    """

    fm: str
    dataset: str
    folder: Path
    fingerprint: str
    length: int
    class_counts: Mapping[str, Mapping[int, int]]

    def X(self, split: str) -> np.ndarray:  # noqa: N802 - the field's name for the matrix
        """Open the embeddings of `split`: read-only float32 of shape (n, length)."""
        return self._open(f"{split}_embeddings.npy", np.float32, (self.n(split), self.length))

    def y(self, split: str) -> np.ndarray:
        """Open the labels of `split`: read-only int64 of shape (n,)."""
        return self._open(f"{split}_labels.npy", np.int64, (self.n(split),))

    def n(self, split: str) -> int:
        """Return the number of rows of `split`."""
        return sum(self.class_counts[split].values())

    def counts(self, split: str) -> dict[int, int]:
        """Return the number of rows per class of `split`."""
        return dict(self.class_counts[split])

    def _open(self, name: str, dtype: type, shape: tuple[int, ...]) -> np.ndarray:
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


def describe(root: Path, fm: Source, dataset: Source) -> Description:
    """Return what the entry is or would be, without embedding anything.

    Labels come from the cache when the entry is there and whole, else from the
    dataset, or from the npz file of a precomputed foundation model.

    Raises
    ------
    ConfigError, DataError
        If the foundation model or the dataset cannot be built or read.
    """
    material = build_material(fm, dataset)
    folder = entry_folder(root, fm.name, dataset.name, material.fingerprint)
    cached = folder.is_dir() and damage(folder, material.fingerprint) is None
    if cached:
        entry = _opened(folder)
        labels, length = {split: np.array(entry.y(split)) for split in SPLITS}, entry.length
    else:
        labels, length = {split: material.labels(split) for split in SPLITS}, material.length
    return Description(
        fm=fm.name,
        dataset=dataset.name,
        fingerprint=material.fingerprint,
        labels=labels,
        length=length,
        weight_decay=material.fm.weight_decay,
        cached=cached,
    )


def find(root: Path, fm: Source, dataset: Source, *, verify: bool = False) -> Embeddings | None:
    """Return the entry if it is in the cache.

    A damaged entry is moved to ``<root>/quarantine`` with a warning, and counts as absent.

    Parameters
    ----------
    root : Path
        The cache.
    fm, dataset : Source
        What is wanted.
    verify : bool
        Compare checksums, not only sizes.

    Raises
    ------
    CacheError
        If the cache has embeddings under these names, but only with other weights, other
        preprocessing or other data.
    """
    material = build_material(fm, dataset)
    folder = entry_folder(root, fm.name, dataset.name, material.fingerprint)
    if folder.is_dir():
        reason = damage(folder, material.fingerprint, verify=verify)
        if reason is None:
            return _opened(folder)
        set_aside(root, folder, reason)
        return None
    _refuse_others(folder, fm.name, material)
    return None


def create(
    root: Path,
    fm: Source,
    dataset: Source,
    *,
    force: bool = False,
    each: Each = map,
    progress: Progress = lambda rows: None,
) -> Embeddings:
    """Return the entry, after embedding the dataset if it is not in the cache.

    Parameters
    ----------
    root : Path
        The cache; made if missing.
    fm, dataset : Source
        What to embed with what.
    force : bool
        Embed even if the entry is there, or if there is one of the same names with other
        weights, preprocessing or data (which is kept).
    each : callable
        ``each(function, chunks)`` yields ``function(chunk)`` for every chunk, in any
        order, from any process.
    progress : callable
        Called with the number of rows just embedded.

    Raises
    ------
    CacheError
        As `find`, unless `force`.
    DataError
        If embeddings are not finite, or an image cannot be read.
    StoreError
        If the disk is too full or the cache cannot be written.
    """
    if not force and (found := find(root, fm, dataset)) is not None:
        return found
    began = time.monotonic()
    material = build_material(fm, dataset)
    labels = {split: material.labels(split) for split in SPLITS}
    rows = {split: len(y) for split, y in labels.items()}
    final = entry_folder(root, fm.name, dataset.name, material.fingerprint)
    remove_unfinished(final.parent)
    check_space(final.parent, rows, material.length)
    with unfinished(final) as folder:
        write_arrays(
            folder,
            material.embedded(
                chunks_of(fm, dataset, (material.fm.fingerprint, material.data_fingerprint), rows),
                partial(each, embed_chunk),
            ),
            labels,
            length=material.length,
            at=f"embeddings {dataset.name}/{fm.name}",
            remedy=material.remedy,
            progress=progress,
        )
        manifest = new_manifest(fm.name, dataset.name, material, labels)
        manifest |= {"files": array_facts(folder), "seconds": round(time.monotonic() - began, 3)}
        publish(folder, final, manifest, replace=force)
    return _opened(final)


def _opened(folder: Path) -> Embeddings:
    manifest = read_manifest(folder)
    if manifest is None:
        raise CacheError(
            f"{folder}: its manifest vanished; run again, the embeddings are computed anew."
        )
    return Embeddings(
        fm=manifest["fm"],
        dataset=manifest["dataset"],
        folder=folder,
        fingerprint=manifest["fingerprint"],
        length=manifest["length"],
        class_counts={
            split: {int(c): n for c, n in counts.items()}
            for split, counts in manifest["class_counts"].items()
        },
    )


def _refuse_others(folder: Path, fm: str, material: Material) -> None:
    """Raise CacheError if only entries of the same name with another identity are there."""
    for other, manifest in others(folder, fm):
        wanted = material.identity
        changed = [what for what in wanted if manifest.get(what) != wanted[what]]
        raise CacheError(
            f"embeddings {folder.parent.name}/{fm}: cached with other {' and '.join(changed)} "
            f"({other.name}); set embed.force=true to embed again into a folder of its own, "
            "or give the foundation model another name."
        )

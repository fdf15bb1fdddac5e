"""Embedding a dataset: once, with all foundation models that lack it, so that a kill loses little.

Images are read once for all foundation models, and prepared once for those that take them
alike. Every batch is on the disk, and noted there, before the next begins.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.embeddings.array_file import NotFinite
from imprint_bench.data.embeddings.batches import (
    Batch,
    Done,
    Each,
    Target,
    embed_batch,
    missing_batches,
    to_json,
)
from imprint_bench.data.embeddings.cache import DEFAULT, Embeddings, find, opened
from imprint_bench.data.embeddings.entry import entry_folder, publish
from imprint_bench.data.embeddings.journal import Written, read_journal, record
from imprint_bench.data.embeddings.loading import default_loaders, embed_with_loaders
from imprint_bench.data.embeddings.manifest import new_manifest
from imprint_bench.data.embeddings.material import Material, build_material
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.embeddings.unfinished import (
    discard,
    discard_abandoned,
    entry_in_progress,
    header_of,
    leave_no_trace,
    sync_arrays,
)
from imprint_bench.data.embeddings.writing import array_facts, write_labels
from imprint_bench.data.networks.computing import resolved
from imprint_bench.data.reading.precomputed_arrays import PrecomputedArrays
from imprint_bench.durable import check_writable, remove_unfinished
from imprint_bench.errors import DataError, ImprintError
from imprint_bench.params import Source

Progress = Callable[[int], object]

NAMED = 3  # images that could not be read, in the log
ROWS_COPIED = 4096  # of precomputed embeddings at a time

log = logging.getLogger(__name__)


@dataclass
class Speed:
    """What embedding with one foundation model cost in this run.

    Attributes
    ----------
    images : int
        Embedded now; less than all where an interrupted run had begun.
    forward, other : float
        Seconds in the network, and in all else, of all workers together.
    alone : bool
        Whether one process ran the network, not each of the workers.
    """

    images: int = 0
    forward: float = 0.0
    other: float = 0.0
    alone: bool = False


@dataclass
class _Entry:
    """An entry that is being made."""

    source: Source
    material: Material
    final: Path
    header: dict[str, Any]
    folder: Path
    written: Written
    speed: Speed


def create(
    root: Path,
    fm: Source,
    dataset: Source,
    settings: EmbedSettings = DEFAULT,
    *,
    each: Each = map,
    progress: Progress = lambda rows: None,
) -> Embeddings:
    """Return the embeddings of a dataset by one foundation model; see `create_all`."""
    made, _ = create_all(root, [fm], dataset, settings, each=each, progress=progress)
    return made[fm.name]


def create_all(
    root: Path,
    fms: Sequence[Source],
    dataset: Source,
    settings: EmbedSettings = DEFAULT,
    *,
    each: Each = map,
    progress: Progress = lambda rows: None,
) -> tuple[dict[str, Embeddings], dict[str, Speed]]:
    """Return the embeddings of a dataset, after making those that are not in the cache.

    Parameters
    ----------
    root : Path
        The cache; made if missing.
    fms : sequence of Source
        Foundation models, of different names.
    dataset : Source
    settings : EmbedSettings
        `force` embeds even if an entry is there, or if there is one of the same names with
        other weights, preprocessing or data (which is kept).
    each : callable
        ``each(function, batches)`` yields ``function(batch)`` for every batch, in any order,
        from any process of this machine.
    progress : callable
        Called with the number of embeddings just written.

    Returns
    -------
    embeddings : dict from name to Embeddings
    speeds : dict from name to Speed
        Of those that were made now.

    Raises
    ------
    CacheError
        As `find`, unless `force`.
    DataError
        If embeddings are not finite, or an image cannot be read.
    StoreError
        If the disk is too full or the cache cannot be written.
    """
    made: dict[str, Embeddings] = {}
    for fm in fms:
        if not settings.force and (found := find(root, fm, dataset, settings)) is not None:
            made[fm.name] = found
    lacking = [fm for fm in fms if fm.name not in made]
    if not lacking:
        return made, {}
    began = time.monotonic()
    materials = [build_material(fm, dataset, settings) for fm in lacking]
    finals = [
        entry_folder(root, fm.name, dataset.name, material.fingerprint)
        for fm, material in zip(lacking, materials, strict=True)
    ]
    remove_unfinished(finals[0].parent)
    discard_abandoned(root)
    with ExitStack() as stack:
        entries = [
            _begun(stack, *entry, force=settings.force)
            for entry in zip(lacking, materials, finals, strict=True)
        ]
        _check_space(entries, root)
        _fill(entries, dataset, settings, each, progress)
        failed = []
        for entry in entries:
            try:
                seconds = time.monotonic() - began
                made[entry.source.name] = _finished(entry, dataset, settings, seconds=seconds)
            except DataError as error:  # of one foundation model: the others are well
                failed.append(error)
        if failed:
            raise failed[0]
    return made, {entry.source.name: entry.speed for entry in entries}


def _begun(
    stack: ExitStack, source: Source, material: Material, final: Path, *, force: bool
) -> _Entry:
    rows = {split: len(material.labels(split)) for split in SPLITS}
    header = header_of(material.fingerprint, rows, material.length, material.dtype)
    folder, written = stack.enter_context(entry_in_progress(final, header, fresh=force))
    had = sum(int(done.sum()) for done in written.done.values())
    if had:
        log.info("%s: %d of %d images are embedded already.", final.name, had, sum(rows.values()))
    return _Entry(source, material, final, header, folder, written, Speed())


def _check_space(entries: Sequence[_Entry], root: Path) -> None:
    """Raise StoreError if the disk has no room for what is missing."""
    n_bytes = 0
    for entry in entries:
        row = entry.material.length * np.dtype(entry.material.dtype).itemsize + 8
        n_bytes += row * sum(int((~done).sum()) for done in entry.written.done.values())
    check_writable(root, n_bytes=n_bytes)


def _fill(
    entries: Sequence[_Entry],
    dataset: Source,
    settings: EmbedSettings,
    each: Each,
    progress: Progress,
) -> None:
    """Compute and write what the entries lack."""
    of_images = []
    for entry in entries:
        if isinstance(entry.material.data, PrecomputedArrays):
            _copy(entry, progress)
        else:
            of_images.append(entry)
    torch_too = any(entry.material.fm.on_torch for entry in of_images)
    device = resolved(settings.device) if torch_too else "cpu"
    in_one_process = device != "cpu" or settings.loaders is not None
    apart = [e for e in of_images if e.material.fm.on_torch and in_one_process]
    for entry in apart:
        entry.speed.alone = True
    loaders = default_loaders() if settings.loaders is None else settings.loaders
    _note(
        embed_with_loaders(_batches(apart, dataset, settings, device), n_loaders=loaders),
        apart,
        progress,
    )
    together = [entry for entry in of_images if entry not in apart]
    batches = _batches(together, dataset, settings, "cpu")
    _note(each(embed_batch, batches) if batches else (), together, progress)


def _batches(
    entries: Sequence[_Entry], dataset: Source, settings: EmbedSettings, device: str
) -> list[Batch]:
    """Return the batches that the entries lack."""
    if not entries:
        return []
    targets = [
        Target(
            to_json(entry.source),
            entry.material.fm.fingerprint,
            str(entry.folder),
            entry.material.length,
            entry.material.dtype,
        )
        for entry in entries
    ]
    data = to_json(dataset), entries[0].material.data_fingerprint
    shared = settings.computing(device), settings.on_error == "skip"
    rows, done = entries[0].header["rows"], [entry.written.done for entry in entries]
    return [
        Batch(*data, split, start, stop, tuple(targets[i] for i in lacking), *shared)
        for split, start, stop, lacking in missing_batches(rows, done, settings.batch_size)
    ]


def _note(finished: Iterable[Done], entries: Sequence[_Entry], progress: Progress) -> None:
    """Add up what batches cost, as they are done."""
    speeds = {str(entry.folder): entry.speed for entry in entries}
    for batch, forward, other in finished:
        for target, in_network, elsewhere in zip(batch.targets, forward, other, strict=True):
            speed = speeds[target.folder]
            speed.images += len(batch)
            speed.forward += in_network
            speed.other += elsewhere
            progress(len(batch))


def _copy(entry: _Entry, progress: Progress) -> None:
    """Write ready-made embeddings."""
    data = entry.material.data
    assert isinstance(data, PrecomputedArrays)
    for split in SPLITS:
        X = data.embeddings(split)
        for start in range(0, len(X), ROWS_COPIED):
            piece = X[start : start + ROWS_COPIED]
            record(entry.folder, split, start, piece, dtype=entry.material.dtype, skipped={})
            progress(len(piece))
        entry.speed.images += len(X)


def _finished(
    entry: _Entry, dataset: Source, settings: EmbedSettings, *, seconds: float
) -> Embeddings:
    """Give a filled entry its labels, its manifest and its final name.

    Raises
    ------
    DataError
        If rows are not finite, or no image of a split could be read.
    RuntimeError
        If rows are missing.
    """
    at = f"embeddings {dataset.name}/{entry.source.name}"
    written = read_journal(entry.folder, {**entry.header, "fresh": settings.force}, verify=False)
    if written is None:
        raise ImprintError(f"{entry.folder}: its journal vanished; run again.")
    for split, done in written.done.items():
        _refuse_not_finite(written.bad.get(split, []), len(done), entry, at=f"{at}/{split}")
        if not done.all():
            raise RuntimeError(f"{at}/{split}: {done.sum()} of {len(done)} rows were written")
    labels = {split: _labels(entry, split, written, at=f"{at}/{split}") for split in SPLITS}
    sync_arrays(entry.folder)
    write_labels(entry.folder, labels)
    manifest = new_manifest(
        entry.source.name, dataset.name, entry.material, labels, written.skipped
    )
    manifest |= {"files": array_facts(entry.folder), "seconds": round(seconds, 3)}
    publish(entry.folder, entry.final, manifest, replace=settings.force)
    leave_no_trace(entry.final)
    return opened(entry.final)


def _refuse_not_finite(bad: Sequence[NotFinite], n: int, entry: _Entry, *, at: str) -> None:
    if not bad:
        return
    kinds = " and ".join(sorted({kind for some in bad for kind in some.kinds}))
    discard(entry.folder)
    raise DataError(
        f"{at}: {sum(some.rows for some in bad)} of {n} rows contain {kinds} "
        f"(first: row {min(some.first for some in bad)}); {entry.material.remedy}."
    )


def _labels(entry: _Entry, split: str, written: Written, *, at: str) -> np.ndarray:
    """Return the labels of a split, -1 where the image was skipped, which is logged."""
    labels = entry.material.labels(split).copy()
    skipped: Mapping[int, str] = written.skipped.get(split, {})
    if not skipped:
        return labels
    reasons = [skipped[row] for row in sorted(skipped)]
    if len(skipped) == len(labels):
        discard(entry.folder)
        raise DataError(f"{at}: none of {len(labels)} images can be read; the first: {reasons[0]}")
    log.warning("%s: %d of %d images are left out:", at, len(skipped), len(labels))
    for reason in reasons[:NAMED]:
        log.warning("  %s", reason)
    if len(reasons) > NAMED:
        log.warning("  and %d more, which the manifest lists.", len(reasons) - NAMED)
    labels[sorted(skipped)] = -1
    return labels

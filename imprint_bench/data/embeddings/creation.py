"""Embedding a dataset: once, with all foundation models that lack it, so that a kill loses little.

Images are read once for all foundation models, and prepared once for those that take them
alike. Every batch is on the disk, and noted there, before the next begins.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.embeddings.batches import Each
from imprint_bench.data.embeddings.cache import DEFAULT, Embeddings, find, opened
from imprint_bench.data.embeddings.entry import entry_folder
from imprint_bench.data.embeddings.filling import EntryInProgress, Progress, Speed, fill
from imprint_bench.data.embeddings.finishing import finished
from imprint_bench.data.embeddings.manifest import damage
from imprint_bench.data.embeddings.material import Material, build_material
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.embeddings.unfinished import (
    discard,
    discard_abandoned,
    entry_in_progress,
    header_of,
)
from imprint_bench.durable import check_writable, remove_unfinished
from imprint_bench.errors import DataError
from imprint_bench.params import Source

log = logging.getLogger(__name__)


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
            _begun(stack, *entry, settings)
            for entry in zip(lacking, materials, finals, strict=True)
        ]
        for entry in [] if settings.force else list(entries):
            if entry.final.is_dir() and damage(entry.final, entry.material.fingerprint) is None:
                made[entry.source.name] = opened(entry.final)  # another run was faster
                discard(entry.folder)
                entries.remove(entry)
        _check_space(entries, root)
        fill(entries, dataset, settings, each, progress)
        failed = []
        for entry in entries:
            try:
                seconds = time.monotonic() - began
                made[entry.source.name] = finished(entry, dataset, settings, seconds=seconds)
            except DataError as error:  # of one foundation model: the others are well
                failed.append(error)
        if failed:
            raise failed[0]
    return made, {entry.source.name: entry.speed for entry in entries}


def _begun(
    stack: ExitStack, source: Source, material: Material, final: Path, settings: EmbedSettings
) -> EntryInProgress:
    rows = {split: len(material.labels(split)) for split in SPLITS}
    header = header_of(material.fingerprint, rows, material.length, material.dtype)
    skip = settings.on_error == "skip"
    in_progress = entry_in_progress(final, header, fresh=settings.force, skip=skip)
    folder, written = stack.enter_context(in_progress)
    had = sum(int(done.sum()) for done in written.done.values())
    if had:
        log.info("%s: %d of %d images are embedded already.", final.name, had, sum(rows.values()))
    return EntryInProgress(source, material, final, header, folder, written, Speed())


def _check_space(entries: Sequence[EntryInProgress], root: Path) -> None:
    """Raise StoreError if the disk has no room for what is missing."""
    n_bytes = 0
    for entry in entries:
        row = entry.material.length * np.dtype(entry.material.dtype).itemsize + 8
        n_bytes += row * sum(int((~done).sum()) for done in entry.written.done.values())
    check_writable(root, n_bytes=n_bytes)

"""Finishing an entry: labels, manifest, and the name under which it is found."""

import logging
from collections.abc import Mapping, Sequence

import numpy as np

from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.embeddings.array_file import NotFinite
from imprint_bench.data.embeddings.cache import Embeddings, opened
from imprint_bench.data.embeddings.entry import publish
from imprint_bench.data.embeddings.filling import EntryInProgress
from imprint_bench.data.embeddings.journal import Written, read_journal
from imprint_bench.data.embeddings.manifest import new_manifest
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.embeddings.unfinished import discard, leave_no_trace, sync_arrays
from imprint_bench.data.embeddings.writing import array_facts, write_labels
from imprint_bench.errors import DataError, ImprintError
from imprint_bench.params import Source

NAMED = 3  # images that could not be read, in the log

log = logging.getLogger(__name__)


def finished(
    entry: EntryInProgress, dataset: Source, settings: EmbedSettings, *, seconds: float
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
    written = read_journal(entry.folder, {**entry.header, "fresh": settings.force})
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


def _refuse_not_finite(
    bad: Sequence[NotFinite], n: int, entry: EntryInProgress, *, at: str
) -> None:
    if not bad:
        return
    kinds = " and ".join(sorted({kind for some in bad for kind in some.kinds}))
    discard(entry.folder)
    raise DataError(
        f"{at}: {sum(some.rows for some in bad)} of {n} rows contain {kinds} "
        f"(first: row {min(some.first for some in bad)}); {entry.material.remedy}."
    )


def _labels(entry: EntryInProgress, split: str, written: Written, *, at: str) -> np.ndarray:
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

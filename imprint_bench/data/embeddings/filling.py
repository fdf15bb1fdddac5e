"""Computing the rows that unfinished entries lack: by workers, by loaders, or copied."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.embeddings.batch_work import embed_batch
from imprint_bench.data.embeddings.batches import (
    Batch,
    Done,
    Each,
    Target,
    digest_of_labels,
    missing_batches,
    to_recipe,
)
from imprint_bench.data.embeddings.journal import Written, record
from imprint_bench.data.embeddings.loading import default_loaders, embed_with_loaders
from imprint_bench.data.embeddings.material import Material
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.networks.computing import resolved
from imprint_bench.data.reading.precomputed_arrays import PrecomputedArrays
from imprint_bench.params import Source

Progress = Callable[[int], object]

ROWS_COPIED = 4096  # of precomputed embeddings at a time


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
class EntryInProgress:
    """An entry that is being made.

    Attributes
    ----------
    source : Source
        Of the foundation model.
    material : Material
    final : Path
        Its folder once it is finished.
    header : dict
        What its journal starts with.
    folder : Path
        Where it is until then.
    written : Written
        What an interrupted run had left.
    speed : Speed
    """

    source: Source
    material: Material
    final: Path
    header: dict[str, Any]
    folder: Path
    written: Written
    speed: Speed


def fill(
    entries: Sequence[EntryInProgress],
    dataset: Source,
    settings: EmbedSettings,
    each: Each,
    progress: Progress,
) -> None:
    """Compute and write what the entries of one dataset lack.

    Parameters
    ----------
    entries : sequence of EntryInProgress
    dataset : Source
    settings : EmbedSettings
    each : callable
        Calls a function on every batch, on this machine, in any order.
    progress : callable
        Called with the number of embeddings just written.
    """
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
    entries: Sequence[EntryInProgress], dataset: Source, settings: EmbedSettings, device: str
) -> list[Batch]:
    """Return the batches that the entries lack."""
    if not entries:
        return []
    targets = [
        Target(
            to_recipe(entry.source),
            entry.material.fm.fingerprint,
            str(entry.folder),
            entry.material.length,
            entry.material.dtype,
        )
        for entry in entries
    ]
    labels = {split: entries[0].material.labels(split) for split in SPLITS}
    data = to_recipe(dataset), digest_of_labels(labels)
    shared = settings.computing(device), settings.on_error == "skip"
    rows, done = entries[0].header["rows"], [entry.written.done for entry in entries]
    return [
        Batch(*data, split, start, stop, tuple(targets[i] for i in lacking), *shared)
        for split, start, stop, lacking in missing_batches(rows, done, settings.batch_size)
    ]


def _note(finished: Iterable[Done], entries: Sequence[EntryInProgress], progress: Progress) -> None:
    """Add up what batches cost, as they are done."""
    speeds = {str(entry.folder): entry.speed for entry in entries}
    for batch, forward, other in finished:
        for target, in_network, elsewhere in zip(batch.targets, forward, other, strict=True):
            speed = speeds[target.folder]
            speed.images += len(batch)
            speed.forward += in_network
            speed.other += elsewhere
            progress(len(batch))


def _copy(entry: EntryInProgress, progress: Progress) -> None:
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

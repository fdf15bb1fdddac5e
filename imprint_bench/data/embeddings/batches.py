"""Embedding in batches: what a worker gets, and what it does with it."""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imprint_bench.data.dataset import ImageDataset, Images, build_dataset
from imprint_bench.data.embeddings.journal import record
from imprint_bench.data.foundation_model import (
    FoundationModel,
    Network,
    Prepare,
    build_foundation_model,
)
from imprint_bench.data.networks.computing import Computing
from imprint_bench.errors import DataError, ImageError
from imprint_bench.params import Source


@dataclass(frozen=True)
class Target:
    """An entry to be filled: by which foundation model, and where.

    Attributes
    ----------
    fm : str
        A `Source`, as JSON.
    fingerprint : str
        Of the foundation model, as the parent process found it.
    folder : str
        The unfinished entry.
    length : int
        Values per embedding.
    dtype : str
        Of the stored embeddings.
    """

    fm: str
    fingerprint: str
    folder: str
    length: int
    dtype: str


@dataclass(frozen=True)
class Batch:
    """Rows `start` to `stop` of one split, and the entries that lack them.

    Attributes
    ----------
    dataset : str
        A `Source`, as JSON.
    data_fingerprint : str
        What the parent process found; a worker that is older than a change of the files
        builds anew.
    split : str
    start, stop : int
        `stop` is excluded.
    targets : tuple of Target
    computing : Computing
    skip : bool
        Whether images that cannot be read are left out.
    """

    dataset: str
    data_fingerprint: str
    split: str
    start: int
    stop: int
    targets: tuple[Target, ...]
    computing: Computing
    skip: bool

    def __len__(self) -> int:
        """Return the number of images."""
        return self.stop - self.start


class Done(NamedTuple):
    """A batch that is on the disk, with the seconds of each of its targets.

    Attributes
    ----------
    batch : Batch
    forward : tuple of float
        Seconds of the network.
    other : tuple of float
        Seconds of reading, preparing (shared by those that prepare alike) and writing.
    """

    batch: Batch
    forward: tuple[float, ...]
    other: tuple[float, ...]


Each = Callable[[Callable[[Batch], Done], Iterable[Batch]], Iterable[Done]]


def embed_batch(batch: Batch) -> Done:
    """Embed a batch with every foundation model that lacks it, and write it into their entries.

    Runs in any process; images are read once, and networks are loaded once per process.

    Raises
    ------
    DataError
        If an image is damaged or a network is no longer the one that was asked for.
    StoreError
        If the disk is full.
    """
    began = time.perf_counter()
    images, skipped = read_batch(batch)
    share = (time.perf_counter() - began) / len(batch.targets)
    networks = [network_of(target, batch.computing) for target in batch.targets]
    alike: dict[Prepare, list[int]] = {}
    for i, network in enumerate(networks):
        alike.setdefault(network.prepare, []).append(i)
    forward, other = [0.0] * len(networks), [share] * len(networks)
    for prepare, members in alike.items():
        began = time.perf_counter()
        prepared = _prepared(prepare, images, batch) if len(images) else None
        preparing = (time.perf_counter() - began) / len(members)
        for i in members:
            forward[i], writing = write_embeddings(batch, i, networks[i], prepared, skipped)
            other[i] += preparing + writing
    return Done(batch, tuple(forward), tuple(other))


def _prepared(prepare: Prepare, images: Images, batch: Batch) -> np.ndarray:
    try:
        return prepare(images)
    except DataError as error:
        source = Source(*json.loads(batch.dataset))
        raise type(error)(
            f"dataset.{source.name}, images {batch.start} to {batch.stop} of {batch.split}: {error}"
        ) from error


def read_batch(batch: Batch) -> tuple[Images, dict[int, str]]:
    """Return the images of a batch that can be read, and why the others cannot, by their row.

    Raises
    ------
    ImageError
        If an image cannot be read and none may be skipped.
    """
    dataset = _dataset(batch.dataset, batch.data_fingerprint)
    try:
        return dataset.images(batch.split, batch.start, batch.stop), {}
    except ImageError:
        if not batch.skip:
            raise
    images, skipped = [], {}
    for row in range(batch.start, batch.stop):
        try:
            images.append(dataset.images(batch.split, row, row + 1)[0])
        except ImageError as error:
            skipped[row] = str(error)
    alike = len({image.shape for image in images}) == 1
    return (np.stack(images) if alike else images), skipped


def write_embeddings(
    batch: Batch,
    which: int,
    network: Network,
    prepared: np.ndarray | None,
    skipped: Mapping[int, str],
) -> tuple[float, float]:
    """Embed prepared images for one target and write them; return both seconds.

    Parameters
    ----------
    batch : Batch
    which : int
        Place of the target in the batch.
    network : Network
    prepared : uint8 ndarray or None
        The images that could be read; None if there are none.
    skipped : Mapping[int, str]
        Rows of the others, whose embeddings become zero.
    """
    target = batch.targets[which]
    began = time.perf_counter()
    X = np.zeros((0, target.length), np.float32) if prepared is None else network.forward(prepared)
    forwarded = time.perf_counter()
    if skipped:
        there = [row - batch.start for row in range(batch.start, batch.stop) if row not in skipped]
        full = np.zeros((len(batch), target.length), dtype=np.float32)
        full[there] = X
        X = full
    if X.shape != (len(batch), target.length):
        raise DataError(
            f"fm.{json.loads(target.fm)[0]}: gave embeddings of shape {X.shape} for "
            f"{len(batch)} images; expected {(len(batch), target.length)}."
        )
    record(Path(target.folder), batch.split, batch.start, X, dtype=target.dtype, skipped=skipped)
    return forwarded - began, time.perf_counter() - forwarded


def network_of(target: Target, computing: Computing) -> Network:
    """Return the network of a target, loaded once per process.

    Raises
    ------
    DataError
        If its files have changed since the run began.
    """
    return _foundation_model(target.fm, target.fingerprint).network(computing)


def to_json(source: Source) -> str:
    """Return a source as text, for another process."""
    return json.dumps([source.name, source.kind, dict(source.params)], sort_keys=True)


def missing_batches(
    rows: Mapping[str, int], done: Sequence[Mapping[str, np.ndarray]], size: int
) -> Iterator[tuple[str, int, int, tuple[int, ...]]]:
    """Yield split, start and stop of every batch that an entry lacks, and which entries do.

    Parameters
    ----------
    rows : Mapping[str, int]
        Rows per split.
    done : sequence of Mapping[str, ndarray of bool]
        For each entry, the rows per split that it has.
    size : int
        Rows of a batch.
    """
    for split, n in rows.items():
        for start in range(0, n, size):
            stop = min(start + size, n)
            lacking = tuple(i for i, d in enumerate(done) if not d[split][start:stop].all())
            if lacking:
                yield split, start, stop, lacking


@lru_cache(maxsize=16)
def _foundation_model(recipe: str, fingerprint: str) -> FoundationModel:
    fm = build_foundation_model(Source(*json.loads(recipe)))
    if fm.fingerprint != fingerprint:
        name = json.loads(recipe)[0]
        raise DataError(
            f"fm.{name}: its weights or preprocessing changed while images were being embedded; "
            "run again."
        )
    return fm


@lru_cache(maxsize=2)
def _dataset(recipe: str, _fingerprint: str) -> ImageDataset:
    return build_dataset(Source(*json.loads(recipe)))

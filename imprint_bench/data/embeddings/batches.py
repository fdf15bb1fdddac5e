"""Embedding in batches: what a worker gets, and what it does with it."""

import hashlib
import pickle
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from imprint_bench.data.dataset import SPLITS, ImageDataset, Images, build_dataset
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
    fm : bytes
        A `Source`, from `to_recipe`.
    fingerprint : str
        Of the foundation model, as the parent process found it.
    folder : str
        The unfinished entry.
    length : int
        Values per embedding.
    dtype : str
        Of the stored embeddings.
    """

    fm: bytes
    fingerprint: str
    folder: str
    length: int
    dtype: str


@dataclass(frozen=True)
class Batch:
    """Rows `start` to `stop` of one split, and the entries that lack them.

    Attributes
    ----------
    dataset : bytes
        A `Source`, from `to_recipe`.
    labels : str
        Digest of the labels that the parent process found: a worker that finds others sees
        other files.
    split : str
    start, stop : int
        `stop` is excluded.
    targets : tuple of Target
    computing : Computing
    skip : bool
        Whether images that cannot be read are left out.
    """

    dataset: bytes
    labels: str
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
        prepared, left_out = prepare_batch(prepare, images, batch, skipped)
        preparing = (time.perf_counter() - began) / len(members)
        for i in members:
            forward[i], writing = write_embeddings(batch, i, networks[i], prepared, left_out)
            other[i] += preparing + writing
    return Done(batch, tuple(forward), tuple(other))


def prepare_batch(
    prepare: Prepare, images: Images, batch: Batch, skipped: Mapping[int, str]
) -> tuple[np.ndarray | None, dict[int, str]]:
    """Return the prepared images of a batch, and why the others are not among them, by row.

    Parameters
    ----------
    prepare : callable
    images : Images
        Those that could be read.
    batch : Batch
    skipped : Mapping[int, str]
        Rows of the others.

    Raises
    ------
    DataError
        If an image cannot be prepared and none may be skipped; None stands for no image.
    """
    if not len(images):
        return None, dict(skipped)
    name = f"dataset.{_source(batch.dataset).name}"
    at = f"{name}, images {batch.start} to {batch.stop} of {batch.split}"
    try:
        return prepare(images), dict(skipped)
    except ImageError as error:
        if not batch.skip:
            raise ImageError(f"{at}: {error}") from error
    except DataError as error:
        raise DataError(f"{at}: {error}") from error
    rows = [row for row in range(batch.start, batch.stop) if row not in skipped]
    prepared, refused = [], dict(skipped)
    for row, image in zip(rows, images, strict=True):
        try:
            prepared.append(prepare(image.reshape(1, *image.shape)))
        except ImageError as error:
            refused[row] = f"{name}, row {row} of {batch.split}: {error}"
    return (np.concatenate(prepared) if prepared else None), refused


def read_batch(batch: Batch) -> tuple[Images, dict[int, str]]:
    """Return the images of a batch that can be read, and why the others cannot, by their row.

    Raises
    ------
    ImageError
        If an image cannot be read and none may be skipped.
    """
    dataset = _dataset(batch.dataset, batch.labels)
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
            f"fm.{_source(target.fm).name}: gave embeddings of shape {X.shape} for "
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


def to_recipe(source: Source) -> bytes:
    """Return a source as bytes, for another process: with all its keys in their order."""
    return pickle.dumps((source.name, source.kind, dict(source.params)))


def digest_of_labels(labels: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 (hexadecimal) of the labels of all splits."""
    content = hashlib.sha256()
    for split in sorted(labels):
        content.update(f"{split} {len(labels[split])} ".encode())
        content.update(np.ascontiguousarray(labels[split]).tobytes())
    return content.hexdigest()


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


def _source(recipe: bytes) -> Source:
    return Source(*pickle.loads(recipe))


@lru_cache(maxsize=16)
def _foundation_model(recipe: bytes, fingerprint: str) -> FoundationModel:
    fm = build_foundation_model(_source(recipe))
    if fm.fingerprint != fingerprint:
        raise DataError(
            f"fm.{_source(recipe).name}: its weights or preprocessing changed while images were "
            "being embedded; run again."
        )
    return fm


@lru_cache(maxsize=2)
def _dataset(recipe: bytes, labels: str) -> ImageDataset:
    dataset = build_dataset(_source(recipe))
    if digest_of_labels({split: dataset.labels(split) for split in SPLITS}) != labels:
        raise DataError(
            f"dataset.{_source(recipe).name}: its files changed while images were being embedded; "
            "run again."
        )
    return dataset

"""What a worker does with a batch: read, prepare, embed, write; in any process."""

import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import SPLITS, ImageDataset, Images, build_dataset
from imprint_bench.data.embeddings.batches import (
    Batch,
    Done,
    Target,
    digest_of_labels,
    from_recipe,
)
from imprint_bench.data.embeddings.journal import record
from imprint_bench.data.foundation_model import (
    FoundationModel,
    Network,
    Prepare,
    build_foundation_model,
)
from imprint_bench.data.networks.computing import Computing
from imprint_bench.errors import DataError, ImageError


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
    name = f"dataset.{from_recipe(batch.dataset).name}"
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
            f"fm.{from_recipe(target.fm).name}: gave embeddings of shape {X.shape} for "
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


@lru_cache(maxsize=16)
def _foundation_model(recipe: bytes, fingerprint: str) -> FoundationModel:
    fm = build_foundation_model(from_recipe(recipe))
    if fm.fingerprint != fingerprint:
        raise DataError(
            f"fm.{from_recipe(recipe).name}: its weights or preprocessing changed while images "
            "were being embedded; run again."
        )
    return fm


@lru_cache(maxsize=2)
def _dataset(recipe: bytes, labels: str) -> ImageDataset:
    dataset = build_dataset(from_recipe(recipe))
    if digest_of_labels({split: dataset.labels(split) for split in SPLITS}) != labels:
        raise DataError(
            f"dataset.{from_recipe(recipe).name}: its files changed while images were being "
            "embedded; run again."
        )
    return dataset

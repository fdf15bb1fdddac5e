"""Embedding in pieces: what a worker gets, and what it does with it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from imprint_bench.data.dataset import ImageDataset, build_dataset
from imprint_bench.data.foundation_model import FoundationModel, build_foundation_model
from imprint_bench.errors import DataError
from imprint_bench.params import Source

ROWS = 512  # of a piece: a second or so of work, a few megabytes of images


@dataclass(frozen=True)
class Chunk:
    """Rows `start` to `stop` of one split, with the names of all that is needed to embed them.

    Attributes
    ----------
    fm, dataset : str
        A `Source` each, as JSON.
    fm_fingerprint, data_fingerprint : str
        What the parent process found; a worker that is older than a change of the
        files builds anew.
    split : str
        "train" or "test".
    start, stop : int
        Rows of the split; `stop` is excluded.
    """

    fm: str
    dataset: str
    fm_fingerprint: str
    data_fingerprint: str
    split: str
    start: int
    stop: int


Embedded = tuple[Chunk, np.ndarray]
Each = Callable[[Callable[[Chunk], Embedded], Iterable[Chunk]], Iterable[Embedded]]


def chunks_of(
    fm: Source, dataset: Source, fingerprints: tuple[str, str], rows: Mapping[str, int]
) -> list[Chunk]:
    """Return the pieces of all splits, in order; their size depends on nothing but ROWS.

    Parameters
    ----------
    fm, dataset : Source
        What is embedded with what.
    fingerprints : tuple of str
        Of the foundation model and of the data.
    rows : Mapping[str, int]
        Rows per split.
    """
    recipes = (_to_json(fm), _to_json(dataset), *fingerprints)
    return [
        Chunk(*recipes, split, start, min(start + ROWS, n))
        for split, n in rows.items()
        for start in range(0, n, ROWS)
    ]


def embed_chunk(chunk: Chunk) -> Embedded:
    """Return the chunk with its embeddings, float32 of shape (stop - start, length).

    Runs in any process; the network is loaded once per process.

    Raises
    ------
    DataError
        If an image is damaged or the network is no longer the one that was asked for.
    """
    fm = _foundation_model(chunk.fm, chunk.fm_fingerprint)
    dataset = _dataset(chunk.dataset, chunk.data_fingerprint)
    return chunk, fm.embed(dataset.images(chunk.split, chunk.start, chunk.stop))


@lru_cache(maxsize=2)
def _foundation_model(recipe: str, fingerprint: str) -> FoundationModel:
    fm = build_foundation_model(_from_json(recipe))
    if fm.fingerprint != fingerprint:
        name = json.loads(recipe)[0]
        raise DataError(
            f"fm.{name}: its weights or preprocessing changed while images were being embedded; "
            "run again."
        )
    return fm


@lru_cache(maxsize=2)
def _dataset(recipe: str, _fingerprint: str) -> ImageDataset:
    return build_dataset(_from_json(recipe))


def _to_json(source: Source) -> str:
    return json.dumps([source.name, source.kind, dict(source.params)], sort_keys=True)


def _from_json(recipe: str) -> Source:
    return Source(*json.loads(recipe))

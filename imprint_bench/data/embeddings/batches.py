"""What a batch is: rows of one split, and the entries that lack them; small enough to be sent."""

import hashlib
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from imprint_bench.data.networks.computing import Computing
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


def from_recipe(recipe: bytes) -> Source:
    """Return the source that `to_recipe` was given."""
    return Source(*pickle.loads(recipe))


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

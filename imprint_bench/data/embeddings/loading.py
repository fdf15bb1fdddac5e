"""One process runs the networks while others read, decode and resize the images.

That is what an accelerator wants. On the CPU, workers that do everything cost less: nothing
is sent from process to process.
"""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imprint_bench.data.embeddings.batches import (
    Batch,
    Done,
    network_of,
    read_batch,
    write_embeddings,
)
from imprint_bench.data.foundation_model import Prepare
from imprint_bench.errors import ImprintError

AHEAD = 4  # batches that every loader keeps ready
ENOUGH = 8  # loaders that an accelerator is given at most


@dataclass(frozen=True)
class _Loaded:
    """What a loader hands over: the images prepared for each target, or an error."""

    number: int
    prepared: list[Any]  # one array per kind of preparation; empty if no image could be read
    skipped: dict[int, str]


class _Loader:
    """The batches as a sequence that torch's DataLoader reads in its processes."""

    def __init__(self, batches: Sequence[Batch], prepares: Sequence[Prepare]) -> None:
        self.batches, self.prepares = batches, prepares

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> dict[str, Any]:
        try:
            images, skipped = read_batch(self.batches[number])
            prepared = [prepare(images) for prepare in self.prepares] if len(images) else []
        except ImprintError as error:
            return {"number": number, "error": [type(error), str(error)]}
        return {"number": number, "prepared": prepared, "skipped": skipped}


def default_loaders() -> int:
    """Return how many loader processes an accelerator is given."""
    return max(1, min(ENOUGH, (os.cpu_count() or 1) - 1))


def embed_with_loaders(batches: Iterable[Batch], *, n_loaders: int) -> Iterator[Done]:
    """Embed batches in this process, from images that `n_loaders` others prepare.

    Parameters
    ----------
    batches : iterable of Batch
        All of one dataset, with the same foundation models among their targets.
    n_loaders : int
        0 reads and prepares in this process.

    Yields
    ------
    done : Done
        In the order of the batches. What is not the network's is the time spent waiting for
        images, and writing.

    Raises
    ------
    ImprintError
        As `embed_batch`; also if a loader dies.
    """
    batches = list(batches)
    if not batches:
        return
    everything = dict.fromkeys(target for batch in batches for target in batch.targets)
    networks = {target: network_of(target, batches[0].computing) for target in everything}
    prepares = list(dict.fromkeys(network.prepare for network in networks.values()))
    began = time.perf_counter()
    for loaded in _prepared(batches, prepares, n_loaders, pin=_on_cuda(batches[0])):
        batch = batches[loaded.number]
        waited = (time.perf_counter() - began) / len(batch.targets)
        seconds = []
        for which, target in enumerate(batch.targets):
            network = networks[target]
            place = prepares.index(network.prepare)
            images = loaded.prepared[place] if loaded.prepared else None
            seconds.append(write_embeddings(batch, which, network, images, loaded.skipped))
        yield Done(batch, tuple(s[0] for s in seconds), tuple(waited + s[1] for s in seconds))
        began = time.perf_counter()


def _on_cuda(batch: Batch) -> bool:
    return batch.computing.device.startswith("cuda")


def _prepared(
    batches: Sequence[Batch], prepares: Sequence[Prepare], n_loaders: int, *, pin: bool
) -> Iterator[_Loaded]:
    from torch.utils.data import DataLoader

    n_loaders = min(n_loaders, os.cpu_count() or 1, len(batches))
    loader: DataLoader[Any] = DataLoader(
        _Loader(batches, prepares),  # type: ignore[arg-type]
        batch_size=None,
        num_workers=n_loaders,
        prefetch_factor=AHEAD if n_loaders else None,
        # Not fork, which copies locks that other threads hold; nor forkserver, whose children
        # do not notice that this process was killed.
        multiprocessing_context="spawn" if n_loaders else None,
        pin_memory=pin,
    )
    try:
        for item in loader:
            if "error" in item:
                kind, sentence = item["error"]
                raise kind(sentence)
            prepared = [np.asarray(images) for images in item["prepared"]]
            yield _Loaded(int(item["number"]), prepared, item["skipped"])
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ImprintError(
            f"embed.loaders: a loader process died ({str(error).splitlines()[0]}); run again with "
            "fewer, or with a smaller embed.batch_size."
        ) from error

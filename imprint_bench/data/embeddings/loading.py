"""One process runs the networks while others read, decode and resize the images.

That is what an accelerator wants. On the CPU, workers that do everything cost less: nothing
is sent from process to process.
"""

import os
import pickle
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from imprint_bench.data.embeddings.batch_work import (
    network_of,
    prepare_batch,
    read_batch,
    write_embeddings,
)
from imprint_bench.data.embeddings.batches import Batch, Done
from imprint_bench.data.foundation_model import Prepare
from imprint_bench.errors import ImprintError
from imprint_bench.plugins import load, loaded

AHEAD = 4  # batches that every loader keeps ready
ENOUGH = 8  # loaders that an accelerator is given at most


@dataclass(frozen=True)
class _Loaded:
    """What a loader hands over: the images prepared for each target, or an error."""

    number: int
    prepared: list[np.ndarray]  # one per kind of preparation; empty if no image could be read
    skipped: list[dict[int, str]]  # for each of these, the images that are not among them


class _Loader:
    """The batches as a sequence that torch's DataLoader reads in its processes."""

    def __init__(self, batches: Sequence[Batch], prepares: Sequence[Prepare]) -> None:
        # As bytes: a process must first load the user's modules that these may come from.
        self._sent = pickle.dumps((list(batches), list(prepares)))
        self._modules = loaded()
        self._n = len(batches)
        self._opened: tuple[list[Batch], list[Prepare]] | None = None

    def __len__(self) -> int:
        return self._n

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_opened": None}

    def __getitem__(self, number: int) -> dict[str, Any]:
        try:
            if self._opened is None:
                load(self._modules)
                self._opened = pickle.loads(self._sent)
            batches, prepares = self._opened
            batch = batches[number]
            images, skipped = read_batch(batch)
            prepared = [prepare_batch(prepare, images, batch, skipped) for prepare in prepares]
        except ImprintError as error:
            return {"number": number, "error": pickle.dumps(error)}
        nothing = np.empty(0, np.uint8)
        return {
            "number": number,
            "prepared": [nothing if images is None else images for images, _ in prepared],
            "skipped": [reasons for _, reasons in prepared],
        }


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
    for item in _loaded(batches, prepares, n_loaders, pin=_on_cuda(batches[0])):
        batch = batches[item.number]
        waited = (time.perf_counter() - began) / len(batch.targets)
        seconds = []
        for which, target in enumerate(batch.targets):
            network = networks[target]
            place = prepares.index(network.prepare)
            images = item.prepared[place] if item.prepared[place].size else None
            skipped = item.skipped[place]
            seconds.append(write_embeddings(batch, which, network, images, skipped))
        yield Done(batch, tuple(s[0] for s in seconds), tuple(waited + s[1] for s in seconds))
        began = time.perf_counter()


def _on_cuda(batch: Batch) -> bool:
    return batch.computing.device.startswith("cuda")


def _loaded(
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
                raise pickle.loads(item["error"])
            prepared = [np.asarray(images) for images in item["prepared"]]
            yield _Loaded(int(item["number"]), prepared, item["skipped"])
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        raise ImprintError(
            f"embed.loaders: a loader process died ({str(error).splitlines()[0]}); run again with "
            "fewer, or with a smaller embed.batch_size."
        ) from error

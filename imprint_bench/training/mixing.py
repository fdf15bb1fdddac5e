"""Several sources of training images as one: joined, or in given shares of every batch."""

from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.networks.network import Shape
from imprint_bench.training.training_data import TrainingData, shuffled


class MixedData:
    """Several sources, whose images are trained on together.

    Without shares the sources are joined and shuffled as one. With shares, every batch has
    that part of each source; an epoch is one of the first source, and the others are gone
    through again and again, shuffled anew each time.

    Parameters
    ----------
    sources : sequence of TrainingData
        Images of one shape.
    labels : str
        "shared": label 3 is the same class everywhere. "offset": each source has classes
        of its own, which follow those of the sources before it.
    shares : sequence of float, optional
        One per source, which sum to 1.

    Raises
    ------
    DataError
        If the images differ in shape.
    ConfigError
        If the shares are not one positive number per source, or do not sum to 1.
    """

    def __init__(
        self,
        sources: Sequence[TrainingData],
        *,
        labels: Literal["shared", "offset"] = "shared",
        shares: Sequence[float] | None = None,
    ) -> None:
        self.sources = tuple(sources)
        self.where = " and ".join(source.where for source in sources)
        self.shape: Shape = sources[0].shape
        for source in sources:
            if source.shape != self.shape:
                raise DataError(
                    f"{source.where}: images of shape {source.shape}; expected {self.shape}, as "
                    f"in {sources[0].where}."
                )
        self.shares = None if shares is None else tuple(map(float, shares))
        if self.shares is not None and not _sum_to_one(self.shares, len(sources)):
            raise ConfigError(
                f"{self.where}: shares {list(self.shares)}; expected {len(sources)} positive "
                "numbers that sum to 1."
            )
        self._starts = np.cumsum([0, *(len(source.labels) for source in sources)])
        self.labels = _together(sources, offset=labels == "offset")
        # The labels are hashed, too: "shared" or "offset" is another task.
        content = [*(source.fingerprint for source in sources), str(self.shares)]
        self.fingerprint = sha256("\n".join(content).encode() + self.labels.tobytes()).hexdigest()

    def order(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of the batches of an epoch, counted through all sources."""
        if self.shares is None:
            return shuffled(len(self.labels), batch_size, rng)
        counts = self._counts(batch_size)
        steps = len(self.sources[0].labels) // counts[0]
        parts = [
            start + _cycled(len(source.labels), steps * count, rng).reshape(steps, count)
            for source, start, count in zip(self.sources, self._starts, counts, strict=False)
        ]
        return np.concatenate(parts, axis=1)

    def batches(
        self, order: Sequence[np.ndarray] | np.ndarray, *, device: torch.device, draw: int | None
    ) -> Iterator[Tensor]:
        """Yield the images of each batch, those of each source where the order has them."""
        places = [[self._part_of(rows) == i for rows in order] for i in range(len(self.sources))]
        parts = [
            source.batches(
                [rows[mine] - self._starts[i] for rows, mine in zip(order, places[i], strict=True)],
                device=device,
                draw=draw,
            )
            for i, source in enumerate(self.sources)
        ]
        for step, pieces in enumerate(zip(*parts, strict=True)):
            back = np.argsort(np.concatenate([np.flatnonzero(p[step]) for p in places]))
            yield torch.cat(pieces).index_select(0, torch.from_numpy(back).to(device))

    def _part_of(self, rows: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._starts, rows, side="right") - 1

    def _counts(self, batch_size: int) -> list[int]:
        """Return the images of each source in a batch; the first gets what rounding leaves."""
        assert self.shares is not None  # asked for by `order` where there are some
        others = [round(share * batch_size) for share in self.shares[1:]]
        counts = [batch_size - sum(others), *others]
        if min(counts) < 1 or counts[0] > len(self.sources[0].labels):
            raise ConfigError(
                f"{self.where}: shares {list(self.shares)} of a batch of {batch_size} are {counts} "
                f"images; expected at least one of each source, and at most the "
                f"{len(self.sources[0].labels)} of the first."
            )
        return counts


def _together(sources: Sequence[TrainingData], *, offset: bool) -> np.ndarray:
    """Return the labels of all sources, those of each after the ones before if `offset`."""
    parts, start = [], 0
    for source in sources:
        parts.append(source.labels + start)
        start += int(source.labels.max()) + 1 if offset else 0
    return np.concatenate(parts)


def _sum_to_one(shares: Sequence[float], n: int) -> bool:
    return len(shares) == n and min(shares) > 0 and abs(sum(shares) - 1) < 1e-6


def _cycled(n: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Return `wanted` numbers below `n`: permutations, one after the other."""
    rounds = -(-wanted // n)
    return np.concatenate([rng.permutation(n) for _ in range(rounds)])[:wanted]

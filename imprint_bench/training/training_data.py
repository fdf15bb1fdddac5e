"""What is trained on: labels and images of a split, in batches of any order, in memory."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from imprint_bench.data.dataset import ImageDataset
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.networks.network import Shape
from imprint_bench.training.mixing import Mixture

BLOCK = 4096  # images read at once


class TrainingData(Protocol):
    """Labels, and images in batches of any order.

    Attributes
    ----------
    where : str
        What it is, for messages.
    labels : int64 ndarray of shape (n,)
    shape : tuple of int
        Height, width and channels of all images.
    fingerprint : str
        The same for the same content.
    mixture : Mixture or None
        Shares of several sources in every batch.
    """

    @property
    def where(self) -> str: ...  # noqa: D102 - see the class
    @property
    def labels(self) -> np.ndarray: ...  # noqa: D102
    @property
    def shape(self) -> Shape: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102
    @property
    def mixture(self) -> Mixture | None: ...  # noqa: D102

    def order(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of the batches of an epoch, int64 of shape (steps, batch_size)."""

    def batches(
        self, order: Sequence[np.ndarray] | np.ndarray, *, device: torch.device, draw: int | None
    ) -> Iterator[Tensor]:
        """Yield the images of each batch on the device, (b, channels, height, width).

        They are uint8, or floating point where they need no normalization; nobody else's.
        `draw` is a seed of what is drawn while images are read; None draws nothing.
        """


@dataclass(frozen=True, eq=False)
class InMemoryData:
    """Images of one size in memory, which follow the training to its device.

    Attributes
    ----------
    images : ndarray or Tensor of shape (n, h, w, c)
        uint8; or floating point, which is trained on as it is.
    labels : int64 ndarray of shape (n,)
    where : str
        What it is, for messages.
    mixture : Mixture or None
        Of several sources in every batch; None shuffles all rows as one.
    """

    images: np.ndarray
    labels: np.ndarray
    where: str = "images"
    mixture: Mixture | None = None
    _placed: dict[torch.device, Tensor] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or len(self.images) != len(self.labels) or not len(self.images):
            raise DataError(
                f"{self.where}: images of shape {self.images.shape} and {len(self.labels)} labels; "
                "expected shape (n, height, width, channels), n at least 1, and n labels."
            )

    @property
    def shape(self) -> Shape:
        """Height, width and channels of the images."""
        _, height, width, channels = self.images.shape
        return height, width, channels

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of labels, images and mixture."""
        facts = (self.images.shape, str(self.images.dtype), self.mixture)
        content = sha256(repr(facts).encode())
        for array in (self.labels, self.images):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()

    def order(self, batch_size: int, rng: np.random.Generator) -> np.ndarray:
        """Return the rows of the batches of an epoch; the last are left out if they fill none."""
        return order_of(len(self.labels), self.mixture, batch_size, rng)

    def batches(
        self, order: Sequence[np.ndarray] | np.ndarray, *, device: torch.device, draw: int | None
    ) -> Iterator[Tensor]:
        """Yield copies of the images of each batch."""
        images = self.on(device)
        if isinstance(order, np.ndarray):  # one transfer for all batches
            yield from (images.index_select(0, rows) for rows in torch.from_numpy(order).to(device))
        else:
            yield from (images.index_select(0, torch.from_numpy(r).to(device)) for r in order)

    def on(self, device: torch.device) -> Tensor:
        """Return all images on the device, (n, c, h, w); moved there once."""
        if device not in self._placed:
            planes = torch.from_numpy(self.images).permute(0, 3, 1, 2)
            self._placed[device] = planes.contiguous().to(device)
        return self._placed[device]


def in_memory(dataset: ImageDataset, split: str) -> InMemoryData:
    """Return a split of a dataset whose images are all of one size, read into memory.

    Raises
    ------
    ConfigError
        If the images are of different sizes.
    """
    labels = dataset.labels(split)
    at = f"{dataset.where}, {split}"
    images = np.empty((len(labels), *dataset.shape), dtype=np.uint8)
    for start in range(0, len(labels), BLOCK):
        stop = min(start + BLOCK, len(labels))
        block = dataset.images(split, start, stop)
        if not isinstance(block, np.ndarray) or block.shape[1:] != dataset.shape:
            raise ConfigError(
                f"{at}: images {start} to {stop} are not all of {dataset.shape[0]} x "
                f"{dataset.shape[1]} pixels; set recipe.image_size to crop them while reading."
            )
        images[start:stop] = block
    return InMemoryData(images, labels, at)


def order_of(
    n: int, mixture: Mixture | None, batch_size: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the rows of the batches of an epoch, int64 of shape (steps, batch_size)."""
    return shuffled(n, batch_size, rng) if mixture is None else mixture.order(batch_size, rng)


def shuffled(n: int, batch_size: int, rng: np.random.Generator) -> np.ndarray:
    """Return a permutation of the numbers below `n` in as many full batches as there are.

    Parameters
    ----------
    n : int
        At least `batch_size`.
    batch_size : int
    rng : numpy.random.Generator

    Returns
    -------
    order : int64 ndarray of shape (n // batch_size, batch_size)
    """
    steps = n // batch_size
    return rng.permutation(n)[: steps * batch_size].reshape(steps, batch_size)


def check_against(data: TrainingData, *, n_classes: int, batch_size: int) -> None:
    """Raise DataError unless every label has a class and there is a full batch.

    A mixture has one of any size, and says so itself where it has not.

    Raises
    ------
    DataError
        Naming the first row whose label has no class, or the size.
    """
    labels = data.labels
    wrong = np.flatnonzero((labels < 0) | (labels >= n_classes))
    if len(wrong):
        raise DataError(
            f"{data.where}: label {labels[wrong[0]]} in row {wrong[0]}; the head has {n_classes} "
            f"classes, from 0 to {n_classes - 1}; number the labels so, or build it for more."
        )
    if data.mixture is None and len(labels) < batch_size:
        raise DataError(
            f"{data.where}: {len(labels)} images are fewer than a batch of {batch_size}; choose "
            f"recipe.batch_size={len(labels)} or less."
        )

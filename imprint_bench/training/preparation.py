"""From stored images to what a network takes: normalization, augmentation, mixing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import torch
from torch import Tensor

from imprint_bench.errors import ConfigError
from imprint_bench.training.augmentation import AUGMENTATIONS, stage_of
from imprint_bench.training.recipe import Choice, Recipe
from imprint_bench.training.training_data import BLOCK, InMemoryData, TrainingData

MOST_MEASURED = 10_000  # images that are read from a disk for their mean and deviation
MOST_FLOATS = 1 << 26  # values that are normalized once instead of in every batch
WHITE = 255.0


@dataclass(frozen=True)
class Normalization:
    """Mean and standard deviation of each channel, of pixels between 0 and 1."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __call__(self, images: Tensor) -> Tensor:
        """Return uint8 images (b, c, h, w) as normalized float32; others as they are."""
        if images.dtype != torch.uint8:
            return images
        scale, shift = _factors(self, images.device)
        return images.to(torch.float32).mul_(scale).add_(shift)


def normalization_of(recipe: Recipe, data: TrainingData) -> Normalization:
    """Return the normalization that a recipe asks for, with the numbers of its training data.

    Raises
    ------
    ConfigError
        If the recipe gives numbers for another number of channels.
    """
    channels = data.shape[2]
    asked = recipe.normalize
    check_channels(recipe, channels, at="recipe", dataset=data.where)
    if isinstance(asked, Mapping):
        return Normalization(tuple(map(float, asked["mean"])), tuple(map(float, asked["std"])))
    return _nothing(channels) if asked == "none" else measured(data)


def check_channels(recipe: Recipe, channels: int, *, at: str, dataset: str) -> None:
    """Raise ConfigError if a recipe normalizes images of another number of channels."""
    asked = recipe.normalize
    if isinstance(asked, Mapping) and len(asked["mean"]) != channels:
        raise ConfigError(
            f"{at}.normalize: mean {list(asked['mean'])} for images of {dataset}, whose number of "
            f"channels is {channels}; expected a mean per channel, data or none."
        )


def measured(data: TrainingData) -> Normalization:
    """Return mean and standard deviation of each channel over the training images.

    All images are counted that are in memory; of others 10,000, evenly spaced in their order.
    A channel of one color gets deviation 1. Images of floats are taken as they are.
    """
    n = len(data.labels)
    rows = np.arange(n)
    if not isinstance(data, InMemoryData) and n > MOST_MEASURED:
        rows = np.linspace(0, n - 1, MOST_MEASURED).round().astype(np.int64)
    counts = torch.zeros(data.shape[2], 256, dtype=torch.int64)
    blocks = [rows[start : start + BLOCK] for start in range(0, len(rows), BLOCK)]
    for images in data.batches(blocks, device=torch.device("cpu"), draw=None):
        if images.dtype != torch.uint8:
            return _nothing(data.shape[2])
        for channel, of_one in zip(counts, images.transpose(0, 1), strict=True):
            channel += torch.bincount(of_one.flatten(), minlength=256)
    grey = torch.arange(256, dtype=torch.float64) / WHITE
    shares = counts.double() / counts.sum(1, keepdim=True)
    mean = shares @ grey
    std = (shares * (grey - mean[:, None]) ** 2).sum(1).sqrt()
    return Normalization(tuple(mean.tolist()), tuple(torch.where(std > 0, std, 1.0).tolist()))


def normalized_once(
    data: TrainingData, recipe: Recipe, normalization: Normalization
) -> TrainingData:
    """Return small data in memory as floats, unless pixels are augmented; others as they are."""
    if not isinstance(data, InMemoryData) or data.images.dtype != np.uint8:
        return data
    if data.images.size > MOST_FLOATS or _of_stage(recipe.augmentation, "pixels"):
        return data
    planes = normalization(data.on(torch.device("cpu")))
    return replace(data, images=planes.permute(0, 2, 3, 1).numpy(), _placed={})


@dataclass(frozen=True)
class Preparation:
    """What a batch of training images goes through: pixels, normalization, noise.

    Augmentations of pixels come first, in the order of the recipe, then the normalization,
    then the augmentations of normalized images.
    """

    normalization: Normalization
    pixels: Sequence[Choice]
    normalized: Sequence[Choice]

    @classmethod
    def of(cls, recipe: Recipe, normalization: Normalization) -> "Preparation":
        """Return the preparation that a recipe asks for."""
        stages = (_of_stage(recipe.augmentation, stage) for stage in ("pixels", "normalized"))
        return cls(normalization, *stages)

    def __call__(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Return float images of shape (b, c, h, w), drawn from `generator`."""
        for choice in self.pixels:
            images = AUGMENTATIONS[choice.kind](images, generator, **choice.params)
        images = self.normalization(images)
        for choice in self.normalized:
            images = AUGMENTATIONS[choice.kind](images, generator, **choice.params)
        return images


def _nothing(channels: int) -> Normalization:
    return Normalization((0.0,) * channels, (1.0,) * channels)


def _of_stage(choices: Sequence[Choice], stage: str) -> tuple[Choice, ...]:
    return tuple(choice for choice in choices if stage_of(choice.kind) == stage)


@cache
def _factors(normalization: Normalization, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return scale and shift: (x / 255 - mean) / std is x * scale + shift."""
    std = torch.tensor(normalization.std, dtype=torch.float64)
    mean = torch.tensor(normalization.mean, dtype=torch.float64)
    scale, shift = 1 / (WHITE * std), -mean / std
    return tuple(t.to(torch.float32).to(device).view(1, -1, 1, 1) for t in (scale, shift))  # type: ignore[return-value]

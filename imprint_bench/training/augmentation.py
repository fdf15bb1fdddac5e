"""Augmentations: random changes of a batch of images, vectorized, on the images' device."""

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from torch import Tensor
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from imprint_bench.params import AtLeast, AtMost
from imprint_bench.registry import Registry

Stage = Literal["pixels", "normalized"]
NotNegative = Annotated[float, AtLeast(0)]
Probability = Annotated[float, AtLeast(0), AtMost(1)]

# An augmentation is f(images (b, c, h, w), generator, *, ...) -> images of the same shape. It
# changes its argument or a copy: a batch is nobody else's.
AUGMENTATIONS: Registry[Callable[..., Tensor]] = Registry("augmentation")

_stages: dict[str, Stage] = {}


def augmentation(
    name: str, *, on: Stage
) -> Callable[[Callable[..., Tensor]], Callable[..., Tensor]]:
    """Return a decorator that files an augmentation of pixels, or of normalized images."""
    _stages[name] = on
    return AUGMENTATIONS.register(name)


def stage_of(name: str) -> Stage:
    """Return what an augmentation works on: "pixels" (0 to 255), or "normalized" images."""
    return _stages[name]


@augmentation("crop", on="pixels")
def crop(
    images: Tensor, generator: torch.Generator, *, padding: Annotated[int, AtLeast(1)] = 4
) -> Tensor:
    """Shift every image by up to `padding` pixels each way; what is laid bare is black (0).

    Parameters
    ----------
    images : Tensor of shape (b, c, h, w)
    generator : torch.Generator
        On the device of the images.
    padding : int
        Pixels on every side, in which a window of h x w is drawn uniformly.
    """
    b, _, h, w = images.shape
    # Two draws of b numbers, each between 0 and twice the padding: the window's corner.
    top, left = torch.randint(
        2 * padding + 1, (2, b), generator=generator, device=images.device
    ).unbind()
    padded = F.pad(images, (padding, padding, padding, padding))
    windows = padded.unfold(2, h, 1).unfold(3, w, 1)  # a view: (b, c, 2p + 1, 2p + 1, h, w)
    return windows[torch.arange(b, device=images.device), :, top, left]


@augmentation("flip", on="pixels")
def flip(images: Tensor, generator: torch.Generator, *, p: Probability = 0.5) -> Tensor:
    """Mirror left and right of an image with probability `p`."""
    drawn = torch.rand(len(images), 1, 1, 1, generator=generator, device=images.device)
    return torch.where(drawn < p, images.flip(3), images)


@augmentation("noise", on="normalized")
def noise(images: Tensor, generator: torch.Generator, *, std: NotNegative) -> Tensor:
    """Add Gaussian noise of standard deviation `std`, in units of the normalized images."""
    drawn = torch.randn(images.shape, generator=generator, device=images.device, dtype=images.dtype)
    return images.add_(drawn, alpha=std)

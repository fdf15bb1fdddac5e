"""Images as pretrained networks want them: the shorter side resized, the center cut out."""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from imprint_bench.data.dataset import Images
from imprint_bench.errors import ImageError

Interpolation = Literal["bilinear", "bicubic"]

ROWS = 16  # images per step, so that a step's output stays in the processor's cache
LONGEST = 64  # longer than this many times the shorter side, an image would fill the memory


@dataclass(frozen=True)
class Cropped:
    """Resizes images and cuts out their center, in three channels.

    The pixels are those of ``torchvision.transforms.v2`` on uint8 tensors, which are
    within two grey levels of what Pillow makes of the same image. Grey is repeated to
    three channels first, which the integer kernel handles faster than one.

    Attributes
    ----------
    resize : int
        Pixels of the shorter side, the longer one in proportion.
    crop : int
        Height and width of the center, in pixels; at most `resize`.
    interpolation : str
        "bilinear" or "bicubic", averaging over all covered pixels when it shrinks.
    squash : bool
        Resize both sides to `resize`, whatever the proportions.
    """

    resize: int
    crop: int
    interpolation: Interpolation
    squash: bool = False

    def __call__(self, images: Images) -> np.ndarray:
        """Return uint8 of shape (b, crop, crop, 3).

        Raises
        ------
        ImageError
            If an image is more than 64 times as long as wide, or as wide as long.
        """
        prepared = np.empty((len(images), self.crop, self.crop, 3), dtype=np.uint8)
        if isinstance(images, np.ndarray):
            for start in range(0, len(images), ROWS):
                prepared[start : start + ROWS] = self._center(images[start : start + ROWS])
        else:
            for row, image in enumerate(images):
                # not image[None]: its first stride of 0 hides the layout from torch's fast kernel
                prepared[row] = self._center(image.reshape(1, *image.shape))[0]
        return prepared

    def _center(self, images: np.ndarray) -> np.ndarray:
        size = self._resized(*images.shape[1:3])
        if images.shape[-1] == 1:
            images = np.repeat(images, 3, axis=-1)
        top, left = (round((side - self.crop) / 2) for side in size)
        if size != images.shape[1:3]:
            images = _interpolated(images, size, self.interpolation)
        return images[:, top : top + self.crop, left : left + self.crop]

    def _resized(self, height: int, width: int) -> tuple[int, int]:
        """Return height and width after resizing, before the crop."""
        short, long = sorted((height, width))
        if self.squash:
            return self.resize, self.resize
        if long > LONGEST * short:
            raise ImageError(
                f"an image of {height} x {width} pixels; expected at most {LONGEST} times as many "
                "on one side as on the other."
            )
        other = int(self.resize * long / short)
        return (self.resize, other) if height <= width else (other, self.resize)


def as_tensor(array: np.ndarray) -> Any:
    """Return `array` as a tensor that shares its memory, or a copy's if it cannot be written."""
    import torch

    array = np.ascontiguousarray(array)
    return torch.from_numpy(array if array.flags.writeable else array.copy())


def _interpolated(images: np.ndarray, size: tuple[int, int], mode: str) -> np.ndarray:
    from torch.nn.functional import interpolate

    planes = as_tensor(images).permute(0, 3, 1, 2)
    resized = interpolate(planes, size=size, mode=mode, antialias=True)
    return resized.permute(0, 2, 3, 1).numpy()

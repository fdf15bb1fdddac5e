"""Images as networks want them: square, in three channels."""

from dataclasses import dataclass

import numpy as np

from imprint_bench.data.dataset import Images
from imprint_bench.errors import DataError

ROWS = 16  # images per step, so that a step's output stays in the processor's cache


@dataclass(frozen=True)
class AsTheyAre:
    """Takes images of one size, unchanged.

    Attributes
    ----------
    fm : str
        Kind of the foundation model, for a message.
    """

    fm: str

    def __call__(self, images: Images) -> np.ndarray:
        """Return the array that `images` are.

        Raises
        ------
        DataError
            If their sizes differ.
        """
        if isinstance(images, np.ndarray):
            return images
        sizes = sorted({image.shape[:2] for image in images})
        raise DataError(
            f"fm of kind {self.fm}: images of {len(sizes)} sizes, such as "
            f"{' and '.join(f'{h} x {w}' for h, w in sizes[:2])} pixels; expected images of one "
            "size, or choose a foundation model that resizes them."
        )


@dataclass(frozen=True)
class Squared:
    """Resizes images bilinearly to `size` x `size` pixels in three channels; see `squared`."""

    size: int

    def __call__(self, images: Images) -> np.ndarray:
        """Return uint8 of shape (b, size, size, 3)."""
        if isinstance(images, np.ndarray):
            return squared(images, self.size)
        # reshaped, not [None], whose stride of 0 keeps torch from its fast kernel
        return np.concatenate([squared(i.reshape(1, *i.shape), self.size) for i in images])


def squared(images: np.ndarray, size: int) -> np.ndarray:
    """Resize images bilinearly to `size` x `size` pixels in three channels.

    Grey is repeated to three channels first: on interleaved channels torch's
    integer kernel is more than twice as fast as on one, and nothing has to be copied
    afterwards. When it shrinks an image it averages over all covered pixels. The
    result is within one grey level of Pillow's bilinear filter.

    Parameters
    ----------
    images : uint8 ndarray of shape (b, h, w, c)
        c = 1 or 3.
    size : int
        Height and width wanted, in pixels.

    Returns
    -------
    resized : uint8 ndarray of shape (b, size, size, 3)
    """
    if images.shape[-1] == 1:
        images = np.repeat(images, 3, axis=-1)
    if images.shape[1:3] == (size, size):
        return images
    import torch
    from torch.nn.functional import interpolate

    resized = np.empty((len(images), size, size, 3), dtype=np.uint8)
    for start in range(0, len(images), ROWS):
        step = torch.from_numpy(np.ascontiguousarray(images[start : start + ROWS]))
        step = interpolate(
            step.permute(0, 3, 1, 2), size=(size, size), mode="bilinear", antialias=True
        )
        resized[start : start + ROWS] = step.permute(0, 2, 3, 1).numpy()
    return resized

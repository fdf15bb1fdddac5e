"""Images as networks want them: square, in three channels."""

import numpy as np

ROWS = 16  # images per step, so that a step's output stays in the processor's cache


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

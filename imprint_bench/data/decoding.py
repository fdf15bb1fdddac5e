"""Encoded images from elsewhere: decoded to one size, or named with what is wrong."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any

import numpy as np

from imprint_bench.data.dataset import Shape
from imprint_bench.errors import ImageError

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM")
GREY_MODES = frozenset({"1", "L", "LA"})
COLOR_MODES = frozenset({"RGB", "P", "RGBA", "CMYK", "YCbCr"})
MOST_PIXELS = 1 << 26  # of one image; a small file can promise far more


def shape_of(blob: bytes | None, *, at: str) -> Shape:
    """Return (height, width, channels) of the encoded image: 1 channel if grey, else 3.

    Raises
    ------
    ImageError
        If it is no image, has more than 2**26 pixels, or has pixels of more than
        8 bits; the message starts with the place `at`.
    """
    with _opened(blob, at) as image:
        return image.height, image.width, 1 if image.mode in GREY_MODES else 3


def decoded(blob: bytes | None, shape: Shape, *, at: str) -> np.ndarray:
    """Decode an image that must be of the given shape.

    A grey image among color images is repeated to three channels; palettes and
    other color spaces are converted to RGB, transparency is dropped.

    Returns
    -------
    image : uint8 ndarray of shape `shape`

    Raises
    ------
    ImageError
        As `shape_of`, and if the size differs or the image is in color where
        grey is expected.
    """
    height, width, channels = shape
    with _opened(blob, at) as image:
        if (image.height, image.width) != (height, width):
            raise ImageError(
                f"{at}: an image of {image.height} x {image.width} pixels; expected {height} x "
                f"{width} like the first training image."
            )
        if channels == 1 and image.mode not in GREY_MODES:
            raise ImageError(
                f"{at}: an image in color ({image.mode}); expected grey like the first "
                "training image."
            )
        pixels = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(shape)


@contextmanager
def _opened(blob: bytes | None, at: str) -> Iterator[Any]:
    from PIL import Image

    if blob is None:
        raise ImageError(f"{at}: no image bytes; expected an encoded image such as PNG or JPEG.")
    try:
        with Image.open(BytesIO(blob), formats=FORMATS) as image:
            if image.mode not in GREY_MODES | COLOR_MODES:
                raise ImageError(
                    f"{at}: an image of mode {image.mode}; expected 8 bits per channel."
                )
            if image.width * image.height > MOST_PIXELS:
                raise ImageError(
                    f"{at}: an image of {image.height} x {image.width} pixels; expected at most "
                    f"{MOST_PIXELS} in all."
                )
            yield image
    except (OSError, SyntaxError, ValueError, struct.error, Image.DecompressionBombError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        reason = "no known image format" if "cannot identify" in reason else reason
        raise ImageError(
            f"{at}: the image cannot be decoded ({reason}); replace or remove it."
        ) from error

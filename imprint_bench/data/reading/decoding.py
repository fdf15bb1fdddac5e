"""Encoded images from elsewhere: decoded to 8 bits in one or three channels, or refused."""

from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from io import BytesIO
from itertools import islice
from typing import Any, Literal

import numpy as np

from imprint_bench.data.dataset import Images, Shape
from imprint_bench.errors import DataError, ImageError

Channels = Literal[1, 3]

GREY_MODES = frozenset({"1", "L", "LA", "La"})
COLOR_MODES = frozenset({"RGB", "P", "PA", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr"})
DEEP_MODES = {"I;16": 16, "I;16B": 16, "I;16L": 16, "I;16N": 16, "I": 32, "F": 32}
MOST_PIXELS = 1 << 26  # of one image; a small file can promise far more
FORMATS = "PNG, JPEG, WebP, BMP, GIF, TIFF, PPM or PGM"
LOOKED_AT = 100  # training images, to find the first that can be read
JPEG_START = b"\xff\xd8\xff"

# First bytes of a file, and the class of Pillow that reads it: no plugin has to be probed.
PLUGINS = {
    JPEG_START: ("JpegImagePlugin", "JpegImageFile"),
    b"\x89PNG\r\n\x1a\n": ("PngImagePlugin", "PngImageFile"),
    b"RIFF": ("WebPImagePlugin", "WebPImageFile"),
    b"BM": ("BmpImagePlugin", "BmpImageFile"),
    b"GIF8": ("GifImagePlugin", "GifImageFile"),
    b"II*\0": ("TiffImagePlugin", "TiffImageFile"),
    b"MM\0*": ("TiffImagePlugin", "TiffImageFile"),
    b"II+\0": ("TiffImagePlugin", "TiffImageFile"),  # files of more than 4 GB
    b"MM\0+": ("TiffImagePlugin", "TiffImageFile"),
    **{b"P%d" % i: ("PpmImagePlugin", "PpmImageFile") for i in range(1, 7)},
}


class _Refused(Exception):  # noqa: N818 - becomes an ImageError as soon as its place is known
    """Why an image is of no use, without the place."""


def decoded(blob: bytes | None, *, channels: int, at: str) -> np.ndarray:
    """Decode an image of any size to 8 bits in the given number of channels.

    A grey image is repeated to three channels; palettes and other color spaces are
    converted to RGB, transparency is dropped. The orientation that a camera notes
    in a file's metadata is left alone, as torchvision leaves it. Of a file of several
    images, such as an animation, the first is taken.

    Parameters
    ----------
    blob : bytes or None
        The content of an image file.
    channels : int
        1 (grey) or 3 (red, green, blue).
    at : str
        The place, with which a message starts.

    Returns
    -------
    image : uint8 ndarray of shape (h, w, channels)

    Raises
    ------
    ImageError
        As `shape_of`, and if the image is damaged, or in color where grey is expected.
    """
    try:
        return _pixels(blob, channels)
    except _Refused as refused:
        raise ImageError(f"{at}: {refused}") from refused


def decoded_all(
    blobs: Iterable[bytes | None], *, channels: int, at: Callable[[int], str]
) -> Images:
    """Decode images as `decoded` does; `at` returns the place of the i-th, if it is refused.

    Returns
    -------
    images : uint8 ndarray of shape (n, h, w, channels), or list of ndarrays (h_i, w_i, channels)
        A list where the sizes differ, or where there are no images.
    """
    images: list[np.ndarray] = []
    try:
        for blob in blobs:
            images.append(_pixels(blob, channels))
    except _Refused as refused:
        raise ImageError(f"{at(len(images))}: {refused}") from refused
    return np.stack(images) if len({image.shape for image in images}) == 1 else images


def shape_of(blob: bytes | None, *, at: str) -> Shape:
    """Return (height, width, channels) of the encoded image: 1 channel if grey, else 3.

    Raises
    ------
    ImageError
        If it is no image, has more than 2**26 pixels, or pixels of more than
        8 bits per channel; the message starts with the place `at`.
    """
    try:
        image = _opened(blob)
    except _Refused as refused:
        raise ImageError(f"{at}: {refused}") from refused
    return image.height, image.width, 1 if image.mode in GREY_MODES else 3


def shape_of_first(blobs: Iterable[tuple[bytes | None, str]], *, channels: int | None) -> Shape:
    """Return the shape of the first of a few encoded images whose header can be read.

    Parameters
    ----------
    blobs : iterable of (bytes or None, str)
        The training images, each with its place; those after the first good one are not read.
    channels : int or None
        What the user asks for; None takes those of the image.

    Raises
    ------
    ImageError
        If none of the first hundred can be read: what is wrong with the first.
    DataError
        If the image is in color and one channel is asked for.
    """
    refusal: DataError | None = None
    for blob, at in islice(blobs, LOOKED_AT):
        try:
            height, width, found = shape_of(blob, at=at)
        except ImageError as error:
            refusal = refusal or error
            continue
        if channels == 1 and found == 3:
            raise DataError(f"{at}: an image in color; set dataset.NAME.channels=3 instead of 1.")
        return height, width, channels or found
    raise refusal or DataError("no training images; expected at least one.")


def _pixels(blob: bytes | None, channels: int) -> np.ndarray:
    image = _jpeg_pixels(blob, channels)
    return _pillow_pixels(blob, channels) if image is None else image


def _jpeg_pixels(blob: bytes | None, channels: int) -> np.ndarray | None:
    """Decode a plain JPEG, or return None: then Pillow decodes it or says what is wrong with it.

    The settings are those with which libjpeg gives the same bits as Pillow.
    """
    codec = _simplejpeg()
    if codec is None or blob is None or not blob.startswith(JPEG_START):
        return None
    try:
        height, width, space, _ = codec.decode_jpeg_header(blob)
        fits = space == "Gray" or (space == "YCbCr" and channels == 3)
        if not fits or height * width > MOST_PIXELS:
            return None
        wanted = "GRAY" if channels == 1 else "RGB"
        return codec.decode_jpeg(blob, wanted, fastdct=False, fastupsample=False)
    except ValueError:
        return None


@cache
def _simplejpeg() -> Any:
    """Return the package that decodes JPEG four times as fast as Pillow, or None without it."""
    try:
        import simplejpeg
    except ImportError:
        return None
    return simplejpeg


def _pillow_pixels(blob: bytes | None, channels: int) -> np.ndarray:
    image = _opened(blob)
    if channels == 1 and image.mode not in GREY_MODES:
        raise _Refused(
            f"an image in color ({image.mode}) where grey is expected, as of the first training "
            "image; set dataset.NAME.channels=3 to read all images in color."
        )
    wanted = "L" if channels == 1 else "RGB"
    image.info.pop("transparency", None)  # dropped either way; Pillow warns of it in palettes
    try:
        pixels = np.array(image if image.mode == wanted else image.convert(wanted))
    except Exception as error:  # Pillow's plugins raise all sorts of them on damaged bytes
        raise _damaged(error) from error
    return pixels.reshape(*pixels.shape[:2], channels)


def _opened(blob: bytes | None) -> Any:
    """Return Pillow's image after a look at its header; the pixels are not decoded yet."""
    if blob is None:
        raise _Refused(f"no image bytes; expected an encoded image ({FORMATS}).")
    if not blob:
        raise _Refused(f"an image of zero bytes; expected an encoded image ({FORMATS}).")
    plugin = next((p for start, p in PLUGINS.items() if blob.startswith(start)), None)
    if plugin is None:
        raise _Refused(
            "the image cannot be decoded (no known image format, it starts with "
            f"{blob[:4].hex(' ')}); expected {FORMATS}."
        )
    try:
        image = _reader(*plugin)(BytesIO(blob))
        bits = _bits(image)
    except Exception as error:  # Pillow's plugins raise all sorts of them on damaged bytes
        raise _damaged(error) from error
    if bits > 8:
        raise _Refused(f"an image with {bits} bits per channel; save it with 8 bits.")
    if image.mode not in GREY_MODES | COLOR_MODES:
        raise _Refused(f"an image of Pillow's mode {image.mode}; save it as RGB.")
    if image.width * image.height > MOST_PIXELS:
        raise _Refused(
            f"an image of {image.height} x {image.width} pixels; expected at most "
            f"{MOST_PIXELS} in all."
        )
    return image


@cache
def _reader(module: str, name: str) -> Callable[[BytesIO], Any]:
    return getattr(import_module(f"PIL.{module}"), name)


def _bits(image: Any) -> int:
    """Return the bits per channel in the file: 8 for all that has 8 or fewer.

    Pillow opens grey of 16 bits in a mode of its own, but would cut color to 8 silently.
    """
    decoder, _, _, arguments = image.tile[0] if image.tile else ("", None, 0, ())
    arguments = arguments if isinstance(arguments, tuple) else (arguments,)
    if any(isinstance(a, str) and ";16" in a for a in arguments):
        return 16
    if decoder.startswith("ppm") and any(isinstance(a, int) and a > 255 for a in arguments):
        return 16  # there, the argument is the largest value
    return DEEP_MODES.get(image.mode, 8)


def _damaged(error: Exception) -> _Refused:
    reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    reason = "its header is damaged" if "not identified" in reason else reason
    return _Refused(f"the image cannot be decoded ({reason}); replace or remove it.")

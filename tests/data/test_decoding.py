import io
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from imprint_bench.data.reading import decoding
from imprint_bench.data.reading.decoding import decoded, decoded_all, shape_of, shape_of_first
from imprint_bench.errors import DataError, ImageError

RNG = np.random.default_rng(0)
COLOR = Image.fromarray(RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8))
GREY = COLOR.convert("L")
DEEP = Image.fromarray(RNG.integers(0, 1 << 16, (7, 5), dtype=np.uint16))
SMOOTH = COLOR.resize((37, 29), Image.Resampling.BICUBIC)  # neither side a multiple of 8


def encoded(image, ending="PNG", **options):
    file = io.BytesIO()
    image.save(file, ending, **options)
    return file.getvalue()


def deep_png(color_type, channels):
    """Return a PNG of 16 bits per channel, which Pillow cannot write in color."""

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">2I5B", 2, 2, 16, color_type, 0, 0, 0)
    rows = zlib.compress((b"\0" + bytes(2 * 2 * channels)) * 2)
    end = chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + end


@pytest.fixture(params=["with simplejpeg", "without simplejpeg"])
def either_way(request, needed, monkeypatch):
    """Run a test with the optional package and without it."""
    if request.param == "with simplejpeg":
        needed("simplejpeg", "pip install 'imprint-bench[jpeg]'")
        assert decoding._simplejpeg() is not None
    else:
        monkeypatch.setattr(decoding, "_simplejpeg", lambda: None)


@pytest.mark.parametrize("ending", ["PNG", "JPEG", "WEBP", "BMP", "GIF", "TIFF", "PPM"])
@pytest.mark.parametrize("image", [COLOR, GREY], ids=["color", "grey"])
def test_every_format_gives_pillows_pixels_in_three_channels(either_way, ending, image):
    blob = encoded(image, ending)
    with Image.open(io.BytesIO(blob)) as opened:
        theirs = np.asarray(opened.convert("RGB"))
    ours = decoded(blob, channels=3, at="here")
    np.testing.assert_array_equal(ours, theirs)
    assert ours.flags.writeable
    assert shape_of(blob, at="here")[:2] == (7, 5)


@pytest.mark.parametrize(
    "blob",
    [encoded(GREY), encoded(GREY, "JPEG"), encoded(COLOR.convert("LA")), encoded(GREY, "PPM")],
    ids=["png", "jpeg", "with transparency", "pgm"],
)
def test_grey_is_read_in_one_channel_or_repeated(either_way, blob):
    one, three = (decoded(blob, channels=c, at="here") for c in (1, 3))
    assert one.shape == shape_of(blob, at="here") == (7, 5, 1)
    np.testing.assert_array_equal(three, np.repeat(one, 3, axis=2))


PALETTE = COLOR.quantize(8)


@pytest.mark.parametrize(
    ("blob", "expected"),
    [
        (encoded(PALETTE), PALETTE.convert("RGB")),
        (encoded(PALETTE, transparency=bytes(range(8))), PALETTE.convert("RGB")),
        (encoded(PALETTE, transparency=3), PALETTE.convert("RGB")),
        (encoded(PALETTE, "GIF"), PALETTE.convert("RGB")),
        (encoded(GREY.convert("1")), GREY.convert("1").convert("RGB")),
        (encoded(COLOR.convert("LA")), GREY.convert("RGB")),
        (encoded(COLOR.convert("RGBA")), COLOR),
        (encoded(COLOR, transparency=(1, 2, 3)), COLOR),
        (encoded(COLOR.convert("CMYK"), "TIFF"), COLOR.convert("CMYK").convert("RGB")),
        (encoded(COLOR.convert("YCbCr"), "TIFF"), COLOR.convert("YCbCr").convert("RGB")),
    ],
    ids=["palette", "palette with alpha", "palette with one transparent color", "gif", "1 bit",
         "LA", "RGBA", "one transparent color", "CMYK", "YCbCr"],
)  # fmt: skip
def test_other_color_spaces_are_converted_and_transparency_is_dropped(blob, expected):
    np.testing.assert_array_equal(decoded(blob, channels=3, at="here"), np.asarray(expected))


JPEGS = {
    "grey": encoded(SMOOTH.convert("L"), "JPEG"),
    "4:4:4": encoded(SMOOTH, "JPEG", subsampling=0),
    "4:2:2": encoded(SMOOTH, "JPEG", subsampling=1),
    "4:2:0": encoded(SMOOTH, "JPEG", subsampling=2),
    "progressive": encoded(SMOOTH, "JPEG", progressive=True, quality=60),
    "one pixel": encoded(SMOOTH.resize((1, 1)), "JPEG"),
    "CMYK": encoded(SMOOTH.convert("CMYK"), "JPEG"),
    "RGB": encoded(SMOOTH, "JPEG", keep_rgb=True),
    "bytes after the end": encoded(SMOOTH, "JPEG") + b"and more",
    "truncated": encoded(SMOOTH, "JPEG")[:-60],
    "truncated by the end marker": encoded(SMOOTH, "JPEG")[:-2],
    "header only": encoded(SMOOTH, "JPEG")[:200],
    "garbage": b"\xff\xd8\xff" + bytes(range(200)),
}


def outcome(blob, channels):
    try:
        return decoded(blob, channels=channels, at="here")
    except ImageError as error:
        return str(error)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("name", JPEGS)
def test_simplejpeg_changes_neither_pixels_nor_errors(needed, monkeypatch, name, channels):
    needed("simplejpeg", "pip install 'imprint-bench[jpeg]'")
    fast = outcome(JPEGS[name], channels)
    monkeypatch.setattr(decoding, "_simplejpeg", lambda: None)
    np.testing.assert_array_equal(fast, outcome(JPEGS[name], channels))


def test_simplejpeg_is_used_for_plain_jpegs(needed, monkeypatch):
    needed("simplejpeg", "pip install 'imprint-bench[jpeg]'")
    monkeypatch.setattr(decoding, "_pillow_pixels", lambda *_: "Pillow's")
    for name in ("grey", "4:2:0", "progressive"):
        assert isinstance(outcome(JPEGS[name], 3), np.ndarray)
    assert outcome(JPEGS["CMYK"], 3) == "Pillow's"


def test_damaged_jpegs_come_out_alike_with_and_without_simplejpeg(needed, monkeypatch):
    needed("simplejpeg", "pip install 'imprint-bench[jpeg]'")
    rng = np.random.default_rng(1)
    blobs = []
    for start in rng.integers(2, len(JPEGS["4:2:0"]), 150):
        blob = bytearray(JPEGS["4:2:0"])
        blob[start] = rng.integers(256)
        blobs.append(bytes(blob))
    fast = [outcome(blob, 3) for blob in blobs]
    monkeypatch.setattr(decoding, "_simplejpeg", lambda: None)
    for ours, blob in zip(fast, blobs, strict=True):
        np.testing.assert_array_equal(ours, outcome(blob, 3))


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (encoded(DEEP), "here: an image with 16 bits per channel; save it with 8 bits."),
        (encoded(DEEP, "TIFF"), "here: an image with 16 bits per channel; save it with 8 bits."),
        (deep_png(0, 1), "here: an image with 16 bits per channel; save it with 8 bits."),
        (deep_png(2, 3), "here: an image with 16 bits per channel; save it with 8 bits."),
        (deep_png(6, 4), "here: an image with 16 bits per channel; save it with 8 bits."),
        (b"P6 2 1 65535\n" + bytes(12), "here: an image with 16 bits per channel; save it"),
        (b"P5 2 1 65535\n" + bytes(4), "here: an image with 16 bits per channel; save it"),
        (encoded(DEEP.convert("I"), "TIFF"), "here: an image with 32 bits per channel; save it"),
        (encoded(GREY.convert("F"), "TIFF"), "here: an image with 32 bits per channel; save it"),
        (encoded(Image.new("LAB", (3, 3)), "TIFF"), "here: an image of Pillow's mode LAB; save it"),
        (None, "here: no image bytes; expected an encoded image (PNG, JPEG"),
        (b"", "here: an image of zero bytes; expected an encoded image (PNG, JPEG"),
        (
            b"<script>",
            "here: the image cannot be decoded (no known image format, it starts with 3c 73 63 72);"
            " expected PNG, JPEG",
        ),
        (encoded(COLOR)[:60], "here: the image cannot be decoded ("),
        (encoded(COLOR, "JPEG")[:-30], "here: the image cannot be decoded (image file is trunc"),
        (encoded(COLOR, "BMP")[:60], "here: the image cannot be decoded (image file is truncated"),
        (encoded(COLOR, "WEBP")[:40], "here: the image cannot be decoded ("),
        (encoded(COLOR, "GIF")[:20], "here: the image cannot be decoded ("),
        (b"RIFF1234WAVEfmt ", "here: the image cannot be decoded (not a WEBP file); replace or"),
        (b"\x89PNG\r\n\x1a\n", "here: the image cannot be decoded ("),
    ],
)  # fmt: skip
def test_an_image_that_is_of_no_use_is_refused_in_one_sentence(either_way, blob, message):
    with pytest.raises(ImageError, match=f"^{re.escape(message)}") as caught:
        decoded(blob, channels=3, at="here")
    assert "\n" not in str(caught.value)


def test_a_small_file_cannot_promise_more_pixels_than_fit(either_way):
    wide = bytearray(encoded(GREY, "BMP"))
    wide[18:26] = (1 << 14).to_bytes(4, "little") * 2
    jpeg = bytearray(JPEGS["4:2:0"])
    frame = jpeg.index(b"\xff\xc0") + 5  # height and width of the frame, 16 bits each
    jpeg[frame : frame + 4] = b"\xff\x00\xff\x00"
    for blob, side in ((wide, 16384), (jpeg, 65280)):
        message = f"^here: an image of {side} x {side} pixels; expected at most 67108864 in all"
        with pytest.raises(ImageError, match=message):
            decoded(bytes(blob), channels=3, at="here")


def test_color_where_grey_is_expected_is_refused_with_the_remedy(either_way):
    for ending in ("PNG", "JPEG"):
        with pytest.raises(ImageError, match=r"in color \(RGB\).*set dataset\.NAME\.channels=3"):
            decoded(encoded(COLOR, ending), channels=1, at="here")


def test_images_of_one_size_come_as_an_array_and_of_several_as_a_list():
    small, large = encoded(GREY), encoded(SMOOTH)
    array = decoded_all([small, small], channels=3, at=str)
    assert isinstance(array, np.ndarray)
    assert array.shape == (2, 7, 5, 3)
    images = decoded_all([small, large], channels=3, at=str)
    assert [image.shape for image in images] == [(7, 5, 3), (29, 37, 3)]


def test_the_refused_image_among_many_is_named():
    with pytest.raises(ImageError, match=r"^row 2: an image of zero bytes"):
        decoded_all([encoded(GREY), encoded(GREY), b""], channels=3, at=lambda i: f"row {i}")


def test_the_shape_is_that_of_the_first_image_that_can_be_read():
    blobs = [(b"", "a"), (encoded(GREY), "b"), (encoded(SMOOTH), "c")]
    assert shape_of_first(blobs, channels=None) == (7, 5, 1)
    assert shape_of_first(blobs, channels=3) == (7, 5, 3)
    with pytest.raises(ImageError, match=r"^a: an image of zero bytes"):
        shape_of_first([(b"", "a"), (None, "b")], channels=None)
    with pytest.raises(DataError, match=r"^c: an image in color; set dataset\.NAME\.channels=3"):
        shape_of_first(blobs[2:], channels=1)

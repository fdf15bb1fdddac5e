"""Pictures in the page: an SVG as it is, or a small PNG where the SVG is large."""

import base64
import io
import re
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from imprint_bench.report.budget import shares

PICTURES = 2_400_000  # characters of all pictures of a page
LARGEST = 200_000  # characters of one
COLORS = 128  # of a PNG; lines and text need few
START = 2 / 3  # of the 300 dots per inch of a file: enough for a dense screen
SHRINK = 0.75  # from one try to the next
NARROWEST = 160  # pixels; below this nobody could read it
PIXELS = 96 / 72  # of a page, per point
WIDTH = re.compile(r'width="([\d.]+)pt"')


def pictures(files: Sequence[tuple[str, str, Path, Path]]) -> list[Markup]:
    """Return the markup of every picture, all together within the budget of a page.

    Parameters
    ----------
    files : sequence of (id, title, SVG, PNG)
        The id is the start of the ids inside the picture; the title is what
        stands for a picture where none can be seen.
    """
    texts = [svg.read_text(encoding="utf-8") for _, _, svg, _ in files]
    allowed = shares([min(len(text), LARGEST) for text in texts], PICTURES)
    return [
        Markup(inline_svg(text, prefix))  # matplotlib wrote it, and escaped names
        if len(text) <= most
        else _image(png.read_bytes(), text, title, most)
        for (prefix, title, _, png), text, most in zip(files, texts, allowed, strict=True)
    ]


def inline_svg(svg: str, prefix: str) -> str:
    """Return an SVG file's picture for the inside of a page: no prolog, ids of its own."""
    svg = svg[svg.index("<svg") :]
    width = WIDTH.search(svg)
    if width:  # on a narrow screen it scrolls, rather than shrink until nothing can be read
        least = f'<svg style="min-width: {float(width[1]):.0f}px"'
        svg = svg.replace("<svg", least, 1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for before in ('id="', 'href="#', "url(#"):
        svg = svg.replace(f"{before}", f"{before}{prefix}-")
    return svg


def small_png(content: bytes, *, limit: int) -> bytes:
    """Return a PNG of few colors, made smaller until it has at most `limit` bytes.

    It stops at a width of `NARROWEST` pixels, whatever it then takes.
    """
    from PIL import Image

    with Image.open(io.BytesIO(content)) as opened:
        image = opened.convert("RGB")
    scale = START
    while True:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        reduced = image.resize(size, Image.Resampling.LANCZOS).quantize(
            COLORS, dither=Image.Dither.NONE
        )
        out = io.BytesIO()
        reduced.save(out, format="PNG", optimize=True)
        if out.tell() <= limit or size[0] <= NARROWEST:
            return out.getvalue()
        scale *= SHRINK


def _image(png: bytes, svg: str, title: str, most: int) -> Markup:
    """Return an image that carries its bytes, as wide as the SVG would be."""
    data = base64.b64encode(small_png(png, limit=most * 3 // 4)).decode()
    found = WIDTH.search(svg)
    points = float(found[1]) if found else 450.0
    width, least = f"{points * PIXELS:.0f}", f"{points:.0f}"
    return Markup(
        '<img src="data:image/png;base64,{}" alt="{}" width="{}" style="min-width: {}px">'
    ).format(data, title, width, least)

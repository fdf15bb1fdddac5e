"""Montages: a picture per dataset that shows what its images are like.

`samples` has a row per image: `dataset`, `source`, `label`, `name`, `n_classes`, `row` and
`image` (uint8 of shape (h, w, 1 or 3)); or, for a dataset without images, why in `problem`.
"""

import zlib
from typing import TYPE_CHECKING
from urllib.parse import quote

import numpy as np
import pandas as pd

from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.rendering import visible

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HEIGHT = 32  # pixels of an image in the montage, at most
WIDEST = 2  # times its height
SPACE = 2  # pixels between images
BUDGET = 100_000  # bytes of the picture; base64 makes 4/3 of them
LEVELS = (256, 128, 64, 32, 24, 16, 12, 8, 4)  # of red, green and blue
WHITE = 255
WIDTH = 7.2  # inches of the figure, labels included
ROW = 0.56  # inches of a row at most
LETTER = 0.068  # inches of a letter of a label
LONGEST = 28  # letters of a label


def montage(rows: pd.DataFrame, samples: pd.DataFrame) -> list[Drawing]:
    """Return a montage of every dataset: a row of training images per class, or per source.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    samples : DataFrame
        See the module.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure A.5.
    """
    shown = samples[samples["dataset"].isin(rows["dataset"])]
    return [_montage(str(name), group) for name, group in shown.groupby("dataset", sort=False)]


def _montage(dataset: str, group: pd.DataFrame) -> Drawing:
    name = "montage_" + quote(dataset, safe="+=@").replace("%", "~")  # fit for a file and an id
    title = f"Images of {visible(dataset)}"
    pictured = group[group["image"].notna()]
    if pictured.empty:
        reason = str(group["problem"].iloc[0])
        return Drawing(name, title, "", None, finding=f"There is no montage: {reason}")
    keys = ["source", "label"]
    lines = [line for _, line in pictured.groupby(keys, sort=False, dropna=False)]
    array, n_levels = reduced(grid([line["image"].tolist() for line in lines]))
    caption = _caption(pictured, len(lines))
    if n_levels < 256:
        caption += (
            f" Reduced to {n_levels} levels of red, green and blue, so that the page is small."
        )
    picture = _draw(array, [_label(line.iloc[0]) for line in lines])
    data = {"": pictured[["source", "label", "name", "row"]]}
    return Drawing(name, title, caption, picture, data, caption.split(". ")[0].rstrip(".") + ".")


def grid(lines: list[list[np.ndarray]]) -> np.ndarray:
    """Return images in one, a line of them below the other, on white.

    All become equally high, by repeating or leaving out pixels.

    Parameters
    ----------
    lines : list of lists of ndarray
        uint8 images of shape (h, w, 1 or 3), of any sizes.

    Returns
    -------
    ndarray of shape (H, W, 3), uint8
    """
    tallest = max(image.shape[0] for line in lines for image in line)
    height = HEIGHT if tallest > HEIGHT else tallest * (HEIGHT // tallest)
    scaled = [[thumbnail(image, height) for image in line] for line in lines]
    width = max(sum(image.shape[1] + SPACE for image in line) - SPACE for line in scaled)
    out = np.full((len(lines) * (height + SPACE) - SPACE, width, 3), WHITE, dtype=np.uint8)
    for i, line in enumerate(scaled):
        x, y = 0, i * (height + SPACE)
        for image in line:
            out[y : y + height, x : x + image.shape[1]] = image
            x += image.shape[1] + SPACE
    return out


def thumbnail(image: np.ndarray, height: int) -> np.ndarray:
    """Return an image of this height in three channels; a very wide one has white above and below.

    A large image is averaged over whole blocks of pixels first.
    """
    h, w = image.shape[:2]
    block = max(1, min(max(h // height, w // (WIDEST * height)), h, w))
    h, w = h // block, w // block
    blocks = image[: h * block, : w * block].reshape(h, block, w, block, -1)
    image = blocks.mean(axis=(1, 3)).round().astype(np.uint8)
    scale = min(height / h, WIDEST * height / w)
    new_h, new_w = (max(1, min(round(n * scale), WIDEST * height)) for n in (h, w))
    down, across = ((np.arange(n) * m) // n for n, m in ((new_h, h), (new_w, w)))
    out = np.full((height, new_w, 3), WHITE, dtype=np.uint8)
    top = (height - new_h) // 2
    out[top : top + new_h] = image[down][:, across]
    return out


def reduced(array: np.ndarray) -> tuple[np.ndarray, int]:
    """Return a picture with as many levels of color as its budget of bytes allows, and how many."""
    for n_levels in LEVELS:
        levels = np.linspace(0, WHITE, n_levels).round().astype(np.uint8)
        less = levels[np.round(array / WHITE * (n_levels - 1)).astype(np.intp)]
        steps = np.diff(less, axis=1, prepend=np.uint8(0))  # what PNG compresses
        if len(zlib.compress(steps.tobytes(), 6)) <= BUDGET:
            break
    return less, n_levels


def _caption(pictured: pd.DataFrame, n_lines: int) -> str:
    n_images = int(pictured.groupby(["source", "label"], dropna=False).size().max())
    first = "first training image" if n_images == 1 else f"first {n_images} training images"
    n_classes = int(pictured["n_classes"].iloc[0])
    if pictured["source"].notna().any():
        of = f"the {first} of class {_name(pictured.iloc[0])}"
        if (pictured["label"] != pictured["label"].iloc[0]).any():
            of = f"the {first} of its first class"
        return f"A row for each of {n_lines} sources: {of}."
    which = f"{n_lines} of {n_classes:,} classes" if n_lines < n_classes else f"{n_classes} classes"
    return f"A row for each of {which}: its {first}."


def _label(line: pd.Series) -> str:
    text = visible(_name(line) if pd.isna(line["source"]) else str(line["source"]))
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _name(line: pd.Series) -> str:
    return str(line["label"]) if pd.isna(line["name"]) else str(line["name"])


def _draw(array: np.ndarray, labels: list[str]) -> "Figure":
    """Draw a grid with a label at the left of every row."""
    from matplotlib.figure import Figure

    left = 0.15 + LETTER * max(map(len, labels))
    height, width = array.shape[:2]
    inch = min((WIDTH - left) / width, ROW * len(labels) / height)  # of a pixel
    figure = Figure(figsize=(left + width * inch, height * inch))
    axes = figure.add_axes((left / (left + width * inch), 0.0, width / (left / inch + width), 1.0))
    axes.imshow(array, interpolation="none", aspect="auto")
    axes.set_axis_off()
    row = (height + SPACE) / len(labels)
    for i, label in enumerate(labels):
        axes.text(
            -0.08 / inch, (i + 0.5) * row - SPACE / 2 - 0.5, label,
            ha="right", va="center", fontsize=8.5, color="0.1", parse_math=False,
        )  # fmt: skip
    return figure

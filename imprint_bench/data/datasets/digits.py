"""Handwritten digits that come with scikit-learn: needs no file and no network."""

import hashlib
from functools import cache, partial
from typing import Annotated

import numpy as np

from imprint_bench.data.dataset import DATASETS, ImageDataset
from imprint_bench.errors import ConfigError
from imprint_bench.params import AtLeast
from imprint_bench.seeding import stream

GREY_PER_INK = 15  # 16 levels of ink become 240 of 255, and every step stays equal


@DATASETS.register("digits")
def digits(*, test_size: float = 0.25, split_seed: Annotated[int, AtLeast(0)] = 0) -> ImageDataset:
    """Return scikit-learn's 1797 digits of 8 x 8 pixels, split into train and test.

    Ink is a whole number from 0 to 16; a pixel is 15 times that, so that networks
    see the usual range of uint8 (up to 240) and ``images // 15`` is the original.

    The split is stratified: of the n images of a class, the first
    ``round(test_size * n)`` of a permutation are for testing. The permutation
    comes from the stream (split_seed, "digits split", class). Within a split the
    images keep scikit-learn's order.

    Parameters
    ----------
    test_size : float
        Share of every class that is for testing, between 0 and 1.
    split_seed : int
        Draws the split; the trials' seeds do not touch it.

    Raises
    ------
    ConfigError
        If a split would be without a class.
    """
    if not 0 < test_size < 1:
        raise ConfigError(f"digits.test_size: {test_size}; expected a number between 0 and 1.")
    rows = partial(_rows, float(test_size), split_seed)
    return ImageDataset(
        where="scikit-learn's digits",
        read_labels=lambda split: _bundled()[1][rows(split)],
        read_images=lambda split, start, stop: _bundled()[0][rows(split)[start:stop]],
        read_shape=lambda: (8, 8, 1),
        read_fingerprint=partial(_fingerprint, rows),
    )


@cache
def _bundled() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return (bunch.images * GREY_PER_INK).astype(np.uint8)[..., None], bunch.target.astype(np.int64)


@cache
def _rows(test_size: float, split_seed: int, split: str) -> np.ndarray:
    labels = _bundled()[1]
    tested = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        count = round(test_size * len(members))
        if not 0 < count < len(members):
            raise ConfigError(
                f"digits.test_size: {test_size} leaves class {label} of {len(members)} images "
                "without a training or a test image; expected a number nearer to 0.25."
            )
        tested[stream(split_seed, "digits split", label).permutation(members)[:count]] = True
    return np.flatnonzero(tested if split == "test" else ~tested)


def _fingerprint(rows: partial) -> str:
    content = hashlib.sha256()
    for split in ("train", "test"):
        for array in _bundled():
            content.update(np.ascontiguousarray(array[rows(split)]).tobytes())
    return content.hexdigest()

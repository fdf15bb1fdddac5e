"""The image itself as embedding: what a foundation model must beat."""

import numpy as np

from imprint_bench.data.foundation_model import (
    FOUNDATION_MODELS,
    FoundationModel,
    Network,
    WeightDecay,
)
from imprint_bench.data.networks.resizing import AsTheyAre

SCALE = np.float32(1 / 256)  # a power of two: every pixel stays exact in float32


@FOUNDATION_MODELS.register("pixels")
def pixels(*, weight_decay: WeightDecay = 1e-4) -> FoundationModel:
    """Return the foundation model that flattens an image, row by row, to values in [0, 1).

    A value is the pixel divided by 256 (not 255), which is exact in float32: sums and
    products of the embeddings of small images then carry no rounding either.

    Parameters
    ----------
    weight_decay : float
        Lambda of least squares.
    """
    return FoundationModel(
        kind="pixels",
        version=1,
        weights="none",
        preprocessing={"divided by": 256, "order": ["row", "column", "channel"]},
        weight_decay=weight_decay,
        load=lambda _: Network(AsTheyAre("pixels"), _flattened),
        length_for=lambda shape: int(np.prod(shape)),
    )


def _flattened(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1) * SCALE

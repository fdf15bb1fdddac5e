"""A small untrained convolutional network: the honest baseline for a trained one."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Annotated, Any

import numpy as np

from imprint_bench.data.foundation_model import (
    FOUNDATION_MODELS,
    FoundationModel,
    Network,
    WeightDecay,
)
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.resizing import Squared
from imprint_bench.params import AtLeast, PositiveInt

ROWS = 32  # every pass has as many images, so that the arithmetic does not depend on the batch
POOLED = 2  # the last maps are averaged to 2 x 2 values


@FOUNDATION_MODELS.register("random_conv")
def random_conv(
    *,
    weights_seed: Annotated[int, AtLeast(0)] = 0,
    width: PositiveInt = 16,
    input_size: Annotated[int, AtLeast(8)] = 32,
    weight_decay: WeightDecay = 1e-4,
) -> FoundationModel:
    """Return three seeded convolutions with ReLU, which nobody trained.

    Filters of 3 x 3 pixels, `width`, 2 `width` and 4 `width` of them, drawn from a
    normal distribution of variance 2 / fan-in; no bias. The first two layers are followed by
    a maximum over 2 x 2 pixels, the last by the mean over each quarter of the image,
    which gives 16 `width` values per embedding.

    Parameters
    ----------
    weights_seed : int
        Draws the filters; the trials' seeds do not touch it.
    width : int
        Filters of the first layer.
    input_size : int
        Images are resized to this height and width, in pixels.
    weight_decay : float
        Lambda of least squares.

    References
    ----------
    K. He et al., "Delving deep into rectifiers", ICCV 2015, equation 10 (the variance).
    """
    return FoundationModel(
        kind="random_conv",
        version=1,
        weights=f"untrained, weights_seed={weights_seed}, width={width}",
        preprocessing={
            "channels": "grey repeated to 3",
            "resize": "bilinear",
            "size": input_size,
            "range": [-1, 1],
        },
        weight_decay=weight_decay,
        load=partial(_load, weights_seed, width, input_size),
        length_for=lambda _: 4 * width * POOLED**2,
    )


def _load(weights_seed: int, width: int, input_size: int, _: Computing) -> Network:
    import torch

    rng = torch.Generator().manual_seed(weights_seed)
    filters = []
    for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
        drawn = torch.randn(outputs, inputs, 3, 3, generator=rng)
        filters.append(drawn * (2 / (9 * inputs)) ** 0.5)
    return Network(Squared(input_size), partial(_embed, filters))


def _embed(filters: list[Any], resized: np.ndarray) -> np.ndarray:
    import torch

    with _one_thread(), torch.inference_mode():
        passes = [
            _forward(filters, resized[start : start + ROWS])
            for start in range(0, len(resized), ROWS)
        ]
    return np.concatenate(passes)


def _forward(filters: list[Any], images: np.ndarray) -> np.ndarray:
    import torch
    from torch.nn.functional import adaptive_avg_pool2d, conv2d, max_pool2d, relu

    full = np.zeros((ROWS, *images.shape[1:]), dtype=np.float32)
    full[: len(images)] = images
    x = torch.from_numpy(full).permute(0, 3, 1, 2).contiguous() / 127.5 - 1
    for i, weight in enumerate(filters):
        x = relu(conv2d(x, weight, padding=1))
        x = max_pool2d(x, 2) if i < len(filters) - 1 else adaptive_avg_pool2d(x, POOLED)
    return x.flatten(1).numpy()[: len(images)]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch use one thread within the block: the order of a sum must not vary."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)

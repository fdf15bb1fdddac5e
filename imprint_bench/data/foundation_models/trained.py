"""Networks that were trained here, as foundation models."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.dataset import Images, digest
from imprint_bench.data.foundation_model import (
    FOUNDATION_MODELS,
    FoundationModel,
    Network,
    WeightDecay,
)
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.cropping import as_tensor
from imprint_bench.data.networks.torch_network import forward_on, placed
from imprint_bench.data.reading.files import existing
from imprint_bench.fixed.network_file import NetworkFile, load_network, read_network_file

ROWS = 16  # images per step, so that a step's output stays in the processor's cache
LUMA = (299, 587, 114)  # thousandths of red, green and blue in grey


@FOUNDATION_MODELS.register("trained")
def trained(*, file: str, weight_decay: WeightDecay = 1e-4) -> FoundationModel:
    """Return a network that a training run of this package has kept; it gives the features.

    Images become what it was trained on: grey or color, resized to the height and width of the
    training images if they have others (both sides, whatever the proportions), divided by 255
    and normalized with the mean and standard deviation of the training.

    Parameters
    ----------
    file : str
        As ``imprint_bench.fixed.network_file.write_network_file`` writes it.
    weight_decay : float
        Of its training: lambda of least squares.

    Raises
    ------
    DataError
        If the file is missing or is no network file.
    """
    path = existing(
        Path(file).expanduser(), remedy="give the network file that a training run has kept"
    )
    facts = read_network_file(path)
    height, width, channels = facts.shape
    return FoundationModel(
        kind="trained",
        version=1,
        weights=digest(
            network=facts.kind, params=dict(facts.params), d=facts.d, weights=facts.weights
        ),
        preprocessing={
            "channels": "color as grey" if channels == 1 else "grey repeated to 3",
            "resize": "bilinear",
            "size": [height, width],
            "mean": list(facts.mean),
            "std": list(facts.std),
        },
        weight_decay=weight_decay,
        load=lambda computing: _load(path, facts, computing),
        length_for=lambda _: facts.d,
        on_torch=True,
    )


@dataclass(frozen=True)
class Fitted:
    """Gives images the size and the colors of those that a network was trained on.

    Attributes
    ----------
    height, width : int
        Of the training images, in pixels.
    grey : bool
        Whether they were grey. Then all three channels are the luma of ITU-R BT.601.
    """

    height: int
    width: int
    grey: bool

    def __call__(self, images: Images) -> np.ndarray:
        """Return uint8 of shape (b, height, width, 3)."""
        if isinstance(images, np.ndarray):
            return self._fitted(images)
        return np.concatenate([self._fitted(i.reshape(1, *i.shape)) for i in images])

    def _fitted(self, images: np.ndarray) -> np.ndarray:
        if self.grey and images.shape[-1] == 3:
            weighted = images.astype(np.uint32) @ np.array(LUMA, dtype=np.uint32)
            images = ((weighted + 500) // 1000).astype(np.uint8)[..., None]
        if images.shape[1:3] != (self.height, self.width):
            images = _resized(images, (self.height, self.width))
        return np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images


def _resized(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return images of `size`, bilinear; averaged over all covered pixels where they shrink."""
    from torch.nn.functional import interpolate

    resized = np.empty((len(images), *size, images.shape[-1]), dtype=np.uint8)
    for start in range(0, len(images), ROWS):
        planes = as_tensor(images[start : start + ROWS]).permute(0, 3, 1, 2)
        step = interpolate(planes, size=size, mode="bilinear", antialias=True)
        resized[start : start + ROWS] = step.permute(0, 2, 3, 1).numpy()
    return resized


@dataclass(frozen=True, eq=False)
class _FirstChannel:
    """A network of grey images, given images in three equal channels."""

    network: Callable[[Any], Any]

    def __call__(self, images: Any) -> Any:
        return self.network(images[:, :1])


def _load(path: Path, facts: NetworkFile, computing: Computing) -> Network:
    network = placed(load_network(path), computing)
    height, width, channels = facts.shape
    grey = channels == 1
    forward = forward_on(
        _FirstChannel(network) if grey else network,
        mean=facts.mean * 3 if grey else facts.mean,
        std=facts.std * 3 if grey else facts.std,
        computing=computing,
    )
    return Network(Fitted(height, width, grey), forward)

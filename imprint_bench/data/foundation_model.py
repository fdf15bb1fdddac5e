"""What a foundation model is: a frozen map from images to embeddings that knows what it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import numpy as np

from imprint_bench.data.dataset import CHANNELS, Shape, digest
from imprint_bench.data.precomputed_arrays import PrecomputedArrays
from imprint_bench.params import AtLeast, Source, check_params
from imprint_bench.registry import Registry

Network = Callable[[np.ndarray], np.ndarray]
WeightDecay = Annotated[float, AtLeast(0)]


@dataclass(frozen=True, eq=False)
class FoundationModel:
    """A frozen network with its preprocessing.

    Attributes
    ----------
    kind : str
        Name in the registry.
    version : int
        Of the kind's code; raised when the embeddings change.
    weights : str
        SHA-256 of the weights, or a description that settles them.
    preprocessing : Mapping[str, Any]
        All that happens to an image before the network; JSON values.
    weight_decay : float
        Of its training: lambda of least squares.
    load : callable
        ``() -> network``, with ``network(uint8 (b, h, w, c)) -> (b, length)``. It is called
        once, for the first batch.
    length_for : callable
        ``((h, w, c)) -> int``: values per embedding for images of that shape.
    arrays_for : callable or None
        ``(name of the dataset) -> PrecomputedArrays``: ready-made embeddings and
        labels instead of a network.
    """

    kind: str
    version: int
    weights: str
    preprocessing: Mapping[str, Any]
    weight_decay: float
    load: Callable[[], Network]
    length_for: Callable[[Shape], int]
    arrays_for: Callable[[str], PrecomputedArrays] | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of all that settles the embedding of an image."""
        return digest(
            kind=self.kind,
            version=self.version,
            weights=self.weights,
            preprocessing=dict(self.preprocessing),
        )

    @cached_property
    def _network(self) -> Network:
        return self.load()

    def embed(self, images: np.ndarray) -> np.ndarray:
        """Return the embeddings of a batch, each independent of the rest of the batch.

        Parameters
        ----------
        images : uint8 ndarray of shape (b, h, w, c)
            c = 1 (grey) or 3 (red, green, blue).

        Returns
        -------
        embeddings : float32 ndarray of shape (b, length)
        """
        if images.ndim != 4 or images.dtype != np.uint8 or images.shape[-1] not in CHANNELS:
            raise ValueError(
                f"images are {images.dtype} of shape {images.shape}; "
                "expected uint8 of shape (b, h, w, 1 or 3)"
            )
        return np.asarray(self._network(images), dtype=np.float32).reshape(len(images), -1)


FOUNDATION_MODELS: Registry[Callable[..., FoundationModel]] = Registry(
    "foundation model", "imprint_bench.data.foundation_models"
)


def build_foundation_model(source: Source) -> FoundationModel:
    """Return the foundation model that `source` names; its network is not loaded yet.

    Raises
    ------
    ConfigError
        If the kind or a parameter is unknown or wrong; the message starts with
        ``fm.<name>``.
    DataError
        If its file is missing or is not a network.
    """
    at = f"fm.{source.name}"
    function = FOUNDATION_MODELS.find(source.kind, at=at)
    check_params(function, source.params, at=at)
    return function(**source.params)

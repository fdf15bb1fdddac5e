"""What a foundation model is: a frozen map from images to embeddings that knows what it is."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Annotated, Any

import numpy as np

from imprint_bench.data.dataset import CHANNELS, Images, Shape, digest
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.reading.precomputed_arrays import PrecomputedArrays
from imprint_bench.params import AtLeast, Source, check_params
from imprint_bench.plugins import code_of
from imprint_bench.registry import Registry

Prepare = Callable[[Images], np.ndarray]
Forward = Callable[[np.ndarray], np.ndarray]
WeightDecay = Annotated[float, AtLeast(0)]


@dataclass(frozen=True, eq=False)
class Network:
    """A loaded network, in two steps of which the first may be shared and done elsewhere.

    Attributes
    ----------
    prepare : callable
        ``(images) -> uint8 (b, h, w, c)`` as the network takes them: resized and cropped.
        Hashable and small, so that it can be sent to a loader process, and equal to
        another network's if it does the same: a batch is prepared once for both.
    forward : callable
        ``(prepared) -> float32 (b, length)``, each row independent of the others.
    """

    prepare: Prepare
    forward: Forward


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
        ``(computing) -> Network``. It is called once, for the first batch.
    length_for : callable
        ``((h, w, c)) -> int``: values per embedding for images of that shape; needs no weights.
    arrays_for : callable or None
        ``(name of the dataset) -> PrecomputedArrays``: ready-made embeddings and
        labels instead of a network.
    on_torch : bool
        Whether the network obeys all of `Computing`.
    """

    kind: str
    version: int
    weights: str
    preprocessing: Mapping[str, Any]
    weight_decay: float
    load: Callable[[Computing], Network]
    length_for: Callable[[Shape], int]
    arrays_for: Callable[[str], PrecomputedArrays] | None = None
    on_torch: bool = False

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of all that settles the embedding of an image."""
        return digest(
            kind=self.kind,
            version=self.version,
            weights=self.weights,
            preprocessing=dict(self.preprocessing),
        )

    def fingerprint_for(self, computing: Computing) -> str:
        """Return the fingerprint of the embeddings: that of the model, and of the arithmetic."""
        if not self.on_torch or computing.autocast == "none":
            return self.fingerprint
        return digest(fm=self.fingerprint, autocast=computing.autocast)

    @cached_property
    def network(self) -> Callable[[Computing], Network]:
        """``(computing) -> Network``, which loads it at the first call."""
        return cache(self.load)

    def embed(self, images: Images, computing: Computing | None = None) -> np.ndarray:
        """Return the embeddings of a batch, each independent of the rest of the batch.

        Parameters
        ----------
        images : uint8 ndarray of shape (b, h, w, c), or sequence of ndarrays (h_i, w_i, c)
            c = 1 (grey) or 3 (red, green, blue).
        computing : Computing, optional
            On the CPU if left out.

        Returns
        -------
        embeddings : float32 ndarray of shape (b, length)
        """
        _check_images(images)
        network = self.network(computing or Computing())
        return network.forward(network.prepare(images))


def _check_images(images: Images) -> None:
    if isinstance(images, np.ndarray):
        wrong = images if images.ndim != 4 or not _is_image(images) else None
    else:
        wrong = next((i for i in images if i.ndim != 3 or not _is_image(i)), None)
    if wrong is not None:
        raise ValueError(
            f"images are {wrong.dtype} of shape {wrong.shape}; "
            "expected uint8 of shape (b, h, w, 1 or 3)"
        )


def _is_image(array: np.ndarray) -> bool:
    return array.dtype == np.uint8 and array.shape[-1] in CHANNELS


FOUNDATION_MODELS: Registry[Callable[..., FoundationModel]] = Registry(
    "foundation model", "imprint_bench.data.foundation_models"
)


def build_foundation_model(source: Source) -> FoundationModel:
    """Return the foundation model that `source` names; its network is not loaded yet.

    The file of a function that the user imported is part of the identity.

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
    made = function(**source.params)
    if (code := code_of(function)) is None:
        return made
    return replace(made, preprocessing={**made.preprocessing, "code": code})

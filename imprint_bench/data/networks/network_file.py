"""A network in a file of its own: how its images are prepared, and what it must give."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from imprint_bench.data.foundation_model import FoundationModel, Network
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.cropping import Cropped, Interpolation
from imprint_bench.data.networks.torch_network import forward_on
from imprint_bench.data.reading.files import content_hash
from imprint_bench.errors import ConfigError, DataError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Module = Callable[[Any], Any]
Opener = Callable[[Path, Computing], Module]

_lengths: dict[tuple[str, str, int], int] = {}  # by kind, hash of the file, input size


@dataclass(frozen=True)
class Preparation:
    """What happens to an image before a network that does not say so itself.

    Attributes
    ----------
    size : int
        Height and width of the network's input, in pixels.
    resize : int or None
        Pixels of the shorter side before the center is cut out; None is `size`.
    interpolation : str
        "bilinear" or "bicubic".
    mean, std : tuple of 3 floats
        Of each channel, of pixels between 0 and 1.
    """

    size: int
    resize: int | None
    interpolation: Interpolation
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def check(self, *, at: str) -> None:
        """Raise ConfigError, which starts with the place `at`, unless the values make sense."""
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != 3:
                raise ConfigError(
                    f"{at}: {name} has {len(values)} values; expected 3, for red, green and blue."
                )
        if min(self.std) <= 0:
            raise ConfigError(f"{at}: std {list(self.std)}; expected numbers above 0.")
        if self.resize is not None and self.resize < self.size:
            raise ConfigError(
                f"{at}: resize {self.resize} is less than size {self.size}, so that no center of "
                "that size can be cut out; expected at least as much."
            )

    @property
    def prepare(self) -> Cropped:
        """The geometry."""
        return Cropped(self.resize or self.size, self.size, self.interpolation)

    @property
    def normalization(self) -> dict[str, list[float]]:
        """Mean and std, as `forward_on` takes them."""
        return {"mean": [*map(float, self.mean)], "std": [*map(float, self.std)]}


def network_of_file(
    kind: str, path: Path, opened: Opener, *, preparation: Preparation, weight_decay: float
) -> FoundationModel:
    """Return the foundation model of a file whose network gives the embedding itself.

    Parameters
    ----------
    kind : str
        Name in the registry.
    path : Path
        An existing file.
    opened : callable
        ``(path, computing) -> module``: reads it, or raises DataError.
    preparation : Preparation
    weight_decay : float
        Lambda of least squares.
    """
    preparation.check(at=f"fm of kind {kind}")
    weights = content_hash(path)

    def load(computing: Computing) -> Network:
        module = opened(path, computing)
        forward = forward_on(module, computing=computing, **preparation.normalization)
        return Network(preparation.prepare, forward)

    def length_for(_: object) -> int:
        key = (kind, weights, preparation.size)
        if key not in _lengths:
            _lengths[key] = _length(opened(path, Computing()), path, preparation.size)
        return _lengths[key]

    return FoundationModel(
        kind=kind,
        version=1,
        weights=weights,
        preprocessing=_in_words(preparation),
        weight_decay=weight_decay,
        load=load,
        length_for=length_for,
        on_torch=True,
    )


def _in_words(preparation: Preparation) -> Mapping[str, Any]:
    content = asdict(preparation) | preparation.normalization
    return {"channels": "grey repeated to 3", **content, "resize": preparation.prepare.resize}


def _length(module: Module, path: Path, size: int) -> int:
    """Return the values per embedding, from a pass with two black images."""
    import torch

    try:
        with torch.inference_mode():
            output = module(torch.zeros(2, 3, size, size))
    except Exception as error:  # the network is the user's program: it may raise anything
        raise DataError(
            f"{path.absolute()}: the network cannot take float32 of shape (2, 3, {size}, {size}) "
            f"({_last_line(error)}); expected one that takes such images, or another size."
        ) from error
    if not isinstance(output, torch.Tensor) or not output.is_floating_point():
        given = str(output.dtype) if isinstance(output, torch.Tensor) else type(output).__name__
        raise DataError(
            f"{path.absolute()}: the network's output is {given}; expected one tensor of "
            "fractions, the embeddings."
        )
    shape = tuple(output.shape)
    if len(shape) not in (2, 4) or shape[0] != 2 or shape[2:] not in ((), (1, 1)):
        raise DataError(
            f"{path.absolute()}: the network's output for two images has shape {shape}; expected "
            "(2, length) or (2, length, 1, 1)."
        )
    return shape[1]


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__)[:200].rstrip(".")

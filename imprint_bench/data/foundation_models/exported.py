"""Networks in files of torch.export."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint_bench.data.foundation_model import FOUNDATION_MODELS, FoundationModel, WeightDecay
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.cropping import Interpolation
from imprint_bench.data.networks.exported_program import clean_archive
from imprint_bench.data.networks.network_file import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preparation,
    network_of_file,
)
from imprint_bench.data.reading.files import existing
from imprint_bench.errors import DataError
from imprint_bench.params import PositiveInt

ANY_NUMBER = 1 << 30


@FOUNDATION_MODELS.register("exported")
def exported(
    *,
    file: str,
    size: PositiveInt = 224,
    resize: PositiveInt | None = None,
    interpolation: Interpolation = "bilinear",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    weight_decay: WeightDecay = 1e-4,
) -> FoundationModel:
    """Return the network of a torch.export file, whose output is the embedding.

    A network exported for one batch size gets passes of that many images.

    Parameters
    ----------
    file : str
        As ``torch.export.save`` writes it, usually with the ending .pt2. The network maps
        float32 (b, 3, size, size) to (b, l) or (b, l, 1, 1). A file that holds more than
        tensors and arithmetic is refused.
    size : int
        Height and width of its input, in pixels: the center of the image.
    resize : int or None
        Pixels to which the shorter side is resized before; None is `size`.
    interpolation : str
        "bilinear" or "bicubic".
    mean, std : list of 3 floats
        Of red, green and blue, of pixels between 0 and 1; ImageNet's by default.
    weight_decay : float
        Of its training: lambda of least squares.

    Raises
    ------
    DataError
        If the file is missing or is no exported program.
    """
    path = existing(
        Path(file).expanduser(), remedy="put a file there that torch.export.save has written"
    )
    return network_of_file(
        "exported",
        path,
        _opened,
        preparation=Preparation(size, resize, interpolation, tuple(mean), tuple(std)),
        weight_decay=weight_decay,
    )


@dataclass(frozen=True, eq=False)
class _InPasses:
    """A network that takes between `least` and `most` images at a time."""

    module: Any
    least: int
    most: int

    def __call__(self, images: Any) -> Any:
        import torch

        passes = [self._padded(part) for part in images.split(self.most)]
        return passes[0] if len(passes) == 1 else torch.cat(passes)

    def _padded(self, images: Any) -> Any:
        missing = self.least - len(images)
        if missing <= 0:
            return self.module(images)
        import torch

        full = torch.cat([images, images.new_zeros((missing, *images.shape[1:]))])
        output = self.module(full)
        return output[: len(images)] if isinstance(output, torch.Tensor) else output


def _opened(path: Path, computing: Computing) -> _InPasses:
    archive = clean_archive(path)
    import torch
    from torch.export.passes import move_to_device_pass

    try:
        program = torch.export.load(archive)
        least, most = _batch_sizes(program)
        if computing.device != "cpu":
            program = move_to_device_pass(program, computing.device)
        return _InPasses(program.module(), least, most)
    except Exception as error:  # whatever torch's reader meets in a file that is another program's
        reason = (str(error).splitlines() or [""])[0].rstrip(".") or type(error).__name__
        raise DataError(
            f"{path.absolute()}: torch cannot read the exported program ({reason[:160]}); export "
            f"it with torch {torch.__version__} or older."
        ) from error


def _batch_sizes(program: Any) -> tuple[int, int]:
    """Return the fewest and the most images that the program takes at a time."""
    inputs = [
        node.meta["val"]
        for node in program.graph.nodes
        if node.op == "placeholder" and node.name in program.graph_signature.user_inputs
    ]
    if len(inputs) != 1 or getattr(inputs[0], "ndim", 0) != 4:
        raise ValueError(
            f"it has {len(inputs)} inputs; expected one, of shape (batch, 3, size, size)"
        )
    batch = inputs[0].shape[0]
    if isinstance(batch, int):
        return batch, batch
    limits = program.range_constraints.get(batch.node.expr)
    if limits is None:
        return 1, ANY_NUMBER
    most = int(limits.upper) if limits.upper.is_Integer else ANY_NUMBER  # else it is infinite
    return max(int(limits.lower), 1), most

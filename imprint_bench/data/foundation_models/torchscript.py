"""Networks in TorchScript files."""

import re
import warnings
import zipfile
from pathlib import Path
from typing import Any

from imprint_bench.data.foundation_model import FOUNDATION_MODELS, FoundationModel, WeightDecay
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.cropping import Interpolation
from imprint_bench.data.networks.network_file import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    Preparation,
    network_of_file,
)
from imprint_bench.data.networks.torch_network import placed
from imprint_bench.data.reading.files import existing
from imprint_bench.errors import DataError
from imprint_bench.params import PositiveInt

MOST_PACKED = 1 << 26  # bytes of the compressed members, the code, when they are unpacked
# TorchScript knows no Python, but two of its operators touch files.
TOUCHES_FILES = re.compile(rb"\b(save|from_file)\s*\(")


@FOUNDATION_MODELS.register("torchscript")
def torchscript(
    *,
    file: str,
    size: PositiveInt = 224,
    resize: PositiveInt | None = None,
    interpolation: Interpolation = "bilinear",
    mean: tuple[float, ...] = IMAGENET_MEAN,
    std: tuple[float, ...] = IMAGENET_STD,
    weight_decay: WeightDecay = 1e-4,
) -> FoundationModel:
    """Return the network of a TorchScript file, whose output is the embedding.

    Parameters
    ----------
    file : str
        As ``torch.jit.save`` writes it. The network maps float32 (b, 3, size, size) to
        (b, l) or (b, l, 1, 1). TorchScript is a program: it can compute, but a file whose
        code reads or writes files is refused.
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
        If the file is missing or is no TorchScript network.

    References
    ----------
    torch/csrc/jit/docs/serialization.md of PyTorch (the file format).
    """
    path = existing(
        Path(file).expanduser(), remedy="put a file there that torch.jit.save has written"
    )
    _check_archive(path)
    return network_of_file(
        "torchscript",
        path,
        _opened,
        preparation=Preparation(size, resize, interpolation, tuple(mean), tuple(std)),
        weight_decay=weight_decay,
    )


def _check_archive(path: Path) -> None:
    """Refuse what is no TorchScript archive, would swell, or touches files."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            code = [m for m in members if m.filename.endswith(".py") and "/code/" in m.filename]
            packed = sum(m.file_size for m in members if m.compress_type != zipfile.ZIP_STORED)
            if not code or packed > MOST_PACKED:
                raise zipfile.BadZipFile("no code" if not code else f"{packed} bytes compressed")
            touching = [m for m in code if TOUCHES_FILES.search(archive.read(m))]
    except (zipfile.BadZipFile, OSError, ValueError, EOFError) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise DataError(
            f"{path.absolute()}: not a TorchScript network ({reason}); expected a whole file that "
            "torch.jit.save has written."
        ) from error
    if touching:
        raise DataError(
            f"{path.absolute()}: the network reads or writes files ({touching[0].filename}), so it "
            "is not run; expected one that only computes."
        )


def _opened(path: Path, computing: Computing) -> Any:
    import torch

    with warnings.catch_warnings():
        # TorchScript is superseded by torch.export, but files of users are not.
        warnings.filterwarnings("ignore", r"`torch\.jit\.load` is", DeprecationWarning)
        try:
            module = torch.jit.load(str(path), map_location="cpu")
        except (RuntimeError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
            raise DataError(
                f"{path.absolute()}: not a TorchScript network ({reason[:160]}); expected a whole "
                "file that torch.jit.save has written."
            ) from error
    return placed(module, computing)

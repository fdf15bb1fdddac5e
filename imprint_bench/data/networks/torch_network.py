"""Running a torch module on prepared images: device, arithmetic and normalization."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from imprint_bench.data.foundation_model import Forward
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.cropping import as_tensor
from imprint_bench.errors import ConfigError

# What torch says where it raises no OutOfMemoryError: on the CPU, and on Apple's GPUs.
NO_MEMORY = ("can't allocate memory", "out of memory", "not enough memory")


def placed(module: Any, computing: Computing) -> Any:
    """Return the module on its device, in evaluation mode and the wanted memory format.

    Parameters
    ----------
    module : torch.nn.Module
        Is changed.
    computing : Computing
        Device and memory format.

    Raises
    ------
    ConfigError
        If the module does not fit into the memory of the device.
    """
    import torch

    with _memory_explained("embed.device: the network does", computing):
        module = module.eval().to(torch.device(computing.device))
        if computing.channels_last:
            module = module.to(memory_format=torch.channels_last)
    return module


def forward_on(
    module: Callable[[Any], Any],
    *,
    mean: Sequence[float],
    std: Sequence[float],
    computing: Computing,
) -> Forward:
    """Return the function that embeds prepared images with a module.

    Parameters
    ----------
    module : torch.nn.Module or another callable
        On its device, in evaluation mode; maps float32 (b, 3, h, w) to (b, l) or (b, l, 1, 1).
    mean, std : sequence of 3 floats
        Of each channel, of pixels between 0 and 1: subtracted, and divided by.
    computing : Computing
        Device, autocast and memory format.

    Returns
    -------
    forward : callable
        ``(uint8 (b, h, w, 3)) -> float32 (b, l)``. It raises ConfigError where a batch
        does not fit into the memory of the device.
    """
    import torch

    # One multiplication and one addition per value: (x / 255 - mean) / std = x * scale + shift
    scale = 1 / (255 * torch.tensor(std, dtype=torch.float64))
    shift = -torch.tensor(mean, dtype=torch.float64) / torch.tensor(std, dtype=torch.float64)
    place = torch.device(computing.device)
    ready = [t.to(torch.float32).to(place).view(1, 3, 1, 1) for t in (scale, shift)]
    return _TorchNetwork(module, ready[0], ready[1], computing)


@dataclass(frozen=True, eq=False)
class _TorchNetwork:
    module: Callable[[Any], Any]
    scale: Any
    shift: Any
    computing: Computing

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Return the embeddings of uint8 (b, h, w, 3), float32 of shape (b, l)."""
        import torch

        asked = f"embed.batch_size: {len(images)} images of {images.shape[1]} pixels do"
        with (
            _memory_explained(asked, self.computing),
            torch.inference_mode(),
            exact_float32(self.computing),
        ):
            x = self._normalized(images)
            with _autocast(self.computing):
                embeddings = self.module(x)
            return embeddings.flatten(1).float().cpu().numpy()

    def _normalized(self, images: np.ndarray) -> Any:
        """Return float32 (b, 3, h, w) on the device; NHWC in memory is torch's channels_last."""
        import torch

        x = as_tensor(images).permute(0, 3, 1, 2)
        if self.scale.device.type == "cuda":
            x = x.pin_memory().to(self.scale.device, non_blocking=True)
        else:
            x = x.to(self.scale.device)
        layout = torch.channels_last if self.computing.channels_last else torch.contiguous_format
        return x.to(torch.float32, memory_format=layout).mul_(self.scale).add_(self.shift)


@contextmanager
def exact_float32(computing: Computing) -> Iterator[None]:
    """Keep CUDA from rounding float32 to TensorFloat-32 within the block, unless autocast is on.

    The settings are torch's own and hold for the process; they are put back after the block.
    """
    import torch

    if not computing.device.startswith("cuda") or computing.autocast != "none":
        yield
        return
    cuda: Any = torch.backends.cuda
    cudnn: Any = torch.backends.cudnn
    backends = (cuda.matmul, cudnn.conv, cudnn.rnn)
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        yield
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision


def _autocast(computing: Computing) -> AbstractContextManager[Any]:
    import torch

    if computing.autocast == "none":
        return nullcontext()
    kind = computing.device.partition(":")[0]
    return torch.autocast(kind, dtype=getattr(torch, computing.autocast))


@contextmanager
def _memory_explained(what: str, computing: Computing) -> Iterator[None]:
    import torch

    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        known = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not known and not any(s in str(error) for s in NO_MEMORY):
            raise
        raise ConfigError(
            f"{what} not fit into the memory of {computing.device}; choose a smaller "
            "embed.batch_size, or another embed.device."
        ) from error

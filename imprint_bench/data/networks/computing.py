"""How a network is run: on which device, in which arithmetic."""

from dataclasses import dataclass
from typing import Literal

from imprint_bench.errors import ConfigError

Autocast = Literal["none", "bfloat16", "float16"]


@dataclass(frozen=True)
class Computing:
    """How a torch network is run; networks of other kinds run as they always do.

    Attributes
    ----------
    device : str
        "cpu", "cuda", "cuda:1", ... or "mps"; see `resolved`.
    autocast : str
        Type of the arithmetic that torch's autocast lowers: "bfloat16", "float16", or
        "none". It changes embeddings from the third digit on, so it is part of their identity.
    channels_last : bool
        Keep the channels of an image together in memory, which most devices prefer.
    """

    device: str = "cpu"
    autocast: Autocast = "none"
    channels_last: bool = True


def resolved(device: str) -> str:
    """Return the device that is meant: "auto" is the first of cuda, mps and cpu that is there.

    Parameters
    ----------
    device : str
        "auto", "cpu", "mps", "cuda" or "cuda:N".

    Raises
    ------
    ConfigError
        If there is no such device here.
    """
    if device == "cpu":
        return device
    import torch

    there = {
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
        "cpu": 1,
    }
    if device == "auto":
        return next(name for name, n in there.items() if n)
    kind, _, number = device.partition(":")
    if int(number or 0) >= there[kind]:
        found = ", ".join(name for name, n in there.items() if n)
        raise ConfigError(
            f"embed.device: {device!r} is not there; torch finds {found} on this machine, of which "
            "auto takes the first."
        )
    return device

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


def resolved(device: str, *, at: str = "embed.device") -> str:
    """Return the device that is meant: "auto" is the first of cuda, mps and cpu that is there.

    Parameters
    ----------
    device : str
        "auto", "cpu", "mps", "cuda" or "cuda:N".
    at : str
        The place in the configuration, with which a message starts.

    Raises
    ------
    ConfigError
        If there is no such device here.
    """
    if device == "cpu":
        return device
    import torch

    kind, _, number = device.partition(":")
    there = {
        "cpu": 1,
        "cuda": torch.cuda.device_count(),
        "mps": int(torch.backends.mps.is_available()),
    }
    if device == "auto":
        return next(name for name in ("cuda", "mps", "cpu") if there[name])
    known = kind in there and (not number or (kind == "cuda" and number.isdecimal()))
    if not known:
        raise ConfigError(
            f"{at}: unknown device {device!r}; expected auto, cpu, cuda, cuda:N or mps."
        )
    if int(number or 0) >= there[kind]:
        found = ", ".join(name for name, n in there.items() if n)
        raise ConfigError(f"{at}: {device!r} is not there; torch finds {found} on this machine.")
    return device

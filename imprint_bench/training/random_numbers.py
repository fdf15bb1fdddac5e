"""Torch's global random numbers: lent to a training, and given back as they were."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def own_random_numbers(device: torch.device) -> Iterator[None]:
    """Put torch's global random numbers back as they were, after the block.

    Parameters
    ----------
    device : torch.device
        Whose generator is lent, besides the CPU's.
    """
    mps = torch.mps.get_rng_state() if device.type == "mps" else None
    with torch.random.fork_rng(devices=[device.index or 0] if device.type == "cuda" else []):
        yield
    if mps is not None:
        torch.mps.set_rng_state(mps)


def seed_global(device: torch.device, seed: int) -> None:
    """Seed what a network draws from: dropout, stochastic depth.

    Parameters
    ----------
    device : torch.device
        Whose generator is seeded, besides the CPU's; no other is touched.
    seed : int
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.default_generators[device.index or 0].manual_seed(seed)
    elif device.type == "mps":
        torch.mps.manual_seed(seed)

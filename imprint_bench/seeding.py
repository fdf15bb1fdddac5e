"""One stream of random numbers per purpose, derived from the seed and from names."""

import hashlib
import json

import numpy as np


def stream(seed: int, purpose: str, *names: object) -> np.random.Generator:
    """Return the generator of random numbers for one purpose.

    The stream depends on the arguments and on nothing else: neither on what was
    drawn before, nor on the process, nor on the order of the work.

    Parameters
    ----------
    seed : int
        The trial's seed.
    purpose : str
        What the numbers are for: ``"n_shot"``, ``"random"``, ...
    *names : object
        What tells one draw from another: dataset, mapping, class. They enter
        by their text.

    Examples
    --------
    >>> a, b = stream(0, "fps", "mnist", 3), stream(0, "fps", "mnist", 3)
    >>> a.integers(1000) == b.integers(1000)
    np.True_
    """
    text = json.dumps([int(seed), purpose, *map(str, names)])
    return np.random.default_rng(int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big"))

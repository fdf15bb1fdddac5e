"""The last bits of float64 results, in which rounding errors differ from way to way."""

import numpy as np

# The last bits of the 52-bit mantissa of a distance, or of a sum of distances: rounding them away
# makes equal values equal. `neighbors` keeps the class in them, hence 4096 classes at most.
NOISE_BITS = 12


def without_noise(values: np.ndarray) -> np.ndarray:
    """Round the last bits of values (>= 0, float64) away.

    Examples
    --------
    >>> float(without_noise(np.array([1 - 1e-15]))[0])
    1.0
    """
    return bits_without_noise(values).view(np.float64)


def bits_without_noise(values: np.ndarray) -> np.ndarray:
    """Return values without noise as int64 of the same order, whose last bits are zero.

    They are rounded, not cut off: what should be 1 may be a little less.
    """
    bits = np.ascontiguousarray(values).view(np.int64) + (1 << NOISE_BITS - 1)
    bits >>= NOISE_BITS
    bits <<= NOISE_BITS
    return bits

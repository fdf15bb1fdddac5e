"""The GEMM peak of the machine: the fastest matrix product of one thread."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from benchmarks.fresh import cpu_seconds

DTYPES = ("float32", "float64")


def measure(*, sizes: Sequence[int], repeats: int) -> list[dict[str, Any]]:
    """Return the speed of square matrix products.

    Parameters
    ----------
    sizes : sequence of int
        Rows of the matrices.
    repeats : int
        Of which the fastest counts.

    Returns
    -------
    list of dict with dtype, n, cpu_seconds, gflops (GFLOP per CPU second)
    """
    rows = []
    for dtype in DTYPES:
        for n in sizes:
            A = np.random.default_rng(0).normal(size=(n, n)).astype(dtype)
            B, C = A.T.copy(), np.empty_like(A)
            seconds = cpu_seconds(partial(np.matmul, A, B, out=C), repeats=repeats)
            speed = 2 * n**3 / max(seconds, 1e-9) / 1e9
            rows.append({"dtype": dtype, "n": n, "cpu_seconds": seconds, "gflops": speed})
    return rows


def peaks(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the GFLOP per CPU second of the fastest product of each dtype."""
    return {d: max(row["gflops"] for row in rows if row["dtype"] == d) for d in DTYPES}

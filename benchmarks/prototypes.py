"""What prototype sets cost, and how near they come to what is possible."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from benchmarks.fresh import fresh
from imprint_bench.fixed.core.geometry import Certificate
from imprint_bench.fixed.core.prototype_set import build_prototypes


class Problem(NamedTuple):
    """A number of classes and of dimensions, and what others reach there (None: not known)."""

    c: int
    d: int
    shipped: float | None = None  # maximal cosine of the set that DL2PA ships
    known: float | None = None  # that of the best configuration known to mathematics


SHIPPED = (
    *(Problem(100, 3, 0.99977), Problem(100, 5, 0.76348), Problem(100, 10, 0.45728)),
    *(Problem(100, 16, 0.32619), Problem(100, 32, 0.24650), Problem(100, 84, 0.01895)),
    *(Problem(200, 50, 0.20499), Problem(200, 100, 0.19945), Problem(1000, 512, 0.15641)),
)
SHARP = (
    *(Problem(8, 3, known=0.26120), Problem(10, 3, known=0.40439)),
    *(Problem(12, 3, known=0.44721), Problem(24, 3, known=0.72307), Problem(24, 4, known=0.5)),
    *(Problem(16, 5, known=0.2), Problem(27, 6, known=0.25), Problem(56, 7, known=1 / 3)),
    *(Problem(120, 4, known=0.80902), Problem(240, 8, known=0.5)),
    *(Problem(100, 22, known=1 / 11), Problem(112, 21, known=1 / 9)),
    Problem(162, 21, known=1 / 7),
)
OTHERS = (
    *(Problem(100, 25), Problem(100, 50), Problem(100, 64), Problem(100, 100)),
    *(Problem(200, 25), Problem(1000, 4096), Problem(10_000, 128)),
)
FULL = (*SHIPPED, *SHARP, *OTHERS)
QUICK = (Problem(24, 4, known=0.5), Problem(100, 84, 0.01895), Problem(40, 8))


def measure(problems: Sequence[Problem]) -> list[dict[str, Any]]:
    """Return, a row per problem, what `equidistributed` costs and reaches there.

    Every set is made in a process of its own, with one thread; the bound is in the seconds.
    """
    rows = []
    for problem in problems:
        measured = fresh(_certificate, problem.c, problem.d)
        found: Certificate = measured.result
        rows.append(
            {
                **problem._asdict(),
                "max_cosine": found.max_cosine,
                "min_cosine": found.min_cosine,
                "bound": found.bound,
                "bound_name": found.bound_name,
                "uniformity": found.uniformity,
                "touching": found.n_touching,
                "cpu_seconds": measured.cpu_seconds,
                "wall_seconds": measured.wall_seconds,
                "peak_mib": measured.peak_mib,
                "before_mib": measured.before_mib,
            }
        )
    return rows


def _certificate(c: int, d: int) -> Certificate:
    return build_prototypes("equidistributed", c, d).certificate

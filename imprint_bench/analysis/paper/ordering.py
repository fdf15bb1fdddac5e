"""Does the paper's order of methods hold here: Kendall's tau, and the pairs that flip."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb, isnan

import numpy as np
import pandas as pd

from imprint_bench.core.trend import flips, kendall

NAMED = 4  # flipped pairs in a sentence; the CSV file has all
EQUAL = 10  # decimals to which values count as equal


@dataclass(frozen=True)
class Order:
    """How far two orders of the same methods agree.

    Attributes
    ----------
    tau : float
        Kendall's tau-b; NaN where it is undefined.
    sentence : str
        What a caption says of it.
    flipped : DataFrame
        A row per pair whose order differs: the better and the worse method here, our two
        values, and the paper's two.
    """

    tau: float
    sentence: str
    flipped: pd.DataFrame


def compare_orders(
    names: Sequence[str],
    ours: Sequence[float],
    papers: Sequence[float],
    *,
    unit: str,
    scale: float = 1.0,
    rising: bool = False,
) -> Order:
    """Compare our order of methods with the paper's, by their values.

    Parameters
    ----------
    names : sequence of str
        Of the methods.
    ours, papers : sequence of float
        A value per method; a method with a NaN is left out. Ties are no flips.
    unit : str
        What the values are, in a sentence: ``% mean accuracy``.
    scale : float
        By which values are multiplied where they are written out.
    rising : bool
        Whether the lowest value is the best, as for seconds.
    """
    a, b = (np.asarray(values, dtype=np.float64).round(EQUAL) for values in (ours, papers))
    both = np.flatnonzero(~np.isnan(a) & ~np.isnan(b))
    columns = ["better_here", "worse_here", "ours_better", "ours_worse"]
    columns += ["papers_of_better", "papers_of_worse"]
    if len(both) < 2:
        one = [f"; {names[i]} has {b[i] * scale:.2f} {unit}" for i in both.tolist()]
        told = f"Fewer than two rows have a value in the paper{''.join(one)}."
        return Order(float("nan"), told, pd.DataFrame(columns=columns))
    a, b = a[both], b[both]
    tau = kendall(a, b)
    records = []
    for i, j in flips(a, b):
        better, worse = (i, j) if (a[i] < a[j]) == rising else (j, i)
        named = [names[both[better]], names[both[worse]]]
        records.append((*named, a[better], a[worse], b[better], b[worse]))
    flipped = pd.DataFrame(records, columns=columns)
    return Order(tau, _sentence(tau, len(both), flipped, unit=unit, scale=scale), flipped)


def _sentence(tau: float, n: int, flipped: pd.DataFrame, *, unit: str, scale: float) -> str:
    known = "is undefined" if isnan(tau) else f"is {tau:.2f}"
    lead = f"Kendall's tau between the order of these values and of the paper's {known} ({n} rows)"
    if flipped.empty:
        return f"{lead}: no pair of rows changes its order."
    pairs = []
    for better, worse, *values in flipped.head(NAMED).to_numpy().tolist():
        ours_better, ours_worse, papers_better, papers_worse = (v * scale for v in values)
        pairs.append(
            f"{better} before {worse} (here {ours_better:.2f} and {ours_worse:.2f}, "
            f"in the paper {papers_better:.2f} and {papers_worse:.2f} {unit})"
        )
    more = f"; and {len(flipped) - NAMED} more" if len(flipped) > NAMED else ""
    plural = "s" if len(flipped) == 1 else ""
    return f"{lead}; {len(flipped)} of {comb(n, 2)} pairs change{plural}: {'; '.join(pairs)}{more}."

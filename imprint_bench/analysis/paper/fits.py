"""Lines through the dots of figure 12, and what their threshold NC1 = 1 is worth."""

from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.collapse import MEASURES
from imprint_bench.core.trend import fit_line, spearman_test

ENOUGH = 3  # dots
NAMES = {"nc1": "eq. (1)", "nc1_as_published": "as published"}


def line_of(dots: pd.DataFrame, measure: str) -> dict[str, Any]:
    """Return the least-squares line of the gain on log10(NC1), and the rank correlation.

    Parameters
    ----------
    dots : DataFrame
        `gain` in percentage points, and NC1 in the column `measure`. A dot without a
        logarithm (NC1 = 0, full collapse) takes no part.

    Returns
    -------
    line : dict
        `n`, `slope` (points per decade), `intercept` (at NC1 = 1), `r_squared`, `rho`, `p`;
        NaN where undefined.
    """
    kept = dots[dots[measure] > 0]
    nc1, gain = kept[measure].to_numpy(dtype=float), kept["gain"].to_numpy(dtype=float)
    return {
        "n": len(kept),
        **fit_line(np.log10(nc1), gain)._asdict(),
        **spearman_test(nc1, gain)._asdict(),
    }


def fits_of(dots: pd.DataFrame) -> pd.DataFrame:
    """Return the line of every measure, through all dots and through those on each side of 1.

    Returns
    -------
    fits : DataFrame
        `measure`, `subset`, and what `line_of` gives; of fewer than three dots the number only,
        since every line through two dots is perfect.
    """
    records = []
    for measure in MEASURES:
        subsets = {
            "all": dots,
            "NC1 < 1": dots[dots[measure] < 1],
            "NC1 > 1": dots[dots[measure] > 1],
        }
        for name, subset in subsets.items():
            records.append({"measure": NAMES[measure], "subset": name, **line_of(subset, measure)})
    frame = pd.DataFrame(records)
    for column in ("slope", "intercept", "r_squared", "rho", "p"):
        frame[column] = frame[column].astype(float).where(frame["n"] >= ENOUGH)
    return frame


@cache
def published_fits() -> pd.DataFrame:
    """Return the paper's values of these lines, one per row.

    Returns
    -------
    values : DataFrame
        `measure`, `subset`, `statistic` (rho, r_squared, slope), `value` and `source`: ``paper``
        where it is printed there, ``notebook`` where it is the saved output of the published
        notebook of the analysis.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure 12.
    """
    folder = resources.files("imprint_bench.analysis.paper") / "values"
    with (folder / "gain_over_nc1.csv").open(encoding="utf-8") as file:
        return pd.read_csv(file)


def without_logarithm(dots: pd.DataFrame) -> list[str]:
    """Return a sentence for every measure that is 0 for some dots, which take no part then."""
    counts = {name: int((dots[measure] <= 0).sum()) for measure, name in NAMES.items()}
    return [
        f"{n} of {len(dots)} dots have NC1 = 0 ({name}); without a logarithm they take no part in "
        "its line and correlation."
        for name, n in counts.items()
        if n
    ]


def no_line(dots: pd.DataFrame, measure: str) -> str:
    """Say why there is no line through dots of which `line_of` gives none."""
    kept = int((dots[measure] > 0).sum())
    if kept > 1:
        return f"There is no line through the {kept} dots: their NC1 is the same."
    number = "no dot has" if kept == 0 else "only one dot has"
    return f"There is no line: {number} NC1 > 0, and 0 (full collapse) has no logarithm."


def worth(line: dict[str, Any]) -> str:
    """Return what a picture says of a line: R^2, slope and rank correlation."""
    if np.isnan(line["slope"]):
        return "no line"
    known = "R² undefined" if np.isnan(line["r_squared"]) else f"R² {line['r_squared']:.2f}"
    rank = "undefined" if np.isnan(line["rho"]) else f"{line['rho']:.2f} ({spelled_p(line['p'])})"
    return f"{known}, {line['slope']:.2f} points per decade\nSpearman's rho {rank}"


def sides_of_one(dots: pd.DataFrame) -> str:
    """Say how many dots have NC1 > 1 by either measure, and how many change sides."""
    ours, papers = (dots[measure] > 1 for measure in MEASURES)
    changing = int((ours != papers).sum())
    n = len(dots)
    text = f"NC1 > 1 holds for {ours.sum()} of {n} dots by equation 1 and for {papers.sum()} "
    if not changing:
        return f"{text}as published: no dot changes sides of the paper's threshold."
    some = f"{changing} dot{'' if changing == 1 else 's'}"
    return f"{text}as published: {some} lie{'s' if changing == 1 else ''} on another side of 1."


def spelled_p(p: float) -> str:
    """Return a p-value as a sentence has it.

    Examples
    --------
    >>> spelled_p(0.0123), spelled_p(1e-9), spelled_p(float("nan"))
    ('p = 0.012', 'p < 0.001', 'p undefined')
    """
    if np.isnan(p):
        return "p undefined"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"

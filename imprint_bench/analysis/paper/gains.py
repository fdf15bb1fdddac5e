"""What five proxies gain over one, against neural collapse: figure 12 and the table of its fits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.collapse import KEYS, MEASURES, PLACE, WHAT, in_view
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import select
from imprint_bench.analysis.paper.fits import fits_of, line_of, sides_of_one, spelled_p
from imprint_bench.analysis.paper.published import FMS
from imprint_bench.analysis.paper.view import (
    caption_of,
    chosen,
    complete,
    nothing_to_draw,
    one_per_k,
)
from imprint_bench.analysis.table import COUNT, NUMBER, Column, P, Table
from imprint_bench.errors import IncompleteError

FEW, MANY = 1, 5  # proxies per class
CLEAR = 0.05  # below this p a trend is called one
HOW = (
    "Gain: accuracy of k-means (norms l2/l2/l2, aggregation max) with k = 5 less that with k = 1, "
    "in percentage points, for every seed; then the mean over seeds and over the mappings of one d."
)
NOTHING = "it takes k-means with k = 1 and k = 5, norms l2/l2/l2 and aggregation max."
SHARED = "Dots of one foundation model share images, so p describes and does not test."
FITTED: tuple[Column, ...] = (
    Column("measure", "NC1"),
    Column("subset", "dots"),
    Column("n", "n", COUNT),
    Column("slope", "points per decade", NUMBER),
    Column("r_squared", "R^2", NUMBER),
    Column("rho", "Spearman's rho", NUMBER),
    Column("p", "p", P),
)
PUBLISHED: tuple[Column, ...] = (
    Column("paper_rho", "paper's rho", NUMBER),
    Column("paper_r_squared", "paper's R^2", NUMBER),
    Column("paper_slope", "paper's points per decade", NUMBER),
)
# Saved in the published notebook of the analysis, for NC1 as published: rho, R^2, slope.
PAPERS = {
    "all": (0.818, 0.356, 6.82),
    "NC1 < 1": (0.785, 0.539, 5.17),
    "NC1 > 1": (0.052, 0.024, -2.61),
}


def figure12(
    rows: pd.DataFrame,
    collapse: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return the gain of k = 5 over k = 1 against NC1, a dot per network and d or dataset.

    Unlike all other figures this one averages over seeds, as the paper does, since
    a mean of differences is the difference of means. Two panels: NC1 by equation 1,
    and as the published code computes it, which is what the paper's figure shows.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    collapse : DataFrame
        NC1 per instance, see `analysis.collapse`.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out instances that lack results or NC1, instead of refusing.

    Raises
    ------
    ConfigError
        If k-means has two configurations with one k in view.
    IncompleteError
        If results or values of NC1 are missing.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, equation 1 and figure 12.
    """
    name, title = "figure12", "Figure 12: gain of five proxies over one against NC1"
    sentences = [
        HOW,
        WHAT,
        "Filled: mean over the mappings that join d classes under each label; hollow: whole "
        "datasets. Line: least squares over all dots on log10(NC1). Left: NC1 by equation 1; "
        "right: as the authors' code computes it, which the paper shows.",
        SHARED,
    ]
    found = _of_two_k(select(rows, where))
    if found is None:
        return nothing_to_draw(name, title, caption_of(sentences), NOTHING)
    dots, notes = _dots(found, collapse, allow_incomplete=allow_incomplete, at=name)
    if len(dots) < 2:
        why = "it takes two foundation models, datasets or values of d."
        return nothing_to_draw(name, title, caption_of(sentences, *notes), why)
    finding = f"{_finding(dots)} {sides_of_one(dots)}"
    from imprint_bench.analysis.paper.dots import draw_gains

    picture = draw_gains(dots)
    files = {"": dots, "_fits": fits_of(dots)}
    return Drawing(name, title, caption_of([finding, *sentences], *notes), picture, files, finding)


def gain_over_nc1(
    rows: pd.DataFrame,
    collapse: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Table:
    """Return how the gain of k = 5 over k = 1 goes with NC1: on all dots, and on both sides of 1.

    Parameters
    ----------
    rows, collapse, where, allow_incomplete
        As in `figure12`.

    Raises
    ------
    ConfigError, IncompleteError
        As in `figure12`.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure 12.
    """
    name, title = (
        "gain_over_nc1",
        "Figure 12 in numbers: the gain of five proxies over one against NC1",
    )
    found = _of_two_k(select(rows, where))
    notes: list[str] = []
    if found is None:
        dots = pd.DataFrame(columns=["fm", "gain", *MEASURES]).astype(
            dict.fromkeys(["gain", *MEASURES], float)
        )
        lead = f"There is nothing to fit: {NOTHING}"
    else:
        dots, notes = _dots(found, collapse, allow_incomplete=allow_incomplete, at=name)
        lead = sides_of_one(dots)
    frame, columns, tail = fits_of(dots), FITTED, ""
    if set(dots["fm"]) == FMS:
        frame, columns = _with_papers(frame), FITTED + PUBLISHED
        tail = "The paper's values are those of its published notebook."
    sentences = [
        lead,
        HOW,
        "A dot per foundation model and d or whole dataset; straight line on log10(NC1).",
        SHARED,
        tail,
    ]
    kept = frame[[column.name for column in columns]]
    caption, data = caption_of(sentences, *notes), {"_dots": dots}
    return Table(name, title, caption, columns, kept, data=data, finding=lead)


def _of_two_k(rows: pd.DataFrame) -> pd.DataFrame | None:
    """Return the rows of k-means with one and with five proxies, all training rows; or None."""
    found = chosen(rows, ["kmeans"])
    if "n_shot" in found:
        found = found[found["n_shot"].isna()]
    if "gen_k" not in found or not {FEW, MANY} <= set(found["gen_k"].dropna()):
        return None
    return found[found["gen_k"].isin([FEW, MANY])]


def _dots(
    found: pd.DataFrame, collapse: pd.DataFrame, *, allow_incomplete: bool, at: str
) -> tuple[pd.DataFrame, list[str]]:
    """Return NC1 and the gain per place and d, means over mappings; and notes."""
    view = complete(found, allow_incomplete=allow_incomplete)
    one_per_k(view, at=at)
    gains = _gains(view.rows)
    if gains.empty:
        raise IncompleteError(f"{at}: no instance has k-means with k = 1 and k = 5.")
    values, notes = in_view(view.rows, collapse, allow_incomplete=allow_incomplete)
    merged = values.merge(gains, on=KEYS)
    dots = merged.groupby([*PLACE, "d"], dropna=False).agg(
        n_mappings=("mapping", "size"),
        gain=("gain", "mean"),
        **{measure: (measure, "mean") for measure in MEASURES},
    )
    return dots.reset_index(), [*view.notes, *notes]


def _gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of the gain of every instance, in percentage points."""
    wide = rows.pivot_table(index=[*KEYS, "seed"], columns="gen_k", values="accuracy")
    gains = (100 * (wide[MANY] - wide[FEW])).dropna()
    return gains.groupby(KEYS).mean().rename("gain").reset_index()


def _finding(dots: pd.DataFrame) -> str:
    """Say how the gain goes with NC1 by equation 1."""
    line = line_of(dots, "nc1")
    if np.isnan(line["slope"]):
        return f"There is no line through the {line['n']} dots: their NC1 is the same."
    way = "rises with" if line["rho"] > 0 else "falls with"
    if line["p"] >= CLEAR or line["slope"] * line["rho"] <= 0:  # the line and the ranks disagree
        way = "has no clear trend with"
    return (
        f"The gain of five proxies over one {way} NC1 by equation 1: {line['slope']:.2f} points "
        f"per decade, R^2 {line['r_squared']:.2f}, Spearman's rho {line['rho']:.2f} "
        f"({spelled_p(line['p'])}) over {line['n']} dots."
    )


def _with_papers(frame: pd.DataFrame) -> pd.DataFrame:
    values = [
        PAPERS[subset] if measure == "as published" else (float("nan"),) * 3
        for measure, subset in zip(frame["measure"], frame["subset"], strict=True)
    ]
    names = [column.name for column in PUBLISHED]
    return frame.join(pd.DataFrame(values, columns=names, index=frame.index))

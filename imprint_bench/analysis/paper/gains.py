"""What five proxies gain over one, against neural collapse: figure 12 and the table of its fits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.collapse import KEYS, MEASURES, PLACE, WHAT, in_view
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import select
from imprint_bench.analysis.gaps import left_out
from imprint_bench.analysis.paper.fits import (
    fits_of,
    line_of,
    no_line,
    published_fits,
    sides_of_one,
    spelled_p,
    without_logarithm,
)
from imprint_bench.analysis.paper.published import DATASETS, FMS
from imprint_bench.analysis.paper.view import (
    caption_of,
    chosen,
    complete,
    nothing_to_draw,
    of_all_rows,
    one_per_k,
)
from imprint_bench.analysis.table import COUNT, NUMBER, Column, P, Table

FEW, MANY = 1, 5  # proxies per class
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
# The paper's dots but for its networks: whole datasets, and classes of ImageNet joined.
WHOLE = [(dataset, 0) for dataset in sorted({*DATASETS, "combi_digits"})]
JOINED = [("imagenet", d) for d in range(1, 11)]
SOURCES = (
    "The paper prints its rho and R^2 of all dots; its other values are the saved output of the "
    "published notebook of its analysis."
)
STRONG = 0.5  # a rank correlation from which a sentence says that one rises with the other


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
    found, at = select(rows, where), f"figure.{name}"
    dots, notes = _dots(found, collapse, allow_incomplete=allow_incomplete, at=at)
    if len(dots) < 2:
        why = NOTHING if dots.empty else "it takes two foundation models, datasets or values of d."
        caption = caption_of(sentences, *notes)
        return nothing_to_draw(name, title, caption, caption_of([why], *notes))
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
    found, at = select(rows, where), f"table.{name}"
    dots, notes = _dots(found, collapse, allow_incomplete=allow_incomplete, at=at)
    lead = f"There is nothing to fit: {NOTHING}" if dots.empty else sides_of_one(dots)
    frame, columns, tail = fits_of(dots), FITTED, ""
    if _of_the_paper(dots):
        frame, columns, tail = _with_papers(frame), FITTED + PUBLISHED, SOURCES
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


def _dots(
    rows: pd.DataFrame, collapse: pd.DataFrame, *, allow_incomplete: bool, at: str
) -> tuple[pd.DataFrame, list[str]]:
    """Return NC1 and the gain per place and d, means over mappings; and notes.

    There is no dot where no instance has k-means with both k.
    """
    found, notes = of_all_rows(chosen(rows, ["kmeans"]))
    none = pd.DataFrame(columns=[*PLACE, "d", "n_mappings", "gain", *MEASURES])
    none = none.astype(dict.fromkeys(["gain", *MEASURES], float))
    if "gen_k" not in found or not {FEW, MANY} <= set(found["gen_k"].dropna()):
        return none, notes
    found = found[found["gen_k"].isin([FEW, MANY])]
    view = complete(found, allow_incomplete=allow_incomplete)
    notes += view.notes
    one_per_k(view, at=at)
    gains = _gains(view.rows)
    lacking = gains["gain"].isna()
    if lacking.any():
        notes.append(left_out(lacking.to_numpy(), "instance", "have one of the two k only"))
    if lacking.all():
        return none, notes
    values, further = in_view(gains[~lacking], collapse, allow_incomplete=allow_incomplete)
    dots = (
        values.merge(gains, on=KEYS)
        .groupby([*PLACE, "d"], dropna=False)
        .agg(
            n_mappings=("mapping", "size"),
            gain=("gain", "mean"),
            **{measure: (measure, "mean") for measure in MEASURES},
        )
    )
    dots = dots.reset_index()
    return dots, [*notes, *further, *without_logarithm(dots)]


def _gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over seeds of the gain of every instance, in percentage points.

    It is NaN where an instance has one of the two k only.
    """
    few, many = (
        rows[rows["gen_k"] == k].set_index([*KEYS, "seed"])["accuracy"].astype(float)
        for k in (FEW, MANY)
    )
    gains = 100 * many.sub(few)  # aligned by name
    return gains.groupby(KEYS).mean().rename("gain").reset_index()


def _finding(dots: pd.DataFrame) -> str:
    """Say how the gain goes with NC1 by equation 1."""
    line, subject = line_of(dots, "nc1"), "The gain of five proxies over one"
    if np.isnan(line["slope"]):
        return no_line(dots, "nc1")
    if np.isnan(line["rho"]):
        n = line["n"]
        return f"{subject} or NC1 by equation 1 is the same for all {n} dots: there is no trend."
    way = "rises with" if line["rho"] > 0 else "falls with"
    if line["slope"] * line["rho"] <= 0 or abs(line["rho"]) < STRONG:  # line and ranks disagree, or
        way = "neither clearly rises nor falls with"  # most of the order is not NC1's
    return (
        f"{subject} {way} NC1 by equation 1: {line['slope']:.2f} points per decade, R^2 "
        f"{line['r_squared']:.2f}, Spearman's rho {line['rho']:.2f} over {line['n']} dots "
        f"({spelled_p(line['p'])}, as a description); in the paper rho is 0.82 and R^2 0.36."
    )


def _of_the_paper(dots: pd.DataFrame) -> bool:
    """Tell whether the dots are those of the paper's figure: its networks, datasets and d."""
    wanted = {(fm, *place) for fm in FMS for place in WHOLE + JOINED}
    found = set(zip(dots["fm"], dots["dataset"], dots["d"].fillna(0), strict=True))
    return found == wanted and len(dots) == len(wanted)


def _with_papers(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the fits with the paper's values beside those of its measure."""
    keys = ["measure", "subset"]
    values = published_fits().pivot_table(index=keys, columns="statistic", values="value")
    return frame.join(values.add_prefix("paper_"), on=keys)

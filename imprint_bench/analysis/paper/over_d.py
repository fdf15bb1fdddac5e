"""What d, the number of original classes under each label, changes: figures 11a and A.7."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from imprint_bench.analysis.collapse import (
    KEYS,
    MEASURES,
    PLACE,
    WHAT,
    in_view,
    spelled_rhos,
    with_d,
)
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import select
from imprint_bench.analysis.paper.view import (
    BAND,
    NO_NORMS,
    OF_LEAST_SQUARES,
    View,
    caption_of,
    chosen,
    complete,
    distinct,
    intervals,
    means_over_panels,
    named,
    nothing_to_draw,
    of_all_rows,
    one_per_k,
)
from imprint_bench.core.trend import spearman

MEASURE_NAMES = {"nc1": "NC1 by eq. (1)", "nc1_as_published": "NC1 as published"}
NOTHING = (
    "it takes k-means (norms l2/l2/l2) and k-least-squares (no norms) on mappings with two values "
    "of d (mapping=[d_in_1])."
)
METHODS = {  # in the order of the legend: generator, and whether its k is the best one
    "mean": ("kmeans", False),
    "least squares": ("k_least_squares", False),
    "k-means, best k": ("kmeans", True),
    "k-least-squares, best k": ("k_least_squares", True),
}


def figure11a(
    rows: pd.DataFrame,
    collapse: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return NC1 over d, one line per foundation model, with the whole datasets beside it.

    Two panels: NC1 by equation 1, and as the published code computes it, which is
    what the paper's figure shows.

    Parameters
    ----------
    rows : DataFrame
        One row per trial; they say which instances are in view.
    collapse : DataFrame
        NC1 per instance, see `analysis.collapse`.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out instances without NC1, instead of refusing.

    Raises
    ------
    IncompleteError
        If instances in view have no NC1.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, equation 1 and figure 11a.
    """
    name, title = "figure11a", "Figure 11a: NC1 over d"
    view, notes = in_view(select(rows, where), collapse, allow_incomplete=allow_incomplete)
    sentences = [
        WHAT,
        "Lines: mean over the mappings that join d original classes under each label, with the "
        f"{BAND} over mappings as a band. Dots: whole datasets.",
        "Left: by equation 1; right: as the authors' code computes it, which the paper shows.",
    ]
    joining = view[view["d"].notna()]
    if distinct(joining, "d") < 2:
        why = "it takes mappings with two values of d (mapping=[d_in_1])."
        return nothing_to_draw(name, title, caption_of(sentences, *notes), why)
    joining = joining.assign(line=named(joining, PLACE))
    data = _measured(joining)
    dots = view[view["d"].isna()]
    dots = dots.assign(place=named(dots, ["dataset", "mapping", "task"]))[
        ["place", *KEYS, *MEASURES]
    ]
    finding = _rising(joining, dots)
    from imprint_bench.analysis.paper.pictures_of_d import draw_collapse

    picture = draw_collapse(data, dots)
    exact = joining[["line", *KEYS, "d", *MEASURES]]
    files = {"": data, "_datasets": dots, "_mappings": exact}
    return Drawing(name, title, caption_of([finding, *sentences], *notes), picture, files, finding)


def _measured(joining: pd.DataFrame) -> pd.DataFrame:
    """Return the mean of both measures for every line and d, one measure below the other."""
    by = ["line", "fm", "d"]
    parts = []
    for column, name in MEASURE_NAMES.items():
        part = intervals(joining, by, column).rename(columns={column: "value"})
        parts.append(part.assign(measure=name))
    return pd.concat(parts, ignore_index=True)[["measure", *by, "n_mappings", "value", "margin"]]


def _rising(joining: pd.DataFrame, dots: pd.DataFrame) -> str:
    """Say how NC1 by equation 1 goes with d, and where the whole datasets are."""
    rhos = [
        spearman(line["d"].to_numpy(dtype=float), line["nc1"].to_numpy(dtype=float))
        for _, line in joining.groupby("line", sort=False)
    ]
    rising = sum(rho > 0 for rho in rhos)
    parts = [
        f"NC1 by equation 1 rises with d on {rising} of {len(rhos)} line"
        f"{'' if len(rhos) == 1 else 's'} ({spelled_rhos(rhos)})"
    ]
    if len(dots):
        parts.append(f"whole datasets have {_span(dots['nc1'].tolist())}")
    ours, papers = (pd.concat([joining[measure], dots[measure]]) for measure in MEASURES)
    collapsed = ours <= 0  # of 0 nothing is a multiple
    if not collapsed.all():
        times = _span((papers / ours)[~collapsed].tolist())
        where = ", where it is not 0" if collapsed.any() else ""
        parts.append(f"as published it is {times} times as large{where}")
    return f"{'; '.join(parts)}."


def _span(values: list[float]) -> str:
    low, high = f"{min(values):.2f}", f"{max(values):.2f}"
    return low if low == high else f"{low} to {high}"


def figure_a7(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return accuracy over d of one proxy and of the best k, by imprinting and by least squares.

    k-means (norms l2/l2/l2) with k = 1 is the mean; k-least-squares (no norms) with
    k = 1 is least squares. The best k is the one with the highest mean over the
    mappings of a foundation model, d and method; as in the paper, it is chosen by
    test accuracy.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out mappings that lack results, instead of refusing.

    Raises
    ------
    ConfigError
        If a generator has two configurations with one k in view.
    IncompleteError
        If results are missing.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure A.7.
    """
    name, title = "figureA7", "Figure A.7: one proxy and the best k over d"
    sentences = [
        "Accuracy over d, the original classes under each label: per mapping the median over "
        f"seeds, then the mean over the mappings, with the {BAND} over mappings as a band.",
        "mean: k-means with k = 1 (norms l2/l2/l2); least squares: k-least-squares with k = 1 "
        "(no norms). The best k has the highest mean of all k in view for its foundation model, d "
        "and method; it is chosen on test accuracy, so these lines are optimistic.",
        OF_LEAST_SQUARES,
    ]
    found, notes = of_all_rows(_of_both(select(rows, where)))
    joining = found[with_d(found)["d"].notna()]
    view = None if _too_little(joining) else complete(joining, allow_incomplete=allow_incomplete)
    notes += view.notes if view else ()
    if view is None or _too_little(view.medians):  # what is left may be
        caption = caption_of(sentences, *notes)
        return nothing_to_draw(name, title, caption, caption_of([NOTHING], *notes))
    one_per_k(view, at=f"figure.{name}")
    data = _lines(view)
    finding = _gains_at_ends(data)
    from imprint_bench.analysis.paper.pictures_of_d import draw_methods_over_d

    picture = draw_methods_over_d(data)
    caption = caption_of([finding, *sentences], *notes)
    return Drawing(name, title, caption, picture, {"": data}, finding)


def _of_both(rows: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([chosen(rows, ["kmeans"]), chosen(rows, ["k_least_squares"], NO_NORMS)])


def _too_little(joining: pd.DataFrame) -> bool:
    return distinct(with_d(joining), "d") < 2 or set(joining["gen"]) < {"kmeans", "k_least_squares"}


def _lines(view: View) -> pd.DataFrame:
    """Return the points of the four lines of every panel."""
    frame = with_d(view.medians)
    frame = frame.assign(panel=named(frame, PLACE)).rename(columns={"gen_k": "k"})
    means = intervals(frame, ["panel", "gen", "d", "k"], "accuracy")
    best = means.loc[means.groupby(["panel", "gen", "d"])["accuracy"].idxmax()]
    parts = []
    for method, (gen, of_best) in METHODS.items():
        points = best if of_best else means[means["k"] == 1]
        parts.append(points[points["gen"] == gen].assign(method=method))
    out = pd.concat(parts, ignore_index=True)
    return out[["panel", "method", "d", "k", "n_mappings", "accuracy", "margin"]]


def _gains_at_ends(data: pd.DataFrame) -> str:
    """Say what the best k of k-means gains over the mean at both ends of d, averaged."""
    means = means_over_panels(data, ["method", "d"], ["panel"])
    ds = means.index.unique("d")
    parts = []
    for d in sorted({ds.min(), ds.max()}) if len(ds) else ():
        points = means.xs(d, level="d")
        if {"mean", "k-means, best k"} <= set(points.index):
            gain = 100 * (points["k-means, best k"] - points["mean"])
            parts.append(f"{gain:.2f} points at d = {d}")
    if not parts:
        return ""
    panels = data["panel"].nunique()
    over = "" if panels == 1 else f", averaged over {panels} panels"
    return f"The best k of k-means gains {' and '.join(parts)} over the mean{over}."

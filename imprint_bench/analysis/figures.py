"""Figures of a study: one function each, found by the name a YAML file uses.

A figure function takes the rows (one per trial, see `frames`), and, if it names them as
further parameters, `collapse` and `samples` (see `collapse`, `montage`); its keyword-only
parameters are what YAML may set. It returns the picture with the data behind
it, or one sentence where there is too little to draw; or a list of such drawings.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pandas as pd

from imprint_bench.analysis.collapse import nc1_over_d
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import Medians, best_of_groups, medians, summarize
from imprint_bench.analysis.labels import (
    ORACLES,
    group_labels,
    instance_labels,
)
from imprint_bench.analysis.montage import montage
from imprint_bench.analysis.tables import group_columns
from imprint_bench.params import PositiveInt
from imprint_bench.registry import Registry

FIGURES: Registry[Callable[..., Drawing | list[Drawing]]] = Registry("figure")
FIGURES.add("montage", montage)
FIGURES.add("nc1_over_d", nc1_over_d)


@FIGURES.register("critical_difference")
def critical_difference(
    rows: pd.DataFrame,
    *,
    per: list[str] = ["gen"],  # noqa: B006 - read only; a list is what YAML writes
    where: Mapping[str, Any] | None = None,
    alpha: float = 0.05,
    most: PositiveInt = 30,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return the critical-difference diagram of the best configuration of every group.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    per : list of str
        What makes a group, as in the table `best_configurations`.
    where : Mapping[str, Any], optional
        Which rows are in view.
    alpha : float
        Significance level.
    most : int
        Draw at most so many groups, the best.
    allow_incomplete : bool
        Leave out instances with missing cells, instead of refusing.

    References
    ----------
    Westerhoff et al., TMLR 2025, figure 2; J. Demsar, JMLR 7, 2006.
    """
    title = "Critical differences"
    view = medians(rows, where=where, allow_incomplete=allow_incomplete)
    summary = summarize(view)
    best = best_of_groups(summary, group_columns(summary, per))
    shown = best.head(most)
    lead = (
        "Each name stands for its configuration with the lowest average rank among all in view "
        "(critical_difference_groups.csv)."
    )
    if len(best) > len(shown):
        lead += f" The best {most} of {len(best)} groups are compared."
    names = group_labels(shown, per)
    table = view.accuracy[shown.index].set_axis(names, axis=1)
    table.index = pd.Index(instance_labels(view.instances), name="instance")
    results = ["accuracy_mean", "accuracy_std", "average_rank", "n_instances"]
    data = {
        "": table.reset_index(),
        "_groups": shown[["label", *results]].assign(name=names),
    }
    drawing = Drawing(
        "critical_difference", title, " ".join([lead, *view.notes]), None, data, _too_few(table)
    )
    return drawing if min(table.shape) < 2 else _compared(drawing, table, alpha)


def _compared(drawing: Drawing, table: pd.DataFrame, alpha: float) -> Drawing:
    """Test the columns of `table` against each other and draw the outcome."""
    from imprint_bench.analysis.critical_difference import (
        caption,
        compare_frame,
        draw,
        pairs_frame,
    )

    comparison = compare_frame(table, alpha=alpha)
    significant = sum(pair.significant for pair in comparison.pairs)
    finding = (
        f"Of {len(comparison.pairs):,} pairs of these methods {significant:,} differ significantly "
        f"over the {comparison.n_instances:,} instances (two-sided Wilcoxon signed-rank tests with "
        f"Holm's correction, alpha {alpha:g})."
    )
    if not significant and 2.0 ** (1 - comparison.n_instances) * len(comparison.pairs) > alpha:
        finding += " With so few instances and so many pairs the test cannot find any."
    return replace(
        drawing,
        caption=f"{caption(comparison)} {drawing.caption}",
        picture=draw(comparison),
        data={**drawing.data, "_pairs": pairs_frame(comparison)},
        finding=finding,
    )


@FIGURES.register("accuracy_over_k")
def accuracy_over_k(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return mean accuracy over the number of proxies per class, one line per generator.

    References
    ----------
    Westerhoff et al., TMLR 2025, figure 6.
    """
    title = "Accuracy over k"
    view = medians(rows, where=where, allow_incomplete=allow_incomplete)
    data = _over_k(view)
    caption = (
        f"Mean accuracy over {len(view.accuracy):,} evaluation instances, for the normalization "
        "and aggregation with the lowest average rank at each k (proxies per class). Dashed: "
        "methods without k."
    )
    caption = " ".join([caption, *view.notes])
    if data["k"].nunique() < 2:
        finding = "There is no generator with two values of k in view, so there is no line to draw."
        return Drawing("accuracy_over_k", title, caption, None, {"": data}, finding)
    imprinting = data[~data["gen"].isin(ORACLES)]
    finding = "" if imprinting.empty else _highest(imprinting)
    from imprint_bench.analysis.lines import draw_over_k

    picture = draw_over_k(data)
    return Drawing("accuracy_over_k", title, caption, picture, {"": data}, finding)


def _over_k(view: Medians) -> pd.DataFrame:
    """Return the best configuration of each generator and k, as the figure needs it."""
    summary = summarize(view)
    if "gen_k" not in summary:
        summary["gen_k"] = pd.array([pd.NA] * len(summary), dtype="Int64")
    best = best_of_groups(summary, group_columns(summary, ["gen"]))
    frame = best.assign(
        generator=group_labels(best.drop(columns="gen_k"), ["gen"]),
        k=pd.to_numeric(best["gen_k"]).astype("Int64"),
    ).sort_values(["generator", "k"])
    results = ["accuracy_mean", "accuracy_std", "average_rank", "n_instances", "label"]
    return frame[["gen", "generator", "k", *results]].reset_index(drop=True)


def _highest(data: pd.DataFrame) -> str:
    top = data.sort_values("accuracy_mean", kind="stable").iloc[-1]
    at = "" if pd.isna(top["k"]) else f" with k = {top['k']}"
    best = f"{100 * top['accuracy_mean']:.2f} %"
    return f"The highest mean accuracy, {best}, is that of {top['generator']}{at}."


def _too_few(table: pd.DataFrame) -> str:
    n, k = table.shape
    return (
        "There is too little to test: that takes two configurations and two evaluation instances; "
        f"in view: {k} and {n}. What is compared is set by `per`, for example per=[gen,agg]."
    )

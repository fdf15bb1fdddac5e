"""Figures of a study: one function each, found by the name a YAML file uses.

A figure function takes the rows (one per trial, see `frames`), and, if it names them as
further parameters, `collapse` and `samples` (see `collapse`, `montage`); its keyword-only
parameters are what YAML may set. It returns the picture with the data behind
it, or one sentence where there is too little to draw; or a list of such drawings.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from imprint_bench.analysis import trained
from imprint_bench.analysis.collapse import nc1_over_d
from imprint_bench.analysis.comparing import critical_difference
from imprint_bench.analysis.dl2pa import changes, curves, geometry_figures, matching
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import (
    Medians,
    best_of_groups,
    group_columns,
    medians,
    summarize,
)
from imprint_bench.analysis.labels import ORACLES, group_labels
from imprint_bench.analysis.montage import montage
from imprint_bench.analysis.paper import diagrams, gains, k_by_d, over_d, over_k, over_n, runtimes
from imprint_bench.registry import Registry

FIGURES: Registry[Callable[..., Drawing | list[Drawing]]] = Registry("figure")
FIGURES.add("critical_difference", critical_difference)
FIGURES.add("montage", montage)
FIGURES.add("accuracy_over_d", trained.accuracy_over_d)
FIGURES.add("nc1_over_d", nc1_over_d)
for _name in diagrams.SHOWN:
    FIGURES.add(_name, diagrams.diagram_of(_name))
FIGURES.add("figure6", over_k.figure6)
FIGURES.add("figure10", over_n.figure10)
FIGURES.add("figureA4", over_n.figure_a4)
FIGURES.add("figure11a", over_d.figure11a)
FIGURES.add("figure11b", k_by_d.figure11b)
FIGURES.add("figureA6a", k_by_d.figure_a6a)
FIGURES.add("figureA6b", k_by_d.figure_a6b)
FIGURES.add("figure12", gains.figure12)
FIGURES.add("figureA7", over_d.figure_a7)
FIGURES.add("runtimes", runtimes.runtimes)
FIGURES.add("dl2pa_figure2a", geometry_figures.figure2a)
FIGURES.add("dl2pa_figure2b", geometry_figures.figure2b)
FIGURES.add("dl2pa_figure2c", geometry_figures.figure2c)
FIGURES.add("dl2pa_figure3a", geometry_figures.figure3a)
FIGURES.add("dl2pa_figure3b", curves.figure3b)
FIGURES.add("dl2pa_figure3c", matching.figure3c)
FIGURES.add("dl2pa_figure3d", curves.figure3d)
FIGURES.add("dl2pa_figure4a", curves.figure4a)
FIGURES.add("dl2pa_figure4b", changes.figure4b)


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

"""Accuracy of k-means over n, the number of training rows per class: figures 10 and A.4."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import select
from imprint_bench.analysis.paper.view import (
    BAND,
    NO_SHOT,
    View,
    caption_of,
    chosen,
    complete,
    distinct,
    intervals,
    means_over_panels,
    named,
    nothing_to_draw,
    one_per_k,
)

PLACE = ["dataset", "mapping", "task"]
NOTHING = "it takes k-means with norms l2/l2/l2 and aggregation max on two values of n_shot."


def figure10(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return accuracy of k-means over n per class, one line per k, one panel per dataset.

    Foundation models are averaged within each seed, so that the band shows what
    the draw of the rows changes. The notebook of the paper draws the median with
    1.96 standard errors around it. The band here belongs to the mean, which is
    therefore the line, and five seeds ask for Student's t (2.78), not 1.96.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out foundation models that lack results, in all panels, instead of refusing.

    Raises
    ------
    ConfigError
        If k-means has two configurations with one k in view.
    IncompleteError
        If results are missing.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure 10.
    """
    name, title = "figure10", "Figure 10: accuracy over the training rows per class"
    lead = "Accuracy of k-means, averaged over the foundation models within each seed: mean over"
    return _figure(name, title, lead, [], select(rows, where), allow_incomplete=allow_incomplete)


def figure_a4(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return accuracy of k-means over n, one panel per foundation model and dataset.

    Mean and band over seeds as in `figure10`; the notebook of the paper draws the
    median with 1.96 standard errors.

    Parameters
    ----------
    rows, where
        As in `figure10`.
    allow_incomplete : bool
        Leave out panels that lack results, instead of refusing.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure A.4.
    """
    name, title = "figureA4", "Figure A.4: accuracy over the training rows, by foundation model"
    lead = "Accuracy of k-means: mean over"
    view = select(rows, where)
    return _figure(name, title, lead, ["fm"], view, allow_incomplete=allow_incomplete)


def _figure(
    name: str,
    title: str,
    lead: str,
    by: list[str],
    rows: pd.DataFrame,
    *,
    allow_incomplete: bool,
) -> Drawing:
    """Return the figure with a panel per place and, if `by` has it, foundation model."""
    sentences = [
        f"{lead} seeds, with the {BAND} over seeds as a band, over n training rows per class "
        "(logarithmic; all: every row).",
        "Norms l2/l2/l2, aggregation max; there are no more proxies than rows, so a line starts at "
        "n = k.",
        "The paper's notebook draws the median with 1.96 standard errors.",
    ]
    found = chosen(rows, ["kmeans"])
    if distinct(found, "n_shot", null=True) < 2:
        return nothing_to_draw(name, title, caption_of(sentences), NOTHING)
    together = NO_SHOT if by else ["fm"]  # else panels would average over different networks
    view = complete(found, allow_incomplete=allow_incomplete, together=together)
    notes = [*view.notes, *([] if by else _differing(view.rows))]
    if distinct(view.rows, "n_shot", null=True) < 2:  # of what is left
        caption = caption_of(sentences, *notes)
        return nothing_to_draw(name, title, caption, caption_of([NOTHING], *notes))
    one_per_k(view, at=f"figure.{name}")
    points = [*by, *PLACE, "k", "n"]
    seeds = _per_seed(view, points)
    data = intervals(seeds, points, "accuracy", count="n_seeds")
    if not by:
        counts = seeds[[*points, "n_fms"]].drop_duplicates(points)
        data = data.merge(counts, on=points, how="left")
    finding = _finding(data, [*by, *PLACE])
    from imprint_bench.analysis.paper.pictures import draw_over_n

    shown = data.assign(panel=named(data, PLACE), fm=data["fm"] if by else "")
    caption = caption_of([finding, *sentences], *notes)
    files = {"": data, "_seeds": seeds}
    return Drawing(name, title, caption, draw_over_n(shown), files, finding)


def _per_seed(view: View, by: list[str]) -> pd.DataFrame:
    """Return the accuracy with every seed, averaged over the foundation models that `by` lacks."""
    rows = view.rows.rename(columns={"gen_k": "k", "n_shot": "n"})
    groups = rows.groupby([*by, "seed"], dropna=False)
    return groups.agg(accuracy=("accuracy", "mean"), n_fms=("fm", "nunique")).reset_index()


def _differing(rows: pd.DataFrame) -> list[str]:
    """Return a sentence if the foundation models of one panel are not those of another."""
    if len({frozenset(group["fm"]) for _, group in rows.groupby(PLACE, dropna=False)}) == 1:
        return []
    return ["Panels average over different foundation models: not all have every dataset."]


def _finding(data: pd.DataFrame, panel: list[str]) -> str:
    """Say from which n on the largest k is ahead of the smallest, on average over the panels."""
    means = means_over_panels(data, ["k", "n"], panel).reset_index()
    if means.empty:
        return ""
    wide = means.set_index(["n", "k"])["accuracy"].unstack("k")  # noqa: PD010 - one value each
    wide = wide.sort_index(na_position="last")
    low, high = wide.columns[0], wide.columns[-1]
    ahead = 100 * (wide[high] - wide[low]).dropna()
    if low == high or ahead.empty:
        return ""
    last = f"with {_rows(ahead.index[-1])} it is {abs(ahead.iloc[-1]):.2f} points"
    n_behind = int((ahead <= 0).sum())
    start = f"On average over the panels k-means with k = {high}"
    if n_behind == len(ahead):
        return f"{start} is ahead of k = {low} at no n; {last} behind."
    if ahead.iloc[-1] <= 0:
        return f"{start} is ahead of k = {low} at some n only; {last} behind."
    first = max((i + 1 for i, points in enumerate(ahead) if points <= 0), default=0)
    return f"{start} is ahead of k = {low} from {_rows(ahead.index[first])} on; {last} ahead."


def _rows(n: Any) -> str:
    return "all rows" if pd.isna(n) else f"n = {n}"

"""Accuracy over k, a line per d and one per whole dataset: figures 11b, A.6a and A.6b."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from imprint_bench.analysis.collapse import PLACE, with_d
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import INSTANCE, select
from imprint_bench.analysis.labels import spell
from imprint_bench.analysis.paper.view import (
    ALL_L2,
    BAND,
    NO_NORMS,
    OF_LEAST_SQUARES,
    POST_L2,
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

TITLES = {"figure11b": "Figure 11b", "figureA6a": "Figure A.6a", "figureA6b": "Figure A.6b"}


def figure11b(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return accuracy of k-means (norms l2/l2/l2) over k, one line per d, by foundation model.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out mappings and datasets that lack results, instead of refusing.

    Raises
    ------
    ConfigError
        If the generator has two configurations with one k in view.
    IncompleteError
        If results are missing.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure 11b.
    """
    rows = select(rows, where)
    return _figure("figure11b", "kmeans", ALL_L2, rows, allow_incomplete=allow_incomplete)


def figure_a6a(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return accuracy of k-means on embeddings as they are (norms none/l2/l2) over k, by d.

    Parameters
    ----------
    rows, where, allow_incomplete
        As in `figure11b`.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure A.6a.
    """
    rows = select(rows, where)
    return _figure("figureA6a", "kmeans", POST_L2, rows, allow_incomplete=allow_incomplete)


def figure_a6b(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return accuracy of k-least-squares (no norms) over k, by d.

    Parameters
    ----------
    rows, where, allow_incomplete
        As in `figure11b`.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure A.6b.
    """
    rows = select(rows, where)
    return _figure(
        "figureA6b", "k_least_squares", NO_NORMS, rows, allow_incomplete=allow_incomplete
    )


def _figure(
    name: str, gen: str, norms: Sequence[str], rows: pd.DataFrame, *, allow_incomplete: bool
) -> Drawing:
    triple = "/".join(norms)
    title = f"{TITLES[name]}: accuracy of {spell(gen)} over k, by d"
    sentences = [
        f"Accuracy of {spell(gen)} (norms {triple}, aggregation max) over k, the number of proxies "
        "per class.",
        "Solid: d original classes under each label, per mapping the median over seeds, then the "
        f"mean over mappings, with the {BAND} over mappings as a band.",
        "Dotted: whole datasets, median over seeds. Each panel has its own axis of accuracy, which "
        "the paper breaks in two for k-means.",
        OF_LEAST_SQUARES if gen == "k_least_squares" else "",
    ]
    found, notes = of_all_rows(chosen(rows, [gen], norms))
    view = None if _too_little(found) else complete(found, allow_incomplete=allow_incomplete)
    notes += view.notes if view else ()
    if view is None or _too_little(view.medians):  # what is left may be
        why = f"it takes {spell(gen)} with norms {triple} and two k on mappings of d classes."
        caption = caption_of(sentences, *notes)
        return nothing_to_draw(name, title, caption, caption_of([why], *notes))
    one_per_k(view, at=f"figure.{name}")
    joining, whole = _split(view.medians)
    finding = _finding(joining, spell(gen))
    from imprint_bench.analysis.paper.pictures_of_d import draw_k_by_d

    picture = draw_k_by_d(joining, whole)
    caption = caption_of([finding, *sentences], *notes)
    return Drawing(name, title, caption, picture, {"": joining, "_datasets": whole}, finding)


def _too_little(frame: pd.DataFrame) -> bool:
    """Tell whether no line of any d has two points."""
    frame = with_d(frame)
    return distinct(frame[frame["d"].notna()], "gen_k") < 2


def _split(medians: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the points of the lines of every d, and of those of whole datasets."""
    frame = with_d(medians).rename(columns={"gen_k": "k"})
    joining, whole = frame[frame["d"].notna()], frame[frame["d"].isna()]
    joining = joining.assign(panel=named(joining, PLACE))
    lines = intervals(joining, ["panel", "fm", "d", "k"], "accuracy")
    place = [c for c in INSTANCE if c in whole and c not in ("fm", "n_shot")]  # all rows only
    line = named(whole, ["dataset", *(c for c in place if c != "dataset")])
    whole = whole.assign(line=line)[["fm", "line", *place, "k", "accuracy"]]
    return lines, whole.sort_values(["fm", "line", "k"], kind="stable", ignore_index=True)


def _finding(lines: pd.DataFrame, generator: str) -> str:
    """Say which k is best on average at both ends of d, and by how much."""
    means = means_over_panels(lines, ["d", "k"], ["panel"])
    ds = means.index.unique("d")
    if ds.empty:
        return ""
    parts = []
    for d in sorted({ds.min(), ds.max()}):
        line = means.xs(d, level="d").sort_index()
        gain = 100 * (line.max() - line.iloc[0])
        first = line.index[0]
        if line.idxmax() == first:
            parts.append(f"at d = {d} no k is better than k = {first}")
        else:
            parts.append(f"at d = {d} k = {line.idxmax()} is best, {gain:.2f} points above {first}")
    n = lines["panel"].nunique()
    over = "" if n == 1 else f", averaged over {n} panels,"
    return f"For {generator}{over} {' and '.join(parts)}."

"""Accuracy over k, the number of proxies per class, of every generator: figure 6."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import INSTANCE, method_columns, select
from imprint_bench.analysis.labels import ALL_ROWS, ORACLES, generator_labels
from imprint_bench.analysis.paper.view import (
    caption_of,
    chosen,
    complete,
    distinct,
    named,
    nothing_to_draw,
)

NOTHING = "it takes a generator with two values of k, norms l2/l2/l2 and aggregation max."


def figure6(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return accuracy over k, one line per generator, one panel per instance.

    The norms are l2/l2/l2 and the aggregation is max. The paper shows one panel,
    ``where={fm: resnet18, dataset: cifar10}``, on a linear axis.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out instances that lack results, instead of refusing.

    Raises
    ------
    IncompleteError
        If results are missing.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figure 6.
    """
    name, title = "figure6", "Figure 6: accuracy over k, by generator"
    found = chosen(select(rows, where))
    sentences = [
        "Accuracy (median over seeds) over k, the number of proxies per class, with norms "
        "l2/l2/l2 and aggregation max.",
        "Hollow: generators without k, at k = 1. Dashed: every training row is a proxy.",
        "The axis of k is logarithmic (in the paper it is linear); each panel has its own axis of "
        "accuracy.",
    ]
    if distinct(found, "gen_k") < 2:
        return nothing_to_draw(name, title, caption_of(sentences), NOTHING)
    view = complete(found, allow_incomplete=allow_incomplete)
    if distinct(view.medians, "gen_k") < 2:  # what is left may have none
        caption, why = caption_of(sentences, *view.notes), caption_of([NOTHING], *view.notes)
        return nothing_to_draw(name, title, caption, why)
    data = _labeled(view.medians)
    finding = _finding(data)
    from imprint_bench.analysis.paper.pictures import draw_generators_over_k

    shown = data.assign(panel=named(data, _panel_columns(data)))
    picture = draw_generators_over_k(shown)
    caption = caption_of([finding, *sentences], *view.notes)
    return Drawing(name, title, caption, picture, {"": data}, finding)


def _panel_columns(frame: pd.DataFrame) -> list[str]:
    """Return what names the column of a panel; its row is the foundation model."""
    return ["dataset", *(c for c in INSTANCE if c in frame and c not in ("fm", "dataset"))]


def _labeled(medians: pd.DataFrame) -> pd.DataFrame:
    """Return what the figure shows: where, which generator, k and accuracy."""
    axes = method_columns(medians)
    methods = medians[axes].drop_duplicates()
    labels = methods.assign(generator=generator_labels(methods.drop(columns="gen_k")))
    found = medians.merge(labels, on=axes, how="left").rename(columns={"gen_k": "k"})
    place = [column for column in INSTANCE if column in found]
    kept = found[[*place, "gen", "generator", "k", "accuracy"]]
    return kept.sort_values([*place, "generator", "k"], kind="stable", ignore_index=True)


def _finding(data: pd.DataFrame) -> str:
    """Say which imprinting is best on average, and what more proxies bring k-means."""
    n = len(data[[column for column in INSTANCE if column in data]].drop_duplicates())
    over = "On the one instance" if n == 1 else f"Averaged over the {n} instances"
    keys = ["gen", "generator", "k"]
    means = data.groupby(keys, dropna=False)["accuracy"].agg(["mean", "size"]).reset_index()
    means = means[means["size"] == n]  # others exist on some instances only
    limited = means[~means["gen"].isin([*ORACLES, ALL_ROWS])]
    parts = []
    if not limited.empty:
        top = limited.sort_values("mean", kind="stable").iloc[-1]
        at = "" if pd.isna(top["k"]) else f" with k = {top['k']}"
        parts.append(f"{top['generator']}{at} is the best imprinting, {100 * top['mean']:.2f} %")
    every = means[means["gen"] == ALL_ROWS]
    if parts and not every.empty:
        parts.append(f"all training rows as proxies give {100 * every['mean'].iloc[0]:.2f} %")
    line = means[means["gen"] == "kmeans"].set_index("k")["mean"].sort_index()
    if len(line) > 1:
        gain = 100 * (line.iloc[-1] - line.iloc[0])
        parts.append(
            f"k-means gains {gain:.2f} points from k = {line.index[0]} to k = {line.index[-1]}"
        )
    return f"{over}, {'; '.join(parts)}." if parts else ""

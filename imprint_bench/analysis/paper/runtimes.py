"""How long generating proxies takes, as a picture: the runtime plot of section A.5."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import select
from imprint_bench.analysis.labels import spell_seconds
from imprint_bench.analysis.paper.generation_time import generation_seconds
from imprint_bench.analysis.paper.view import caption_of, nothing_to_draw


def runtimes(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return the seconds of generating proxies per instance, for six configurations.

    Parameters
    ----------
    rows : DataFrame
        One row per trial, with `gen_seconds`.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out instances that lack results, instead of refusing.

    Raises
    ------
    IncompleteError
        If rows are missing, or none of the configurations is in view.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section A.5.
    """
    data, notes = generation_seconds(select(rows, where), allow_incomplete=allow_incomplete)
    data = data[data["seconds"] > 0].reset_index(drop=True)
    sentences = [
        "Wall-clock seconds of generating the proxies of one task, embeddings at hand: a dot per "
        "instance, its median over seeds, on a logarithmic axis (in the paper it is linear).",
        "Box: quartiles and median (number on the right); whiskers: all within 1.5 times the box's "
        "length. Norms l2/l2/l2; the oracles without norms.",
        *notes,
    ]
    name, title = "runtimes", "Section A.5: generation time"
    if data.empty:
        return nothing_to_draw(name, title, caption_of(sentences), "no result has gen_seconds.")
    finding = _finding(data)
    from imprint_bench.analysis.paper.dots import draw_seconds

    caption = caption_of([finding, *sentences])
    return Drawing(name, title, caption, draw_seconds(data), {"": data}, finding)


def _finding(data: pd.DataFrame) -> str:
    seconds = data.groupby("name", sort=False)["seconds"].median().sort_values(kind="stable")
    size = data.groupby("name")["seconds"].size().max()
    n = f"{size} instance{'' if size == 1 else 's'}"
    if len(seconds) == 1:
        return f"{seconds.index[0]} takes {spell_seconds(seconds.iloc[0])} (median over {n})."
    ratio = seconds.iloc[-1] / seconds.iloc[0]
    return (
        f"The fastest is {seconds.index[0]} with {spell_seconds(seconds.iloc[0])} (median over "
        f"{n}); {seconds.index[-1]} takes {ratio:,.0f} times as long, "
        f"{spell_seconds(seconds.iloc[-1])}."
    )

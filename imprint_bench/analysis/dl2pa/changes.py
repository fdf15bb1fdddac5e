"""Figure 4b of DL2PA: how the assignment settles, from rows."""

from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.dl2pa.axes import INSTANCE, parameter_columns
from imprint_bench.analysis.dl2pa.curves import MANY, UNNUMBERED, Where, curves, numbered
from imprint_bench.analysis.dl2pa.published import CITATION
from imprint_bench.analysis.dl2pa.runs import Runs, runs
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.paper.view import caption_of, nothing_to_draw


def figure4b(rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False) -> Drawing:
    """Return which share of classes changes its prototype in each epoch, a line per d.

    See `figure3b` for parameters and errors.

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 4b.
    """
    name, title = "dl2pa_figure4b", "DL2PA figure 4b: share of classes that change their prototype"
    view = runs(rows, where=where, allow_incomplete=allow_incomplete)
    data = _changes(view)
    sentences = [
        "Share of classes whose prototype changes, by epoch: mean (line) and sample standard "
        "deviation (band) over seeds; an epoch without an update has no value.",
        UNNUMBERED,
        f"Paper: {CITATION}, figure 4b.",
    ]
    if data.empty:
        why = "it takes a method with dynamic assignment and the changes of its epochs."
        return nothing_to_draw(name, title, caption_of(sentences, *view.notes), why)
    finding = _ends(data)
    from imprint_bench.analysis.dl2pa.curve_pictures import draw_curves

    picture = draw_curves(data, x="epoch", y="classes that change (%)", markers=False)
    caption = caption_of([finding, *sentences], *view.notes)
    return Drawing(name, title, caption, picture, {"": data}, finding)


def _changes(view: Runs) -> pd.DataFrame:
    """Return the share of classes that change, by cell and epoch."""
    cells, trials = view.cells, view.rows
    if "epoch_change" not in trials or "assignment" not in cells:
        return pd.DataFrame()
    cells = cells[cells["assignment"] == "dynamic"]
    frames = []
    for number, own in trials[trials["cell"].isin(cells.index)].groupby("cell"):
        lists = [_floats(values) for values in own["epoch_change"]]
        table = pd.DataFrame([values for values in lists if len(values)])
        if table.notna().any(axis=None):
            about = cells.loc[[number]].assign(group=number)
            made = {"x": np.arange(1, table.shape[1] + 1), "y": table.mean().to_numpy(),
                    "margin": table.std(ddof=1).to_numpy()}  # fmt: skip
            frames.append(about.merge(pd.DataFrame(made), how="cross"))
    if not frames:
        return pd.DataFrame()
    frame = pd.concat(frames, ignore_index=True)
    frame = frame[frame["y"].notna()]
    frame = frame.assign(accuracy_mean=frame["y"], accuracy_std=frame["margin"])
    others = [c for c in parameter_columns(frame) if c in frame]
    group = numbered(frame, [*INSTANCE[:-1], "method", *others])
    return curves(frame.assign(group=group), frame["d"].map("d = {}".format), group)


def _floats(values: Any) -> list[float]:
    """Return a list of an epoch each as numbers, NaN where there is none."""
    if not hasattr(values, "__len__"):
        return []
    return [float("nan") if value is None else float(value) for value in values]


def _ends(data: pd.DataFrame) -> str:
    """Say which share changes at first and at last, for the least and the largest d."""
    texts = []
    alone = len(set(data["panel"])) == 1
    for panel, own in data.groupby("panel", sort=False):
        told = []
        for d in sorted({own["d"].min(), own["d"].max()}):
            line = own[own["d"] == d].sort_values("x")["y"]
            told.append(
                f"at d = {d} {100 * line.iloc[0]:.0f} % of the classes change in the first update "
                f"and {100 * line.iloc[-1]:.0f} % in the last"
            )
        sums = own.groupby("d")["y"].sum()
        falls = "falls" if sums.is_monotonic_decreasing else "does not always fall"
        if len(sums) > 1:
            told.append(f"the sum over all updates {falls} as d grows")
        name = "" if alone else f"{panel}: ".replace("\n", ", ")
        texts.append(f"{name}{', '.join(told)}")
    more = f"; and {len(texts) - MANY} more panels" if len(texts) > MANY else ""
    text = f"{'; '.join(texts[:MANY])}{more}."
    return f"{text[:1].upper()}{text[1:]}" if alone else text

"""Figure 4b of DL2PA: how the assignment settles, from rows."""

from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.axes import TRAINING
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
    n = len(set(data["panel"]))
    finding = f"Classes that change{f', over {n} panels' if n > 1 else ''}: {_ends(data)}."
    sentences = [*(_each(data) if n > 1 else []), *_sums(data), *sentences]
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
    place = TRAINING.place(frame, but=("d",))
    made_of = [*TRAINING.kinds(frame), *TRAINING.parameters(frame)]
    group = numbered(frame, [*place, "method", *made_of])
    return curves(frame.assign(group=group), frame["d"].map("d = {}".format), group)


def _floats(values: Any) -> list[float]:
    """Return a list of an epoch each as numbers, NaN where there is none."""
    if not hasattr(values, "__len__"):
        return []
    return [float("nan") if value is None else float(value) for value in values]


def _ends(data: pd.DataFrame) -> str:
    """Say which share changes at first and at last, for the least and the largest d of a panel."""
    of_panel = data.groupby("panel")["d"]
    ends = {"smallest": of_panel.transform("min"), "largest": of_panel.transform("max")}
    several = bool((ends["smallest"] < ends["largest"]).any())
    texts = []
    for name in ends if several else ("smallest",):
        own = data[data["d"] == ends[name]].sort_values("x")
        lines = own.groupby(["panel", "series"])["y"]
        first, last = (_span(100 * part(), "{:.0f}") for part in (lines.first, lines.last))
        d = _span(own["d"], "{:g}")
        place = f"at the {name} d ({d})" if several else f"at d = {d}"
        texts.append(f"{place} {first} % in the first update and {last} % in the last")
    return "; ".join(texts)


def _each(data: pd.DataFrame) -> list[str]:
    """Say of each panel what `_ends` says of all, of the first ones."""
    panels = list(data.groupby("panel", sort=False))
    told = [f"{_in_a_line(panel)}: {_ends(own)}" for panel, own in panels[:MANY]]
    more = [f"{len(panels) - MANY} more panels are in the CSV"] if len(panels) > MANY else []
    return [f"{'. '.join([*told, *more])}."]


def _sums(data: pd.DataFrame) -> list[str]:
    """Say in which panels the assignment settles the sooner the larger d is."""
    sums = data.groupby(["panel", "d"], sort=False)["y"].sum().groupby("panel", sort=False)
    falls = {panel: own.is_monotonic_decreasing for panel, own in sums if len(own) > 1}
    if not falls:
        return []
    not_so = [_in_a_line(panel) for panel, fell in falls.items() if not fell]
    if not not_so:
        return ["The sum over all updates falls as d grows, in every panel."]
    more = f"; and {len(not_so) - MANY} more" if len(not_so) > MANY else ""
    where = f"{'; '.join(not_so[:MANY])}{more}"
    return [f"The sum over all updates does not always fall as d grows in: {where}."]


def _in_a_line(panel: object) -> str:
    return str(panel).replace("\n", ", ")


def _span(values: pd.Series, form: str) -> str:
    """Return the least and the largest of values, or the one that they all are."""
    low, high = (form.format(value) for value in (values.min(), values.max()))
    return low if low == high else f"{low} to {high}"

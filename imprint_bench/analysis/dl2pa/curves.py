"""Figures 3b, 3d and 4a of DL2PA: what dynamic assignment and uniformity do, from rows."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.axes import TRAINING
from imprint_bench.analysis.dl2pa.claims import dynamic_beats_static
from imprint_bench.analysis.dl2pa.differences import best, difference
from imprint_bench.analysis.dl2pa.layout import few_seeds
from imprint_bench.analysis.dl2pa.places import place_names
from imprint_bench.analysis.dl2pa.published import CITATION
from imprint_bench.analysis.dl2pa.roles import PSC, PSC_UNIFORM
from imprint_bench.analysis.dl2pa.runs import SPREAD, Runs, runs
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.paper.view import caption_of, nothing_to_draw

Where = Mapping[str, Any] | None
UPDATES, UNIFORMITY = "assignment_updates_per_epoch", "loss_uniformity"
UNNUMBERED = "The paper's curves are printed without numbers."
MANY = 3  # panels, lines or places that a finding names
ONCE = 1.0  # update per epoch, as in the paper's main runs


def figure3b(rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False) -> Drawing:
    """Return accuracy over the updates of the assignment per epoch, a line per d.

    Parameters
    ----------
    rows : DataFrame
        One row per trial, see `runs`.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out methods where they lack results, instead of refusing.

    Raises
    ------
    IncompleteError
        If results are missing, or there are no training runs.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype Assignment",
    CVPR 2024, figure 3b.
    """
    name, title = "dl2pa_figure3b", "DL2PA figure 3b: accuracy over updates per epoch"
    view = runs(rows, where=where, allow_incomplete=allow_incomplete)
    dynamic = view.only(view.cells.get("assignment", pd.Series("", view.cells.index)) == "dynamic")
    data = _swept(dynamic.cells, UPDATES)
    sentences = [
        f"Test accuracy over the updates of the assignment per epoch: {SPREAD} (band).",
        "The paper defines its tau' backwards: it divides the interval by the iterations of an "
        "epoch, which gives epochs between updates.",
        UNNUMBERED,
        f"Paper: {CITATION}, figure 3b.",
    ]
    if data.empty:
        why = "it takes a method with dynamic assignment and two values of updates_per_epoch."
        return nothing_to_draw(name, title, caption_of(sentences, *view.notes), why)
    finding = _best_x(data, "updates per epoch", ONCE)
    return _drawn(name, title, view, data, [finding, *sentences], x="updates per epoch")


def figure3d(rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False) -> Drawing:
    """Return accuracy of learned weights over the weight lambda of the uniformity term.

    See `figure3b` for parameters and errors.

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 3d.
    """
    name, title = "dl2pa_figure3d", "DL2PA figure 3d: accuracy over lambda of PSC*"
    view = runs(rows, where=where, allow_incomplete=allow_incomplete)
    learned = view.only(view.cells["role"].isin([PSC, PSC_UNIFORM]))
    data = _swept(learned.cells, UNIFORMITY, null=0.0)
    sentences = [
        f"Test accuracy over lambda, the weight of the uniformity of the class vectors: {SPREAD} "
        "(band). Lambda = 0 is PSC.",
        UNNUMBERED,
        f"Paper: {CITATION}, figure 3d.",
    ]
    if data.empty:
        why = "it takes learned weights with two values of lambda (uniformity)."
        return nothing_to_draw(name, title, caption_of(sentences, *view.notes), why)
    finding = _best_x(data, "lambda", 0.0)
    return _drawn(name, title, view, data, [finding, *sentences], x="lambda")


def figure4a(rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False) -> Drawing:
    """Return accuracy over d with dynamic assignment and with the same prototypes held static.

    See `figure3b` for parameters and errors.

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 4a.
    """
    name, title = "dl2pa_figure4a", "DL2PA figure 4a: accuracy over d, dynamic and static"
    view = runs(rows, where=where, allow_incomplete=allow_incomplete)
    data = _twins(view.cells)
    sentences = [
        f"Test accuracy over d: {SPREAD} (band). Solid: dynamic assignment; dashed: the same "
        "prototypes and loss with a static one.",
        UNNUMBERED,
        f"Paper: {CITATION}, figure 4a.",
    ]
    if data.empty:
        why = "it takes prototypes with dynamic and with static assignment at two values of d."
        return nothing_to_draw(name, title, caption_of(sentences, *view.notes), why)
    finding = dynamic_beats_static(view.cells)
    return _drawn(name, title, view, data, [finding, *sentences], x="d, dimensions")


def _drawn(
    name: str, title: str, view: Runs, data: pd.DataFrame, sentences: list[str], *, x: str
) -> Drawing:
    """Return the figure; its finding is the first sentence."""
    from imprint_bench.analysis.dl2pa.curve_pictures import draw_curves

    finding = caption_of([sentences[0], few_seeds(view)])
    caption = caption_of([finding, *sentences[1:]], *view.notes)
    picture = draw_curves(data, x=x, y="test accuracy (%)")
    return Drawing(name, title, caption, picture, {"": data}, finding)


def _swept(cells: pd.DataFrame, column: str, *, null: float = float("nan")) -> pd.DataFrame:
    """Return accuracy over a parameter, of the methods that have two values of it.

    Returns
    -------
    data : DataFrame
        `panel`, `line`, `place` of the line among all, `dashed`, `x`, `y` and `margin`.
    """
    if cells.empty or column not in cells:
        return pd.DataFrame()
    x = pd.to_numeric(cells[column]).astype(float).fillna(null)
    frame = cells.assign(x=x)[x.notna()]
    others = [c for c in (*TRAINING.kinds(cells), *TRAINING.parameters(cells)) if c != column]
    frame = frame.assign(group=numbered(frame, [*TRAINING.place(cells, but=("d",)), *others]))
    several = frame.groupby(["group", "d"])["x"].transform("nunique") > 1
    frame = frame[several]
    if frame.empty:
        return pd.DataFrame()
    # The name of a panel does not have what its x-axis has.
    bare = frame["what"].str.replace(r" \+ \S+ L_uni", "", regex=True)
    return curves(frame.assign(what=bare), frame["d"].map("d = {}".format), frame["group"])


def _twins(cells: pd.DataFrame) -> pd.DataFrame:
    """Return accuracy over d of prototypes that are both assigned dynamically and held static."""
    if "assignment" not in cells:
        return pd.DataFrame()
    fixed = cells[cells["assignment"].isin(["dynamic", "static"])]
    others = [*TRAINING.kinds(fixed), *TRAINING.parameters(fixed)]
    keys = [*TRAINING.place(fixed, but=("d",)), *others]
    keys = [c for c in keys if not c.startswith("assignment")]
    fixed = fixed.assign(twins=numbered(fixed, keys))
    both = fixed.groupby(["twins", "d"])["assignment"].transform("nunique") == 2
    fixed = fixed[both & (fixed[both].groupby("twins")["d"].transform("nunique") > 1)]
    if fixed.empty:
        return pd.DataFrame()
    line = fixed["what"].str.replace(r" · (dynamic|static)", "", regex=True)
    made = curves(fixed.assign(x=fixed["d"].astype(float), what="", group=0), line, fixed["label"])
    return made.sort_values(["panel", "line", "dashed", "x"], kind="stable", ignore_index=True)


def curves(frame: pd.DataFrame, line: pd.Series, series: pd.Series) -> pd.DataFrame:
    """Return what is drawn: a panel per instance and group, a line per d or per set.

    A line connects what has one value of `series`; two of one name look alike.
    """
    dashed = frame.get("assignment", pd.Series("", frame.index)).eq("static").fillna(value=False)
    data = pd.DataFrame({
        "panel": _panels(frame), "line": line, "dashed": dashed.astype(bool),
        "series": series, "label": frame["label"], "d": frame["d"].astype(int), "x": frame["x"],
        "y": frame["accuracy_mean"], "margin": frame["accuracy_std"], "n_seeds": frame["n_seeds"],
    })  # fmt: skip
    keys = ["panel", "d", "line", "dashed", "series", "x", "label"]
    data = data.sort_values(keys, kind="stable", ignore_index=True)
    return data.assign(place=pd.factorize(data["line"])[0])


def _panels(frame: pd.DataFrame) -> pd.Series:
    """Return the name of the panel of every row: what tells instances apart, and the method."""
    names = place_names(frame)
    # Two groups of one place that are made of the same have the name of the method, too.
    shared = frame.groupby([names, frame["what"]])["group"].transform("nunique") > 1
    parts = frame["what"].str.rsplit(" · ", n=1).str.join("\n")  # the loss has a line of its own
    method = parts.where(~shared, parts + "\n" + frame["label"])
    return names.where(method == "", names + "\n" + method)


def _best_x(data: pd.DataFrame, axis: str, usual: float) -> str:
    """Say at which x each line is highest, and how far it is above the usual x."""
    texts, gains = [], []
    alone = len(set(data["panel"])) == 1
    for (panel, line), own in data.groupby(["panel", "line"], sort=False):
        cells = own.rename(columns={"y": "accuracy_mean", "margin": "accuracy_std"})
        top = best(cells)
        at = cells[np.isclose(cells["x"], usual)]
        more = ""
        if len(at):
            told = difference(top, at.iloc[0], line)
            gains.append(told.verdict == 1)
            more = f", {100 * told.value:.1f} points over {usual:g}"
        name = str(panel).replace("\n", ", ")
        place = str(line) if alone else f"{name}, {line}"
        texts.append(f"{place}: {top['x']:g} ({100 * top['accuracy_mean']:.1f} %{more})")
    more = f"; and {len(texts) - MANY} more" if len(texts) > MANY else ""
    lead = f"The best {axis}: {'; '.join(texts[:MANY])}{more}."
    if not gains:
        return lead
    beyond = f"{sum(gains)} of {len(gains)} lines"
    return f"{lead} It is more than 2 standard errors above {axis} = {usual:g} in {beyond}."


def numbered(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return the number of each row's combination of values, nulls alike."""
    return frame.groupby([frame[c].astype(object) for c in columns], dropna=False).ngroup()

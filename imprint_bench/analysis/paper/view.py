"""The rows that a figure of the paper is made from: complete, or named where they are not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imprint_bench.analysis.cells import Cells, number
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import (
    INSTANCE,
    NORMS,
    lacking,
    method_columns,
    without_fm_parameters,
)
from imprint_bench.analysis.gaps import gaps, left_out, remedy
from imprint_bench.analysis.labels import listed
from imprint_bench.core.trend import mean_interval
from imprint_bench.errors import ConfigError, IncompleteError

ALL_L2 = ("l2", "l2", "l2")  # before generation, of the proxies, at inference
POST_L2 = ("none", "l2", "l2")
NO_NORMS = ("none", "none", "none")
NO_SHOT = tuple(column for column in INSTANCE if column != "n_shot")
OF_LEAST_SQUARES = (
    "Least squares on about as many training rows as an embedding has values, or fewer, fits them "
    "exactly and generalizes badly."
)
BAND = "95 % confidence interval (Student's t)"


@dataclass(frozen=True)
class View:
    """What a figure shows, complete.

    Attributes
    ----------
    medians : DataFrame
        A row per configuration and instance that exist: their columns, and `accuracy` in
        [0, 1], the median over seeds; `gen_k` is null where a generator has no k.
    rows : DataFrame
        The trials behind it, one per row.
    notes : tuple of str
        Sentences on what was left out, for the caption.
    """

    medians: pd.DataFrame
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()


def chosen(
    rows: pd.DataFrame, gens: Sequence[str] | None = None, norms: Sequence[str] = ALL_L2
) -> pd.DataFrame:
    """Return the rows of some generators (all if None) with these norms and aggregation max."""
    kept = rows["agg"] == "max"
    for column, norm in zip(NORMS, norms, strict=True):
        kept &= rows[column] == norm
    if gens is not None:
        kept &= rows["gen"].isin(gens)
    return rows[kept]


def of_all_rows(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of tasks with all training rows, and a sentence if others are in view.

    Parameters
    ----------
    rows : DataFrame
        `n_shot` is null where a task has all training rows.
    """
    fewer = rows["n_shot"].notna() if "n_shot" in rows else pd.Series(data=False, index=rows.index)
    if not fewer.any():
        return rows, []
    ns = sorted(int(n) for n in rows.loc[fewer, "n_shot"].unique())
    said = (
        "Only tasks with all training rows are shown; in view are also those with n_shot = "
        f"{listed(map(str, ns))}."
    )
    return rows[~fewer], [said]


def complete(
    rows: pd.DataFrame,
    *,
    allow_incomplete: bool = False,
    together: Sequence[str] = INSTANCE,
) -> View:
    """Return the medians over seeds of every configuration on every instance where it exists.

    A configuration that does not exist on an instance by the rules of the plan (k > n) is
    absent there, and no gap.

    Parameters
    ----------
    rows : DataFrame
        At least one, see `frames`. A column with numbers and nulls may hold floats, as
        in a plan.
    allow_incomplete : bool
        Leave out what lacks results, instead of refusing.
    together : sequence of str
        What is left out as a whole where one instance of it lacks results. If that were
        everything, the values of n that lack results are left out instead.

    Raises
    ------
    IncompleteError
        If results are missing, or if nothing is left; `trials` names all that lack one.
    StoreError
        If two rows have the same axes and seed.
    """
    rows = _with_whole_numbers(rows)
    keys = [column for column in together if column in rows]
    method, methods = number(without_fm_parameters(rows)[method_columns(rows)])
    instance, instances = number(rows[[column for column in INSTANCE if column in rows]])
    cells = Cells(rows, method, instance, (len(instances), len(methods)))
    holed = cells.missing.any(axis=1)
    if holed.any() and not allow_incomplete:
        n_cells = int((~cells.absent).sum())
        told = gaps(cells.missing, cells.reasons(), instances, methods, n_cells=n_cells)
        raise IncompleteError(f"{told}; {remedy(rows)}", trials=lacking(rows))
    values = cells.medians()
    at, which = np.nonzero(~cells.absent & ~holed[:, None])
    parts = [frame.iloc[i].reset_index(drop=True)
             for frame, i in ((instances, at), (methods, which))]  # fmt: skip
    frame = pd.concat(parts, axis=1).assign(accuracy=values[at, which])
    if not holed.any():
        return View(frame, rows)
    for columns in (keys, ["n_shot"]):  # a number of rows that all lack goes, rather than all
        if not set(columns) <= set(instances):
            continue
        gone, every = (i[columns].drop_duplicates() for i in (instances[holed], instances))
        if len(gone) < len(every):
            note = _left_out(gone, len(every))
            return View(_without(frame, gone, columns), _without(rows, gone, columns), (note,))
    gone, every = (i[keys].drop_duplicates() for i in (instances[holed], instances))
    said = f"results: nothing is left to draw: {_left_out(gone, len(every))}"
    raise IncompleteError(said, trials=lacking(rows))


def one_per_k(view: View, *, at: str) -> None:
    """Raise ConfigError where a generator has two configurations with one k.

    Parameters
    ----------
    view : View
    at : str
        Where its parameters are set: ``figure.figure10``.
    """
    axes = method_columns(view.medians)
    methods = view.medians[axes].drop_duplicates()
    twins = methods[methods.duplicated(["gen", "gen_k"], keep=False)]
    if twins.empty:
        return
    first = twins[twins["gen"] == twins["gen"].iloc[0]]
    telling = next(column for column in axes[2:] if distinct(first, column, null=True) > 1)
    values = sorted(map(str, first[telling].unique()))
    raise ConfigError(
        f"{first['gen'].iloc[0]}: {len(values)} values of {telling} in view "
        f"({', '.join(values)}); expected one: choose it with {at}.where={{{telling}: "
        f"{values[0]}}}."
    )


def named(frame: pd.DataFrame, columns: Sequence[str]) -> pd.Series:
    """Return a name for every row: its first column, and those others that tell rows apart."""
    telling = [c for c in columns if c == columns[0] or distinct(frame, c, null=True) > 1]
    texts = [frame[c].map(lambda v: "all" if pd.isna(v) else str(v)) for c in telling]
    return pd.concat(texts, axis=1).agg(" · ".join, axis=1)


def distinct(frame: pd.DataFrame, column: str, *, null: bool = False) -> int:
    """Return how many values a column has, 0 where there is none; null may count as one."""
    return frame[column].nunique(dropna=not null) if column in frame else 0


def intervals(
    frame: pd.DataFrame, by: Sequence[str], value: str, *, count: str = "n_mappings"
) -> pd.DataFrame:
    """Return the mean of every group with half the width of its 95 % interval (Student's t).

    Returns
    -------
    frame : DataFrame
        The columns `by`, one with the size of the group, `value` (the mean) and `margin`
        (NaN for one row).
    """
    groups = frame.groupby(list(by), dropna=False)[value]
    records = [(*key, len(group), *mean_interval(group.to_numpy())) for key, group in groups]
    out = pd.DataFrame(records, columns=[*by, count, value, "margin"])
    return out.astype({column: frame[column].dtype for column in by})


def means_over_panels(data: pd.DataFrame, by: Sequence[str], panel: Sequence[str]) -> pd.Series:
    """Return the mean accuracy over all panels, of those points that every panel has.

    Parameters
    ----------
    data : DataFrame
        `accuracy` of a point per row, and the columns of `by` and `panel`.
    by, panel : sequence of str
        What makes a point, and what makes a panel.
    """
    n_panels = len(data[list(panel)].drop_duplicates())
    means = data.groupby(list(by), dropna=False)["accuracy"].agg(["mean", "size"])
    return means.loc[means["size"] == n_panels, "mean"].rename("accuracy")


def nothing_to_draw(name: str, title: str, caption: str, why: str) -> Drawing:
    """Return a figure without a picture, whose finding says why."""
    return Drawing(name, title, caption, None, finding=f"There is too little to draw: {why}")


def caption_of(sentences: Sequence[str], *notes: str) -> str:
    """Join the sentences of a caption; empty ones are left out."""
    return " ".join(sentence for sentence in (*sentences, *notes) if sentence)


def _with_whole_numbers(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose counts are integers: those of a plan are floats where some are null."""
    counts = [column for column in ("n_shot", "gen_k") if column in rows]
    return rows.assign(**{c: pd.to_numeric(rows[c]).astype("Int64") for c in counts})


def _left_out(gone: pd.DataFrame, n_all: int) -> str:
    """Say how many instances are left out, or which foundation models."""
    mask = np.arange(n_all) < len(gone)
    why = "lack results (report.allow_incomplete=true)"
    if list(gone) == ["n_shot"]:
        ns = ["all" if pd.isna(n) else str(n) for n in gone["n_shot"]]
        told = left_out(mask, "value", why).replace(" values ", " values of n ", 1)
        return f"{told} Left out: n = {listed(ns)}."
    if list(gone) != ["fm"]:
        return left_out(mask, "instance", why)
    return f"{left_out(mask, 'foundation model', why)} Left out: {listed(gone['fm'])}."


def _without(frame: pd.DataFrame, gone: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `frame` whose keys are not those of a row of `gone`."""
    marks = gone[list(keys)].drop_duplicates().assign(gone=True)
    found = frame[list(keys)].merge(marks, on=list(keys), how="left")["gone"]
    return frame[found.isna().to_numpy()]

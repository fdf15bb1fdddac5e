"""The rows that a figure of the paper is made from: complete, or named where they are not."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imprint_bench.analysis.cells import number
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import (
    INSTANCE,
    NORMS,
    medians,
    method_columns,
    without_fm_parameters,
)
from imprint_bench.analysis.gaps import left_out
from imprint_bench.core.trend import mean_interval
from imprint_bench.errors import ConfigError, IncompleteError

ALL_L2 = ("l2", "l2", "l2")  # before generation, of the proxies, at inference
POST_L2 = ("none", "l2", "l2")
NO_NORMS = ("none", "none", "none")
NO_SHOT = tuple(column for column in INSTANCE if column != "n_shot")
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
        At least one, see `frames`.
    allow_incomplete : bool
        Leave out what lacks results, instead of refusing.
    together : sequence of str
        What is left out as a whole where one instance of it lacks results.

    Raises
    ------
    IncompleteError
        If results are missing, or if nothing is left.
    StoreError
        If two rows have the same axes and seed.
    """
    columns = [column for column in INSTANCE if column in rows]
    keys = [column for column in together if column in rows]
    method, methods = number(without_fm_parameters(rows)[method_columns(rows)])
    instance, instances = number(rows[columns])
    exists = np.zeros((len(methods), len(instances)), dtype=bool)
    exists[method, instance] = True
    if "planned" not in rows:  # nothing tells what does not exist from a gap
        exists[:] = True
    parts, lost = [], []
    for pattern in np.unique(exists, axis=0):
        alike = rows[(exists == pattern).all(axis=1)[method]]
        view = medians(alike, allow_incomplete=allow_incomplete)
        long = view.accuracy.melt(var_name="method", value_name="accuracy", ignore_index=False)
        parts.append(long.join(view.instances).join(view.methods, on="method"))
        lost.append(_without(alike[columns].drop_duplicates(), view.instances, columns)[keys])
    frame = pd.concat(parts, ignore_index=True).drop(columns="method")
    if "gen_k" in frame:
        frame["gen_k"] = pd.to_numeric(frame["gen_k"]).astype("Int64")
    gone = pd.concat(lost).drop_duplicates()
    if gone.empty:
        return View(frame, rows)
    everything = rows[keys].drop_duplicates()
    mask = np.arange(len(everything)) < len(gone)
    note = left_out(mask, "instance", "lack results (report.allow_incomplete=true)")
    if mask.all():
        raise IncompleteError(f"results: nothing is left to draw: {note}")
    return View(_without(frame, gone, keys), _without(rows, gone, keys), (note,))


def one_per_k(view: View, *, at: str) -> None:
    """Raise ConfigError where a generator has two configurations with one k.

    Parameters
    ----------
    view : View
    at : str
        Name of the figure, with which the message starts.
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
        f"{at}: {first['gen'].iloc[0]} has {len(values)} values of {telling} in view "
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


def nothing_to_draw(name: str, title: str, caption: str, why: str) -> Drawing:
    """Return a figure without a picture, whose finding says why."""
    return Drawing(name, title, caption, None, finding=f"There is too little to draw: {why}")


def caption_of(sentences: Sequence[str], *notes: str) -> str:
    """Join the sentences of a caption; empty ones are left out."""
    return " ".join(sentence for sentence in (*sentences, *notes) if sentence)


def _without(frame: pd.DataFrame, gone: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the rows of `frame` whose keys are not those of a row of `gone`."""
    marks = gone[list(keys)].drop_duplicates().assign(gone=True)
    found = frame[list(keys)].merge(marks, on=list(keys), how="left")["gone"]
    return frame[found.isna().to_numpy()]

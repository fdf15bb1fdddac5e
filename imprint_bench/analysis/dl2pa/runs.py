"""Training runs side by side: mean and standard deviation over seeds of every method.

Rows are one trial each. An *instance* is a dataset (with its imbalance rho), a network, a recipe
and d. A *method* is a name with those parameters of head, prototypes, assignment and loss, and
that learning rate, which take several values within an instance: one that goes with the instance
is no part of the method.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.axes import TRAINING
from imprint_bench.analysis.cells import DECIMALS, Cells, number
from imprint_bench.analysis.dl2pa.missing import gaps, lacking, refuse_twins, remedy
from imprint_bench.analysis.dl2pa.published import family, rho_in
from imprint_bench.analysis.dl2pa.roles import describe, role_of, scale_of
from imprint_bench.analysis.frames import select
from imprint_bench.analysis.labels import spell
from imprint_bench.errors import IncompleteError

MEASURES = (
    *("accuracy", "accuracy_top5", "accuracy_many", "accuracy_medium", "accuracy_few"),
    *("nc1", "nc1_test", "cosine_max", "cosine_min", "cosine_mean"),
)
SPREAD = "mean ± sample standard deviation over seeds"


@dataclass(frozen=True)
class Runs:
    """What a table or figure of training runs is made from, complete.

    Attributes
    ----------
    cells : DataFrame
        A row per method and instance that exist: the columns of an instance (`imbalance`: rho,
        null where data are balanced or it is not known), `long_tailed`, `method`, `label` (of
        the method), `role` and `what` (see `roles`), `scale` (text), the parameters, `lr`,
        `n_classes` and `n_seeds`; of each measure its mean under its own name with ``_mean``,
        and its sample standard deviation with ``_std`` (NaN for one seed).
    rows : DataFrame
        The trials behind it; `cell` is the index of `cells`.
    notes : tuple of str
        Sentences on what was left out, for the caption.
    """

    cells: pd.DataFrame
    rows: pd.DataFrame
    notes: tuple[str, ...] = ()

    def only(self, mask: pd.Series) -> "Runs":
        """Return some of the cells, with their trials."""
        kept = self.cells[mask.fillna(value=False).astype(bool)]
        return Runs(kept, self.rows[self.rows["cell"].isin(kept.index)], self.notes)


def runs(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Runs:
    """Return mean and standard deviation over seeds of every method on every instance.

    A method that does not exist on an instance by the rules of the plan is absent there, and no
    gap; see `frames`.

    Parameters
    ----------
    rows : DataFrame
        One row per trial; those that are no training runs are left out.
    where : Mapping[str, Any], optional
        Which rows are in view, see `frames.select`.
    allow_incomplete : bool
        Leave out the cells (method on an instance) that lack a seed, instead of refusing.

    Raises
    ------
    IncompleteError
        If results are missing, or there are no training runs; `trials` names those that lack one.
    StoreError
        If two rows have the same axes and seed.
    """
    found = select(training_rows(rows), where).reset_index(drop=True)
    if found.empty:
        raise IncompleteError("results: no training runs are in view; run a sweep of fixed/ first.")
    params = TRAINING.parameters(found)
    found = _with_imbalance(found).assign(**{c: found[c].map(_plain) for c in params})
    places = TRAINING.place(found)
    instance, instances = number(found[places])
    told = _telling(found, instance, params)
    method, methods = number(told)
    methods = methods.assign(label=_labels(methods))
    refuse_twins(found, instance, method, methods["label"])
    cells = Cells(found, method, instance, (len(instances), len(methods)))
    notes: tuple[str, ...] = ()
    if cells.missing.any():
        sentence = gaps(cells, instances, methods["label"])
        lost = lacking(found)
        if not allow_incomplete:
            raise IncompleteError(f"{sentence}; {remedy(found)}", trials=lost)
        if (cells.missing | cells.absent).all():
            raise IncompleteError(f"{sentence}; nothing is left to show.", trials=lost)
        n, n_all = int(cells.missing.sum()), int((~cells.absent).sum())
        notes = (f"{n} of {n_all} cells (method on an instance) lack results and are left out.",)
    at, which = np.nonzero(~cells.missing & ~cells.absent)
    kept = found.assign(cell=cells.cell)[cells.ok]
    kept = kept[kept["cell"].isin(at * len(methods) + which)]
    axes = [*places, "long_tailed", "method", *TRAINING.kinds(found), *params]
    frame = _summary(kept, axes)
    frame = frame.assign(label=methods["label"].to_numpy()[frame.index % len(methods)])
    frame = frame.assign(role=role_of(frame), what=describe(frame), scale=scale_of(frame))
    return Runs(frame, kept.reset_index(drop=True), notes)


def training_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trials that train a network."""
    return rows[rows["head"].notna()] if "head" in rows else rows.iloc[:0]


def _with_imbalance(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows whose `imbalance` is known also where a trial has no result, and `long_tailed`.

    A rho of 1 is balanced; data whose rho is not known are long-tailed if their name says so.
    """
    own = pd.to_numeric(rows.get("imbalance", pd.Series(np.nan, rows.index))).astype(float)
    of_dataset = own.groupby(rows["dataset"])
    one = of_dataset.transform("nunique") == 1
    own = own.where(own.notna() | ~one, of_dataset.transform("first"))
    own = own.fillna(rows["dataset"].map(rho_in).astype(float))
    named = rows["dataset"].map(family).str.endswith("_lt")
    return rows.assign(imbalance=own.where(own < 1), long_tailed=(own < 1) | (own.isna() & named))


def _telling(rows: pd.DataFrame, instance: np.ndarray, params: list[str]) -> pd.DataFrame:
    """Return the method of each row, parameters nulled that have one value per instance."""
    out = rows[["method"]].copy()
    place = pd.Series(instance, rows.index)
    for column in params:
        values = rows[column].groupby([rows["method"], place]).transform("nunique", dropna=False)
        several = values.groupby(rows["method"]).transform("max") > 1
        if several.any():
            out[column] = rows[column].where(several)
    return out


def _labels(methods: pd.DataFrame) -> list[str]:
    """Return a name of every method: ``dynamic ipm updates_per_epoch=2``."""
    params = [str(c) for c in methods if c != "method"]
    short = {c: c.partition("_")[2] or c for c in params}
    twice = {s for s in short.values() if list(short.values()).count(s) > 1}
    names = {c: c if s in twice else s for c, s in short.items()}
    labels = []
    for row in methods.to_dict("records"):
        parts = [f"{names[c]}={_shown(row[c])}" for c in params if pd.notna(row[c])]
        labels.append(" ".join([spell(str(row["method"])), *parts]))
    return labels


def _plain(value: Any) -> Any:
    """Return the value of a parameter as one that rows can be grouped by."""
    return str(value) if isinstance(value, list | dict | np.ndarray) else value


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _summary(rows: pd.DataFrame, axes: list[str]) -> pd.DataFrame:
    """Return the axes of every cell, and mean and standard deviation of its measures."""
    groups = rows.groupby("cell")
    frame = rows.drop_duplicates("cell").set_index("cell").sort_index()[axes]
    frame = frame.assign(n_classes=_n_classes(rows).groupby(rows["cell"]).max().astype(float))
    frame = frame.assign(n_seeds=groups.size())
    for measure in (m for m in MEASURES if m in rows):
        values = pd.to_numeric(rows[measure]).astype(float).groupby(rows["cell"])
        frame[f"{measure}_mean"] = values.mean().round(DECIMALS)
        frame[f"{measure}_std"] = values.std(ddof=1)
    return frame


def _n_classes(rows: pd.DataFrame) -> pd.Series:
    """Return how many classes a trial has: as many as it has accuracies of classes."""
    if "n_classes" in rows:
        return pd.to_numeric(rows["n_classes"])
    if "class_accuracy" not in rows:
        return pd.Series(np.nan, rows.index)
    return rows["class_accuracy"].map(lambda v: len(v) if hasattr(v, "__len__") else np.nan)

"""From rows to comparable numbers: medians over seeds, aligned by name, ranked within instances.

Rows are one trial each. A *configuration* (method) is a generator, a NORM
triple and an aggregation with their parameters; an *instance* is what it is
evaluated on: foundation model, dataset, mapping, task and n_shot. Where networks
were trained they are a head with its loss, and a dataset, network and d: see `axes`.

A cell (configuration, instance) is complete when it has a result for every seed
of its instance. What becomes of the others depends on the column `planned`,
which `rows_of_plan` sets: with it, a cell without any row does not exist by the
rules of the plan; without it, nothing tells that from a gap, so it is a gap.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.axes import IMPRINTING, axes_of, parameter_columns
from imprint_bench.analysis.cells import Cells, number
from imprint_bench.analysis.gaps import MISSING, NAMED, OK, gaps, left_out, remedy
from imprint_bench.analysis.labels import method_labels
from imprint_bench.errors import ConfigError, IncompleteError, did_you_mean

INSTANCE = IMPRINTING.instance
NORMS = ("norm_pre", "norm_post", "norm_inf")


@dataclass(frozen=True)
class Medians:
    """Median accuracies over seeds of every configuration on every instance.

    Attributes
    ----------
    methods : DataFrame, one row per configuration
        Its axes and parameters; a parameter that it does not have is null.
    instances : DataFrame, one row per instance
        fm, dataset, mapping, task and n_shot (null: all rows).
    accuracy : DataFrame of shape (n_instances, n_methods), float64 in [0, 1]
        Index and columns are those of `instances` and `methods`; no cell is missing.
    notes : tuple of str
        Sentences on what was left out, for the caption.
    """

    methods: pd.DataFrame
    instances: pd.DataFrame
    accuracy: pd.DataFrame
    notes: tuple[str, ...] = ()


def rows_of_plan(planned: pd.DataFrame, stored: pd.DataFrame) -> pd.DataFrame:
    """Return one row per planned trial, with its result where the store has one.

    Parameters
    ----------
    planned : DataFrame
        The trials of the plan: `trial_id` and the axes.
    stored : DataFrame
        Rows of the store: `trial_id`, `status` and the results. Rows of other
        trials are left out.

    Returns
    -------
    rows : DataFrame
        `status` is ``"missing"`` where the store has nothing; `planned` is True.
        Rows whose status is not ``"ok"`` have no `accuracy`, whatever is stored.
    """
    results = stored.drop(columns=[c for c in stored.columns if c in planned and c != "trial_id"])
    rows = planned.merge(results, on="trial_id", how="left")
    rows["status"] = rows["status"].fillna(MISSING)
    rows["accuracy"] = rows["accuracy"].where(rows["status"] == OK)
    rows["planned"] = True
    return rows


def select(rows: pd.DataFrame, where: Mapping[str, Any] | None) -> pd.DataFrame:
    """Return the rows whose columns have the given values.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    where : Mapping[str, Any] or None
        A value or a list of values per column; None among them means null. None
        for the whole selects everything.

    Raises
    ------
    ConfigError
        For an unknown column or a value that no row has.
    """
    for column, wanted in (where or {}).items():
        if column not in rows:
            axes = [*axes_of(rows).instance, "seed", *method_columns(rows)]
            raise ConfigError(
                f"where.{column}: no such column; known: {', '.join(axes)}."
                + did_you_mean(column, axes)
            )
        values = list(wanted) if isinstance(wanted, list | tuple) else [wanted]
        kept = rows[column].isin([v for v in values if v is not None])
        if None in values:
            kept |= rows[column].isna()
        if not kept.any():
            known = sorted(map(str, rows[column].dropna().unique()))
            raise ConfigError(
                f"where.{column}: no row has {wanted!r}; known: {', '.join(known[:20]) or 'none'}."
                + did_you_mean(wanted, known)
            )
        rows = rows[kept]
    return rows


def method_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns that make a configuration, in the order in which they act."""
    return axes_of(rows).columns(rows)


def medians(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Medians:
    """Return the median accuracy over seeds of every configuration on every instance.

    A parameter of a generator that has one value per foundation model (the
    weight decay that least squares takes from it) is no part of a
    configuration. Configurations that exist, by the rules of the plan, on some
    instances only are left out, and a note says so.

    Parameters
    ----------
    rows : DataFrame
        One row per trial, see the module.
    where : Mapping[str, Any], optional
        Which rows are in view, see `select`.
    allow_incomplete : bool
        Leave out instances with a missing cell, instead of refusing.

    Raises
    ------
    IncompleteError
        If a cell is missing, or if nothing is left to compare.
    StoreError
        If two rows have the same axes and seed.
    """
    rows = select(rows, where).reset_index(drop=True)
    if rows.empty:
        raise IncompleteError("results: there are no rows in view; run the sweep first.")
    method, methods = number(without_fm_parameters(rows)[method_columns(rows)])
    instance, instances = number(rows[[c for c in axes_of(rows).instance if c in rows]])
    cells = Cells(rows, method, instance, (len(instances), len(methods)))
    partial = cells.absent.any(axis=0)
    missing = cells.missing[:, ~partial]
    named = methods[~partial]
    notes = []
    if partial.any():
        lost = method_labels(methods[partial].head(NAMED))
        more = ", ..." if partial.sum() > NAMED else ""
        told = left_out(partial, "configuration", "exist on some of the instances only")
        notes.append(f"{told.rstrip('.')} ({', '.join(lost)}{more}).")
    if missing.any() and not allow_incomplete:
        told = gaps(missing, cells.reasons()[:, ~partial], instances, named)
        raise IncompleteError(f"{told}; {remedy(rows)}", trials=lacking(rows))
    holed = missing.any(axis=1)
    if holed.any():
        notes.append(left_out(holed, "instance", "lack results (report.allow_incomplete=true)"))
    if named.empty or holed.all():
        raise IncompleteError(
            "results: nothing is left to compare: "
            + " ".join(notes)
            + " Choose other rows, or a sweep that has them."
        )
    accuracy = pd.DataFrame(
        cells.medians()[np.ix_(~holed, ~partial)], instances.index[~holed], named.index
    )
    return Medians(named, instances[~holed], accuracy, tuple(notes))


def lacking(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the axes and the status of the trials without a result."""
    axes = [
        *(c for c in axes_of(rows).instance if c in rows),
        "seed",
        *method_columns(rows),
        "status",
    ]
    found = rows.loc[rows["accuracy"].isna() | (rows["status"] != OK), axes]
    return found.dropna(axis="columns", how="all").reset_index(drop=True)


def without_fm_parameters(rows: pd.DataFrame) -> pd.DataFrame:
    """Null the values of generator parameters that come from the foundation model.

    A value that all foundation models share was chosen by the user. If every
    one has exactly one value beside those, that value is its own: it follows
    from `fm`, and makes no configuration.
    """
    if axes_of(rows) is not IMPRINTING:
        return rows
    rows = rows.copy(deep=False)
    for column in parameter_columns(rows, "gen_"):
        if column == "gen_k":  # an axis of its own, never the foundation model's
            continue
        seen = rows[["gen", "fm", column]].drop_duplicates()
        n_fms = seen.groupby("gen")["fm"].transform("nunique")
        sharing = seen.groupby(["gen", column], dropna=False)["fm"].transform("size")
        for gen, own in seen[sharing < n_fms].groupby("gen"):
            if own["fm"].is_unique and len(own) == n_fms[own.index[0]]:
                theirs = (rows["gen"] == gen) & rows[column].isin(own[column])
                rows[column] = rows[column].mask(theirs)
    return rows


def average_ranks(accuracy: pd.DataFrame) -> pd.Series:
    """Return the mean over instances (rows) of the rank of every configuration (column).

    Rank 1 is the highest accuracy of the instance; ties share the mean rank.
    """
    return accuracy.rank(axis=1, ascending=False, method="average").mean()


def summarize(view: Medians) -> pd.DataFrame:
    """Return one row per configuration: its axes, mean and spread over instances, average rank.

    Returns
    -------
    summary : DataFrame
        The columns of `view.methods`; `accuracy_mean` and `accuracy_std` (sample
        standard deviation, ddof = 1; null for one instance), in [0, 1];
        `average_rank` over all configurations in view; `n_instances`; `label`.
    """
    return view.methods.assign(
        accuracy_mean=view.accuracy.mean(),
        accuracy_std=view.accuracy.std(ddof=1),
        average_rank=average_ranks(view.accuracy),
        n_instances=len(view.accuracy),
        label=method_labels(view.methods),
    )


def best_of_groups(summary: pd.DataFrame, by: list[str]) -> pd.DataFrame:
    """Return the configuration with the lowest average rank of every group, best first.

    That is not always the one with the highest average accuracy. Of equal
    ranks the higher mean accuracy wins, then the order of `summary`.
    """
    ordered = summary.sort_values(
        ["average_rank", "accuracy_mean"], ascending=[True, False], kind="stable"
    )
    return ordered.drop_duplicates(by) if by else ordered.head(1)


def default_groups(summary: pd.DataFrame) -> list[str]:
    """Return what makes a group if nobody says: the generator; all of a method that trains."""
    axes = axes_of(summary)
    if axes is IMPRINTING:
        return [axes.leading]
    return [part for part in axes.parts if part in summary]


def group_columns(summary: pd.DataFrame, per: list[str]) -> list[str]:
    """Return the columns of `summary` that make a group; ``gen`` brings its parameters along.

    Raises
    ------
    ConfigError
        If an entry of `per` is no axis of a configuration.
    """
    axes = method_columns(summary)
    out: list[str] = []
    for name in per:
        if name not in axes:
            raise ConfigError(
                f"per: unknown axis {name!r}; known: {', '.join(axes)}." + did_you_mean(name, axes)
            )
        own = parameter_columns(summary, f"{name}_") if name in axes_of(summary).parts else []
        out += [name, *own]
    return out

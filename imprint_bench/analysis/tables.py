"""Tables of a study: one function each, found by the name a YAML file uses.

A table function takes the rows (one per trial, see `frames`), and, if it names it as a
further parameter, `collapse` (see `collapse`); its keyword-only
parameters are what YAML may set. It returns numbers; `rendering` writes them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis import trained
from imprint_bench.analysis.collapse import neural_collapse
from imprint_bench.analysis.comparing import pairwise
from imprint_bench.analysis.dl2pa import geometry, long_tail_tables
from imprint_bench.analysis.dl2pa import tables as dl2pa
from imprint_bench.analysis.frames import (
    INSTANCE,
    NORMS,
    Medians,
    best_of_groups,
    group_columns,
    medians,
    parameter_columns,
    select,
    summarize,
    without_fm_parameters,
)
from imprint_bench.analysis.labels import (
    ORACLES,
    aggregation_labels,
    generator_labels,
)
from imprint_bench.analysis.paper import gains
from imprint_bench.analysis.paper import tables as paper
from imprint_bench.analysis.paper.generation_time import table_a5
from imprint_bench.analysis.table import COUNT, FRACTION, N_SHOT, RANK, SECONDS, TEXT, Column, Table
from imprint_bench.errors import IncompleteError
from imprint_bench.registry import Registry

TABLES: Registry[Callable[..., Table | list[Table]]] = Registry("table")
TABLES.add("neural_collapse", neural_collapse)
TABLES.add("pairwise", pairwise)
TABLES.add("methods", trained.methods)
TABLES.add("table1", paper.table1)
TABLES.add("table2", paper.table2)
TABLES.add("table3", paper.table3)
TABLES.add("table4", paper.table4)
TABLES.add("table5", paper.table5)
TABLES.add("table6", paper.table6)
TABLES.add("tableA1", paper.table_a1)
TABLES.add("tableA2", paper.table_a2)
TABLES.add("tableA3", paper.table_a3)
TABLES.add("gain_over_nc1", gains.gain_over_nc1)
TABLES.add("tableA5", table_a5)
TABLES.add("sectionA5", paper.section_a5)
TABLES.add("dl2pa_table1", dl2pa.table1)
TABLES.add("dl2pa_table2", dl2pa.table2)
TABLES.add("dl2pa_table3", dl2pa.table3)
TABLES.add("dl2pa_table4", long_tail_tables.table4)
TABLES.add("dl2pa_table5", long_tail_tables.table5)
TABLES.add("dl2pa_table6", long_tail_tables.table6)
TABLES.add("dl2pa_table7", geometry.table7)
TABLES.add("dl2pa_table8", dl2pa.table8)
TABLES.add("dl2pa_table9", dl2pa.table9)

RESULTS = (
    Column("accuracy_mean", "accuracy %", FRACTION),
    Column("accuracy_std", "± std", FRACTION),
    Column("average_rank", "avg. rank", RANK),
    Column("n_instances", "instances", COUNT),
)
METHOD = (
    Column("generator", "generator"),
    Column("k", "k", COUNT),
    Column("norm_pre", "norm pre"),
    Column("norm_post", "norm post"),
    Column("norm_inf", "norm inf"),
    Column("aggregation", "aggregation"),
)


@TABLES.register("best_configurations")
def best_configurations(
    rows: pd.DataFrame,
    *,
    per: list[str] = ["gen"],  # noqa: B006 - read only; a list is what YAML writes
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Table:
    """Return the best configuration of every group, best average rank first, oracles last.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    per : list of str
        What makes a group: ``gen`` stands for the generator with its
        parameters; any other axis (``norm_post``, ``agg``) may join it.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out instances with missing cells, instead of refusing.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, tables 2 and 3.
    """
    view = medians(rows, where=where, allow_incomplete=allow_incomplete)
    summary = summarize(view)
    best = best_of_groups(summary, group_columns(summary, per))
    caption = (
        f"The configuration with the lowest average rank of each group, out of {len(summary):,} "
        f"configurations ranked on each of {len(view.accuracy):,} evaluation instances (1 is best, "
        "ties share the mean rank). Accuracy: mean and sample standard deviation over instances "
        "of the median over seeds."
    )
    columns = [*METHOD[:2], *RESULTS[:3], *METHOD[2:], *RESULTS[3:]]
    title = "Best configurations"
    return _of_methods("best_configurations", title, caption, best, columns, view)


@TABLES.register("norms")
def norms(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Table:
    """Return every NORM triple of every generator, each with its best aggregation.

    References
    ----------
    Westerhoff et al., TMLR 2025, tables A.2 and A.3 (there: ``where={gen: kmeans, gen_k: 20}``).
    """
    view = medians(rows, where=where, allow_incomplete=allow_incomplete)
    summary = summarize(view)
    best = best_of_groups(summary, group_columns(summary, ["gen", *NORMS]))
    leaders = best.groupby(group_columns(summary, ["gen"]), dropna=False)["average_rank"]
    best = best.assign(leader=leaders.transform("min"))
    best = best.sort_values(["leader", "gen", "average_rank"], kind="stable")
    caption = (
        "Every combination of normalizations (of embeddings before generation, of proxies, of "
        "queries at inference) with the aggregation that has the lowest average rank. Ranks are "
        f"over all {len(summary):,} configurations in view."
    )
    return _of_methods("norms", "Normalizations", caption, best, [*METHOD, *RESULTS], view)


@TABLES.register("generators")
def generators(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Table:
    """Return mean accuracies at a glance: generators down, NORM triples across."""
    view = medians(rows, where=where, allow_incomplete=allow_incomplete)
    summary = summarize(view)
    gen = group_columns(summary, ["gen"])
    best = best_of_groups(summary, [*gen, *NORMS])
    best = best.assign(triple=best[list(NORMS)].astype(str).agg("/".join, axis=1))
    leaders = best.drop_duplicates(gen)
    number = best.groupby(gen, dropna=False, sort=False).ngroup()
    wide = best.assign(number=number).pivot_table(
        index="number", columns="triple", values="accuracy_mean", aggfunc="first"
    )
    wide = wide[wide.mean().sort_values(ascending=False, kind="stable").index]
    frame = pd.concat([leaders.set_index(number.loc[leaders.index]), wide], axis=1)
    caption = (
        "Mean accuracy in percent over the evaluation instances for each normalization (before "
        "generation / of proxies / at inference), with the aggregation that has the lowest average "
        "rank. Generators are in the order of their best average rank."
    )
    columns = [*METHOD[:2], *(Column(name, name, FRACTION) for name in map(str, wide))]
    return _of_methods("generators", "Generators by normalization", caption, frame, columns, view)


@TABLES.register("per_instance")
def per_instance(
    rows: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Table:
    """Return the accuracy of the best configuration of every generator on every instance."""
    view = medians(rows, where=where, allow_incomplete=allow_incomplete)
    best = best_of_groups(summarize(view), ["gen"])
    best = best.assign(short=generator_labels(best))
    values = view.accuracy[best.index].set_axis(best["short"].tolist(), axis=1)
    frame = pd.concat([view.instances, values], axis=1)
    shown = [
        Column(name, heading, N_SHOT if name == "n_shot" else TEXT)
        for name, heading in zip(
            INSTANCE, ("model", "dataset", "mapping", "task", "n-shot"), strict=True
        )
        if name in frame and (name not in ("mapping", "n_shot") or len(frame[name].unique()) > 1)
    ]
    which = "; ".join(best["label"])
    caption = (
        "Median accuracy over seeds in percent, for the configuration of each generator with the "
        f"lowest average rank over all instances: {which}."
    )
    columns = (*shown, *(Column(name, name, FRACTION) for name in map(str, values)))
    return Table("per_instance", "Every instance", _with_notes(caption, view.notes), columns, frame)


@TABLES.register("runtimes")
def runtimes(rows: pd.DataFrame, *, where: Mapping[str, Any] | None = None) -> Table:
    """Return the median seconds that each generator takes to make the proxies of a trial.

    References
    ----------
    Westerhoff et al., TMLR 2025, table A.5.
    """
    rows = select(rows, where)
    done = rows[(rows["status"] == "ok") & rows["gen_seconds"].notna()]
    if done.empty:
        raise IncompleteError("runtimes: no row has gen_seconds; run the sweep first.")
    done = without_fm_parameters(done)
    grouped = done.groupby(["gen", *parameter_columns(done, "gen_")], dropna=False)["gen_seconds"]
    frame = grouped.agg(seconds="median", n_trials="size").reset_index().convert_dtypes()
    frame["generator"] = generator_labels(frame.drop(columns="gen_k", errors="ignore"))
    frame = frame.rename(columns={"gen_k": "k"}).sort_values("seconds", kind="stable")
    columns = [
        Column("generator", "generator"),
        *([Column("k", "k", COUNT)] if "k" in frame and frame["k"].notna().any() else []),
        Column("seconds", "median seconds", SECONDS),
        Column("n_trials", "trials", COUNT),
    ]
    caption = (
        "Median wall-clock seconds of generating the proxies of one trial, over all foundation "
        "models, datasets, tasks, normalizations and seeds in view; proxies that several trials "
        "share are counted with each of them."
    )
    return _finish("runtimes", "Generation time", caption, columns, frame)


def _of_methods(
    name: str,
    title: str,
    caption: str,
    chosen: pd.DataFrame,
    columns: list[Column],
    view: Medians,
) -> Table:
    """Return the table of some configurations; an axis that none of them has is left out."""
    frame = chosen.assign(
        generator=generator_labels(chosen.drop(columns="gen_k", errors="ignore")),
        aggregation=aggregation_labels(chosen),
    ).rename(columns={"gen_k": "k"})
    kept = [
        c for c in columns if c not in METHOD or (c.name in frame and frame[c.name].notna().any())
    ]
    return _finish(name, title, _with_notes(caption, view.notes), kept, frame)


def _finish(
    name: str, title: str, caption: str, columns: list[Column], frame: pd.DataFrame
) -> Table:
    """Put oracles last and keep the named columns."""
    oracle = frame["gen"].isin(ORACLES).to_numpy(dtype=bool)
    order = np.argsort(oracle, kind="stable")
    kept = frame.iloc[order][[c.name for c in columns]].reset_index(drop=True)
    last = tuple(range(len(frame) - int(oracle.sum()), len(frame)))
    return Table(name, title, caption, tuple(columns), kept, last)


def _with_notes(caption: str, notes: tuple[str, ...]) -> str:
    return " ".join([caption, *notes])

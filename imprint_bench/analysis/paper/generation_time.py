"""Section A.5 of the paper: how long generating the proxies of a task takes.

A row per configuration and instance: the median over seeds. The average of section A.5 is taken
to be the mean of these over the instances.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import pandas as pd

from imprint_bench.analysis.cells import number
from imprint_bench.analysis.frames import INSTANCE, medians
from imprint_bench.analysis.labels import generator_labels, listed, spell
from imprint_bench.analysis.paper.ordering import compare_orders
from imprint_bench.analysis.paper.published import of_the_paper, published_runtimes
from imprint_bench.analysis.paper.rankings import L2, MAX, NONE, matching
from imprint_bench.analysis.table import COUNT, SECONDS, Column, Table
from imprint_bench.errors import IncompleteError

TIMED: Mapping[str, Mapping[str, Any]] = {
    "mean": {"gen": "mean", **L2, **MAX},
    "k-means 5": {"gen": "kmeans", "gen_k": 5, **L2, **MAX},
    "k-means 20": {"gen": "kmeans", "gen_k": 20, **L2, **MAX},
    "least squares": {"gen": "least_squares", **NONE, **MAX},
    "k-least-squares 5": {"gen": "k_least_squares", "gen_k": 5, **NONE, **MAX},
    "k-least-squares 20": {"gen": "k_least_squares", "gen_k": 20, **NONE, **MAX},
}


class Timing(NamedTuple):
    """Seconds of every configuration and instance, and sentences on them for a caption."""

    seconds: pd.DataFrame
    notes: tuple[str, ...]


def generation_seconds(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Timing:
    """Return the seconds of generating the proxies of every instance, for six configurations.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    allow_incomplete : bool
        Leave out instances with missing cells, instead of refusing.

    Returns
    -------
    timing : Timing
        `seconds` has `name` (of the configuration, in the order of `TIMED`), `gen`, `gen_k`,
        the columns of an instance, and `seconds`, the median over seeds.

    Raises
    ------
    IncompleteError
        If rows are missing, or none of the configurations is in view.
    """
    masks = {name: matching(rows, wanted) for name, wanted in TIMED.items()}
    if not any(mask.any() for mask in masks.values()):
        raise IncompleteError("runtimes: none of the six configurations of section A.5 is in view.")
    kept = rows[pd.concat(list(masks.values()), axis=1).any(axis=1)]
    view = medians(kept, allow_incomplete=allow_incomplete)
    columns = [column for column in INSTANCE if column in kept]
    timed = kept.assign(name=pd.Series(dtype=object))
    for name, mask in masks.items():
        timed.loc[mask[mask].index, "name"] = name
    place, found = number(timed[columns])
    known = found.merge(view.instances.convert_dtypes(), how="left", indicator=True)
    timed = timed.assign(instance=place)[(known["_merge"] == "both").to_numpy()[place]]
    medians_of = timed.groupby(["name", "instance"])["gen_seconds"].median().rename("seconds")
    frame = medians_of.reset_index().merge(found, left_on="instance", right_index=True)
    axes = pd.DataFrame(
        [{"name": n, "gen": w["gen"], "gen_k": w.get("gen_k")} for n, w in TIMED.items()]
    )
    frame = frame.merge(axes.astype({"gen_k": "Int64"}), on="name")
    frame["name"] = pd.Categorical(frame["name"], list(TIMED))
    frame = frame.sort_values(["name", "instance"]).astype({"name": object})
    kept_columns = ["name", "gen", "gen_k", *columns, "seconds"]
    notes = (*_shared(timed), *view.notes)
    return Timing(frame[kept_columns].reset_index(drop=True), notes)


def _shared(timed: pd.DataFrame) -> tuple[str, ...]:
    """Say which generators made several values of k at once, and how that is counted."""
    if "timed_together" not in timed:
        return ()
    several = timed[timed["timed_together"].gt(1).fillna(value=False) & timed["gen_k"].notna()]
    if several.empty:
        return ()
    names = listed(spell(gen) for gen in sorted(several["gen"].unique()))
    return (f"Several values of k of {names} were made at once; steps they share count for each.",)


def table_a5(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Table:
    """Return the seconds of generating proxies, for six configurations.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, section A.5.
    """
    seconds, notes = generation_seconds(rows, allow_incomplete=allow_incomplete)
    grouped = seconds.groupby("name", sort=False)
    frame = grouped.agg(
        gen=("gen", "first"),
        gen_k=("gen_k", "first"),
        mean=("seconds", "mean"),
        median=("seconds", "median"),
        low=("seconds", "min"),
        high=("seconds", "max"),
        n_instances=("seconds", "size"),
    ).reset_index()
    papers = published_runtimes().assign(
        gen_k=lambda f: f["k"].astype("Int64").where(f["gen"].isin(["kmeans", "k_least_squares"]))
    )
    frame = frame.merge(papers[["gen", "gen_k", "seconds"]], on=["gen", "gen_k"], how="left")
    order = compare_orders(
        frame["name"].tolist(),
        frame["mean"].tolist(),
        frame["seconds"].tolist(),
        unit="seconds",
        rising=True,
    )
    frame["generator"] = generator_labels(frame.drop(columns="gen_k"))
    instances = seconds.drop(columns=["name", "gen", "gen_k", "seconds"]).drop_duplicates()
    columns = (
        Column("generator", "generator"),
        Column("gen_k", "k", COUNT),
        Column("mean", "mean, s", SECONDS),
        Column("median", "median, s", SECONDS),
        Column("low", "least, s", SECONDS),
        Column("high", "most, s", SECONDS),
        *([Column("seconds", "paper's mean, s", SECONDS)] if of_the_paper(instances) else []),
        Column("n_instances", "instances", COUNT),
    )
    caption = (
        "Wall-clock seconds of generating the proxies of one task on one core, embeddings at hand: "
        "over instances, of the median over seeds. Every norm L2; the oracles without norms. "
        f"Another machine has other seconds; the paper's had 8 virtual cores. {order.sentence}"
    )
    caption = " ".join([caption, *notes])
    name, title = "tableA5", "Section A.5: generation time"
    table = frame[[column.name for column in columns]]
    data = {"_instances": seconds, "_flips": order.flipped}
    return Table(name, title, caption, columns, table, data=data, finding=order.sentence)

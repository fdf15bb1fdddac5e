"""Which configurations each of the paper's comparisons is between, ranked on the rows at hand.

A ranking is shown twice, as a table and as a critical-difference diagram. Its *pool* is all
configurations in view; they are ranked on every instance by median accuracy, and each group is
represented by its configuration with the lowest average rank ("best norm implicitly").
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imprint_bench.analysis.frames import (
    NORMS,
    Medians,
    best_of_groups,
    medians,
    method_columns,
    summarize,
)
from imprint_bench.analysis.labels import generator_labels, listed
from imprint_bench.errors import ConfigError, IncompleteError

L2 = {"norm_pre": "l2", "norm_post": "l2", "norm_inf": "l2"}
NONE = {"norm_pre": "none", "norm_post": "none", "norm_inf": "none"}
NEAREST = {"agg": "mnn", "agg_metric": "euclidean", "agg_weighting": "distance"}
MAX = {"agg": "max"}
ALL_NEIGHBORS, NEIGHBORS = (1, 3, 5, 20, 50), (1, 3, 5, 20)  # in tables 5 and 6
WITH_K = ("kmeans", "kmedoids", "cov_max", "random", "fps")

# Table 1: what earlier work does, in the terms of a configuration.
PREVIOUS: Mapping[str, Mapping[str, Any]] = {
    "Qi et al. (2018)": {"gen": "mean", **L2, **MAX},
    "Hosoda et al. (2024)": {"gen": "mean", **NONE, "norm_post": "quantile", **MAX},
    "Janson et al. (2022)": {"gen": "mean", **NONE, **NEAREST, "agg_m": 1},
    "IMPRINT (k-means)": {"gen": "kmeans", "gen_k": 20, **L2, **MAX},
    "Oracle": {"gen": "least_squares", **NONE, **MAX},
}

Pool = Mapping[str, Mapping[str, Any]]  # what is looked for, by the name it has if it is not there


@dataclass(frozen=True)
class Ranking:
    """Methods ranked on the same instances, best average rank first.

    Attributes
    ----------
    view : Medians
        Of all configurations of the pool.
    chosen : DataFrame
        A row per method, as `frames.summarize` has it, and `name`, each once.
    lead : str
        What the pool is, for a caption.
    """

    view: Medians
    chosen: pd.DataFrame
    lead: str

    @property
    def table(self) -> pd.DataFrame:
        """Median accuracies: instances by methods, under their names."""
        return self.view.accuracy[self.chosen.index].set_axis(self.chosen["name"].tolist(), axis=1)


def previous_work(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Ranking:
    """Return earlier methods, the paper's own and the oracle (table 1)."""
    what = "Earlier work, the paper's k-means proxies, and least squares as the oracle"
    ranking = _ranked(rows, PREVIOUS, None, what, allow_incomplete=allow_incomplete)
    names = [
        next(name for name, wanted in PREVIOUS.items() if matching(row, wanted).all())
        for row in (ranking.chosen.iloc[[i]] for i in range(len(ranking.chosen)))
    ]
    return _named(ranking, names)


def generators(rows: pd.DataFrame, *, k: int, allow_incomplete: bool = False) -> Ranking:
    """Return generators with k proxies per class, and the mean (tables 2 and A.1)."""
    pool = {f"{gen} {k}": {"gen": gen, "gen_k": k, **MAX} for gen in WITH_K}
    pool |= {"mean": {"gen": "mean", **MAX}}
    what = f"Generators with k = {k} proxies per class, and the mean; aggregation max"
    ranking = _ranked(rows, pool, ["gen"], what, allow_incomplete=allow_incomplete)
    return _named(ranking, generator_labels(ranking.chosen))


def proxy_norms(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Ranking:
    """Return the normalizations of proxies, for the mean (table 3)."""
    pool = {"mean": {"gen": "mean", **MAX}}
    what = "Normalizations of proxies; generator mean, aggregation max"
    ranking = _ranked(rows, pool, ["norm_post"], what, allow_incomplete=allow_incomplete)
    return _named(ranking, [f"proxies {norm}" for norm in ranking.chosen["norm_post"]])


def query_norms(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Ranking:
    """Return what is done before generation and at inference, for L2-normalized means (table 4)."""
    pool = {"mean": {"gen": "mean", "norm_post": "l2", **MAX}}
    what = "Normalizations before generation and at inference; L2-normalized mean, aggregation max"
    ranking = _ranked(rows, pool, list(NORMS), what, allow_incomplete=allow_incomplete)
    return _named(ranking, _triples(ranking))


def norm_triples(
    rows: pd.DataFrame, *, gen: str, k: int | None = None, allow_incomplete: bool = False
) -> Ranking:
    """Return all normalizations of one generator (tables A.2 and A.3)."""
    chosen = {"gen": gen} if k is None else {"gen": gen, "gen_k": k}
    name = gen if k is None else f"{gen} {k}"
    what = f"Normalizations before generation / of proxies / at inference; {name}, aggregation max"
    ranking = _ranked(
        rows, {name: {**chosen, **MAX}}, list(NORMS), what, allow_incomplete=allow_incomplete
    )
    return _named(ranking, _triples(ranking))


def aggregations(
    rows: pd.DataFrame,
    *,
    gen: str,
    k: int | None = None,
    m: Sequence[int],
    allow_incomplete: bool = False,
) -> Ranking:
    """Return max and the votes of m nearest neighbors, all L2 (tables 5 and 6)."""
    _check_some(m, "m")
    proxies = {"gen": gen, **L2} if k is None else {"gen": gen, "gen_k": k, **L2}
    pool = {"max": {**proxies, **MAX}}
    pool |= {f"{n}-nn": {**proxies, **NEAREST, "agg_m": n} for n in m}
    name = gen if k is None else f"{gen} {k}"
    what = (
        "Aggregations: max, and the votes of m nearest proxies, weighted by Euclidean distance; "
        f"generator {name}, every norm L2"
    )
    ranking = _ranked(rows, pool, None, what, allow_incomplete=allow_incomplete)
    number = ranking.chosen.get("agg_m", pd.Series(pd.NA, ranking.chosen.index))
    return _named(ranking, ["max" if pd.isna(n) else f"{n}-nn" for n in number])


def oracles(rows: pd.DataFrame, *, ks: Sequence[int], allow_incomplete: bool = False) -> Ranking:
    """Return least squares, and k-least-squares for some k, without norms (section A.5)."""
    _check_some(ks, "k")
    pool: dict[str, Mapping[str, Any]] = {"least squares": {"gen": "least_squares", **NONE, **MAX}}
    pool |= {
        f"k-least-squares {k}": {"gen": "k_least_squares", "gen_k": k, **NONE, **MAX} for k in ks
    }
    what = "The oracles, without norms; aggregation max"
    ranking = _ranked(rows, pool, None, what, allow_incomplete=allow_incomplete)
    return _named(ranking, generator_labels(ranking.chosen))


def _ranked(
    rows: pd.DataFrame, pool: Pool, by: list[str] | None, what: str, *, allow_incomplete: bool
) -> Ranking:
    """Rank the configurations of a pool, and keep the best of every group, or all of them."""
    found = {name: matching(rows, wanted) for name, wanted in pool.items()}
    absent = [name for name, mask in found.items() if not mask.any()]
    if len(absent) == len(found):
        raise IncompleteError(
            f"results: no row in view is of {listed(absent)}; choose a sweep that has them."
        )
    kept = pd.concat(list(found.values()), axis=1).any(axis=1)
    view = medians(rows[kept], allow_incomplete=allow_incomplete)
    summary = summarize(view)
    if by is None:
        _refuse_twins(summary, pool)
    groups = method_columns(summary) if by is None else by
    chosen = best_of_groups(summary, groups)
    n = len(view.accuracy)
    lead = (
        f"{what}. Ranks are over all {len(summary):,} configurations in view on {n:,} evaluation "
        f"instance{'' if n == 1 else 's'} (1 is best, ties share the mean rank)"
    )
    if len(chosen) < len(summary):
        lead += "; each row is the configuration of its group with the lowest average rank"
    lead += "."
    if absent:
        lead += f" Not in view: {listed(absent)}."
    return Ranking(view, chosen, " ".join([lead, *view.notes]))


def _refuse_twins(summary: pd.DataFrame, pool: Pool) -> None:
    """Raise ConfigError where several configurations fit one that is looked for."""
    for name, wanted in pool.items():
        fitting = summary[matching(summary, wanted)]
        if len(fitting) > 1:
            telling = [c for c in method_columns(fitting) if len(fitting[c].drop_duplicates()) > 1]
            values = ", ".join(map(str, fitting[telling[0]].tolist()))
            raise ConfigError(
                f"{name}: {len(fitting)} configurations in view fit ({telling[0]} {values}); "
                "choose a sweep with one of them."
            )


def _check_some(values: Sequence[int], noun: str) -> None:
    if not values:
        raise ConfigError(f"{noun}: expected at least one number, got [].")


def matching(rows: pd.DataFrame, wanted: Mapping[str, Any]) -> pd.Series:
    """Tell of every row whether its columns have the wanted values; a column may be absent."""
    mask = pd.Series(data=True, index=rows.index)
    for column, value in wanted.items():
        mask &= (rows[column] == value).fillna(value=False) if column in rows else False
    return mask.astype(bool)


def _triples(ranking: Ranking) -> list[str]:
    return ranking.chosen[list(NORMS)].astype(str).agg("/".join, axis=1).tolist()


def _named(ranking: Ranking, names: Sequence[str]) -> Ranking:
    return Ranking(ranking.view, ranking.chosen.assign(name=list(names)), ranking.lead)

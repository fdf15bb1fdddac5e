"""Tables 1 to 6, A.1 to A.3 and section A.5 of the paper: rankings, the paper's values beside ours.

One function each, found by the name a YAML file uses. The paper's columns are there where
networks, datasets and tasks are the paper's; whether its order holds is said always.
"""

import pandas as pd

from imprint_bench.analysis.labels import ORACLES, aggregation_labels, generator_labels
from imprint_bench.analysis.paper.ordering import compare_orders
from imprint_bench.analysis.paper.published import beside, of_the_paper
from imprint_bench.analysis.paper.rankings import (
    ALL_NEIGHBORS,
    NEIGHBORS,
    Ranking,
    aggregations,
    generators,
    norm_triples,
    oracles,
    previous_work,
    proxy_norms,
    query_norms,
)
from imprint_bench.analysis.table import COUNT, FRACTION, RANK, Column, Table
from imprint_bench.core.bootstrap import mean_bootstraps
from imprint_bench.params import PositiveInt

Neighbors = list[PositiveInt]  # a list is what YAML writes

AXES = (
    Column("generator", "generator"),
    Column("gen_k", "k", COUNT),
    Column("norm_pre", "norm pre"),
    Column("norm_post", "norm post"),
    Column("norm_inf", "norm inf"),
    Column("aggregation", "aggregation"),
)
OURS = (
    Column("accuracy_mean", "accuracy %", FRACTION),
    Column("accuracy_std", "± std", FRACTION),
    Column("accuracy_low", "95 % from", FRACTION),
    Column("accuracy_high", "to", FRACTION),
    Column("average_rank", "avg. rank", RANK),
)
PAPERS = (
    Column("paper_mean", "paper %", FRACTION),
    Column("paper_std", "± std", FRACTION),
    Column("difference", "ours less paper", FRACTION),
)


def table1(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Table:
    """Return earlier methods, the paper's k-means proxies and the least-squares oracle.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, table 1.
    """
    ranking = previous_work(rows, allow_incomplete=allow_incomplete)
    return _shown("table1", "Table 1: earlier methods", ranking, method="method")


def table2(rows: pd.DataFrame, *, k: PositiveInt = 20, allow_incomplete: bool = False) -> Table:
    """Return six generators, each with its best norms; k = 20.

    References
    ----------
    Westerhoff et al., TMLR 2025, table 2.
    """
    ranking = generators(rows, k=k, allow_incomplete=allow_incomplete)
    return _shown("table2", "Table 2: generators", ranking)


def table3(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Table:
    """Return the normalizations of proxies, each with its best norms before and at inference.

    References
    ----------
    Westerhoff et al., TMLR 2025, table 3.
    """
    ranking = proxy_norms(rows, allow_incomplete=allow_incomplete)
    return _shown("table3", "Table 3: normalization of proxies", ranking)


def table4(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Table:
    """Return the normalizations before generation and at inference, for L2-normalized means.

    References
    ----------
    Westerhoff et al., TMLR 2025, table 4.
    """
    ranking = query_norms(rows, allow_incomplete=allow_incomplete)
    return _shown("table4", "Table 4: normalization before generation and at inference", ranking)


def table5(
    rows: pd.DataFrame,
    *,
    m: Neighbors = list(ALL_NEIGHBORS),  # noqa: B006 - read only
    allow_incomplete: bool = False,
) -> Table:
    """Return max and m nearest neighbors on all rows as proxies.

    References
    ----------
    Westerhoff et al., TMLR 2025, table 5.
    """
    ranking = aggregations(rows, gen="all", m=m, allow_incomplete=allow_incomplete)
    return _shown("table5", "Table 5: aggregations of all rows", ranking)


def table6(
    rows: pd.DataFrame,
    *,
    k: PositiveInt = 20,
    m: Neighbors = list(NEIGHBORS),  # noqa: B006 - read only
    allow_incomplete: bool = False,
) -> Table:
    """Return max and m nearest neighbors on k-means proxies.

    References
    ----------
    Westerhoff et al., TMLR 2025, table 6.
    """
    ranking = aggregations(rows, gen="kmeans", k=k, m=m, allow_incomplete=allow_incomplete)
    return _shown("table6", "Table 6: aggregations of k-means proxies", ranking)


def table_a1(rows: pd.DataFrame, *, k: PositiveInt = 5, allow_incomplete: bool = False) -> Table:
    """Return six generators, each with its best norms; k = 5.

    References
    ----------
    Westerhoff et al., TMLR 2025, table A.1.
    """
    ranking = generators(rows, k=k, allow_incomplete=allow_incomplete)
    return _shown("tableA1", "Table A.1: generators with few proxies", ranking)


def table_a2(rows: pd.DataFrame, *, allow_incomplete: bool = False) -> Table:
    """Return all nine normalizations of the mean.

    References
    ----------
    Westerhoff et al., TMLR 2025, table A.2.
    """
    ranking = norm_triples(rows, gen="mean", allow_incomplete=allow_incomplete)
    return _shown("tableA2", "Table A.2: normalizations of the mean", ranking)


def table_a3(rows: pd.DataFrame, *, k: PositiveInt = 20, allow_incomplete: bool = False) -> Table:
    """Return all nine normalizations of k-means; the paper prints six.

    References
    ----------
    Westerhoff et al., TMLR 2025, table A.3.
    """
    ranking = norm_triples(rows, gen="kmeans", k=k, allow_incomplete=allow_incomplete)
    return _shown("tableA3", "Table A.3: normalizations of k-means", ranking)


def section_a5(
    rows: pd.DataFrame,
    *,
    k: list[PositiveInt] = [1, 2, 3, 5, 10, 20],  # noqa: B006 - read only
    allow_incomplete: bool = False,
) -> Table:
    """Return the accuracy of least squares and k-least-squares; the paper gives that of k = 20.

    References
    ----------
    Westerhoff et al., TMLR 2025, section A.5.
    """
    ranking = oracles(rows, ks=k, allow_incomplete=allow_incomplete)
    return _shown("sectionA5", "Section A.5: accuracy of the oracles", ranking)


def _shown(name: str, title: str, ranking: Ranking, *, method: str = "") -> Table:
    """Return the table of a ranking; with `method`, a first column of this heading has names."""
    chosen = ranking.chosen
    low, high = mean_bootstraps(ranking.table.to_numpy())
    frame = chosen.assign(
        generator=generator_labels(chosen.drop(columns="gen_k", errors="ignore")),
        aggregation=aggregation_labels(chosen),
        accuracy_low=low,
        accuracy_high=high,
        **beside(chosen, name),
    )
    frame["difference"] = frame["accuracy_mean"] - frame["paper_mean"]
    order = compare_orders(
        chosen["name"].tolist(),
        frame["accuracy_mean"].tolist(),
        frame["paper_mean"].tolist(),
        unit="%",
        scale=100,
    )
    oracle = frame["gen"].isin(ORACLES)
    frame = pd.concat([part for part in (frame[~oracle], frame[oracle]) if len(part)])
    axes = [c for c in AXES if c.name in frame and frame[c.name].notna().any()]
    papers = PAPERS if of_the_paper(ranking.view.instances) else ()
    columns = ((Column("name", method),) if method else (), axes, OURS, papers)
    shown = tuple(column for group in columns for column in group)
    caption = (
        f"{ranking.lead} Accuracy: mean and sample standard deviation over instances of the median "
        "over seeds, with the 95 % percentile bootstrap interval of the mean over instances. "
        f"{order.sentence}"
    )
    caption += (
        " Paper: Westerhoff et al., TMLR 2025."
        if papers
        else " The paper's values are of other networks or datasets."
    )
    table = frame[[column.name for column in shown]].reset_index(drop=True)
    last = tuple(range(int((~oracle).sum()), len(frame)))
    data = {"_flips": order.flipped}
    return Table(name, title, caption, shown, table, last, data, order.sentence)

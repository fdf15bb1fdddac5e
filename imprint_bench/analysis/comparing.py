"""Methods compared on all instances: as a critical-difference diagram, and as a table of pairs.

`critical_difference` and `pairwise` compare the best configurations of groups; `diagram` draws
any table of instances by methods, for figures that choose their methods in another way.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from imprint_bench.analysis.compared import (
    HalfWidth,
    about_posterior,
    compared,
    finding,
    sure_pairs,
    with_means,
)
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import (
    best_of_groups,
    default_groups,
    group_columns,
    medians,
    summarize,
)
from imprint_bench.analysis.labels import group_labels, instance_labels
from imprint_bench.analysis.table import COUNT, FRACTION, NUMBER, Column, P, Table
from imprint_bench.core.comparison import Procedure
from imprint_bench.params import PositiveInt

__all__ = ["HalfWidth", "critical_difference", "diagram", "pairwise"]

SHOWN = {
    "gap": "no bar joins them",
    "bar": "a bar",
    "label": "one label",
    "table": "nothing: this table only",
}
PAIR_COLUMNS = (
    Column("first", "better average rank"),
    Column("second", "other"),
    Column("wins", "wins", COUNT),
    Column("ties", "ties", COUNT),
    Column("losses", "losses", COUNT),
    Column("median_difference", "median difference, points", FRACTION),
    Column("interval_low", "95 % from", FRACTION),
    Column("interval_high", "to", FRACTION),
    Column("rank_biserial", "rank-biserial", NUMBER),
    Column("p", "p", P),
    Column("adjusted_p", "adjusted p", P),
    Column("significant", "significant"),
    Column("shown", "in the diagram"),
)
POSTERIOR_COLUMNS = (
    Column("p_better", "P(better)", P),
    Column("p_equivalent", "P(equivalent)", P),
    Column("p_worse", "P(worse)", P),
)


@dataclass(frozen=True)
class _Chosen:
    """What is compared: instances by methods, a row per method, and how both were chosen."""

    table: pd.DataFrame
    groups: pd.DataFrame
    lead: str
    notes: tuple[str, ...]


def critical_difference(
    rows: pd.DataFrame,
    *,
    per: list[str] | None = None,
    where: Mapping[str, Any] | None = None,
    alpha: float = 0.05,
    most: PositiveInt = 30,
    allow_incomplete: bool = False,
    procedure: Procedure = "wilcoxon_holm",
    rope: HalfWidth | None = None,
) -> Drawing:
    """Return the critical-difference diagram of the best configuration of every group.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    per : list of str, optional
        What makes a group, as in the table `best_configurations`; by default the
        generator, or, where networks were trained, the method with its parameters.
    where : Mapping[str, Any], optional
        Which rows are in view.
    alpha : float
        Significance level.
    most : int
        Draw at most so many groups, the best.
    allow_incomplete : bool
        Leave out instances with missing cells, instead of refusing.
    procedure : {"wilcoxon_holm", "nemenyi", "paper_compat"}
        How pairs are tested, see `imprint_bench.core.statistics.compare`.
    rope : float, optional
        Accuracies nearer than this (0.005: half a point) are equivalent in
        practice; with it, the pairs are also compared by the Bayesian
        signed-rank test.

    References
    ----------
    Westerhoff et al., TMLR 2025, figure 2; J. Demsar, JMLR 7, 2006.
    """
    chosen = _choose(rows, per=per, where=where, most=most, allow_incomplete=allow_incomplete)
    return diagram(
        "critical_difference",
        "Critical differences",
        f"{chosen.lead} (critical_difference_groups.csv).",
        chosen.table,
        groups=chosen.groups,
        alpha=alpha,
        procedure=procedure,
        rope=rope,
        notes=chosen.notes,
    )


def pairwise(
    rows: pd.DataFrame,
    *,
    per: list[str] | None = None,
    where: Mapping[str, Any] | None = None,
    alpha: float = 0.05,
    most: PositiveInt = 30,
    allow_incomplete: bool = False,
    procedure: Procedure = "wilcoxon_holm",
    rope: HalfWidth | None = None,
) -> Table:
    """Return tests and effect sizes of all pairs of the best configurations of the groups.

    Parameters
    ----------
    rows, per, where, alpha, most, allow_incomplete, procedure, rope
        As in `critical_difference`, whose diagram shows the same comparison.
    """
    chosen = _choose(rows, per=per, where=where, most=most, allow_incomplete=allow_incomplete)
    name, title = "pairwise", "Pairs of methods"
    columns = PAIR_COLUMNS if rope is None else PAIR_COLUMNS + POSTERIOR_COLUMNS
    outcome = compared(chosen.table, alpha=alpha, procedure=procedure, rope=rope)
    if isinstance(outcome, str):
        empty = pd.DataFrame(columns=[column.name for column in columns])
        return Table(name, title, " ".join([outcome, *chosen.notes]), columns, empty)
    comparison, pairs = outcome
    told = pairs.assign(
        significant=pairs["significant"].map({True: "yes", False: "no"}),
        shown=pairs["shown"].map(SHOWN),
    )
    caption = " ".join(
        [
            finding(comparison),
            chosen.lead + ".",
            "Wins, ties and losses of the one with the better average rank; median of its accuracy "
            "less the other's over the instances, with the 95 % bootstrap interval; matched-pairs "
            "rank-biserial correlation (1: better wherever they differ).",
            *about_posterior(rope),
            *chosen.notes,
        ]
    )
    frame = told[[column.name for column in columns]]
    return Table(name, title, caption, columns, frame, data={"_exact": pairs})


def diagram(
    name: str,
    title: str,
    lead: str,
    table: pd.DataFrame,
    *,
    groups: pd.DataFrame,
    alpha: float,
    procedure: Procedure = "wilcoxon_holm",
    rope: float | None = None,
    notes: Sequence[str] = (),
) -> Drawing:
    """Return the critical-difference diagram of the methods of a table.

    Parameters
    ----------
    name, title : str
        Of the drawing.
    lead : str
        Sentences for the caption, on what the methods are.
    table : DataFrame of shape (n_instances, n_methods), float64 in [0, 1]
        Median accuracies; the index holds the labels of instances, the columns
        those of methods, each once.
    groups : DataFrame
        A row per method, `name` as in the columns of `table`, and what else is
        known; goes to ``<name>_groups.csv`` with the mean accuracy and its
        95 % bootstrap interval.
    alpha : float
        Significance level.
    procedure : {"wilcoxon_holm", "nemenyi", "paper_compat"}
        How pairs are tested.
    rope : float, optional
        Half-width of the region of practical equivalence, a fraction.
    notes : sequence of str
        Sentences on what was left out, for the caption.

    Returns
    -------
    drawing : Drawing
        Without a picture where the table cannot be compared; then `finding`
        says why.

    Raises
    ------
    ConfigError
        For a bad `alpha`, `procedure` or `rope`.
    IncompleteError
        For missing cells.
    """
    outcome = compared(table, alpha=alpha, procedure=procedure, rope=rope)
    told = " ".join([lead, *about_posterior(rope), *notes])
    data = {
        "": table.rename_axis(index="instance").reset_index(),
        "_groups": with_means(groups, table),
    }
    if isinstance(outcome, str):
        return Drawing(name, title, told, None, data, outcome)
    from imprint_bench.analysis.critical_difference import caption, draw

    comparison, pairs = outcome
    if rope is not None:
        told = f"{told} {sure_pairs(pairs, name)}"
    return Drawing(
        name,
        title,
        f"{caption(comparison)} {told}",
        draw(comparison),
        {**data, "_pairs": pairs},
        finding(comparison),
    )


def _choose(
    rows: pd.DataFrame,
    *,
    per: list[str] | None,
    where: Mapping[str, Any] | None,
    most: int,
    allow_incomplete: bool,
) -> _Chosen:
    """Return the accuracies of the best configuration of every group."""
    view = medians(rows, where=where, allow_incomplete=allow_incomplete)
    summary = summarize(view)
    if per is None:
        per = default_groups(summary)
    best = best_of_groups(summary, group_columns(summary, per))
    shown = best.head(most)
    lead = (
        "Each name stands for its configuration with the lowest average rank among all in view"
        if len(best) == len(shown)
        else f"The best {most} of {len(best)} groups are compared. Each name stands for its "
        "configuration with the lowest average rank among all in view"
    )
    names = group_labels(shown, per) if per else shown["label"].tolist()
    table = view.accuracy[shown.index].set_axis(names, axis=1)
    table.index = pd.Index(instance_labels(view.instances), name="instance")
    results = ["accuracy_mean", "accuracy_std", "average_rank", "n_instances"]
    groups = shown[["label", *results]].assign(name=names)
    return _Chosen(table, groups, lead, view.notes)

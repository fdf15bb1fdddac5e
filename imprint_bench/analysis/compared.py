"""A table of methods, all tested against each other: the pairs, the means, and a sentence."""

from typing import Annotated

import numpy as np
import pandas as pd

from imprint_bench.core.bayesian import N_SAMPLES, signed_rank_posteriors
from imprint_bench.core.bootstrap import mean_bootstraps
from imprint_bench.core.comparison import Comparison, Procedure
from imprint_bench.core.rank_tests import check_alpha
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import AtLeast

SURE = 0.95  # posterior probability from which a caption counts a pair
HalfWidth = Annotated[float, AtLeast(0.0)]


def compared(
    table: pd.DataFrame, *, alpha: float, procedure: Procedure, rope: float | None
) -> tuple[Comparison, pd.DataFrame] | str:
    """Test the columns of a table against each other; where that cannot be done, say why.

    Parameters
    ----------
    table : DataFrame of shape (n_instances, n_methods), float64 in [0, 1]
        Median accuracies; index and columns hold labels.
    alpha : float
        Significance level.
    procedure : {"wilcoxon_holm", "nemenyi", "paper_compat"}
        How pairs are tested.
    rope : float or None
        Half-width of the region of practical equivalence; None for no
        Bayesian comparison.

    Returns
    -------
    comparison : Comparison
    pairs : DataFrame
        A row per pair as `pairs_frame` makes it, then `mean_first`, `mean_second`
        with the ends `_low` and `_high` of their 95 % bootstrap intervals, and,
        with `rope`, `p_better`, `p_equivalent`, `p_worse` and `rope`.
    reason : str
        Instead of both: a sentence.

    Raises
    ------
    ConfigError
        For a bad `alpha`, `procedure` or `rope`.
    IncompleteError
        For missing cells.
    """
    from imprint_bench.analysis.critical_difference import compare_frame

    check_alpha(alpha)
    if rope is not None and not 0 <= rope < 1:
        raise ConfigError(
            f"rope: expected a half-width from 0 to 1 in accuracy (0.005: half a point), got {rope}"
            "; leave it out (null) for no Bayesian comparison."
        )
    if min(table.shape) < 2:
        return _too_few(table)
    try:
        comparison = compare_frame(table, alpha=alpha, procedure=procedure)
    except DataError as error:
        return f"Nothing was compared: {error}"
    return comparison, _pairs(comparison, table, rope)


def with_means(groups: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Return a row per method with its mean accuracy and the 95 % bootstrap interval of that.

    Parameters
    ----------
    groups : DataFrame
        `name` holds columns of `table`.
    table : DataFrame of shape (n_instances, n_methods)
        Where a number is not finite, there are no means.
    """
    scores = table.to_numpy(dtype=np.float64)
    if not np.isfinite(scores).all() or not table.columns.is_unique or not len(table):
        return groups
    low, high = mean_bootstraps(scores)
    means = pd.DataFrame(
        {"accuracy_mean": scores.mean(axis=0), "accuracy_low": low, "accuracy_high": high},
        index=table.columns,
    )
    theirs = means.loc[groups["name"]].set_index(groups.index)
    return groups.assign(**{str(name): theirs[name] for name in theirs})


def finding(comparison: Comparison) -> str:
    """Say in a sentence or two how many pairs differ."""
    from imprint_bench.analysis.diagram_caption import TESTS, cannot_differ

    differing = sum(pair.significant for pair in comparison.pairs)
    verb = "differs" if differing == 1 else "differ"
    lead = f"Of {len(comparison.pairs):,} pairs of these methods {differing:,} {verb} significantly"
    if len(comparison.pairs) == 1:
        lead = f"The two methods {'differ' if differing else 'do not differ'} significantly"
    said = (
        f"{lead} over the {comparison.n_instances:,} instances ({TESTS[comparison.procedure]}, "
        f"alpha {comparison.alpha:g})."
    )
    if not comparison.rejected and len(comparison.names) > 2:
        said += " The Friedman test finds no difference among them."
    if cannot_differ(comparison):
        said += " With so few instances and so many pairs the test cannot find any."
    return said


def about_posterior(rope: float | None) -> list[str]:
    """Return what a caption says of the Bayesian comparison, if there is one."""
    if rope is None:
        return []
    return [
        "Probabilities that the first of a pair is better, equivalent (within "
        f"{100 * rope:g} points) or worse: Bayesian signed-rank test, {N_SAMPLES:,} draws."
    ]


def _pairs(comparison: Comparison, table: pd.DataFrame, rope: float | None) -> pd.DataFrame:
    """Return the pairs with mean accuracies and, if asked for, posterior probabilities."""
    from imprint_bench.analysis.critical_difference import pairs_frame

    pairs = pairs_frame(comparison)
    scores = table.to_numpy(dtype=np.float64)
    low, high = mean_bootstraps(scores)
    means = pd.DataFrame(
        {"": scores.mean(axis=0), "_low": low, "_high": high}, index=table.columns.map(str)
    )
    for side in ("first", "second"):
        theirs = means.loc[pairs[side]].set_index(pairs.index)
        pairs = pairs.join(theirs.add_prefix(f"mean_{side}"))
    if rope is None:
        return pairs
    place = {str(name): j for j, name in enumerate(table)}
    first, second = (scores[:, pairs[side].map(place)] for side in ("first", "second"))
    found = signed_rank_posteriors(first, second, rope=rope)
    chances = pd.DataFrame(found, index=pairs.index).add_prefix("p_")
    return pairs.join(chances.assign(rope=rope))


def sure_pairs(pairs: pd.DataFrame, name: str) -> str:
    """Say for how many pairs the Bayesian comparison is sure, and where its numbers are."""
    better = int((pairs[["p_better", "p_worse"]].max(axis=1) >= SURE).sum())
    equivalent = int((pairs["p_equivalent"] >= SURE).sum())
    return (
        f"One is better with a probability of {SURE:g} or more in {better} of {len(pairs)} pairs, "
        f"and {equivalent} are as surely equivalent (p_better, p_equivalent and p_worse in "
        f"{name}_pairs.csv)."
    )


def _too_few(table: pd.DataFrame) -> str:
    n, k = table.shape
    return (
        "There is too little to test: that takes two configurations and two evaluation instances; "
        f"in view: {k} and {n}. What is compared is set by `per`."
    )

"""What comparing methods gives: plain records that tables and diagrams are made from."""

from dataclasses import dataclass
from typing import Literal

from imprint_bench.core.paired_tests import Distribution
from imprint_bench.core.rank_tests import Friedman

Procedure = Literal["wilcoxon_holm", "nemenyi", "paper_compat"]
Shown = Literal["gap", "bar", "label", "table"]


@dataclass(frozen=True)
class Pair:
    """Everything about two methods; `first` has the better (or equal) average rank.

    Attributes
    ----------
    p, adjusted_p : float
        Before and after the correction for all pairs. The Nemenyi test corrects
        by itself, so there both are the same.
    significant : bool
        `adjusted_p` is at most alpha, and the Friedman test rejected (with two
        methods there is nothing to test before, so that condition falls away).
    shown : {"gap", "bar", "label", "table"}
        How the diagram tells: significant and not joined; joined by a bar;
        identical and under one label; not significant, but only a table can say so.
    statistic, distribution
        As in `PairedTest`; for Nemenyi the difference of average ranks.
    wins, ties, losses, median_difference, interval_low, interval_high, rank_biserial
        As in `Effect`.
    """

    first: str
    second: str
    rank_first: float
    rank_second: float
    p: float
    adjusted_p: float
    significant: bool
    shown: Shown
    statistic: float
    distribution: Distribution
    wins: int
    ties: int
    losses: int
    median_difference: float
    interval_low: float
    interval_high: float
    rank_biserial: float


@dataclass(frozen=True)
class Comparison:
    """The outcome of comparing methods, all that a diagram or a table needs.

    Attributes
    ----------
    names : tuple of str
        Methods, best average rank first; equal ranks go by name.
    ranks : tuple of float
        Average rank of each, in that order.
    friedman : Friedman
        Test that all methods are alike.
    rejected : bool
        Whether that test rejected at `alpha`, so that pairs may differ.
    pairs : tuple of Pair
        All k (k - 1) / 2 pairs.
    groups : tuple of tuple of str
        Methods under one label: those with identical scores are merged.
    group_ranks : tuple of float
        Average rank of each group.
    bars : tuple of (int, int)
        First and last group of each bar. No two methods under a bar differ significantly.
    hidden : tuple of (str, str)
        Pairs that are not significant and that no bar and no label can show.
    n_instances : int
        Instances compared.
    alpha : float
        Significance level.
    procedure : {"wilcoxon_holm", "nemenyi", "paper_compat"}
        How pairs were tested.
    critical_difference : float or None
        Of average ranks, for the Nemenyi test only.
    dropped : tuple of str
        Instances left out because a method lacked them.
    """

    names: tuple[str, ...]
    ranks: tuple[float, ...]
    friedman: Friedman
    rejected: bool
    pairs: tuple[Pair, ...]
    groups: tuple[tuple[str, ...], ...]
    group_ranks: tuple[float, ...]
    bars: tuple[tuple[int, int], ...]
    hidden: tuple[tuple[str, str], ...]
    n_instances: int
    alpha: float
    procedure: Procedure
    critical_difference: float | None = None
    dropped: tuple[str, ...] = ()

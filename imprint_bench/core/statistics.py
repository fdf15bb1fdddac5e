"""Compare many methods on many instances: ranks, tests, and bars that keep their word."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import combinations
from typing import NamedTuple, get_args

import numpy as np
from numpy.typing import ArrayLike

from imprint_bench.core.cliques import cliques
from imprint_bench.core.comparison import Comparison, Pair, Procedure, Shown
from imprint_bench.core.multiple_testing import holm
from imprint_bench.core.paired_tests import (
    Effect,
    PairedTest,
    effect,
    identical,
    wilcoxon_pair,
)
from imprint_bench.core.rank_tests import (
    Friedman,
    as_floats,
    average_ranks,
    check_alpha,
    check_scores,
    dense_ranks,
    friedman,
    nemenyi_critical_difference,
    nemenyi_p,
)
from imprint_bench.errors import ConfigError, DataError, did_you_mean

__all__ = [
    "Comparison",
    "Effect",
    "Friedman",
    "Pair",
    "PairedTest",
    "average_ranks",
    "cliques",
    "compare",
    "dense_ranks",
    "effect",
    "friedman",
    "holm",
    "nemenyi_critical_difference",
    "nemenyi_p",
    "wilcoxon_pair",
]

Tests = dict[tuple[int, int], tuple[PairedTest, float]]  # positions: test, adjusted p


class _Ranking(NamedTuple):
    """Methods, best first, with the columns and ranks in the same order."""

    table: np.ndarray
    names: list[str]
    ranks: np.ndarray
    group: np.ndarray  # label under which each method stands, 0 = best
    heads: np.ndarray  # position of the first method of each group


def compare(
    scores: ArrayLike,
    names: Sequence[str],
    *,
    alpha: float = 0.05,
    instances: Sequence[str] | None = None,
    procedure: Procedure = "wilcoxon_holm",
) -> Comparison:
    """Rank methods, test them all against each other, and find the bars of the diagram.

    Parameters
    ----------
    scores : array_like of shape (n_instances, n_methods)
        Median accuracy of each method on each instance; higher is better.
        Neither the order of the rows nor that of the columns changes the outcome.
    names : sequence of str
        The methods, one per column.
    alpha : float
        Significance level of the Friedman test and of all pairs together.
    instances : sequence of str, optional
        The rows, for messages.
    procedure : {"wilcoxon_holm", "nemenyi", "paper_compat"}
        Wilcoxon tests with Holm's correction; or the Nemenyi test; or what the
        script published with the IMPRINT paper does: as the first, but with
        dense ranks, and identical methods called significantly different.

    Returns
    -------
    comparison : Comparison
        Where the Friedman test does not reject, no pair is significant and one
        bar joins all.

    Raises
    ------
    ConfigError
        For a bad `alpha` or `procedure`.
    DataError
        For fewer than two methods or instances, duplicate names, or a score
        that is no finite number.
    IncompleteError
        For missing cells (NaN).

    References
    ----------
    J. Demsar, JMLR 7, 2006; A. Benavoli, G. Corani and F. Mangili, "Should we
    really use post-hoc tests based on mean-ranks?", JMLR 17, 2016.

    Examples
    --------
    >>> scores = np.array([[3, 2, 2], [5, 4, 4], [9, 8, 8]])
    >>> compare(scores, ["a", "b", "c"]).groups
    (('a',), ('b', 'c'))
    """
    check_alpha(alpha)
    _check_procedure(procedure)
    table = as_floats(scores)
    columns = _names(names, "method", table.shape[1:2])
    rows = None if instances is None else _names(instances, "instance", table.shape[:1])
    ranking = _rank(check_scores(table, columns, rows), columns, procedure)
    overall = friedman(ranking.table)
    rejected = overall.p <= alpha
    tests = _test_pairs(ranking, procedure)
    # Two methods need no test before the one that compares them.
    decisive = rejected or len(columns) == 2
    differs = _decisions(tests, len(columns), alpha if decisive else -1.0)
    bars = cliques(ranking.ranks[ranking.heads], differs[np.ix_(ranking.heads, ranking.heads)])
    pairs = _records(ranking, tests, differs, bars)
    n_instances, n_methods = ranking.table.shape
    return Comparison(
        names=tuple(ranking.names),
        ranks=tuple(ranking.ranks.tolist()),
        friedman=overall,
        rejected=rejected,
        pairs=pairs,
        groups=_groups(ranking),
        group_ranks=tuple(ranking.ranks[ranking.heads].tolist()),
        bars=bars,
        hidden=tuple((pair.first, pair.second) for pair in pairs if pair.shown == "table"),
        n_instances=n_instances,
        alpha=float(alpha),
        procedure=procedure,
        critical_difference=(
            nemenyi_critical_difference(n_methods, n_instances, alpha)
            if procedure == "nemenyi"
            else None
        ),
    )


def _rank(table: np.ndarray, names: list[str], procedure: Procedure) -> _Ranking:
    """Order the methods by rank, then name; methods that are identical stand together."""
    published = procedure == "paper_compat"
    ranks = dense_ranks(table) if published else average_ranks(table)
    twin = names if published else _first_identical(table, names)
    order = sorted(range(len(names)), key=lambda j: (ranks[j], twin[j], names[j]))
    new = np.array([i == 0 or twin[j] != twin[order[i - 1]] for i, j in enumerate(order)])
    return _Ranking(
        table=table[:, order],
        names=[names[j] for j in order],
        ranks=ranks[order],
        group=np.cumsum(new) - 1,
        heads=np.flatnonzero(new),
    )


def _groups(ranking: _Ranking) -> tuple[tuple[str, ...], ...]:
    """Return the names under each label."""
    ends = [*ranking.heads[1:], len(ranking.names)]
    return tuple(
        tuple(ranking.names[start:end]) for start, end in zip(ranking.heads, ends, strict=True)
    )


def _first_identical(table: np.ndarray, names: list[str]) -> list[str]:
    """Return, for each method, the first name among those with the same scores."""
    first = list(names)
    for i, j in combinations(sorted(range(len(names)), key=lambda j: names[j]), 2):
        if first[j] == names[j] and identical(table[:, i], table[:, j]):
            first[j] = first[i]
    return first


def _test_pairs(ranking: _Ranking, procedure: Procedure) -> Tests:
    """Test all pairs of positions, and adjust the p-values for their number."""
    n, k = ranking.table.shape
    places = list(combinations(range(k), 2))
    if procedure == "nemenyi":
        gaps = np.array([ranking.ranks[j] - ranking.ranks[i] for i, j in places])
        p = nemenyi_p(gaps, n_methods=k, n_instances=n).tolist()
        tests = [
            PairedTest(value, gap, "studentized_range")
            for value, gap in zip(p, gaps.tolist(), strict=True)
        ]
        return dict(zip(places, zip(tests, p, strict=True), strict=True))
    tests = [wilcoxon_pair(ranking.table[:, i], ranking.table[:, j]) for i, j in places]
    if procedure == "paper_compat":
        tests = [replace(t, p=0.0) if t.distribution == "none" else t for t in tests]
    adjusted = holm([t.p for t in tests]).tolist()
    return dict(zip(places, zip(tests, adjusted, strict=True), strict=True))


def _decisions(tests: Tests, n_methods: int, limit: float) -> np.ndarray:
    """Return, as a symmetric table, which pairs have an adjusted p-value of at most `limit`."""
    differs = np.zeros((n_methods, n_methods), dtype=bool)
    for (i, j), (_, adjusted) in tests.items():
        differs[i, j] = differs[j, i] = adjusted <= limit
    return differs


def _records(
    ranking: _Ranking, tests: Tests, differs: np.ndarray, bars: tuple[tuple[int, int], ...]
) -> tuple[Pair, ...]:
    return tuple(
        Pair(
            first=ranking.names[i],
            second=ranking.names[j],
            rank_first=float(ranking.ranks[i]),
            rank_second=float(ranking.ranks[j]),
            adjusted_p=adjusted,
            significant=bool(differs[i, j]),
            shown=_shown(ranking.group[i], ranking.group[j], bars, differs=bool(differs[i, j])),
            **asdict(test),
            **asdict(effect(ranking.table[:, i], ranking.table[:, j])),
        )
        for (i, j), (test, adjusted) in tests.items()
    )


def _shown(first: int, second: int, bars: tuple[tuple[int, int], ...], *, differs: bool) -> Shown:
    """Tell how the diagram shows two methods, by the places of their groups."""
    if differs:
        return "gap"
    if first == second:
        return "label"
    joined = any(start <= first and second <= end for start, end in bars)
    return "bar" if joined else "table"


def _names(names: Sequence[str], noun: str, expected: tuple[int, ...]) -> list[str]:
    """Return `names` as a list of unique strings, one per row or column."""
    listed = [str(name) for name in names]
    twice = sorted({name for name in listed if listed.count(name) > 1})
    if twice:
        raise DataError(
            f"{noun} names: {twice[0]!r} stands there {listed.count(twice[0])} times; "
            "expected each once."
        )
    if expected and len(listed) != expected[0]:
        raise DataError(
            f"{noun} names: {len(listed)} for a table of {expected[0]}; expected one each."
        )
    return listed


def _check_procedure(procedure: str) -> None:
    known = get_args(Procedure)
    if procedure not in known:
        raise ConfigError(
            f"procedure: expected one of {', '.join(known)}, got {procedure!r}."
            + did_you_mean(procedure, known)
        )

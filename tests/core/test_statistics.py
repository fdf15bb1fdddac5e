import itertools
import re

import numpy as np
import pytest
import scipy.integrate
import scipy.special
import scipy.stats
from statsmodels.stats.multitest import multipletests

from imprint_bench.core.paired_tests import least_p
from imprint_bench.core.statistics import (
    average_ranks,
    cliques,
    compare,
    dense_ranks,
    effect,
    friedman,
    holm,
    nemenyi_critical_difference,
    nemenyi_p,
    wilcoxon_pair,
)
from imprint_bench.errors import ConfigError, DataError, ImprintError, IncompleteError
from imprint_bench.seeding import stream

# Demsar 2006, table 6: ranks of C4.5 as it is, with m, cf and both tuned, on 14 data sets.
DEMSAR = -np.array(
    [
        [4, 3, 2, 1],
        [1, 2, 3, 4],
        [4, 1, 2, 3],
        [4, 1, 3, 2],
        [4, 2, 3, 1],
        [1, 2.5, 4, 2.5],
        [3, 2, 4, 1],
        [2.5, 2.5, 4, 1],
        [4, 3, 2, 1],
        [2.5, 2.5, 2.5, 2.5],
        [4, 2.5, 1, 2.5],
        [3, 2, 4, 1],
        [4, 1, 2, 3],
        [3, 1, 4, 2],
    ]
)
C45 = ["C4.5", "C4.5+m", "C4.5+cf", "C4.5+m+cf"]


def near(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-15)


def table(seed, n=20, k=5, decimals=2, spread=0.02):
    rng = np.random.default_rng(seed)
    scores = 0.8 + 0.03 * rng.normal(size=(n, 1)) - spread * np.arange(k)
    return np.round(scores + 0.03 * rng.normal(size=(n, k)), decimals)


# Ranks and Friedman


def test_average_ranks_are_those_of_demsars_example():
    assert average_ranks(DEMSAR).round(3).tolist() == [3.143, 2.0, 2.893, 1.964]


def test_ranks_of_ties_are_shared_or_dense():
    scores = [[0.9, 0.9, 0.8, 0.7], [0.5, 0.6, 0.6, 0.6]]
    assert average_ranks(scores).tolist() == [2.75, 1.75, 2.5, 3.0]
    assert dense_ranks(scores).tolist() == [1.5, 1.0, 1.5, 2.0]


def test_numbers_that_differ_by_rounding_only_tie():
    scores = [[0.1 + 0.2, 0.3], [0.5, 0.5]]
    assert scores[0][0] != scores[0][1]
    assert average_ranks(scores).tolist() == [1.5, 1.5]
    assert dense_ranks(scores).tolist() == [1.0, 1.0]


@pytest.mark.parametrize("seed", range(5))
def test_average_ranks_are_those_of_scipy(seed):
    scores = table(seed)
    expected = scipy.stats.rankdata(-scores, axis=1).mean(axis=0)
    np.testing.assert_allclose(average_ranks(scores), expected, rtol=1e-15)


@pytest.mark.parametrize("decimals", [1, 2, 8])
@pytest.mark.parametrize("k", [3, 4, 12])
def test_friedman_is_that_of_scipy(k, decimals):
    scores = table(k, k=k, decimals=decimals)
    expected = scipy.stats.friedmanchisquare(*scores.T)
    result = friedman(scores)
    assert (result.chi2, result.p) == near((expected.statistic, expected.pvalue))


@pytest.mark.parametrize("decimals", [2, 8])
def test_iman_davenport_is_the_analysis_of_variance_of_the_ranks(decimals):
    ranks = scipy.stats.rankdata(-table(3, decimals=decimals), axis=1)
    n, k = ranks.shape
    methods = n * np.square(ranks.mean(axis=0) - ranks.mean()).sum() / (k - 1)
    rest = ranks - ranks.mean(axis=0) - ranks.mean(axis=1, keepdims=True) + ranks.mean()
    f = methods / (np.square(rest).sum() / ((n - 1) * (k - 1)))
    result = friedman(table(3, decimals=decimals))
    assert result.iman_davenport_f == near(f)
    assert result.iman_davenport_p == near(scipy.stats.f.sf(f, k - 1, (n - 1) * (k - 1)))


def test_friedman_of_demsars_example():
    n, k = DEMSAR.shape
    uncorrected = 12 * n / (k * (k + 1)) * (np.square(average_ranks(DEMSAR)).sum() - k * 6.25)
    assert uncorrected == pytest.approx(9.28, abs=0.005)  # as printed, as is the next
    assert (n - 1) * uncorrected / (n * (k - 1) - uncorrected) == pytest.approx(3.69, abs=0.005)
    squares = np.square(-DEMSAR).sum()  # ties take from n k (k + 1) (2 k + 1) / 6
    correction = (squares - n * k * 6.25) / (n * k * (k * k - 1) / 12)
    assert friedman(DEMSAR).chi2 == near(uncorrected / correction)


def test_friedman_of_two_methods_is_the_sign_test_without_continuity_correction():
    scores = np.array([[0.9, 0.8]] * 9 + [[0.7, 0.8]] * 3 + [[0.5, 0.5]])
    assert friedman(scores).chi2 == near((9 - 3) ** 2 / (9 + 3))


def test_friedman_of_equal_and_of_perfectly_ordered_methods():
    equal = friedman(np.full((4, 3), 0.5))
    assert (equal.chi2, equal.p, equal.iman_davenport_p) == (0, 1, 1)
    ordered = friedman(np.tile([0.9, 0.8, 0.7], (10, 1)))
    assert ordered.chi2 == pytest.approx(20)
    assert ordered.iman_davenport_f == np.inf
    assert ordered.iman_davenport_p == 0


# Wilcoxon


@pytest.mark.parametrize("n", range(1, 11))
def test_the_exact_distribution_is_that_of_all_signs(n):
    rng = np.random.default_rng(n)
    ranks = np.arange(1, n + 1)
    signs = rng.choice([-1, 1], size=n)
    total = n * (n + 1) // 2
    positive = np.array(list(itertools.product([0, 1], repeat=n))) @ ranks
    statistic = min(ranks[signs > 0].sum(), ranks[signs < 0].sum())
    result = wilcoxon_pair(rng.permutation(signs * ranks), np.zeros(n))
    assert (result.statistic, result.distribution) == (statistic, "exact")
    assert result.p == near(np.mean(np.minimum(positive, total - positive) <= statistic))


@pytest.mark.parametrize("n", [4, 25, 50])
def test_the_exact_test_is_that_of_scipy(n):
    a, b = np.random.default_rng(n).random((2, n))
    expected = scipy.stats.wilcoxon(a, b, method="exact")
    result = wilcoxon_pair(a, b)
    assert result.distribution == "exact"
    assert (result.statistic, result.p) == near(tuple(expected))


@pytest.mark.parametrize(("n", "decimals"), [(51, 9), (12, 1), (30, 1), (40, 2), (200, 2)])
def test_the_normal_approximation_is_that_of_scipy(n, decimals):
    # Whole numbers: scipy finds no ties between differences that carry rounding errors.
    a, b = np.rint(np.random.default_rng(n).random((2, n)) * 10**decimals)
    expected = scipy.stats.wilcoxon(
        a, b, zero_method="pratt", correction=False, method="asymptotic"
    )
    result = wilcoxon_pair(a, b)
    assert result.distribution == "normal"
    assert (result.statistic, result.p) == near(tuple(expected))


def test_a_zero_or_a_tie_or_many_instances_rule_out_the_exact_distribution():
    zeros = np.zeros(51)
    assert wilcoxon_pair([1, 2, 3, 4], zeros[:4]).distribution == "exact"
    assert wilcoxon_pair([0, 2, 3, 4], zeros[:4]).distribution == "normal"
    assert wilcoxon_pair([1, 2, -2, 4], zeros[:4]).distribution == "normal"
    assert wilcoxon_pair(np.arange(1.0, 51), zeros[:50]).distribution == "exact"
    assert wilcoxon_pair(np.arange(1.0, 52), zeros).distribution == "normal"


def test_ties_that_rounding_hides_are_found():
    a, b = np.array([0.9, 0.8, 0.7, 0.95]), np.array([0.8, 0.7, 0.5, 0.6])
    assert len(set(a - b)) == 4
    assert wilcoxon_pair(a, b).distribution == "normal"


@pytest.mark.parametrize("n", range(2, 9))
def test_no_difference_has_a_smaller_p_value_than_the_least(n):
    clear = [wilcoxon_pair(gains, np.zeros(n)).p for gains in (np.ones(n), np.arange(1.0, n + 1))]
    assert min(clear) == near(least_p(n))
    found = itertools.product([-1, 0, 1, 2], repeat=min(n, 5))
    assert all(wilcoxon_pair(x, np.zeros(len(x))).p >= least_p(len(x)) - 1e-15 for x in found)


def test_identical_methods_do_not_differ():
    result = wilcoxon_pair([0.5, 0.6], [0.5, 0.6])
    assert (result.p, result.statistic, result.distribution) == (1.0, 0.0, "none")


def test_wilcoxon_does_not_see_which_method_comes_first():
    a, b = table(1, k=2).T
    assert wilcoxon_pair(a, b) == wilcoxon_pair(b, a)


@pytest.mark.parametrize("decimals", [1, 2])
def test_the_type_1_error_on_tied_data_stays_near_its_nominal_level(decimals):
    rng = np.random.default_rng(0)
    a, b = np.round(0.8 + 0.08 * rng.normal(size=(2, 1000, 12)), decimals)
    rate = np.mean([wilcoxon_pair(x, y).p <= 0.05 for x, y in zip(a, b, strict=True)])
    assert 0.02 <= rate <= 0.06


# Corrections


@pytest.mark.parametrize("n", [0, 1, 2, 6, 190])
def test_holm_is_that_of_statsmodels(n):
    p = np.round(np.random.default_rng(n).random(n) ** 4, 3)
    expected = multipletests(p, method="holm")[1] if n else []
    np.testing.assert_allclose(holm(p), expected, rtol=1e-12)


def test_holm_adjusts_equal_p_values_equally():
    assert holm([0.02, 0.01, 0.02, 0.02]).tolist() == near([0.06, 0.04, 0.06, 0.06])


@pytest.mark.parametrize(
    ("k", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (7, 2.949), (10, 3.164)]
)
def test_nemenyi_critical_values_are_those_of_demsars_table_5(k, q):
    unit = np.sqrt(k * (k + 1) / (6 * 30))
    assert nemenyi_critical_difference(k, 30) == pytest.approx(q * unit, abs=1.1e-3 * unit)


@pytest.mark.parametrize(("k", "q"), [(2, 1.0), (3, 2.0), (5, 3.5), (12, 4.5), (30, 6.0)])
def test_nemenyi_p_values_are_the_integral_of_the_studentized_range(k, q):
    # The range of k standard normal numbers: one is the lowest, the others lie above it.
    def density(z):
        inside = scipy.special.ndtr(z + q) - scipy.special.ndtr(z)
        return k * scipy.stats.norm.pdf(z) * inside ** (k - 1)

    expected, _ = scipy.integrate.quad(density, -12, 12, epsabs=1e-13, epsrel=1e-13, limit=200)
    difference = q * np.sqrt(k * (k + 1) / (12 * 40))
    result = nemenyi_p(difference, n_methods=k, n_instances=40)
    assert result == pytest.approx(1 - expected, abs=1e-10)


@pytest.mark.parametrize("alpha", [0.001, 0.05, 0.1])
@pytest.mark.parametrize("k", [2, 7, 30])
def test_the_nemenyi_critical_difference_is_the_quantile_of_scipys_studentized_range(k, alpha):
    quantile = scipy.stats.studentized_range.ppf(1 - alpha, k, np.inf)
    expected = quantile / np.sqrt(2) * np.sqrt(k * (k + 1) / (6 * 48))  # Demsar's formula
    assert nemenyi_critical_difference(k, 48, alpha) == near(expected)


def test_nemenyi_p_values_fit_the_critical_difference():
    cd = nemenyi_critical_difference(6, 40, alpha=0.01)
    p = nemenyi_p([0.0, cd, -cd, 100], n_methods=6, n_instances=40)
    assert p == pytest.approx([1, 0.01, 0.01, 0], abs=1e-9)


def test_nemenyi_p_values_are_those_of_scikit_posthocs():
    from scikit_posthocs import posthoc_nemenyi_friedman

    scores = table(0, decimals=9)
    expected = posthoc_nemenyi_friedman(scores).to_numpy()
    result = compare(scores, list("01234"), procedure="nemenyi")
    for pair in result.pairs:
        assert pair.p == near(expected[int(pair.first), int(pair.second)])


# Effects


def test_effects_of_a_hand_sized_example():
    result = effect([5, 5, 5, 5, 5], [4, 3, 5, 8, 1])  # differences 1 2 0 -3 4; ranks 2 3 1 4 5
    assert (result.wins, result.ties, result.losses) == (3, 1, 1)
    assert result.median_difference == 1
    assert result.rank_biserial == near((2 + 3 + 5 - 4) / 14)
    assert (result.interval_low, result.interval_high) == (-3, 4)


def test_the_bootstrap_interval_is_that_of_plain_resampling():
    a, b = table(2, n=30, k=2, decimals=6).T
    rng = np.random.default_rng(5)
    medians = np.median(rng.choice(a - b, size=(20_000, 30)), axis=1)
    result = effect(a, b)
    low, high = np.quantile(medians, [0.025, 0.975])
    assert (result.interval_low, result.interval_high) == pytest.approx((low, high), abs=1e-3)
    assert result.interval_low <= result.median_difference <= result.interval_high


@pytest.mark.parametrize("n", [2, 7, 48])
def test_the_bootstrap_interval_is_that_of_a_loop_over_the_same_draws(n):
    a, b = table(n, n=n, k=2, decimals=6).T
    rng, gains = stream(3, "bootstrap", n), np.sort(a - b)
    draws = [rng.integers(n, size=(1000, n), dtype=np.int32) for _ in range(10)]
    medians = [np.median(gains[places]) for draw in draws for places in draw]
    result = effect(a, b, seed=3)
    expected = np.quantile(medians, [0.025, 0.975]).tolist()
    assert [result.interval_low, result.interval_high] == near(expected)


def test_the_bootstrap_interval_is_that_of_scipy():
    a, b = table(6, n=45, k=2, decimals=8).T
    expected = scipy.stats.bootstrap(
        (a - b,), np.median, method="percentile", n_resamples=20_000, rng=0
    ).confidence_interval
    result = effect(a, b)
    assert (result.interval_low, result.interval_high) == pytest.approx(tuple(expected), abs=2e-3)


@pytest.mark.parametrize("decimals", [1, 2, 9])
@pytest.mark.parametrize("n", [3, 20, 60])
def test_rank_biserial_is_what_scipys_ranks_give(n, decimals):
    a, b = np.rint(np.random.default_rng(n).random((2, n)) * 10**decimals)
    gains = a - b
    ranks = np.where(gains == 0, 0, scipy.stats.rankdata(np.abs(gains)))
    expected = (ranks[gains > 0].sum() - ranks[gains < 0].sum()) / ranks.sum()
    assert effect(a, b).rank_biserial == near(expected)
    assert effect(a, b).median_difference == near(np.median(gains))


def test_the_bootstrap_repeats_itself_and_depends_on_the_seed():
    a, b = np.random.default_rng(0).random((2, 400))
    assert effect(a, b) == effect(a[::-1], b[::-1])
    assert effect(a, b) != effect(a, b, seed=1)


def test_rank_biserial_is_one_for_a_clean_sweep():
    assert effect([2, 3, 4], [1, 1, 1]).rank_biserial == 1
    assert effect([1, 1, 1], [2, 3, 4]).rank_biserial == -1
    assert effect([1, 1], [1, 1]).rank_biserial == 0


# Bars


def brute_force_runs(differs):
    k = len(differs)
    good = [
        (i, j) for i in range(k) for j in range(i + 1, k) if not differs[i : j + 1, i : j + 1].any()
    ]
    return tuple(
        (i, j) for i, j in good if not any((p, q) != (i, j) and p <= i and j <= q for p, q in good)
    )


@pytest.mark.parametrize("seed", range(40))
def test_cliques_are_the_maximal_runs_that_brute_force_finds(seed):
    rng = np.random.default_rng(seed)
    k = int(rng.integers(1, 9))
    differs = np.triu(rng.random((k, k)) < rng.choice([0.0, 0.1, 0.3, 0.7, 1.0]), 1)
    differs |= differs.T
    assert cliques(np.arange(k), differs) == brute_force_runs(differs)


def test_a_pair_that_no_bar_can_show_is_hidden():
    # "wild" wins big on 12 of 40 instances and loses less on the others: for Wilcoxon a draw
    # with both others, but third in rank. "steady" always beats "middle" by a little.
    noise = np.linspace(0, 0.05, 40)
    wild = np.where(np.arange(40) < 12, 0.5, -0.3) + noise
    scores = np.c_[np.full(40, 0.01), noise / 100, wild]
    result = compare(scores, ["steady", "middle", "wild"])
    assert result.names == ("steady", "middle", "wild")
    assert result.bars == ((1, 2),)
    assert result.hidden == (("steady", "wild"),)
    shown = {(p.first, p.second): p.shown for p in result.pairs}
    assert shown == {
        ("steady", "middle"): "gap",
        ("middle", "wild"): "bar",
        ("steady", "wild"): "table",
    }


# The whole comparison


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("procedure", ["wilcoxon_holm", "nemenyi", "paper_compat"])
def test_every_pair_is_shown_as_it_is(seed, procedure):
    scores = table(seed, k=8, spread=0.01)
    scores[:, 3] = scores[:, 1]
    result = compare(scores, list("abcdefgh"), procedure=procedure)
    place = {name: g for g, names in enumerate(result.groups) for name in names}
    assert sorted(place) == list("abcdefgh")
    assert list(result.ranks) == sorted(result.ranks)
    assert len(result.pairs) == 28
    for pair in result.pairs:
        one, two = sorted((place[pair.first], place[pair.second]))
        joined = any(first <= one and two <= last for first, last in result.bars)
        assert pair.rank_first <= pair.rank_second
        assert pair.p <= pair.adjusted_p
        assert not (pair.significant and joined)
        assert pair.significant == (result.rejected and pair.adjusted_p <= 0.05)
        assert pair.significant == (pair.shown == "gap")
        assert (pair.shown == "table") == ((pair.first, pair.second) in result.hidden)


def test_pairs_are_those_of_scipy_and_statsmodels():
    scores = table(0, n=30, k=6, decimals=9)
    names = list("abcdef")
    result = compare(scores, names)
    expected = [
        scipy.stats.wilcoxon(*(scores[:, names.index(x)] for x in (p.first, p.second))).pvalue
        for p in result.pairs
    ]
    assert [p.p for p in result.pairs] == near(expected)
    adjusted = multipletests(expected, method="holm")[1]
    assert [p.adjusted_p for p in result.pairs] == near(adjusted.tolist())


def test_demsars_example_by_the_nemenyi_test():
    result = compare(DEMSAR, C45, alpha=0.1, procedure="nemenyi")
    assert result.critical_difference == pytest.approx(1.12, abs=0.005)  # as printed
    differing = {frozenset((p.first, p.second)) for p in result.pairs if p.significant}
    assert differing == {frozenset(("C4.5", "C4.5+m")), frozenset(("C4.5", "C4.5+m+cf"))}


def test_neither_the_order_of_rows_nor_of_columns_matters():
    scores = table(4, k=6, decimals=1)
    scores[:, 2] = scores[:, 5]
    names = np.array(list("abcdef"))
    rng = np.random.default_rng(0)
    expected = compare(scores, names)
    for _ in range(5):
        rows, columns = rng.permutation(len(scores)), rng.permutation(6)
        assert compare(scores[rows][:, columns], names[columns]) == expected


def test_identical_methods_share_a_label_and_do_not_differ():
    scores = table(5, k=3, spread=0.1)
    scores = np.c_[scores, scores[:, 0]]
    result = compare(scores, ["mean + max", "other", "last", "mean + 1-nn"])
    assert result.groups[0] == ("mean + 1-nn", "mean + max")
    pair = next(p for p in result.pairs if p.shown == "label")
    assert (pair.p, pair.adjusted_p, pair.significant, pair.ties) == (1, 1, False, 20)


def test_paper_compat_has_dense_ranks_and_tells_identical_methods_apart():
    scores = table(5, k=3, spread=0.1)
    scores = np.c_[scores, scores[:, 0]]
    names = ["a", "b", "c", "a again"]
    result = compare(scores, names, procedure="paper_compat")
    assert result.groups == (("a",), ("a again",), ("b",), ("c",))
    assert result.ranks[0] < compare(scores, names).ranks[0]
    assert (result.pairs[0].p, result.pairs[0].significant) == (0, True)


def test_where_friedman_does_not_reject_one_bar_joins_all():
    result = compare(table(1, k=5, spread=0.0), list("abcde"))
    assert result.friedman.p > 0.05
    assert not result.rejected
    assert result.bars == ((0, 4),)
    assert not any(p.significant for p in result.pairs)
    assert result.hidden == ()


def test_two_methods_are_compared_by_wilcoxon_alone():
    # 9 wins to 4 are no proof for the sign test, but the losses are tiny.
    gains = np.r_[np.arange(5, 14), -np.arange(1, 5)] / 100
    result = compare(np.c_[0.5 + gains, np.full(13, 0.5)], ["new", "old"])
    assert not result.rejected
    assert result.pairs[0].significant
    assert result.bars == ()


def test_all_scores_equal_gives_one_label():
    result = compare(np.full((5, 3), 0.5), list("abc"))
    assert result.groups == (("a", "b", "c"),)
    assert result.bars == ()
    assert result.friedman.p == 1


def test_arguments_are_not_modified():
    scores = table(0)
    before = scores.copy()
    compare(scores, list("abcde"))
    np.testing.assert_array_equal(scores, before)


# Mistakes


ONE_GAP = [[0.5, 0.6], [0.7, float("nan")], [0.1, 0.2]]


@pytest.mark.parametrize(
    ("scores", "names", "instances", "kind", "message"),
    [
        ([[0.5], [0.6]], ["a"], None, DataError, "1 method; a comparison needs at least two"),
        ([[0.5, 0.6]], ["a", "b"], None, DataError, "1 instance; a comparison needs at least two"),
        ([[0.5, 0.6]] * 2, ["a", "a"], None, DataError, "method names: 'a' stands there 2 times"),
        ([[0.5, 0.6]] * 2, ["a"], None, DataError, "method names: 1 for a table of 2"),
        ([[0.5, 0.6]] * 2, ["a", "b"], ["i", "i"], DataError, "instance names: 'i' stands there 2"),
        ([0.5, 0.6], ["a", "b"], None, DataError, "1 dimensions"),
        ([[0.5, 0.6], [0.5]], ["a", "b"], None, DataError, "not a table of numbers"),
        ([["x", "y"]] * 2, ["a", "b"], None, DataError, "not a table of numbers"),
        ([[0.5, float("inf")]] * 2, ["a", "b"], ["i", "j"], DataError, "b on i; b on j"),
        (ONE_GAP, ["a", "b"], ["i", "j", "l"], IncompleteError, "1 cell of 6 (b on j)"),
        (ONE_GAP, ["a", "b"], None, IncompleteError, "1 cell of 6 (b on row 1)"),
        (
            np.full((4, 2), np.nan),
            ["a", "b"],
            None,
            IncompleteError,
            "b on row 1; a on row 2; and 3",
        ),
    ],
)
def test_a_bad_table_gets_one_sentence(scores, names, instances, kind, message):
    with pytest.raises(kind, match=re.escape(message)) as caught:
        compare(scores, names, instances=instances)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("alpha", [0, 1, -0.1, 5, float("nan"), "0.05", True, None])
def test_a_bad_alpha_gets_one_sentence(alpha):
    with pytest.raises(ConfigError, match=r"^alpha: expected a number between 0 and 1, got "):
        compare(DEMSAR, C45, alpha=alpha)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare(DEMSAR, C45, procedure="nemeny"), "Did you mean 'nemenyi'?"),
        (lambda: nemenyi_critical_difference(1, 5), "1 method on 5 instances"),
        (lambda: holm([0.1, 1.5]), "between 0 and 1, got 1.5"),
        (lambda: holm([0.1, float("nan")]), "got nan"),
        (lambda: wilcoxon_pair([1, 2], [1]), "shapes (2,) and (1,)"),
        (lambda: wilcoxon_pair([], []), "shapes (0,) and (0,)"),
        (lambda: effect([1, float("nan")], [1, 2]), "NaN or infinite"),
        (lambda: cliques([2, 1], np.zeros((2, 2))), "expected ascending ranks"),
        (lambda: friedman([[1, 2]]), "1 instance;"),
    ],
)
def test_a_bad_argument_gets_one_sentence(call, message):
    with pytest.raises(ImprintError, match=re.escape(message)):
        call()

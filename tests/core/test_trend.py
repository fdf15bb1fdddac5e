from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from imprint_bench.core.trend import (
    Correlation,
    fit_line,
    flips,
    kendall,
    mean_interval,
    spearman,
    spearman_test,
)
from imprint_bench.errors import DataError


def near(expected):
    return pytest.approx(expected, rel=1e-12, abs=1e-15)


def pairs_of_numbers(seed, n=40):
    """Return two vectors that go together a little, one with many ties."""
    rng = np.random.default_rng(seed)
    a = rng.integers(0, max(2, n // 5), n).astype(float)
    return a, (0.1 * a + rng.normal(size=n)).round(1)


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_of_a_mean_is_that_of_students_t(confidence):
    x = np.random.default_rng(0).normal(size=10)
    mean, margin = mean_interval(x, confidence=confidence)
    low, high = stats.t.interval(confidence, df=9, loc=x.mean(), scale=stats.sem(x))
    assert (mean - margin, mean + margin) == near((low, high))


def test_one_value_has_no_interval():
    mean, margin = mean_interval([3.0])
    assert mean == 3.0
    assert np.isnan(margin)


@pytest.mark.parametrize("n", [6, 10, 40, 400])
def test_spearman_with_ties_is_that_of_scipy(n):
    a, b = pairs_of_numbers(n, n)
    assert tuple(spearman_test(a, b)) == near(tuple(stats.spearmanr(a, b)))
    assert spearman(a, b) == spearman_test(a, b).rho
    assert spearman_test(a, -a) == Correlation(-1.0, 0.0)


def test_two_points_have_a_correlation_but_no_p_value():
    rho, p = spearman_test([1, 2], [5, 3])
    assert rho == -1
    assert np.isnan(p)


@pytest.mark.parametrize("n", [6, 10, 40, 300])
def test_kendalls_tau_with_ties_is_that_of_scipy(n):
    a, b = pairs_of_numbers(n + 3, n)
    assert kendall(a, b) == near(stats.kendalltau(a, b).statistic)
    assert kendall(b, b) == 1
    assert kendall(b, -b) == -1


@pytest.mark.parametrize("order", list(permutations([1, 2, 3, 4])))
def test_every_order_of_four_is_that_of_scipy(order):
    assert kendall(range(4), order) == near(stats.kendalltau(range(4), order).statistic)
    expected = stats.spearmanr(range(4), order)
    assert tuple(spearman_test(range(4), order)) == near(tuple(expected))


def test_kendalls_tau_by_hand():
    # Of six pairs four agree, one disagrees, and one ties in the second: 3 / sqrt(6 * 5).
    assert kendall([1, 2, 3, 4], [1, 3, 2, 3]) == near(3 / np.sqrt(30))


@pytest.mark.parametrize("seed", range(5))
def test_a_fitted_line_is_that_of_scipy(seed):
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 9, 50) + 1e3 * (seed == 4)
    y = 0.3 * x + rng.normal(size=50)
    expected = stats.linregress(x, y)
    result = fit_line(x, y)
    assert result.slope == near(expected.slope)
    assert result.intercept == pytest.approx(expected.intercept, rel=1e-12, abs=1e-9 * (seed == 4))
    assert result.r_squared == near(expected.rvalue**2)


def test_a_fitted_line_by_hand():
    # Means 1 and 2; products of deviations 1 + 0 + 2 = 3 over squares 2; explained 3^2 / (2 * 6).
    assert tuple(fit_line([0, 1, 2], [1, 1, 4])) == near((1.5, 0.5, 0.75))


def test_a_level_line_explains_nothing_that_could_be_explained():
    slope, intercept, r_squared = fit_line([1, 2, 3], [0.1 + 0.2, 0.3, 0.3])
    assert (slope, intercept) == pytest.approx((0, 0.3), abs=1e-12)
    assert np.isnan(r_squared)


UNDEFINED = [
    ([1, 1, 1], [1, 2, 3]),
    ([0.1 + 0.2, 0.3, 0.3], [1, 2, 3]),  # equal but for rounding
    ([1], [2]),
    ([], []),
    ([1, 2, np.nan], [1, 2, 3]),
    ([1, 2, 3], [1, np.inf, 3]),
]


@pytest.mark.parametrize(("a", "b"), UNDEFINED)
def test_what_is_undefined_is_nan(a, b):
    assert np.isnan(fit_line(a, b)).all()
    assert np.isnan(spearman_test(a, b)).all()
    assert np.isnan([spearman(a, b), kendall(a, b)]).all()


def test_what_never_changes_has_no_correlation():
    assert np.isnan([spearman([1, 2, 3], [5, 5, 5]), kendall([1, 2, 3], [5, 5, 5])]).all()


def test_values_that_differ_by_rounding_only_tie():
    a, b = [0.1 + 0.2, 0.3, 0.5], [2, 1, 3]
    assert a[0] > a[1]
    assert spearman(a, b) == spearman([0, 0, 1], b)
    assert kendall(a, b) == kendall([0, 0, 1], b)
    assert flips(a, [1, 2, 3]) == []


@pytest.mark.parametrize("seed", range(4))
def test_flips_and_agreeing_pairs_make_kendalls_tau(seed):
    a, b = np.random.default_rng(seed).permuted(np.tile(np.arange(12.0), (2, 1)), axis=1)
    assert kendall(a, b) == near(1 - 2 * len(flips(a, b)) / 66)
    assert all(i < j and (a[i] - a[j]) * (b[i] - b[j]) < 0 for i, j in flips(a, b))


def test_flips_by_hand():
    assert flips([3, 1, 2], [1, 2, 2]) == [(0, 1), (0, 2)]  # the tie of the last two is no flip
    assert flips([1, 2], [1, 2]) == flips([], []) == []


@pytest.mark.parametrize("function", [fit_line, spearman, spearman_test, kendall, flips])
@pytest.mark.parametrize(("a", "b"), [([1, 2], [1]), ([[1, 2]], [[1, 2]]), (3, 4)])
def test_points_that_do_not_match_get_one_sentence(function, a, b):
    with pytest.raises(DataError, match=r"^points: shapes .*; expected two vectors of one length"):
        function(a, b)


def test_flips_of_missing_values_get_one_sentence():
    with pytest.raises(DataError, match=r"^flips: some values are NaN or infinite"):
        flips([1, np.nan], [1, 2])

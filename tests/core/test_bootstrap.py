import numpy as np
import pytest
from scipy import stats

from imprint_bench.core.bootstrap import drawn_instances, mean_bootstrap, mean_bootstraps
from imprint_bench.errors import DataError


@pytest.fixture
def accuracies():
    return 0.8 + 0.1 * np.random.default_rng(0).normal(size=(48, 5))


@pytest.mark.parametrize("n", [2, 5, 48])
@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_is_that_of_a_loop_over_the_same_draws(accuracies, n, confidence):
    values = accuracies[:n, 0]
    means = [np.mean(values[resample]) for resample in drawn_instances(n, 3).T]
    expected = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])
    result = mean_bootstrap(values, confidence=confidence, seed=3)
    np.testing.assert_allclose(result, expected, rtol=1e-12)


def test_the_interval_is_that_of_scipy(accuracies):
    values = np.exp(5 * accuracies[:, 0])  # skewed, so that its ends lie at different distances
    expected = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=20_000, rng=0
    ).confidence_interval
    error = 0.03 * (expected.high - expected.low)
    assert tuple(mean_bootstrap(values)) == pytest.approx(tuple(expected), abs=error)


def test_with_two_instances_the_interval_by_hand():
    # Means of resamples: 0 in a quarter of them, 1/2 in a half, 1 in a quarter.
    assert mean_bootstrap([0.0, 1.0]) == (0, 1)
    assert mean_bootstrap([0.0, 1.0], confidence=0.4) == (0.5, 0.5)


def test_draws_are_even():
    draws = drawn_instances(10, 0)
    assert draws.shape == (10, 10_000)
    assert stats.chisquare(np.bincount(draws.ravel(), minlength=10)).pvalue > 0.001


def test_the_methods_of_a_table_share_one_draw(accuracies):
    low, high = mean_bootstraps(accuracies)
    for j, column in enumerate(accuracies.T):
        assert mean_bootstrap(column) == (low[j], high[j])


def test_the_interval_repeats_itself_and_depends_on_the_seed(accuracies):
    values = accuracies[:, 0]
    assert mean_bootstrap(values) == mean_bootstrap(values.copy())
    assert mean_bootstrap(values) != mean_bootstrap(values, seed=1)


def test_a_mean_without_spread_has_an_interval_without_width():
    assert tuple(mean_bootstrap([0.1] * 7)) == pytest.approx((0.1, 0.1), rel=1e-15)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_one_instance_says_nothing_about_others(values):
    assert np.isnan(mean_bootstrap(values)).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mean_bootstrap([0.5, float("nan")]), "some values are NaN or infinite"),
        (lambda: mean_bootstraps([[0.5, float("inf")]]), "some values are NaN or infinite"),
        (lambda: mean_bootstrap([[0.5]]), "2 dimensions; expected a vector"),
        (lambda: mean_bootstraps([0.5]), "1 dimensions; expected a table"),
    ],
)
def test_bad_values_get_one_sentence(call, message):
    with pytest.raises(DataError, match=f"^bootstrap: {message}"):
        call()

import numpy as np
import pytest
from scipy import stats

from imprint_bench.core.trend import mean_interval, spearman


@pytest.mark.parametrize("confidence", [0.9, 0.95])
def test_the_interval_of_a_mean_is_that_of_students_t(confidence):
    x = np.random.default_rng(0).normal(size=10)
    mean, margin = mean_interval(x, confidence=confidence)
    low, high = stats.t.interval(confidence, df=9, loc=x.mean(), scale=stats.sem(x))
    assert (mean - margin, mean + margin) == pytest.approx((low, high), rel=1e-12)


def test_one_value_has_no_interval():
    mean, margin = mean_interval([3.0])
    assert mean == 3.0
    assert np.isnan(margin)


def test_spearman_with_ties_is_that_of_scipy():
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 4, 40), rng.normal(size=40).round(1)
    assert spearman(a, b) == pytest.approx(stats.spearmanr(a, b).statistic, rel=1e-12)
    assert spearman(a, -a) == -1


def test_what_never_changes_has_no_correlation():
    assert np.isnan(spearman([1, 2, 3], [5, 5, 5]))

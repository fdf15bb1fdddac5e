import numpy as np
import pytest
from scipy.spatial.distance import cdist

from imprint_bench.core.generators.selection import (
    covariance_maximizers,
    every_row,
    farthest_points,
    random_rows,
)
from imprint_bench.core.generators.synthesis import mean_row


def farthest_by_definition(X, k, first):
    picked = [first]
    while len(picked) < k:
        gap = cdist(X.astype(np.float64), X[picked].astype(np.float64)).min(axis=1)
        gap[picked] = -1
        picked.append(int(gap.argmax()))
    return X[picked]


def first_draw(seed, n):
    return int(np.random.default_rng(seed).integers(n))


def test_all_are_the_rows_in_their_order():
    X = np.arange(6.0).reshape(3, 2)
    np.testing.assert_array_equal(every_row(X), X)


def test_random_rows_are_the_first_of_one_permutation():
    X = np.arange(50.0)[:, None]
    order = np.random.default_rng(4).permutation(50)
    proxies = random_rows(X, k=7, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(proxies.ravel(), order[:7])


def test_mean_is_summed_in_float64():
    X = np.full((4_000, 1), 0.1, dtype=np.float32)
    X[0] = 1e6
    exact = X.astype(np.float64).mean()
    assert mean_row(X)[0, 0] == np.float32(exact)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_cov_max_picks_the_largest_column_sums_of_the_covariance_matrix(dtype):
    X = np.random.default_rng(0).gamma(2, size=(200, 16)).astype(dtype)
    sums = np.cov(X.astype(np.float64)).sum(axis=0)
    np.testing.assert_array_equal(covariance_maximizers(X, k=9), X[np.argsort(-sums)[:9]])


def test_cov_max_gives_ties_to_the_lowest_index():
    X = np.array([[0.0, 1.0], [5.0, 6.0], [7.0, 8.0]])  # equal after centering over features
    np.testing.assert_array_equal(covariance_maximizers(X, k=2), X[:2])


@pytest.mark.parametrize("offset", [0, 100])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_fps_picks_what_the_definition_picks(dtype, offset):
    X = (np.random.default_rng(5).normal(size=(300, 6)) + offset).astype(dtype)
    proxies = farthest_points(X, k=40, rng=np.random.default_rng(8))
    np.testing.assert_array_equal(proxies, farthest_by_definition(X, 40, first_draw(8, 300)))


def test_fps_sees_differences_that_float32_products_do_not():
    near = np.array([[0.0], [1.0], [1.0 + 2**-23]], dtype=np.float32)
    X = np.hstack([near, np.zeros((3, 63), dtype=np.float32)])
    seed = next(s for s in range(100) if first_draw(s, 3) == 0)
    proxies = farthest_points(X, k=2, rng=np.random.default_rng(seed))
    np.testing.assert_array_equal(proxies[:, 0], near[[0, 2], 0])


def test_fps_gives_ties_to_the_lowest_index_and_repeats_no_row_before_it_must():
    X = np.array([[0.0], [2.0], [-2.0], [0.0], [2.0]])
    seed = next(s for s in range(100) if first_draw(s, 5) == 0)
    proxies = farthest_points(X, k=5, rng=np.random.default_rng(seed))
    assert proxies.ravel().tolist() == [0.0, 2.0, -2.0, 0.0, 2.0]


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_fps_works_where_float32_products_vanish_or_overflow(scale):
    X = np.random.default_rng(5).normal(size=(50, 6)) * scale
    proxies = farthest_points(X, k=9, rng=np.random.default_rng(8))
    np.testing.assert_array_equal(proxies, farthest_by_definition(X, 9, first_draw(8, 50)))


def test_fps_takes_one_number_from_its_stream():
    rng, other = np.random.default_rng(2), np.random.default_rng(2)
    farthest_points(np.eye(9), k=4, rng=rng)
    other.integers(9)
    assert rng.bit_generator.state == other.bit_generator.state

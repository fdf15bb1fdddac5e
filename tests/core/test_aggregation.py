import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.spatial.distance import cdist
from sklearn.neighbors import KNeighborsClassifier

from imprint_bench.core.aggregation import max_inner_product, nearest_neighbors, predict
from imprint_bench.core.distances import (
    METRICS,
    Scaled,
    euclidean,
    euclidean_from_inner,
    mahalanobis,
)
from imprint_bench.core.normalization import l2_normalize

LABELS = np.repeat([0, 1, 2], [5, 8, 7])


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(200, 6)), rng.normal(size=(20, 6))


def test_max_takes_the_best_proxy_of_each_class():
    proxies = np.array([[1.0, 0.0], [0.0, 3.0], [2.0, 2.0]])
    scores = max_inner_product(np.array([[1.0, 1.0]]), proxies, np.array([0, 0, 1]))
    np.testing.assert_array_equal(scores, [[3.0, 4.0]])


@pytest.mark.parametrize("weighting", ["distance", "uniform"])
@pytest.mark.parametrize("m", [1, 3, 5, 20])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_mnn_agrees_with_scikit_learn(points, metric, m, weighting):
    queries, proxies = points
    knn = KNeighborsClassifier(m, metric=metric, weights=weighting, algorithm="brute")
    expected = knn.fit(proxies, LABELS).predict_proba(queries)
    votes = nearest_neighbors(queries, proxies, LABELS, m=m, metric=metric, weighting=weighting)
    shares = votes / votes.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(shares, expected, atol=1e-8)


def test_mahalanobis_agrees_with_scipy(points):
    queries, proxies = points
    covariance = np.cov(proxies, rowvar=False) + 1e-6 * np.eye(6)
    expected = cdist(queries, proxies, "mahalanobis", VI=np.linalg.inv(covariance))
    np.testing.assert_allclose(mahalanobis(queries, proxies), expected, rtol=1e-9)


def test_mahalanobis_needs_no_full_rank():
    rng = np.random.default_rng(0)
    queries, proxies = rng.normal(size=(5, 40)), rng.normal(size=(4, 40))
    covariance = np.cov(proxies, rowvar=False) + 1e-6 * np.eye(40)
    expected = cdist(queries, proxies, "mahalanobis", VI=np.linalg.inv(covariance))
    np.testing.assert_allclose(mahalanobis(queries, proxies), expected, rtol=1e-6)


@given(arrays.arrays(np.float32, (12, 5), elements=st.integers(-3, 3).map(np.float32)))
@settings(deadline=None)
def test_max_equals_one_nearest_neighbor_on_normalized_proxies(X):
    queries, proxies = X[:6].astype(float), l2_normalize(X[6:].astype(float) + 0.25)
    labels = np.array([0, 0, 1, 1, 2, 2])
    by_max = predict(max_inner_product(queries, proxies, labels))
    by_nearest = predict(nearest_neighbors(queries, proxies, labels, m=1, weighting="uniform"))
    np.testing.assert_array_equal(by_max, by_nearest)


@given(
    arrays.arrays(np.float64, (8, 2), elements=st.integers(-2, 2).map(float)),
    arrays.arrays(np.float64, (7, 2), elements=st.integers(-2, 2).map(float)),
    st.integers(1, 7),
)
@settings(deadline=None)
def test_ties_between_neighbors_go_to_the_lowest_class(queries, proxies, m):
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    votes = nearest_neighbors(queries, proxies, labels, m=m, weighting="uniform")
    for query, counted in zip(queries, votes, strict=True):
        squares = ((proxies - query) ** 2).sum(axis=1)
        nearest = sorted(range(7), key=lambda j: (squares[j], j))[:m]  # Python sorts stably
        np.testing.assert_array_equal(counted, np.bincount(labels[nearest], minlength=3))


def test_equal_scores_go_to_the_lowest_class_even_when_rounding_parts_them():
    third = 0.1 + 0.2  # 0.30000000000000004
    np.testing.assert_array_equal(predict(np.array([[0.3, third], [-third, -0.3]])), [0, 0])


def test_all_proxies_vote_when_there_are_fewer_than_m(points):
    queries, proxies = points
    many = nearest_neighbors(queries, proxies, LABELS, m=50)
    np.testing.assert_array_equal(many, nearest_neighbors(queries, proxies, LABELS, m=20))


def test_a_query_on_a_proxy_is_at_distance_zero_of_it(points):
    _, proxies = points
    far = proxies + 1e4  # where |q|^2 + |p|^2 - 2 q p has lost every digit of a small distance
    np.testing.assert_array_equal(euclidean(far, far).diagonal(), np.zeros(20))
    np.testing.assert_allclose(euclidean(far, far), cdist(far, far), atol=1e-9)


def test_one_product_serves_scaled_rows(points):
    queries, proxies = points
    q, p = np.linspace(0.5, 2, 200), np.linspace(3, 1, 20)
    expected = cdist(queries * q[:, None], proxies * p[:, None])
    inner = queries @ proxies.T
    before = inner.copy()
    found = euclidean_from_inner(inner, Scaled.of(queries, q), Scaled.of(proxies, p))
    np.testing.assert_allclose(found, expected, rtol=1e-10)
    np.testing.assert_array_equal(inner, before)


@pytest.mark.parametrize("name", sorted(METRICS))
def test_every_metric_is_a_distance_in_float64(name, points):
    queries, proxies = points
    found = METRICS[name].distance(queries.astype(np.float32), proxies.astype(np.float32))
    assert found.dtype == np.float64
    assert found.shape == (200, 20)
    assert (found >= 0).all()

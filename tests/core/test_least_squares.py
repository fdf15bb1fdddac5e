import numpy as np
import pytest

from imprint_bench.core.generators.kmeans import cluster
from imprint_bench.core.generators.least_squares import (
    k_least_squares,
    k_least_squares_many_k,
    least_squares,
    second_moment,
)
from imprint_bench.errors import ConfigError, DataError

SEED = 17121997


@pytest.fixture
def task() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat([0, 1, 2], [50, 70, 31]))
    X = rng.normal(size=(len(y), 12)) + 3 * rng.normal(size=(3, 12))[y]
    return X.astype(np.float32), y


def test_second_moment_is_summed_in_blocks():
    X = np.random.default_rng(1).normal(size=(20_000, 3)).astype(np.float32)
    exact = X.astype(np.float64).T @ X.astype(np.float64) / len(X)
    np.testing.assert_allclose(second_moment(X), exact, rtol=1e-12)


def test_weights_solve_the_equation(task):
    X, y = task[0].astype(np.float64), task[1]
    means = np.stack([X[y == c].mean(axis=0) for c in range(3)])
    expected = means @ np.linalg.inv(X.T @ X / len(X) + 0.01 * np.eye(12)) / 3
    proxies, labels = least_squares(X, y, weight_decay=0.01)
    np.testing.assert_allclose(proxies, expected, rtol=1e-9)
    assert labels.tolist() == [0, 1, 2]


def test_weights_are_those_of_the_form_in_the_paper(task):
    X, y = task[0].astype(np.float64), task[1]
    center = X.mean(axis=0)
    total = np.cov(X.T, bias=True) + np.outer(center, center)
    means = np.stack([X[y == c].mean(axis=0) for c in range(3)])
    expected = np.linalg.solve(total + 1e-4 * np.eye(12), means.T).T / 3
    np.testing.assert_allclose(least_squares(X, y, weight_decay=1e-4)[0], expected, rtol=1e-9)


def test_weights_minimize_the_ridge_loss_of_balanced_classes():
    rng = np.random.default_rng(2)
    y = np.repeat([0, 1], 40)
    X = rng.normal(size=(80, 5)) + y[:, None]
    targets = np.eye(2)[y]

    def loss(W):
        return ((X @ W.T - targets) ** 2).sum() / 80 + 0.1 * (W**2).sum()

    W, _ = least_squares(X, y, weight_decay=0.1)
    for _ in range(20):
        assert loss(W) < loss(W + 1e-3 * rng.normal(size=W.shape))


def test_one_cluster_for_each_class_is_least_squares_to_the_last_bit(task):
    plain, labels = least_squares(*task, weight_decay=1e-4)
    split, split_labels = k_least_squares(*task, k=1, weight_decay=1e-4, seed=SEED)
    assert plain.tobytes() == split.tobytes()
    np.testing.assert_array_equal(labels, split_labels)


def test_clusters_are_classes_to_k_least_squares(task):
    X, y = task
    groups = np.empty(len(y), dtype=int)
    for c in range(3):
        groups[y == c] = 4 * c + cluster(X[y == c], k=4, seed=SEED).labels
    expected, _ = least_squares(X, groups, weight_decay=0.05)
    proxies, labels = k_least_squares(X, y, k=4, weight_decay=0.05, seed=SEED)
    assert proxies.tobytes() == expected.tobytes()
    assert labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_a_class_of_fewer_than_k_rows_gives_one_proxy_for_each():
    X, y = np.eye(5), np.array([1, 0, 0, 0, 1])
    proxies, labels = k_least_squares(X, y, k=3, weight_decay=0.0, seed=SEED)
    assert labels.tolist() == [0, 0, 0, 1, 1]
    np.testing.assert_allclose(proxies.sum(axis=0), np.ones(5), atol=1e-12)


def test_many_k_equal_one_k_to_the_last_bit(task):
    many = k_least_squares_many_k(*task, ks=[1, 2, 5, 40], weight_decay=0.1, seed=SEED)
    for k, (proxies, labels) in many.items():
        one, one_labels = k_least_squares(*task, k=k, weight_decay=0.1, seed=SEED)
        assert proxies.tobytes() == one.tobytes()
        np.testing.assert_array_equal(labels, one_labels)


def test_the_order_of_the_rows_does_not_matter(task):
    X, y = task
    order = np.random.default_rng(3).permutation(len(y))
    shuffled, _ = least_squares(X[order], y[order], weight_decay=1e-4)
    np.testing.assert_allclose(shuffled, least_squares(X, y, weight_decay=1e-4)[0], rtol=1e-5)


def test_too_few_rows_without_weight_decay_are_refused():
    X = np.random.default_rng(4).normal(size=(4, 9))
    message = r"^gen\.least_squares\.weight_decay: with 0\.0 .* 4 embeddings of length 9 are sing"
    with pytest.raises(DataError, match=message):
        least_squares(X, np.array([0, 0, 1, 1]), weight_decay=0.0)


def test_a_negative_weight_decay_is_refused(task):
    message = r"^gen\.k_least_squares\.weight_decay: expected a float of at least 0, got -1\.0\.$"
    with pytest.raises(ConfigError, match=message):
        k_least_squares(*task, k=2, weight_decay=-1.0, seed=SEED)

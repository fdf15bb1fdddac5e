import warnings

import numpy as np
import pytest
from sklearn.cluster import KMeans, kmeans_plusplus

from imprint_bench.core.generators import kmeans as module
from imprint_bench.core.generators.centered import center
from imprint_bench.core.generators.kmeans import cluster, cluster_many, kmeans
from imprint_bench.core.generators.kmeans_steps import plus_plus, trials
from imprint_bench.core.generators.synthesis import mean_row

SEED = 17121997


def reference(X, k, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # says when there are fewer distinct rows than clusters
        return KMeans(n_clusters=k, random_state=seed).fit(X.astype(np.float64))


def assert_equal_to_scikit_learn(X, k, seed):
    ours, theirs = cluster(X, k=k, seed=seed), reference(X, k, seed)
    np.testing.assert_array_equal(ours.labels, theirs.labels_)
    size = np.abs(X).max()
    np.testing.assert_allclose(ours.centers, theirs.cluster_centers_, rtol=0, atol=1e-10 * size)
    assert ours.n_iter == theirs.n_iter_


@pytest.fixture
def no_fallback(monkeypatch):
    """Forbid scikit-learn to compute what is compared with scikit-learn."""

    def refuse(*_, **__):
        pytest.fail("scikit-learn was asked")

    monkeypatch.setattr(module, "_by_scikit_learn", refuse)


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize("seed", [SEED, 123987, 12412312])
@pytest.mark.parametrize("k", [2, 3, 7, 8, 20])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_labels_and_centers_are_those_of_scikit_learn(dtype, k, seed):
    rng = np.random.default_rng(seed + k)
    X = np.maximum(rng.normal(size=(500, 24)) + rng.normal(size=24), 0).astype(dtype)
    assert_equal_to_scikit_learn(X, k, seed)


@pytest.mark.usefixtures("no_fallback")
@pytest.mark.parametrize("normalized", [False, True])
@pytest.mark.parametrize("digit", [1, 4])
def test_labels_and_centers_are_those_of_scikit_learn_on_digits(shared_data, digit, normalized):
    raw = shared_data / "MNIST" / "raw"
    pixels = np.fromfile(raw / "train-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 784)
    labels = np.fromfile(raw / "train-labels-idx1-ubyte", np.uint8, offset=8)
    X = (pixels[labels == digit] / 255).astype(np.float32)
    if normalized:
        X /= np.linalg.norm(X, axis=1, keepdims=True)
    for k in (2, 5, 20):
        assert_equal_to_scikit_learn(X, k, SEED)


def test_far_from_the_origin_the_result_is_still_that_of_scikit_learn():
    X = (np.random.default_rng(0).normal(size=(300, 8)) + 1000).astype(np.float32)
    assert_equal_to_scikit_learn(X, 6, SEED)


@pytest.mark.parametrize("scale", [1e-30, 1e30])
def test_beyond_the_range_of_float32_products_the_result_is_still_that_of_scikit_learn(scale):
    assert_equal_to_scikit_learn(np.random.default_rng(0).normal(size=(90, 5)) * scale, 4, SEED)


@pytest.mark.parametrize("seed", range(10))
def test_ties_and_empty_clusters_are_decided_as_by_scikit_learn(seed):
    grid = np.stack(np.meshgrid(np.arange(4.0), np.arange(4.0)), axis=-1).reshape(-1, 2)
    assert_equal_to_scikit_learn(grid, 5, seed)
    assert_equal_to_scikit_learn(np.repeat(grid[:3], 4, axis=0), 5, seed)


def test_equal_rows_are_clustered_as_by_scikit_learn():
    assert_equal_to_scikit_learn(np.ones((6, 3), dtype=np.float32), 3, SEED)


def test_as_many_clusters_as_rows_are_the_rows_in_the_order_of_scikit_learn():
    X = np.random.default_rng(1).normal(size=(12, 3))
    assert_equal_to_scikit_learn(X, 12, SEED)
    assert sorted(cluster(X, k=12, seed=SEED).labels) == list(range(12))


def test_fewer_rows_than_clusters_are_clusters_of_their_own():
    X = np.random.default_rng(1).normal(size=(3, 2)).astype(np.float32)
    found = cluster(X, k=5, seed=SEED)
    assert found.labels.tolist() == [0, 1, 2]
    np.testing.assert_array_equal(found.centers, X)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_one_cluster_is_the_mean_to_the_last_bit(dtype):
    X = np.random.default_rng(1).normal(size=(1000, 7)).astype(dtype)
    assert kmeans(X, k=1, seed=SEED).tobytes() == mean_row(X).tobytes()
    np.testing.assert_allclose(
        cluster(X, k=1, seed=SEED).centers, reference(X, 1, SEED).cluster_centers_, atol=1e-12
    )


def test_many_k_equal_one_k_to_the_last_bit():
    X = np.random.default_rng(2).normal(size=(400, 10)).astype(np.float32)
    ks = [1, 2, 3, 5, 7, 8, 10, 20, 400, 401]
    for k, found in cluster_many(X, ks=ks, seed=SEED).items():
        one = cluster(X, k=k, seed=SEED)
        assert found.centers.tobytes() == one.centers.tobytes()
        np.testing.assert_array_equal(found.labels, one.labels)


@pytest.mark.parametrize("k", [2, 7, 8, 20, 21, 54, 55])
def test_first_centers_are_those_that_scikit_learn_picks(k):
    data = center(np.random.default_rng(3).normal(size=(300, 9)))
    _, expected = kmeans_plusplus(data.rows, k, random_state=SEED)
    found = plus_plus(data, n_picks=k, n_trials=trials(k), seed=SEED)
    np.testing.assert_array_equal(found, expected)


def test_a_rotation_and_a_shift_move_the_centers_along():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(300, 6)) + 4 * rng.integers(0, 3, size=(300, 1))
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    moved = kmeans(X @ turn + 7, k=3, seed=SEED)
    np.testing.assert_allclose(moved, kmeans(X, k=3, seed=SEED) @ turn + 7, atol=1e-10)

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from imprint_bench.core.generators import kmedoids as module
from imprint_bench.core.generators.kmedoids import (
    BUILD_SKLEARN_EXTRA,
    kmedoids,
    kmedoids_many_k,
)
from imprint_bench.core.generators.pairwise import Distances
from imprint_bench.errors import ConfigError


def as_rows(proxies: np.ndarray) -> list[list[float]]:
    return sorted(proxies.tolist())


@pytest.fixture(scope="module")
def digits(shared_data) -> np.ndarray:
    raw = shared_data / "MNIST" / "raw"
    pixels = np.fromfile(raw / "t10k-images-idx3-ubyte", np.uint8, offset=16).reshape(-1, 784)
    labels = np.fromfile(raw / "t10k-labels-idx1-ubyte", np.uint8, offset=8)
    return (pixels[labels == 3] / 255).astype(np.float32)


def test_distances_are_symmetric_and_zero_on_the_diagonal():
    X = np.random.default_rng(0).normal(size=(600, 5)).astype(np.float32) + 50
    exact = cdist(X.astype(np.float64), X.astype(np.float64))
    found = Distances(X)
    np.testing.assert_allclose(found.exact, exact, atol=1e-7)
    for distances in (found.single, found.exact):
        np.testing.assert_array_equal(distances, distances.T)
        np.testing.assert_array_equal(np.diag(distances), 0)
    assert (np.abs(found.single - exact) <= found.error[:, None]).all()
    assert found.error.max() < 0.1


def by_definition(X, k):
    """The alternation in the plainest words."""
    distances = cdist(X, X)
    medoids = np.argsort(distances.sum(axis=1).round(9), kind="stable")[:k]
    while True:
        before, labels = medoids.copy(), distances[medoids].argmin(axis=0)
        for c in range(k):
            rows = np.flatnonzero(labels == c)
            if medoids[c] in rows:
                sums = distances[np.ix_(rows, rows)].sum(axis=1).round(9)
                if sums.min() < sums[rows == medoids[c]][0]:
                    medoids[c] = rows[sums.argmin()]
        if (medoids == before).all():
            return X[medoids]


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(2, 4), st.booleans())
@settings(max_examples=200, deadline=None)
def test_medoids_obey_the_definition(seed, k, length, repeats):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rng.integers(8, 60), length)).astype(np.float32)
    if repeats:  # rows at distance zero, of which float32 knows nothing
        X = X[rng.integers(len(X), size=len(X))]
    np.testing.assert_array_equal(kmedoids(X, k=k), by_definition(X.astype(np.float64), k))


def test_medoids_obey_the_definition_on_real_embeddings(digits):
    X = digits[:500]
    for k in (1, 2, 5, 20):
        np.testing.assert_array_equal(kmedoids(X, k=k), by_definition(X.astype(np.float64), k))


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_rows_of_any_length_have_medoids(scale):
    X = np.random.default_rng(3).normal(size=(50, 4))
    np.testing.assert_array_equal(kmedoids(scale * X, k=4), scale * kmedoids(X, k=4))


def test_the_medoid_of_one_cluster_has_the_smallest_sum_of_distances():
    X = np.random.default_rng(1).normal(size=(101, 4))
    best = cdist(X, X).sum(axis=1).argmin()
    np.testing.assert_array_equal(kmedoids(X, k=1), X[[best]])


def test_a_medoid_that_no_row_of_its_cluster_beats_stays():
    X = np.array([[0.0], [1.0], [10.0], [11.0]])  # in each pair, both are equally central
    assert as_rows(kmedoids(X, k=2)) == [[1.0], [10.0]]


def test_equal_rows_are_allowed():
    assert kmedoids(np.ones((5, 2)), k=3).tolist() == [[1.0, 1.0]] * 3


def test_no_swap_with_a_row_of_its_own_cluster_lowers_the_cost_at_the_end(digits):
    proxies = kmedoids(digits, k=5)
    distances = cdist(digits.astype(np.float64), proxies.astype(np.float64))
    labels = distances.argmin(axis=1)
    for j in range(5):
        members = digits[labels == j].astype(np.float64)
        least = cdist(members, members).sum(axis=0).min()
        assert distances[labels == j, j].sum() == pytest.approx(least)


def test_all_k_share_one_matrix_of_distances(monkeypatch):
    made = []

    class Counted(Distances):
        def __init__(self, X):
            made.append(X)
            super().__init__(X)

    monkeypatch.setattr(module, "Distances", Counted)
    kmedoids_many_k(np.random.default_rng(2).normal(size=(30, 3)), ks=[1, 2, 5, 30])
    assert len(made) == 1


@pytest.mark.filterwarnings("ignore")  # those of scikit-learn-extra are not ours to mend
def test_medoids_are_those_of_scikit_learn_extra(digits, needed):
    needed("sklearn_extra.cluster", BUILD_SKLEARN_EXTRA)
    for k in (1, 2, 5, 20):
        theirs = kmedoids(digits, k=k, backend="sklearn_extra")
        assert as_rows(kmedoids(digits, k=k)) == as_rows(theirs)


def test_fasterpam_is_repeatable_and_no_worse_than_the_alternation(digits, needed):
    needed("kmedoids", "pip install kmedoids")

    def cost(proxies):
        return cdist(digits, proxies).min(axis=1).sum()

    for k in (2, 10):
        found = kmedoids(digits, k=k, method="fasterpam")
        assert found.tobytes() == kmedoids(digits, k=k, method="fasterpam").tobytes()
        assert cost(found) <= cost(kmedoids(digits, k=k)) + 1e-9


def test_fasterpam_finds_the_best_pair_of_medoids(needed):
    needed("kmedoids", "pip install kmedoids")
    X = np.random.default_rng(3).normal(size=(25, 2))
    distances = cdist(X, X)
    best = min(np.minimum(distances[i], distances[j]).sum() for i in range(25) for j in range(i))
    found = cdist(X, kmedoids(X, k=2, method="fasterpam")).min(axis=1).sum()
    assert found == pytest.approx(best)


@pytest.mark.parametrize("error", [ImportError, ValueError])
def test_an_unusable_scikit_learn_extra_is_answered_with_the_command(monkeypatch, error):
    def refuse(name, *rest):
        if name.startswith("sklearn_extra"):
            raise error("numpy.dtype size changed")
        return original(name, *rest)

    original = __import__
    monkeypatch.setattr("builtins.__import__", refuse)
    with pytest.raises(ConfigError, match="--no-binary scikit-learn-extra"):
        kmedoids(np.eye(4), k=2, backend="sklearn_extra")


def test_a_missing_kmedoids_is_answered_with_the_command(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "kmedoids", None)
    with pytest.raises(ConfigError, match="pip install kmedoids"):
        kmedoids(np.eye(4), k=2, method="fasterpam")


def test_fasterpam_does_not_exist_in_scikit_learn_extra():
    with pytest.raises(ConfigError, match="use method=alternate, or backend=imprint_bench"):
        kmedoids(np.eye(4), k=2, method="fasterpam", backend="sklearn_extra")

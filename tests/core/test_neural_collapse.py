import numpy as np
import pytest

from imprint_bench.core.neural_collapse import nc1, nc1_as_published, nc2, nc3, nc4, vci
from imprint_bench.errors import DataError


def covariances(X, y):
    """Return Sigma_W and Sigma_B by the definition, for balanced classes."""
    means = np.stack([X[y == c].mean(axis=0) for c in np.unique(y)])
    within = sum(np.outer(x - means[c], x - means[c]) for x, c in zip(X, y, strict=True)) / len(X)
    between = sum(np.outer(m - X.mean(0), m - X.mean(0)) for m in means) / len(means)
    return within, between


@pytest.fixture
def blobs() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(4), 30)
    return rng.normal(size=(120, 10)) + 2 * rng.normal(size=(4, 10))[y], y


@pytest.fixture
def simplex() -> tuple[np.ndarray, np.ndarray]:
    """Return fully collapsed embeddings: five rows on each corner of a simplex."""
    return np.repeat(np.eye(4), 5, axis=0) + 3.0, np.repeat(np.arange(4), 5)


def test_nc1_is_the_trace_in_the_definition(blobs):
    X, y = blobs
    within, between = covariances(X, y)
    expected = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / 4
    assert nc1(X, y) == pytest.approx(expected, rel=1e-9)


def test_nc1_of_two_pairs_by_hand():
    # Variance 1 within, 9 between, two classes: 1 / 9 / 2.
    X = np.array([[-4.0], [-2.0], [2.0], [4.0]])
    assert nc1(X, np.array([0, 0, 1, 1])) == pytest.approx(1 / 18)


def test_nc1_does_not_see_where_the_origin_is(blobs):
    X, y = blobs
    assert nc1(X + 100, y) == pytest.approx(nc1(X, y), rel=1e-9)
    assert nc1(X + 1e6, y) == pytest.approx(nc1(X, y), rel=1e-6)


def test_nc1_does_not_see_a_rotation_a_scale_or_the_order(blobs):
    X, y = blobs
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(10, 10)))[0]
    order = np.random.default_rng(2).permutation(len(y))
    assert nc1(5 * X[order] @ turn, y[order]) == pytest.approx(nc1(X, y), rel=1e-9)


def test_nc1_weighs_classes_equally(blobs):
    X, y = blobs
    more = np.concatenate([np.arange(120), np.flatnonzero(y == 1)])
    assert nc1(X[more], y[more]) == pytest.approx(nc1(X, y), rel=1e-9)


def test_nc1_takes_float32_and_any_labels(blobs):
    X, y = blobs
    assert nc1(X.astype(np.float32), 7 * y - 3) == pytest.approx(nc1(X, y), rel=1e-5)


def test_nc1_as_published_centers_on_the_difference_of_means(blobs):
    X, y = blobs
    _, between = covariances(X, y)
    means = np.stack([X[y == c].mean(axis=0) for c in range(4)])
    wrong = X - (means[y] - X.mean(axis=0))
    expected = np.trace(wrong.T @ wrong / len(X) @ np.linalg.pinv(between, rcond=1e-10)) / 4
    assert nc1_as_published(X, y) == pytest.approx(expected, rel=1e-9)
    assert nc1_as_published(X + 100, y) > 100 * nc1_as_published(X, y)


def test_more_classes_than_features_are_allowed():
    rng = np.random.default_rng(3)
    y = np.repeat(np.arange(9), 20)
    X = rng.normal(size=(180, 3)) + rng.normal(size=(9, 3))[y]
    within, between = covariances(X, y)
    assert nc1(X, y) == pytest.approx(np.trace(within @ np.linalg.inv(between)) / 9)


def test_full_collapse_has_its_values(simplex):
    X, y = simplex
    centered = np.eye(4) - 1 / 4
    assert nc1(X, y) == pytest.approx(0, abs=1e-20)
    assert nc2(X, y) == pytest.approx((0, 0), abs=1e-12)
    assert nc3(X, y, 17 * centered) == pytest.approx(0, abs=1e-20)
    assert nc3(X, y, -centered) == pytest.approx(4)
    assert nc4(X, y, np.eye(4)) == 1
    assert vci(X, y) == pytest.approx(0, abs=1e-12)


def test_nc2_by_hand():
    # Means (1, 0), (0, 1), (-1, -1) around 0: lengths 1, 1, sqrt 2; cosines 0, -r, -r.
    X, r = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]), 0.5**0.5
    found = nc2(X, np.arange(3))
    lengths = np.array([1, 1, 2**0.5])
    assert found.equinorm == pytest.approx(lengths.std() / lengths.mean())
    assert found.equiangle == pytest.approx((0.5 + 2 * (r - 0.5)) / 3)


def test_nc4_counts_the_rows_on_which_head_and_means_agree(blobs):
    X, y = blobs
    means = np.stack([X[y == c].mean(axis=0) for c in range(4)])
    assert nc4(X, y, means, -(means**2).sum(axis=1) / 2) == 1
    head = np.random.default_rng(4).normal(size=(4, 10))
    nearest = ((X[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert nc4(X, y, head) == ((X @ head.T).argmax(axis=1) == nearest).mean()


def test_vci_is_the_trace_in_the_definition_and_sees_no_linear_map(blobs):
    X, y = blobs
    within, between = covariances(X, y)
    expected = 1 - np.trace(between @ np.linalg.pinv(within + between)) / 3
    assert vci(X, y) == pytest.approx(expected)
    warp = np.random.default_rng(5).normal(size=(10, 10))
    assert vci(X @ warp + 3, y) == pytest.approx(vci(X, y))


def test_vci_allows_features_that_are_always_zero(blobs):
    X, y = blobs
    assert vci(np.hstack([X, np.zeros((120, 3))]), y) == pytest.approx(vci(X, y))


def test_without_any_difference_between_classes_nothing_has_collapsed():
    X, y = np.array([[0.0], [2.0], [0.0], [2.0]]), np.array([0, 0, 1, 1])
    assert nc1(X, y) == nc1_as_published(X, y) == np.inf
    assert vci(X, y) == 1
    assert np.isnan(nc2(X, y)).all()


@pytest.mark.parametrize("measure", [nc1, nc1_as_published, nc2, vci])
def test_one_class_is_refused(measure):
    with pytest.raises(
        DataError, match=r"^neural collapse: 1 class among 3 rows; needs at least 2"
    ):
        measure(np.eye(3), np.zeros(3, dtype=int))


def test_a_head_of_another_shape_is_refused(blobs):
    with pytest.raises(DataError, match=r"weights of shape \(3, 10\); .* shape \(4, 10\)"):
        nc3(*blobs, np.ones((3, 10)))

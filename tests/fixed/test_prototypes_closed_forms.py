"""Closed forms: simplices, cross-polytope, orthogonal simplices, polygon; and word vectors."""

import numpy as np
import pytest

from imprint_bench.fixed.core.cosine_blocks import cosine_blocks
from imprint_bench.fixed.core.geometry import certify
from imprint_bench.fixed.core.prototype_set import build_prototypes
from imprint_bench.fixed.core.prototypes.simplex import kasarla


def recursion(k):
    """Return P_k of Kasarla et al., by definition."""
    if k == 1:
        return np.array([[1.0, -1.0]])
    below = np.sqrt(1 - 1 / k**2) * recursion(k - 1)
    top = np.concatenate([[1.0], np.full(k, -1 / k)])
    return np.vstack([top, np.hstack([np.zeros((k - 1, 1)), below])])


@pytest.mark.parametrize("name", ["simplex", "d_simplex", "kasarla", "equidistributed"])
@pytest.mark.parametrize(("c", "d"), [(2, 1), (3, 2), (10, 9), (10, 10), (10, 64), (100, 99)])
def test_every_pair_of_a_simplex_is_at_minus_1_over_c_minus_1(name, c, d):
    made = build_prototypes(name, c, d, seed=5)
    W = made.vectors
    expected = (c * np.eye(c) - 1) / (c - 1)
    np.testing.assert_allclose(W @ W.T, expected, atol=1e-12)
    np.testing.assert_allclose(W.sum(axis=0), 0, atol=1e-12)
    assert made.certificate.max_cosine == pytest.approx(made.certificate.bound, abs=1e-12)
    assert made.certificate.uniformity == pytest.approx(-4 * c / (c - 1), abs=1e-12)
    if d == c - 1:
        np.testing.assert_allclose(W.T @ W, c / (c - 1) * np.eye(d), atol=1e-12)


@pytest.mark.parametrize("c", [100, 1000, 1024])
def test_large_simplices_are_exact_and_need_no_recursion(c):
    for name in ("kasarla", "d_simplex"):
        found = build_prototypes(name, c, c - 1).certificate
        assert found.max_cosine == pytest.approx(-1 / (c - 1), abs=1e-12)
        assert found.min_cosine == pytest.approx(-1 / (c - 1), abs=1e-12)


@pytest.mark.parametrize("c", [2, 3, 10])
def test_kasarlas_set_is_that_of_the_recursion(c):
    np.testing.assert_allclose(kasarla(c, c - 1), recursion(c - 1).T, atol=1e-14)


def test_a_simplex_is_turned_by_the_seed_alone():
    one, other = (build_prototypes("simplex", 5, 8, seed=seed).vectors for seed in (0, 1))
    assert np.abs(one - other).max() > 0.1
    assert np.linalg.matrix_rank(one) == 4
    assert np.count_nonzero(np.abs(one).max(axis=0) > 1e-3) == 8  # it lies across all dimensions


@pytest.mark.parametrize(
    ("c", "d", "uniformity"), [(10, 5, -4.115496), (100, 50, -4.009965), (200, 100, -4.004945)]
)
def test_a_full_cross_polytope_has_the_potential_of_the_specification(c, d, uniformity):
    for name in ("cross_polytope", "orthogonal_simplices", "equidistributed"):
        found = build_prototypes(name, c, d).certificate
        assert (found.max_cosine, found.min_cosine) == (0, -1)
        assert found.uniformity == pytest.approx(uniformity, abs=1e-6)
        assert found.n_touching == c * (c - 2) // 2


@pytest.mark.parametrize(("c", "d"), [(6, 4), (100, 84), (100, 64), (100, 51), (1000, 512)])
def test_orthogonal_simplices_fill_all_dimensions_and_have_no_cosine_above_0(c, d):
    made = build_prototypes("orthogonal_simplices", c, d)
    assert abs(made.certificate.max_cosine) < 1e-15
    assert np.linalg.matrix_rank(made.vectors) == d
    np.testing.assert_allclose(made.vectors.sum(axis=0), 0, atol=1e-12)
    assert made.vectors.tobytes() == build_prototypes("equidistributed", c, d).vectors.tobytes()


@pytest.mark.parametrize("c", [4, 5, 100])
def test_in_the_plane_equidistributed_is_the_polygon(c):
    made = build_prototypes("equidistributed", c, 2)
    np.testing.assert_allclose(made.vectors, build_prototypes("regular_polygon", c, 2).vectors)
    assert made.certificate.max_cosine == pytest.approx(np.cos(2 * np.pi / c), abs=1e-12)


def test_orthogonal_vectors_are_orthogonal_and_drawn():
    W = build_prototypes("orthogonal", 6, 9, seed=1).vectors
    np.testing.assert_allclose(W @ W.T, np.eye(6), atol=1e-12)
    assert np.abs(W - build_prototypes("orthogonal", 6, 9, seed=2).vectors).max() > 0.1


def test_random_vectors_with_a_mean_have_the_cosines_of_figure_2a():
    """DL2PA: about 1.0, .96, .91, .87 at mean 2, as if by 1 / (1 + (std / mean)^2) less a bit."""
    for std, expected in [(0.1, 1.0), (0.5, 0.96), (0.75, 0.91), (1.0, 0.87)]:
        params = {"mean": 2.0, "std": std}
        found = build_prototypes("random", 400, 3, params=params).certificate
        assert found.mean_cosine == pytest.approx(expected, abs=0.03)


def test_the_blocks_together_are_the_gram_matrix():
    W = build_prototypes("random", 11, 4).vectors
    gram = np.full((11, 11), np.nan)
    pairs = 0
    for rows, columns, cosines, weight in cosine_blocks(W, n_rows=4):
        gram[rows, columns] = cosines
        pairs += weight * cosines.size
    expected = W @ W.T
    np.fill_diagonal(expected, -np.inf)
    upper = np.triu_indices(11)
    np.testing.assert_allclose(gram[upper], expected[upper], atol=1e-15)
    assert pairs == 121


def test_a_set_larger_than_a_block_has_the_certificate_of_brute_force(monkeypatch):
    W = build_prototypes("random", 23, 5).vectors
    whole = certify(W)
    monkeypatch.setattr(cosine_blocks, "__kwdefaults__", {"n_rows": 7})
    blocked = certify(W)
    assert blocked.n_touching == whole.n_touching
    for name in ("max_cosine", "min_cosine", "mean_cosine", "std_cosine", "mean_nearest"):
        assert getattr(blocked, name) == pytest.approx(getattr(whole, name), abs=1e-14)
    assert blocked.uniformity == pytest.approx(whole.uniformity, abs=1e-12)


@pytest.mark.parametrize("wrong", [np.ones(3), np.ones((1, 1)), np.full((3, 2), 0.5)])
def test_a_certificate_is_for_unit_vectors_only(wrong):
    with pytest.raises(ValueError, match="expected"):
        certify(wrong)


def test_the_mean_angle_of_the_100_simplex_is_that_of_the_specification():
    found = certify(kasarla(100, 99))
    assert found.closest_degrees == pytest.approx(90.5788, abs=1e-4)


# --- word vectors


def test_word_vectors_are_the_principal_components_of_the_table():
    table = np.random.default_rng(0).normal(size=(12, 30)) + 3
    W = build_prototypes("word_vectors", 12, 5, params={"table": table}).vectors
    centered = table - table.mean(axis=0)
    values, vectors = np.linalg.eigh(centered.T @ centered)
    scores = centered @ vectors[:, np.argsort(-values)[:5]]
    scores /= np.linalg.norm(scores, axis=1, keepdims=True)
    np.testing.assert_allclose(W @ W.T, scores @ scores.T, atol=1e-10)


def test_a_table_of_d_values_is_only_normalized():
    table = np.random.default_rng(0).normal(size=(12, 5))
    W = build_prototypes("word_vectors", 12, 5, params={"table": table}).vectors
    np.testing.assert_allclose(W, table / np.linalg.norm(table, axis=1, keepdims=True))


def test_padding_adds_zeros_where_the_table_fills_no_dimension():
    table = np.random.default_rng(0).normal(size=(4, 30))
    W = build_prototypes("word_vectors", 4, 6, params={"table": table, "pad": True}).vectors
    assert np.array_equal(W[:, 3:], np.zeros((4, 3)))
    centered = table - table.mean(axis=0)  # three components hold all of it
    unit = centered / np.linalg.norm(centered, axis=1, keepdims=True)
    np.testing.assert_allclose(W @ W.T, unit @ unit.T, atol=1e-12)

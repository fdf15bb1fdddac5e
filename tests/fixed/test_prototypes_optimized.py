"""Optimized prototypes: gradients, known optima, and the values of the specification."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from imprint_bench.fixed.core.geometry import certify
from imprint_bench.fixed.core.prototype_set import build_prototypes
from imprint_bench.fixed.core.prototypes import equidistributed
from imprint_bench.fixed.core.prototypes.hpn import ranking_coefficients, separation_gradient
from imprint_bench.fixed.core.refinement import random_directions, spread, unit_rows
from imprint_bench.fixed.core.soft_maximum import soft_maximum

GOLDEN = (1 + 5**0.5) / 2


def best(c, d, **params):
    return build_prototypes("equidistributed", c, d, params=params).certificate


def directions(c, d, seed=0):
    return random_directions(c, d, np.random.default_rng(seed))


# --- the smooth maximum


def by_definition(W, b):
    cosines = [float(x @ y) for i, x in enumerate(W) for j, y in enumerate(W) if i != j]
    return np.log(np.sum(np.exp(b * np.array(cosines)))) / b


@pytest.mark.parametrize("sharpness", [1.0, 30.0])
@pytest.mark.parametrize("n_rows", [3, 7, 100])
def test_the_smooth_maximum_and_its_gradient_are_those_of_the_definition(sharpness, n_rows):
    W = directions(7, 4)
    value, gradient = soft_maximum(W, sharpness=sharpness, n_rows=n_rows)
    assert value == pytest.approx(by_definition(W, sharpness), abs=1e-12)

    def free(x):
        return by_definition(unit_rows(x.reshape(7, 4)), sharpness)

    numeric = approx_fprime(W.ravel(), free, 1e-7).reshape(7, 4)
    np.testing.assert_allclose(gradient, numeric, atol=1e-5)


def test_a_very_sharp_maximum_neither_overflows_nor_underflows():
    W = directions(9, 4)
    value, gradient = soft_maximum(W, sharpness=1e6, n_rows=2)
    largest = max(float(W[i] @ W[j]) for i in range(9) for j in range(i))
    assert value == pytest.approx(largest, abs=1e-4)
    assert np.isfinite(gradient).all()


def test_blocks_change_only_rounding_and_float32_stays_float32():
    W = directions(50, 6)
    value, gradient = soft_maximum(W, sharpness=20.0)
    blocked, pieces = soft_maximum(W.astype(np.float32), sharpness=20.0, n_rows=8)
    assert pieces.dtype == np.float32
    assert blocked == pytest.approx(value, abs=1e-6)
    np.testing.assert_allclose(pieces, gradient, atol=1e-6)


# --- equidistributed


@pytest.mark.parametrize(
    ("c", "d", "cosine"),
    [
        *((5, 2, np.cos(2 * np.pi / 5)), (4, 3, -1 / 3), (6, 3, 0.0), (8, 3, (2 * 2**0.5 - 1) / 7)),
        *((10, 3, 0.4044), (12, 3, 5**-0.5), (24, 3, 0.7231), (24, 4, 0.5), (16, 5, 0.2)),
        *((27, 6, 0.25), (56, 7, 1 / 3), (120, 4, GOLDEN / 2), (240, 8, 0.5)),
    ],
)
def test_the_best_known_configurations_are_reached_without_closed_forms(c, d, cosine):
    found = best(c, d, closed_form=False, **({"restarts": 1} if c > 50 else {"restarts": 3}))
    assert found.max_cosine == pytest.approx(cosine, abs=1e-3)
    assert found.max_cosine >= found.bound - 1e-9


def test_a_hundred_in_22_dimensions_is_the_higman_sims_configuration():
    found = best(100, 22)
    assert found.max_cosine == pytest.approx(1 / 11, abs=1e-4)
    assert found.n_touching <= 100 * 77 // 2
    assert found.min_cosine == pytest.approx(-4 / 11, abs=1e-4)
    assert found.uniformity == pytest.approx(-3.842344, abs=1e-5)


@pytest.mark.parametrize(
    ("c", "d", "shipped"),
    [
        *((100, 3, 0.99977), (100, 5, 0.76348), (100, 10, 0.45728), (100, 16, 0.32619)),
        *((100, 32, 0.24650), (200, 50, 0.20499)),
    ],
)
def test_every_shipped_set_is_beaten_from_one_start_in_a_few_steps(c, d, shipped):
    found = certify(spread(directions(c, d), sharpness=[10, 40, 160, 640], iterations=25))
    assert found.bound < found.max_cosine < shipped - 0.05


def test_the_refined_value_of_the_specification_is_reached():
    assert best(100, 10, restarts=2).max_cosine < 0.3378 + 1e-3
    assert best(100, 3, restarts=1).max_cosine < 0.9336 + 1e-4


@pytest.mark.parametrize(
    ("c", "d", "shipped"), [(100, 84, 0.01895), (200, 100, 0.19945), (1000, 512, 0.15641)]
)
def test_the_other_shipped_sets_are_beaten_in_closed_form(c, d, shipped):
    found = best(c, d)
    assert abs(found.max_cosine - found.bound) < 1e-15
    assert found.max_cosine < shipped


def test_very_many_classes_are_spread_in_float32_and_certified_in_float64(monkeypatch):
    monkeypatch.setattr(equidistributed, "MANY", 100)
    made = build_prototypes("equidistributed", 120, 8, params={"iterations": 30})
    np.testing.assert_allclose(np.linalg.norm(made.vectors, axis=1), 1, atol=1e-14)
    exact = best(120, 8, restarts=1).max_cosine
    assert exact - 0.01 < made.certificate.max_cosine < exact + 0.03
    start = build_prototypes("random", 120, 8).certificate.max_cosine
    assert made.certificate.max_cosine < start - 0.2


def test_the_start_is_not_modified_and_stages_only_improve_what_they_minimize():
    start = directions(20, 4)
    kept = start.copy()
    moved = spread(start, sharpness=[5.0], iterations=50)
    assert np.array_equal(start, kept)
    assert soft_maximum(moved, sharpness=5.0)[0] < soft_maximum(start, sharpness=5.0)[0]


# --- DL2PA's recipe


def dl2pa(d, **params):
    return build_prototypes("gaussian_potential", 100, d, params=params).certificate


@pytest.mark.parametrize(("d", "uniformity"), [(100, -4.00667), (50, -3.9513)])
def test_the_published_recipe_stops_where_the_specification_measured(d, uniformity):
    found = dl2pa(d, lr=0.1)
    assert found.uniformity == pytest.approx(uniformity, abs=4e-3)
    assert found.max_cosine > 0.12  # table 7 says 0.0 and 0.01


@pytest.mark.parametrize(
    ("d", "uniformity", "largest", "smallest"),
    [(100, -4.040404, -1 / 99, -1 / 99), (50, -4.009965, 0.0, -1.0)],
)
def test_a_learning_rate_that_grows_with_c_reaches_the_optimum(d, uniformity, largest, smallest):
    found = dl2pa(d)
    assert found.uniformity == pytest.approx(uniformity, abs=1e-6)
    assert found.max_cosine == pytest.approx(largest, abs=1e-4)
    assert found.min_cosine == pytest.approx(smallest, abs=1e-4)


def test_one_step_is_that_of_the_loss_by_definition():
    """One vector's gradient of log mean_{i<j} exp(-t |w_i - w_j|^2), numerically."""
    made = build_prototypes(
        "gaussian_potential", 6, 3, seed=4, params={"iterations": 1, "lr": 0.3, "t": 1.5}
    )
    from imprint_bench.seeding import stream

    rng = stream(4, "prototypes", "gaussian_potential", 6, 3)
    X = unit_rows(rng.uniform(-1, 1, (6, 3)))

    def loss(x):
        W = unit_rows(x.reshape(6, 3))
        pairs = [np.sum((W[i] - W[j]) ** 2) for i in range(6) for j in range(i)]
        return np.log(np.mean(np.exp(-1.5 * np.array(pairs))))

    stepped = X - 0.3 * approx_fprime(X.ravel(), loss, 1e-7).reshape(6, 3)
    np.testing.assert_allclose(made.vectors, unit_rows(stepped), atol=1e-6)


def test_subsets_and_restarts_improve_on_random_vectors_and_on_one_start():
    random = build_prototypes("random", 100, 10).certificate
    assert dl2pa(10, subset=20, iterations=300).uniformity < random.uniformity - 0.1
    one, three = (dl2pa(4, restarts=n, score="max_cosine", iterations=100) for n in (1, 3))
    assert three.max_cosine <= one.max_cosine


# --- HPN


def test_the_separation_gradient_is_numeric_truth():
    W = directions(8, 3)

    def loss(x):
        G = x.reshape(8, 3) @ x.reshape(8, 3).T
        return np.mean([max(G[i, j] for j in range(8) if j != i) for i in range(8)])

    numeric = approx_fprime(W.ravel(), loss, 1e-8).reshape(8, 3)
    np.testing.assert_allclose(separation_gradient(W), numeric, atol=1e-6)


@pytest.mark.parametrize(
    ("d", "momentum", "largest"),
    [(50, 0.0, 0.1035), (50, 0.9, 0.0500), (100, 0.0, 0.0477), (100, 0.9, 0.0032)],
)
def test_a_thousand_steps_of_hpn_end_where_the_specification_measured(d, momentum, largest):
    params = {"iterations": 1000, "momentum": momentum}
    found = build_prototypes("hpn", 100, d, params=params).certificate
    assert found.max_cosine == pytest.approx(largest, abs=4e-3)


def test_the_ranking_loss_is_the_mean_over_all_triples():
    table = np.random.default_rng(3).normal(size=(7, 5))
    W = directions(7, 4)
    G, unit = W @ W.T, unit_rows(table)
    near = unit @ unit.T
    losses = []
    for i in range(7):
        others = sorted((j for j in range(7) if j != i), key=lambda j: -near[i, j])
        losses += [G[i, k] - G[i, j] for j in others[:2] for k in others[2:]]
    coefficients = ranking_coefficients(table, c=7, neighbors=2)
    assert np.sum(coefficients * G) == pytest.approx(np.mean(losses), abs=1e-12)


def test_semantics_bring_classes_of_one_superclass_together():
    superclass = np.repeat([0, 1], 4)
    table = np.eye(2)[superclass] + 0.1 * np.random.default_rng(0).normal(size=(8, 2))
    params = {"iterations": 500, "neighbors": 3}
    same = (superclass[:, None] == superclass) & ~np.eye(8, dtype=bool)

    def gap(**more):
        W = build_prototypes("hpn", 8, 6, params=params | more).vectors
        G = W @ W.T
        return G[same].mean() - G[superclass[:, None] != superclass].mean()

    assert gap(semantic=table) > 0.5
    assert abs(gap()) < 0.2

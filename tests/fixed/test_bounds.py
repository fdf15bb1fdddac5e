"""Lower bounds on the maximal cosine: closed forms, known optima, and proofs that hold."""

import numpy as np
import pytest
from scipy.special import eval_gegenbauer

from imprint_bench.fixed.core.bounds import delsarte, gegenbauer, max_cosine_bound, proven_size


@pytest.mark.parametrize(
    ("c", "d", "value"),
    [(2, 1, -1), (2, 7, -1), (10, 9, -1 / 9), (10, 64, -1 / 9), (100, 99, -1 / 99)],
)
def test_up_to_d_plus_1_vectors_the_bound_is_that_of_the_simplex(c, d, value):
    assert max_cosine_bound(c, d) == (pytest.approx(value, abs=1e-15), "rankin")


@pytest.mark.parametrize(("c", "d"), [(100, 98), (100, 50), (200, 100), (1000, 512), (5, 3)])
def test_up_to_2d_vectors_the_bound_is_zero(c, d):
    assert max_cosine_bound(c, d) == (0.0, "rankin")


def test_in_the_plane_the_bound_is_that_of_the_polygon():
    assert max_cosine_bound(5, 2) == (pytest.approx(0.309017, abs=1e-6), "polygon")


def test_three_vectors_on_a_line_coincide():
    assert max_cosine_bound(3, 1).value == 1


@pytest.mark.parametrize(
    ("c", "d", "value"),
    [
        *((12, 3, 5**-0.5), (16, 5, 1 / 5), (27, 6, 1 / 4), (56, 7, 1 / 3), (240, 8, 1 / 2)),
        *((120, 4, (1 + 5**0.5) / 4), (100, 22, 1 / 11), (112, 21, 1 / 9), (162, 21, 1 / 7)),
    ],
)
def test_sharp_configurations_meet_the_bound_from_above(c, d, value):
    """No bound may lie above what is attained, and here theory says that it lies nowhere else."""
    bound = max_cosine_bound(c, d).value
    assert value - 2e-5 < bound <= value + 1e-12


@pytest.mark.parametrize(
    ("c", "d", "value"),
    [
        *((100, 3, 0.9278), (100, 5, 0.6496), (100, 10, 0.2785), (100, 16, 0.1533)),
        *((100, 32, 0.0338), (200, 50, 0.0367), (100, 25, 0.0688), (200, 25, 0.1291)),
    ],
)
def test_the_bound_is_at_least_that_of_the_specification(c, d, value):
    """Section 7.3, with four digits; our degree is higher, and d = 3 has a bound of its own."""
    assert max_cosine_bound(c, d).value == pytest.approx(value, abs=1e-4 if d > 3 else 1e-3)
    assert max_cosine_bound(c, d).value > value - 1e-4


def test_on_the_sphere_the_better_of_two_bounds_counts():
    few, many = max_cosine_bound(24, 3), max_cosine_bound(1000, 3)
    assert (few.name, many.name) == ("delsarte", "fejes_toth")
    assert few.value <= 0.723075  # the snub cube, which is optimal (Robinson 1961)
    assert many.value > delsarte(1000, 3)


def test_the_polynomials_are_those_of_gegenbauer():
    t, d = np.linspace(-1, 1, 9), 7
    degrees = np.arange(1, 7)[:, None]
    expected = eval_gegenbauer(degrees, d / 2 - 1, t) / eval_gegenbauer(degrees, d / 2 - 1, 1.0)
    np.testing.assert_allclose(gegenbauer(t, d, degree=6), expected, atol=1e-13)


def test_what_is_proven_holds_for_the_best_known_kissing_configurations():
    for d, kissing in [(3, 12), (4, 24), (8, 240), (24, 196_560)]:
        assert proven_size(0.5, d) >= kissing
    assert proven_size(0.5, 8) < 241
    assert proven_size(0.5, 4) < 26  # Delsarte's 25.56, above the true 24


@pytest.mark.parametrize(("c", "d"), [(1, 5), (5, 0)])
def test_sizes_that_make_no_sense_are_refused(c, d):
    with pytest.raises(ValueError, match="expected c >= 2 and d >= 1"):
        max_cosine_bound(c, d)

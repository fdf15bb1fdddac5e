import baycomp
import numpy as np
import pytest

from imprint_bench.core import bayesian
from imprint_bench.core.bayesian import (
    dirichlet_weights,
    masses,
    signed_rank_posterior,
    signed_rank_posteriors,
)
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.seeding import stream


def accuracies(seed, n=20, gain=0.0, decimals=9):
    rng = np.random.default_rng(seed)
    return (0.8 + 0.05 * rng.normal(size=(2, n)) + [[gain], [0]]).round(decimals)


def by_definition(z, weights, rope):
    """Return, by the sums that define them, how much weight lies above and below the region."""
    z = [0, *z]
    pairs = [(i, j) for i in range(len(z)) for j in range(len(z))]
    above = sum(weights[i] * weights[j] for i, j in pairs if z[i] + z[j] > 2 * rope)
    below = sum(weights[i] * weights[j] for i, j in pairs if z[i] + z[j] < -2 * rope)
    return above, below


@pytest.mark.parametrize("rope", [0.0, 1.0, 2.5, 100.0])
@pytest.mark.parametrize("n", [1, 2, 9, 30])
def test_the_masses_are_the_sums_that_define_them(n, rope):
    z = np.random.default_rng(n).integers(-6, 7, n).astype(float)  # ties, and sums on the limits
    weights = dirichlet_weights(stream(0, "test"), n, 20, prior_strength=0.5)
    above, below = masses(z, weights, rope=rope, rounding=0.0)
    expected = np.transpose([by_definition(z, column, rope) for column in weights.T])
    np.testing.assert_allclose([above, below], expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("rope", [0.0, 0.02])
@pytest.mark.parametrize("n", [2, 20, 48])
def test_the_masses_are_those_of_baycomp_with_the_same_weights(n, rope):
    a, b = accuracies(n, n=n)
    generator = np.random.RandomState(1)
    weights = generator.dirichlet([0.5] + [1.0] * n, 100).T
    above, below = masses(a - b, weights, rope=rope, rounding=0.0)
    between = 1 - above - below
    left, within, right = baycomp.SignedRankTest.sample(b, a, rope, nsamples=100, random_state=1).T
    if rope == 0:  # there it gives half of what is exactly zero to either side
        assert (within == 0).all()
        above, below = above + between / 2, below + between / 2
    else:
        np.testing.assert_allclose(between, within, atol=1e-12)
    np.testing.assert_allclose([above, below], [right, left], atol=1e-12)


@pytest.mark.parametrize("gain", [0.0, 0.02, -0.05])
def test_the_probabilities_are_those_of_baycomp_up_to_the_error_of_sampling(gain):
    a, b = accuracies(3, n=12, gain=gain)
    worse, equivalent, better = baycomp.SignedRankTest(b, a, 0.02, random_state=0).probs()
    result = signed_rank_posterior(a, b, rope=0.02)
    assert tuple(result) == pytest.approx((better, equivalent, worse), abs=0.012)  # 4 sigma
    assert sum(result) == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize(
    ("difference", "better"), [(0.25, 2**-0.25), (0.15, (1 - 0.5**0.5) ** 0.5), (0.05, 0.0)]
)
def test_one_instance_by_hand(difference, better):
    # Its weight w has P(w > x) = sqrt(1 - x). Beyond twice the region's half-width 0.1, only the
    # pseudo-instance with itself is within: better if (1 - w)^2 < 1/2. Beyond the half-width,
    # only the instance with itself is above: better if w^2 > 1/2.
    result = signed_rank_posterior([0.5 + difference], [0.5], rope=0.1)
    assert result.better == pytest.approx(better, abs=0.009)  # 4 sigma
    assert result.worse == 0


def test_turning_the_methods_round_turns_the_probabilities_round():
    a, b = accuracies(5, gain=0.01)
    assert signed_rank_posterior(b, a, rope=0.01) == signed_rank_posterior(a, b, rope=0.01)[::-1]


def test_identical_methods_are_equivalent_even_without_a_region():
    a, _ = accuracies(0)
    assert signed_rank_posterior(a, a, rope=0.0) == (0, 1, 0)


def test_a_difference_of_exactly_the_half_width_is_equivalent_whatever_rounding_makes_of_it():
    a, b = np.array([0.51, 0.9, 0.35]), np.array([0.5, 0.89, 0.34])
    assert max(a - b) > 0.01 > min(a - b)
    assert signed_rank_posterior(a, b, rope=0.01) == (0, 1, 0)
    assert signed_rank_posterior(a, b, rope=0.0099).better > 0.8


def test_the_draws_do_not_depend_on_the_pairs_nor_on_the_size_of_blocks(monkeypatch):
    a, b = accuracies(1)
    other = accuracies(2)
    alone = signed_rank_posterior(a, b, rope=0.01, n_samples=999)
    monkeypatch.setattr(bayesian, "BLOCK", 2100)
    together = signed_rank_posteriors(
        np.c_[other[0], a], np.c_[other[1], b], rope=0.01, n_samples=999
    )
    assert together[1] == alone
    assert together[0] != alone
    assert signed_rank_posterior(a, b, rope=0.01, n_samples=999, seed=1) != alone


def test_many_instances_need_little_memory(monkeypatch):
    seen = []
    draw = bayesian.dirichlet_weights

    def watched(*args, **kwargs):
        seen.append(draw(*args, **kwargs))
        return seen[-1]

    monkeypatch.setattr(bayesian, "dirichlet_weights", watched)
    signed_rank_posterior(*accuracies(0, n=500), rope=0.01, n_samples=5000)
    assert max(weights.nbytes for weights in seen) <= 8 * bayesian.BLOCK
    assert sum(weights.shape[1] for weights in seen) == 5000


@pytest.mark.parametrize(
    ("a", "b", "settings", "kind", "message"),
    [
        ([1, 2], [1], {}, DataError, r"shapes \(2, 1\) and \(1, 1\)"),
        ([], [], {}, DataError, "at least one instance"),
        (1.0, 2.0, {}, DataError, "expected one shape"),
        ([1, np.nan], [1, 2], {}, DataError, "NaN or infinite"),
        ([1, 2], [1, np.inf], {}, DataError, "NaN or infinite"),
        ([1, 2], [2, 1], {"rope": -0.1}, ConfigError, "at least 0, got -0.1"),
        ([1, 2], [2, 1], {"rope": np.nan}, ConfigError, "at least 0, got nan"),
        ([1, 2], [2, 1], {"n_samples": 0}, ConfigError, "n_samples: expected at least 1"),
        ([1, 2], [2, 1], {"prior_strength": 0.0}, ConfigError, "prior_strength: expected"),
    ],
)
def test_bad_arguments_get_one_sentence(a, b, settings, kind, message):
    with pytest.raises(kind, match=message):
        signed_rank_posterior(a, b, **{"rope": 0.01, **settings})

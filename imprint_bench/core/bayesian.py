"""How probable it is that one method is better than another by more than matters in practice."""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imprint_bench.core.rank_tests import SAME
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.seeding import stream

N_SAMPLES = 50_000
BLOCK = 500_000  # weights in memory at once


class Posterior(NamedTuple):
    """Probabilities that the first method is better, practically equivalent, or worse."""

    better: float
    equivalent: float
    worse: float


def signed_rank_posterior(
    a: ArrayLike,
    b: ArrayLike,
    *,
    rope: float,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
    prior_strength: float = 0.5,
) -> Posterior:
    """Compare two methods by the Bayesian signed-rank test.

    Parameters
    ----------
    a, b : array_like of shape (n_instances,)
        Scores of the first and the second method, in the same order.
    rope : float
        Half-width of the region of practical equivalence, in the unit of the
        scores: a mean of two differences within [-rope, rope] decides nothing.
    n_samples : int
        Draws from the posterior; the probabilities have a standard error of at
        most 0.5 / sqrt(n_samples).
    seed : int
        Of these draws.
    prior_strength : float
        Weight of the one pseudo-instance on which both are equal.

    Returns
    -------
    posterior : Posterior
        They add up to one.

    Raises
    ------
    ConfigError
        For a negative or infinite `rope`, a `prior_strength` that is not
        positive, or no samples.
    DataError
        If the scores are not two finite vectors of one length.

    References
    ----------
    A. Benavoli, G. Corani, J. Demsar and M. Zaffalon, "Time for a change: a
    tutorial for comparing multiple classifiers through Bayesian analysis",
    JMLR 18, 2017, section 4.2; A. Benavoli, F. Mangili, F. Ruggeri and M.
    Zaffalon, "A Bayesian Wilcoxon signed-rank test based on the Dirichlet
    process", ICML 2014.

    Examples
    --------
    >>> signed_rank_posterior([0.9] * 20, [0.8] * 20, rope=0.01).better > 0.99
    True
    """
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    return signed_rank_posteriors(
        first[..., None],
        second[..., None],
        rope=rope,
        n_samples=n_samples,
        seed=seed,
        prior_strength=prior_strength,
    )[0]


def signed_rank_posteriors(
    a: ArrayLike,
    b: ArrayLike,
    *,
    rope: float,
    n_samples: int = N_SAMPLES,
    seed: int = 0,
    prior_strength: float = 0.5,
) -> list[Posterior]:
    """Compare many pairs of methods by the Bayesian signed-rank test.

    Parameters
    ----------
    a, b : array_like of shape (n_instances, n_pairs)
        Scores of the first and of the second method of each pair.
    rope, n_samples, seed, prior_strength
        As in `signed_rank_posterior`, which gives the same: all pairs share
        the draws.

    Returns
    -------
    posteriors : list of Posterior
        One for each pair.

    Raises
    ------
    ConfigError, DataError
        As in `signed_rank_posterior`.
    """
    first, second = _pairs(a, b)
    _check(rope, n_samples, prior_strength)
    n, n_pairs = first.shape
    rounding = SAME * np.maximum(np.abs(first).max(axis=0), np.abs(second).max(axis=0))
    wins = np.zeros((n_pairs, 2), dtype=np.int64)
    rng = stream(seed, "signed-rank posterior", n)
    block = max(1, BLOCK // (n + 1))
    for start in range(0, n_samples, block):
        weights = dirichlet_weights(
            rng, n, min(block, n_samples - start), prior_strength=prior_strength
        )
        for pair, difference in enumerate((first - second).T):
            above, below = masses(difference, weights, rope=rope, rounding=float(rounding[pair]))
            within = 1 - above - below
            wins[pair, 0] += np.count_nonzero((above > within) & (above > below))
            wins[pair, 1] += np.count_nonzero((below > within) & (below > above))
    return [
        Posterior(better / n_samples, (n_samples - better - worse) / n_samples, worse / n_samples)
        for better, worse in wins.tolist()
    ]


def dirichlet_weights(
    rng: np.random.Generator, n_instances: int, n_samples: int, *, prior_strength: float
) -> np.ndarray:
    """Draw the weights of the pseudo-instance and of all instances, each column adding up to one.

    Returns
    -------
    weights : ndarray of shape (1 + n_instances, n_samples)
    """
    counts = np.concatenate([[prior_strength], np.ones(n_instances)])
    return np.ascontiguousarray(rng.dirichlet(counts, size=n_samples).T)


def masses(
    difference: np.ndarray, weights: np.ndarray, *, rope: float, rounding: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return how much weight pairs of instances have whose mean difference lies beyond the region.

    That is the sum of w_i w_j over all i and j, the pseudo-instance among them,
    with z_i + z_j > 2 rope, and the same with z_i + z_j < -2 rope. The limits
    belong to the region.

    Parameters
    ----------
    difference : ndarray of shape (n_instances,)
        Differences z.
    weights : ndarray of shape (1 + n_instances, n_samples)
        As from `dirichlet_weights`.
    rope : float
        Half-width of the region.
    rounding : float
        Sums that exceed a limit by no more than this count as the limit.

    Returns
    -------
    above, below : ndarray of shape (n_samples,)
    """
    z = np.concatenate([[0.0], difference])
    order = np.argsort(z, kind="stable")
    z, w = z[order], weights[order]
    # Among sorted differences, the partners of one that reach far enough are all from
    # some place on, or all up to one: sums of weights up to there are all that is needed.
    upto = np.concatenate([np.zeros((1, w.shape[1])), np.cumsum(w, axis=0)])
    last = np.searchsorted(z, 2 * rope - z + rounding, side="right")
    first = np.searchsorted(z, -2 * rope - z - rounding, side="left")
    above, below = np.zeros(w.shape[1]), np.zeros(w.shape[1])
    for i in range(len(z)):
        if last[i] < len(z):
            above += w[i] * (upto[-1] - upto[last[i]])
        if first[i] > 0:
            below += w[i] * upto[first[i]]
    return above, below


def _pairs(a: ArrayLike, b: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 2 or first.shape != second.shape or not len(first):
        raise DataError(
            f"paired scores: shapes {first.shape} and {second.shape}; "
            "expected one shape, with at least one instance."
        )
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise DataError("paired scores: some are NaN or infinite; expected finite numbers.")
    return first, second


def _check(rope: float, n_samples: int, prior_strength: float) -> None:
    if not 0 <= rope < np.inf:
        raise ConfigError(f"rope: expected a half-width of at least 0, got {rope}.")
    if n_samples < 1:
        raise ConfigError(f"n_samples: expected at least 1, got {n_samples}.")
    if not 0 < prior_strength < np.inf:
        raise ConfigError(f"prior_strength: expected a number above 0, got {prior_strength}.")

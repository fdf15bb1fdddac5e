import re

import numpy as np
import pytest

from imprint_bench.core.aggregation import AGGREGATIONS, aggregation
from imprint_bench.core.generator import GENERATORS, for_all_classes, for_each_class
from imprint_bench.errors import ConfigError
from imprint_bench.params import PositiveInt
from imprint_bench.sweep.rehearsal import rehearse


@pytest.fixture
def registered():
    """Return a function that files a method under the name `mine` until the test ends."""

    def file(decorator, function):
        return decorator(function)

    yield file
    for registry in (GENERATORS, AGGREGATIONS):
        registry._entries.pop("mine", None)


def raises(X, *, k: PositiveInt = 1):
    raise ZeroDivisionError("no such luck")


def refuses(X):
    raise ConfigError("the package luck is missing; install it.")


BAD_GENERATORS = [
    (raises, r"gen.mine(k=1): fails on a toy array (ZeroDivisionError: no such luck)."),
    (refuses, "gen.mine(): the package luck is missing; install it."),
    (lambda X: None, "gen.mine(): gave object of shape () for embeddings of shape (24, 4); "),
    (lambda X: X[0], "gen.mine(): gave float32 of shape (4,) for embeddings of shape (24, 4); "),
    (lambda X: X[:, :2], "gen.mine(): gave float32 of shape (8, 2) for embeddings of shape"),
    (lambda X: X[:0], "gen.mine(): gave float32 of shape (0, 4) for embeddings"),
    (lambda X: X * np.nan, "gen.mine(): gave float32 of shape (8, 4) for embeddings"),
    (lambda X: X.astype(str), "gen.mine(): gave <U32 of shape (8, 4) for embeddings"),
]


@pytest.mark.parametrize(
    ("function", "message"), BAD_GENERATORS, ids=[m for _, m in BAD_GENERATORS]
)
def test_a_generator_that_fails_or_gives_nonsense_is_found_before_anything_runs(
    registered, config, function, message
):
    registered(for_each_class("mine"), function)
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        rehearse(config(gen={"mean": {}, "mine": {}}))


BAD_ORACLES = [
    (lambda X, y: (X[:3], y[:2]), "3 proxies have the labels [0, 0]"),
    (lambda X, y: (X[:3], np.array([0, 1, 5])), "3 proxies have the labels [0, 1, 5]"),
    (lambda X, y: X, "too many values to unpack"),
]


@pytest.mark.parametrize(("function", "message"), BAD_ORACLES, ids=[m for _, m in BAD_ORACLES])
def test_a_generator_of_all_classes_must_label_its_proxies(registered, config, function, message):
    registered(for_all_classes("mine"), function)
    with pytest.raises(ConfigError, match=r"^gen\.mine\(\): .*" + re.escape(message)):
        rehearse(config(gen={"mine": {}}))


def test_the_value_that_fails_is_named(registered, config):
    def small(X, *, k: PositiveInt):
        if k > 3:
            raise ValueError(f"k is {k}")
        return X[:k]

    registered(for_each_class("mine"), small)
    rehearse(config(gen={"mine": {"k": [1, 3]}}))
    with pytest.raises(ConfigError, match=r"^gen\.mine\(k=5\): .*ValueError: k is 5"):
        rehearse(config(gen={"mine": {"k": [1, 5, 3]}}))


BAD_SCORES = [
    (lambda Q, P, y: None, "gave object of shape ()"),
    (lambda Q, P, y: np.zeros(24), "gave float64 of shape (24,)"),
    (lambda Q, P, y: np.zeros((24, 2)), "gave float64 of shape (24, 2)"),
    (lambda Q, P, y: np.full((24, 3), np.nan), "gave float64 of shape (24, 3)"),
    (lambda Q, P, y: Q @ P, "fails on a toy array (ValueError: matmul"),
]


@pytest.mark.parametrize(("function", "message"), BAD_SCORES, ids=[m for _, m in BAD_SCORES])
def test_an_aggregation_that_fails_or_gives_nonsense_is_found(
    registered, config, function, message
):
    registered(aggregation("mine"), function)
    with pytest.raises(ConfigError, match=rf"^agg\.mine\(\): {re.escape(message)}"):
        rehearse(config(agg={"max": {}, "mine": {}}))


def test_every_method_of_the_package_passes(config):
    k = {"k": [1, 5, 20]}
    decay = {"weight_decay": ["fm", 0.0]}
    with_k = dict.fromkeys(("kmeans", "kmedoids", "random", "fps", "cov_max"), k)
    oracles = {"least_squares": decay, "k_least_squares": decay | k}
    metrics = {"metric": ["euclidean", "cosine", "manhattan", "mahalanobis"], "m": [1, 50]}
    rehearse(
        config(gen={"mean": {}, "all": {}} | with_k | oracles, agg={"max": {}, "mnn": metrics})
    )


def test_a_rehearsal_touches_no_file(config, tmp_path):
    rehearse(config())
    assert not list(tmp_path.iterdir())

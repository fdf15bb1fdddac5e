import functools
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from imprint_bench.core.aggregation import AGGREGATIONS, aggregation
from imprint_bench.core.generator import GENERATORS, for_all_classes, for_each_class
from imprint_bench.errors import ConfigError
from imprint_bench.params import GIVEN_BY_US, PositiveInt
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


@pytest.fixture
def calls(monkeypatch):
    """Return a list of the calls of registered methods that returned: (name, parameters)."""
    seen = []

    def noted(entry):
        @functools.wraps(entry.function)  # whose signature says what YAML may set
        def function(*arrays, **given):
            result = entry.function(*arrays, **given)
            seen.append((entry.name, {n: v for n, v in given.items() if n not in GIVEN_BY_US}))
            return result

        return replace(entry, function=function)

    for registry in (GENERATORS, AGGREGATIONS):
        for name, entry in registry.items():
            monkeypatch.setitem(registry._entries, name, noted(entry))
    return seen


def test_every_method_of_the_package_is_called_with_all_its_parameters_and_passes(config, calls):
    k = {"k": [1, 5, 20]}
    decay = {"weight_decay": ["fm", 0.0]}
    with_k = dict.fromkeys(("kmeans", "kmedoids", "random", "fps", "cov_max"), k)
    oracles = {"least_squares": decay, "k_least_squares": decay | k}
    metrics = {"metric": ["euclidean", "cosine", "manhattan", "mahalanobis"], "m": [1, 50]}
    rehearse(
        config(gen={"mean": {}, "all": {}} | with_k | oracles, agg={"max": {}, "mnn": metrics})
    )
    assert {name for name, _ in calls} == {*GENERATORS, *AGGREGATIONS}
    assert Counter(name for name, _ in calls) == {
        **{"mean": 1, "all": 1, "max": 1},
        **dict.fromkeys(with_k, 3),
        **{"least_squares": 2, "k_least_squares": 2 * 3, "mnn": 4 * 2},
    }
    different = {(name, *sorted(params.items())) for name, params in calls}
    assert len(different) == len(calls)


def test_a_rehearsal_touches_no_file(config, tmp_path):
    rehearse(config())
    assert not list(tmp_path.iterdir())

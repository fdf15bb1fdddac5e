"""What every generator promises."""

import inspect
from pathlib import Path

import numpy as np
import pytest
import yaml

from imprint_bench.core.generator import GENERATORS, Generator, randomness
from imprint_bench.params import check_params, expand, takes

CONF = Path(__file__).parents[2] / "conf" / "gen"
SEED = 17121997
NAMES = sorted(GENERATORS)
WITH_K = [name for name in NAMES if takes(GENERATORS[name].function, "k")]


def listed(name: str) -> list[dict]:
    """Return the combinations in conf/gen/<name>.yaml, with a number for the FM's weight decay."""
    params = yaml.safe_load((CONF / f"{name}.yaml").read_text())[name]
    combinations = list(expand(params))
    return [{n: 1e-4 if v == "fm" else v for n, v in c.items()} for c in combinations]


def run(generator: Generator, X: np.ndarray, y: np.ndarray, **params):
    """Return (proxies, labels) on the first class, or on all classes if it needs them."""
    given = randomness(generator, SEED, lambda: np.random.default_rng(1))
    if generator.scope == "task":
        return generator.function(X, y, **params, **given)
    proxies = generator.function(X[y == 0], **params, **given)
    return proxies, np.zeros(len(proxies), dtype=y.dtype)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def embeddings(request) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    y = np.repeat([0, 1], [40, 35])
    X = np.maximum(rng.normal(size=(75, 8)) + 2 * y[:, None], 0).astype(request.param)
    X.setflags(write=False)
    return X, y


@pytest.mark.parametrize("name", NAMES)
def test_every_generator_keeps_the_contract(name, embeddings):
    X, y = embeddings
    before = X.copy()
    generator = GENERATORS[name]
    for params in listed(name):
        first, labels = run(generator, X, y, **params)
        again, labels_again = run(generator, X, y, **params)

        assert first.shape == (len(labels), X.shape[1])
        assert set(labels) == ({0, 1} if generator.scope == "task" else {0})
        assert (np.diff(labels) >= 0).all()
        assert first.dtype == X.dtype
        assert np.isfinite(first).all()
        assert not np.shares_memory(first, X)
        assert first.tobytes() == again.tobytes()
        np.testing.assert_array_equal(labels, labels_again)
        np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("name", NAMES)
def test_every_yaml_file_fits_the_signature(name):
    for params in listed(name):
        check_params(GENERATORS[name].function, params, at=f"gen.{name}")


@pytest.mark.parametrize("name", NAMES)
def test_every_generator_says_what_it_does_and_is_found_unchanged(name):
    function = GENERATORS[name].function
    assert inspect.unwrap(function) is function
    assert function.__doc__.splitlines()[0].endswith(".")


@pytest.mark.parametrize("name", WITH_K)
def test_a_class_gives_k_proxies_or_all_its_rows(name, embeddings):
    X, y = embeddings
    for params in listed(name):
        few = y < 0
        few[:3] = few[-3:] = True
        proxies, labels = run(GENERATORS[name], X[few], y[few], **params)
        assert len(proxies) == len(set(labels)) * min(params["k"], 3)
        proxies, labels = run(GENERATORS[name], X, y, **params)
        assert len(proxies) == len(set(labels)) * params["k"]


@pytest.mark.parametrize("name", [n for n in WITH_K if GENERATORS[n].scope == "class"])
def test_a_class_of_fewer_than_k_rows_gives_exactly_them(name, embeddings):
    X = embeddings[0][:4]
    for params in listed(name):
        if params["k"] > len(X):
            proxies, _ = run(GENERATORS[name], X, np.zeros(4, dtype=int), **params)
            np.testing.assert_array_equal(proxies[np.lexsort(proxies.T)], X[np.lexsort(X.T)])


@pytest.mark.parametrize("name", [n for n in NAMES if GENERATORS[n].scope == "class"])
def test_one_row_is_its_own_proxy(name, embeddings):
    X = embeddings[0][:1]
    for params in listed(name):
        proxies, _ = run(GENERATORS[name], X, np.zeros(1, dtype=int), **params)
        np.testing.assert_array_equal(proxies, X)


@pytest.mark.parametrize("name", [n for n in WITH_K if GENERATORS[n].nested])
def test_nested_proxies_for_a_small_k_are_the_first_of_those_for_a_large_one(name, embeddings):
    X, y = embeddings
    largest, _ = run(GENERATORS[name], X, y, k=20)
    for k in (1, 2, 5, 13):
        np.testing.assert_array_equal(run(GENERATORS[name], X, y, k=k)[0], largest[:k])


@pytest.mark.parametrize("name", [n for n in NAMES if GENERATORS[n].many_k])
def test_all_k_at_once_are_the_same_bits_as_one_by_one(name, embeddings):
    X, y = embeddings
    generator = GENERATORS[name]
    ks = [1, 2, 3, 5, 10, 20, 39, 40, 50]
    given = dict(randomness(generator, SEED, lambda: np.random.default_rng(1)))
    if generator.scope == "task":
        given |= {n: v for n, v in listed(name)[0].items() if n != "k"}
        many = {k: made[0] for k, made in generator.many_k(X, y, ks=ks, **given).items()}
    else:
        many = generator.many_k(X[y == 0], ks=ks, **given)
    assert sorted(many) == ks
    for k in ks:
        one_by_one, _ = run(generator, X, y, **(listed(name)[0] | {"k": k}))
        assert many[k].tobytes() == one_by_one.tobytes()

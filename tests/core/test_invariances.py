"""What must not change a result: rotation, the order of rows and classes, the scale of queries."""

import numpy as np
import pytest
from scipy.stats import ortho_group
from sklearn.datasets import load_digits

from imprint_bench.core.imprinting import Recipe, classify, imprint

N_TRAIN = 900
DETERMINISTIC = ["all", "mean", "kmedoids", "least_squares"]


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:N_TRAIN], y[:N_TRAIN], X[N_TRAIN:]


def recipe(gen, **changes):
    params = {"kmeans": {"k": 5}, "kmedoids": {"k": 5}, "least_squares": {"weight_decay": 1e-3}}
    return Recipe(gen, "max", gen_params=params.get(gen, {}), **changes)


def predicted(X, y, queries, how):
    return classify(queries, *imprint(X, y, recipe=how), recipe=how)


@pytest.mark.parametrize("gen", [*DETERMINISTIC, "kmeans"])
@pytest.mark.parametrize("norm", ["none", "l2"])
def test_a_rotation_of_all_embeddings_changes_no_prediction(digits, gen, norm):
    X, y, queries = digits
    how = recipe(gen, norm_pre=norm, norm_post=norm, norm_inf=norm)
    rotation = ortho_group.rvs(X.shape[1], random_state=0)
    before = predicted(X, y, queries, how)
    after = predicted(X @ rotation, y, queries @ rotation, how)
    assert (before == after).mean() > 0.999  # ties between integer pixels may fall differently
    assert len(set(before)) == 10


@pytest.mark.parametrize("gen", DETERMINISTIC)
def test_the_order_of_rows_changes_no_prediction(digits, gen):
    X, y, queries = digits
    order = np.random.default_rng(0).permutation(len(X))
    how = recipe(gen)
    np.testing.assert_array_equal(
        predicted(X, y, queries, how), predicted(X[order], y[order], queries, how)
    )


@pytest.mark.parametrize("gen", [*DETERMINISTIC, "kmeans"])
def test_renaming_classes_renames_predictions(digits, gen):
    X, y, queries = digits
    names = np.random.default_rng(1).permutation(10)
    how = recipe(gen)
    before, after = predicted(X, y, queries, how), predicted(X, names[y], queries, how)
    assert (names[before] == after).mean() > 0.999  # a tie goes to the lowest name


@pytest.mark.parametrize("norm_post", ["none", "l2", "quantile"])
def test_max_does_not_see_the_length_of_a_query(digits, norm_post):
    X, y, queries = digits
    raw = recipe("mean", norm_pre="none", norm_post=norm_post, norm_inf="none")
    scaled = recipe("mean", norm_pre="none", norm_post=norm_post, norm_inf="l2")
    np.testing.assert_array_equal(predicted(X, y, queries, raw), predicted(X, y, queries, scaled))


def test_quantile_sees_the_order_of_classes(digits):
    X, y, queries = digits
    how = recipe("mean", norm_post="quantile")
    reversed_order = 9 - predicted(X, 9 - y, queries, how)
    assert (predicted(X, y, queries, how) != reversed_order).any()

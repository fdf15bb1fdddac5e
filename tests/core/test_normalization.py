import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.preprocessing import normalize

from imprint_bench.core.normalization import (
    l2_normalize,
    quantile_normalize,
    quantile_normalize_in_turn,
)

INTEGERS = st.integers(-4, 4).map(float)


def quantile_by_hand(classes):
    """The definition in plain NumPy: sort everything imprinted so far, again and again."""
    done = [classes[0]]
    for proxies in classes[1:]:
        length = proxies.shape[1]
        reference = np.concatenate([part.ravel() for part in done])
        values = np.quantile(reference, (np.arange(length) + 0.5) / length, method="linear")
        new = np.empty_like(proxies)
        for row, proxy in enumerate(proxies):
            for rank, feature in enumerate(np.argsort(proxy, kind="stable")):
                new[row, feature] = values[rank]
        done.append(new)
    return done


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_l2_agrees_with_scikit_learn_and_leaves_a_zero_row_zero(dtype):
    X = np.random.default_rng(0).normal(size=(50, 7)).astype(dtype)
    X[3] = 0
    result = l2_normalize(X)
    assert result.dtype == dtype
    np.testing.assert_allclose(result, normalize(X), rtol=1e-6)
    assert not result[3].any()


def test_l2_of_a_row_does_not_depend_on_its_place():
    X = np.random.default_rng(0).normal(size=(100, 784)).astype(np.float32)
    np.testing.assert_array_equal(l2_normalize(X)[37:], l2_normalize(X[37:]))


def test_quantile_of_two_classes_worked_by_hand():
    # reference 0, 1, 2, 5; levels 1/4 and 3/4 lie at ranks 0.75 and 2.25
    proxies = np.array([[0.0, 5.0], [2.0, 1.0], [9.0, 7.0]])
    expected = [[0.0, 5.0], [2.0, 1.0], [2.75, 0.75]]
    np.testing.assert_array_equal(quantile_normalize(proxies, np.array([0, 0, 1])), expected)


@given(
    arrays.arrays(np.float64, st.tuples(st.integers(1, 4), st.just(5)), elements=INTEGERS),
    st.lists(
        arrays.arrays(np.float64, st.tuples(st.integers(1, 4), st.just(5)), elements=INTEGERS),
        max_size=4,
    ),
)
@settings(deadline=None)
def test_quantile_equals_the_plain_definition_where_ties_abound(first, others):
    classes = [first, *others]
    for ours, plain in zip(
        quantile_normalize_in_turn(classes), quantile_by_hand(classes), strict=True
    ):
        np.testing.assert_allclose(ours, plain, atol=1e-12)


def test_quantile_keeps_the_first_class_and_leaves_its_input_alone():
    proxies = np.random.default_rng(1).normal(size=(9, 6))
    before, labels = proxies.copy(), np.repeat([0, 1, 2], 3)
    result = quantile_normalize(proxies, labels)
    np.testing.assert_array_equal(proxies, before)
    np.testing.assert_array_equal(result[:3], before[:3])
    assert not np.array_equal(result[3:], before[3:])


def test_quantile_of_the_first_classes_does_not_depend_on_the_later_ones():
    proxies = np.random.default_rng(2).normal(size=(8, 6))
    labels = np.repeat([0, 1, 2, 3], 2)
    whole = quantile_normalize(proxies, labels)
    np.testing.assert_array_equal(quantile_normalize(proxies[:6], labels[:6]), whole[:6])

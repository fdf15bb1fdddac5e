import numpy as np
import pytest

from imprint_bench.core.sampling import d_in_1, map_labels, n_shot_rows

NAMES = ("mnist", "identity", 3)


def test_a_mapping_renames_and_drops():
    labels = np.array([0, 5, 9, 5, 2], dtype=np.uint8)
    np.testing.assert_array_equal(map_labels(labels, {5: 0, 2: 1}), [-1, 0, -1, 0, 1])
    np.testing.assert_array_equal(map_labels(labels, None), [0, 5, 9, 5, 2])


def test_the_few_shot_sets_are_nested():
    rows = np.arange(100, 160)
    sets = [set(n_shot_rows(rows, n_shot=n, seed=7, names=NAMES)) for n in (1, 5, 10, 59)]
    assert [len(s) for s in sets] == [1, 5, 10, 59]
    assert sets[0] < sets[1] < sets[2] < sets[3] < set(rows)


def test_a_draw_depends_on_seed_dataset_mapping_and_class():
    rows = np.arange(1000)
    draws = [
        n_shot_rows(rows, n_shot=5, seed=seed, names=names).tolist()
        for seed in (0, 1)
        for names in (NAMES, ("mnist", "identity", 4), ("digits", "identity", 3))
    ]
    assert len({tuple(d) for d in draws}) == 6
    assert draws[0] == n_shot_rows(rows, n_shot=5, seed=0, names=NAMES).tolist()


@pytest.mark.parametrize("n_shot", [None, 60, 1000])
def test_a_class_with_too_few_rows_gives_all_it_has_in_order(n_shot):
    rows = np.arange(60)
    np.testing.assert_array_equal(n_shot_rows(rows, n_shot=n_shot, seed=0, names=NAMES), rows)


def test_d_in_1_joins_disjoint_classes():
    mapping = d_in_1(range(100), d=3, n_labels=10, rng=np.random.default_rng(0))
    assert len(mapping) == 30
    np.testing.assert_array_equal(np.bincount(list(mapping.values())), [3] * 10)
    with pytest.raises(ValueError, match="needs 110 classes, got 100"):
        d_in_1(range(100), d=11, n_labels=10, rng=np.random.default_rng(0))

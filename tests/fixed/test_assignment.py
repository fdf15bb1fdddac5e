"""The matching of classes to prototypes, and when it is made anew."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imprint_bench.errors import ConfigError
from imprint_bench.fixed.core.assignment import assign, change_fraction, initial_assignment
from imprint_bench.fixed.core.rules import ASSIGNMENTS, Rule, Schedule, build_rule
from imprint_bench.params import settable

SEEDS = range(5)


def problem(c, d, seed):
    rng = np.random.default_rng(seed)
    Q, W = rng.normal(size=(2, c, d))
    return Q, W / np.linalg.norm(W, axis=1, keepdims=True)


def cost(Q, W, A):
    return -sum(float(Q[j] @ W[A[j]]) for j in range(len(Q)))


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("c", "d"), [(2, 1), (30, 3), (100, 16)])
def test_every_class_has_a_prototype_of_its_own_at_no_more_than_the_cost_of_others(c, d, seed):
    Q, W = problem(c, d, seed)
    previous = np.random.default_rng(seed + 1).permutation(c)
    for A in (assign(Q, W), assign(Q, W, previous=previous)):
        assert A.dtype == np.int64
        assert sorted(A) == list(range(c))
        assert cost(Q, W, A) <= cost(Q, W, np.arange(c)) + 1e-9 * c
        assert cost(Q, W, A) <= cost(Q, W, previous) + 1e-9 * c


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("c", [2, 4, 7])
def test_no_permutation_costs_less(c, seed):
    Q, W = problem(c, 3, seed)
    best = min(permutations(range(c)), key=lambda A: cost(Q, W, A))
    assert assign(Q, W).tolist() == list(best)


@pytest.mark.parametrize("seed", SEEDS)
def test_permuted_prototypes_permute_the_assignment_back(seed):
    Q, W = problem(20, 6, seed)
    order = np.random.default_rng(seed).permutation(20)
    # Prototype order[i] now stands at i.
    np.testing.assert_array_equal(order[assign(Q, W[order])], assign(Q, W))


@pytest.mark.parametrize("seed", SEEDS)
def test_means_that_are_the_prototypes_are_matched_to_themselves(seed):
    _, W = problem(20, 3, seed)
    np.testing.assert_array_equal(assign(W, W), np.arange(20))
    order = np.random.default_rng(seed).permutation(20)
    np.testing.assert_array_equal(assign(W[order], W), order)


def test_a_matching_that_is_only_as_good_does_not_replace_the_one_in_force():
    W = np.eye(4)
    Q = np.ones((4, 4))  # every permutation costs the same
    previous = np.array([2, 3, 1, 0])
    np.testing.assert_array_equal(assign(Q, W, previous=previous), previous)
    first = assign(Q, W)
    assert all(np.array_equal(assign(Q, W), first) for _ in range(3))


def test_the_assignment_stays_where_it_is_once_it_is_the_best():
    Q, W = problem(30, 5, 0)
    A = assign(Q, W)
    np.testing.assert_array_equal(assign(Q, W, previous=A), A)


# --- classes never seen


def test_classes_never_seen_do_not_take_part_and_keep_what_is_free():
    W = np.eye(5)
    Q = np.full((5, 5), 9.0)  # rows of unseen classes would win every prototype
    Q[1], Q[3] = W[4], W[0]
    seen = [False, True, False, True, False]
    previous = [0, 1, 2, 3, 4]
    # 0 and 4 go to the seen classes; class 2 keeps 2, classes 0 and 4 get 1 and 3 in turn.
    assert assign(Q, W, seen=seen, previous=previous).tolist() == [1, 4, 2, 0, 3]
    assert assign(Q, W, seen=seen).tolist() == [1, 4, 2, 0, 3]


def test_an_unseen_class_keeps_its_prototype_before_others_are_handed_out():
    W = np.eye(4)
    Q = np.zeros((4, 4))
    Q[0] = W[1]
    found = assign(Q, W, seen=[True, False, False, False], previous=[3, 1, 0, 2])
    assert found.tolist() == [1, 3, 0, 2]


@given(st.lists(st.booleans(), min_size=6, max_size=6), st.integers(0, 99))
def test_whatever_was_seen_it_is_a_permutation_best_for_those(seen, seed):
    Q, W = problem(6, 3, seed)
    Q[~np.array(seen)] = np.nan  # not read
    A = assign(Q, W, seen=seen, previous=np.random.default_rng(seed).permutation(6))
    assert sorted(A) == list(range(6))
    rows = np.flatnonzero(seen)
    best = min(permutations(range(6), len(rows)), key=lambda p: cost(Q[rows], W, p))
    assert cost(Q[rows], W, A[rows]) == pytest.approx(cost(Q[rows], W, best))


def test_nothing_seen_changes_nothing():
    Q, W = problem(5, 3, 0)
    previous = [4, 2, 0, 1, 3]
    assert assign(Q, W, seen=np.zeros(5, bool), previous=previous).tolist() == previous
    assert assign(Q, W, seen=np.zeros(5, bool)).tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("seed", SEEDS)
def test_on_a_simplex_the_assignment_does_not_matter_for_accuracy(seed):
    """Every permutation of a simplex is a rotation: features rotated with it score alike."""
    c, rng = 6, np.random.default_rng(seed)
    W = np.sqrt(c / (c - 1)) * (np.eye(c) - 1 / c)
    labels = rng.integers(c, size=200)
    h = W[labels] + rng.normal(size=(200, c)) * 0.4
    accuracies = []
    for A in (np.arange(c), rng.permutation(c)):
        R, *_ = np.linalg.lstsq(W, W[A], rcond=None)  # W @ R = W[A]
        logits = (h @ R) @ W[A].T
        accuracies.append(np.mean(logits.argmax(1) == labels))
    assert accuracies[0] == accuracies[1] < 1
    Q = np.stack([(h[labels == j]).mean(0) for j in range(c)])
    best = assign(Q[rng.permutation(c)], W)
    assert sorted(best) == list(range(c))


# --- what is refused


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"prototypes": np.eye(3)}, r"one shape \(c, d\), got \(2, 2\) and \(3, 3\)"),
        ({"seen": [True]}, r"seen of shape \(2,\), got \(1,\)"),
        ({"previous": [0, 0]}, r"a permutation of 2 prototypes, got \[0, 0\]"),
        ({"means": [[0, 1], [np.nan, 1]]}, "the mean of class 1 is not finite"),
    ],
)
def test_wrong_arrays_are_one_sentence(change, sentence):
    given = {"means": np.eye(2), "prototypes": np.eye(2)} | change
    with pytest.raises(ValueError, match=sentence):
        assign(given.pop("means"), given.pop("prototypes"), **given)


def test_the_change_is_the_share_of_classes_that_moved():
    assert change_fraction([0, 1, 2], [0, 1, 2]) == 0
    assert change_fraction([0, 1, 2, 3, 4], [1, 0, 2, 3, 4]) == 0.4


# --- schedule


def updates(schedule, *, epochs, steps_per_epoch):
    return [i for i in range(epochs * steps_per_epoch) if schedule.due(i, steps_per_epoch)]


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Schedule(), [4, 8, 12, 16, 20, 24, 28, 32, 36, 40, 44]),  # not after the last epoch
        (Schedule(2), list(range(2, 48, 2))),
        (Schedule(0.1), [40]),
        (Schedule(1 / 3), [12, 24, 36]),
        (Schedule(100), list(range(1, 48))),
        (Schedule(0), []),
        (Schedule(1, start=3, freeze_after=5), [12, 16, 20]),
        (Schedule(2, freeze_after=0.5), [2]),
        (Schedule(freeze_after=0), []),
    ],
)
def test_updates_come_as_often_as_asked_between_start_and_freeze(schedule, expected):
    assert updates(schedule, epochs=12, steps_per_epoch=4) == expected


def test_a_tenth_of_an_epoch_is_a_tenth_although_no_float_is():
    assert updates(Schedule(10, start=0.1, freeze_after=0.7), epochs=1, steps_per_epoch=10) == [
        *range(1, 8)
    ]


@given(st.sampled_from([0.1, 0.2, 0.3, 0.7, 1.0, 1.5, 3.0]), st.integers(3, 60))
@settings(max_examples=30)
def test_the_number_of_updates_is_the_rate_times_the_epochs(rate, steps):
    n = len([i for i in range(10 * steps + 1) if Schedule(rate).due(i, steps)])
    assert n == round(10 * rate)


# --- names


def test_rules_have_names_and_parameters():
    assert set(ASSIGNMENTS) == {"static", "dynamic"}
    assert build_rule("static", {}) == Rule("identity")
    assert build_rule("static", {"initial": "random"}) == Rule("random")
    assert build_rule("dynamic", {"updates_per_epoch": 2, "freeze_after": 5}) == Rule(
        "random", Schedule(2, 0.0, 5), 0.9, "zeros"
    )
    assert set(settable(ASSIGNMENTS["static"])) == {"initial"}


@pytest.mark.parametrize(
    ("name", "params", "sentence"),
    [
        ("dynamik", {}, "^a: unknown assignment 'dynamik'; known: dynamic, static. Did you mean"),
        ("static", {"momentum": 0.9}, r"^a.static.momentum: no such parameter"),
        ("dynamic", {"momentum": 1}, r"^a.dynamic.momentum: expected a number in \[0, 1\), got 1"),
        ("dynamic", {"updates_per_epoch": -1}, r"^a.dynamic.updates_per_epoch: .*at least 0"),
        ("dynamic", {"initial": "best"}, "^a.dynamic.initial: expected one of identity, random"),
    ],
)
def test_a_wrong_rule_is_one_sentence(name, params, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_rule(name, params, at="a")


def test_a_random_start_depends_on_the_seed_alone():
    first = initial_assignment("random", 50, seed=1)
    np.testing.assert_array_equal(first, initial_assignment("random", 50, seed=1))
    assert not np.array_equal(first, initial_assignment("random", 50, seed=2))
    assert sorted(first) == list(range(50))
    np.testing.assert_array_equal(initial_assignment("identity", 3, seed=9), [0, 1, 2])

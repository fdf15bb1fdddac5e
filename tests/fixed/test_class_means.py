"""Class means against a loop over classes, and that keeping batches changes nothing."""

import copy
import io

import numpy as np
import pytest
import torch

from imprint_bench.errors import DataError
from imprint_bench.fixed.class_means import ClassMeans

C, D = 6, 4


def batches(n, *, c=C, seed=0, size=9):
    rng = np.random.default_rng(seed)
    for i in range(n):
        labels = rng.integers(c, size=size + i % 2)
        yield torch.tensor(rng.normal(size=(len(labels), D))).float(), torch.tensor(labels)


def by_loop(given, *, momentum, normalize, start):
    Q = start.double().numpy()
    for features, labels in given:
        for j in np.unique(labels):
            mean = features.double().numpy()[labels.numpy() == j].mean(axis=0)
            Q[j] = momentum * Q[j] + (1 - momentum) * mean
            if normalize:
                Q[j] /= np.linalg.norm(Q[j])
    return Q


@pytest.mark.parametrize("momentum", [0.0, 0.9])
@pytest.mark.parametrize("normalize", [True, False])
@pytest.mark.parametrize("initial", ["zeros", "random"])
@pytest.mark.parametrize("n", [1, 5, 70])
def test_means_are_those_of_a_loop_over_batches_and_classes(momentum, normalize, initial, n):
    means = ClassMeans(C, D, momentum, normalize=normalize, initial=initial)
    start = means.vectors.clone()
    given = list(batches(n, c=C - 1))
    for batch in given:
        means.update(*batch)
    expected = by_loop(given, momentum=momentum, normalize=normalize, start=start)
    np.testing.assert_allclose(means.vectors, expected, atol=1e-6)
    assert means.seen.tolist() == [True] * (C - 1) + [False]
    torch.testing.assert_close(means.vectors[-1], start[-1])


def test_every_sample_of_a_class_in_a_batch_counts():
    means = ClassMeans(2, 2, 0.0, normalize=False)
    means.update(torch.tensor([[1.0, 0.0], [0.0, 1.0], [5.0, 5.0]]), torch.tensor([0, 0, 1]))
    assert means.vectors.tolist() == [[0.5, 0.5], [5.0, 5.0]]


def test_features_of_any_length_count_alike_where_they_are_divided_by_it():
    given = [(h * torch.rand(len(h), 1), y) for h, y in batches(3)]
    raw, unit = ClassMeans(C, D, unit_features=True), ClassMeans(C, D)
    for h, y in given:
        raw.update(h, y)
        unit.update(h / h.norm(dim=1, keepdim=True), y)
    torch.testing.assert_close(raw.vectors, unit.vectors)


@pytest.mark.parametrize("d", [1, 3, 50, 129])
def test_asking_after_each_batch_changes_no_bit(d):
    patient, asked = ClassMeans(C, d, unit_features=True), ClassMeans(C, d, unit_features=True)
    rng = torch.Generator().manual_seed(0)
    for size in [7] * 100 + [3]:
        h = torch.randn(size, d, generator=rng)
        y = torch.randint(C, (size,), generator=rng)
        patient.update(h, y)
        asked.update(h, y)
        assert asked.vectors.isfinite().all()
    assert torch.equal(patient.vectors, asked.vectors)
    assert torch.equal(patient.seen, asked.seen)


def test_features_may_be_overwritten_after_an_update():
    means = ClassMeans(2, 2, normalize=False, momentum=0.0)
    h = torch.tensor([[1.0, 2.0]])
    means.update(h, torch.tensor([0]))
    h.zero_()
    assert means.vectors[0].tolist() == [1.0, 2.0]


def test_no_gradient_flows_into_the_means():
    means = ClassMeans(2, 2)
    means.update(torch.ones(1, 2, requires_grad=True), torch.tensor([1]))
    assert not means.vectors.requires_grad


@pytest.mark.parametrize("how", ["state", "copy", "pickle"])
def test_batches_that_wait_are_in_what_is_saved(how):
    means = ClassMeans(C, D)
    for batch in batches(3):
        means.update(*batch)
    if how == "state":
        other = ClassMeans(C, D)
        other.update(*next(batches(1, seed=5)))  # is forgotten
        other.load_state_dict(means.state_dict())
    elif how == "copy":
        other = copy.deepcopy(means)
    else:
        file = io.BytesIO()
        torch.save(means, file)
        file.seek(0)
        other = torch.load(file, weights_only=False)
    assert torch.equal(other.vectors, means.vectors)
    assert torch.equal(other.seen, means.seen)
    more = next(batches(1, seed=8))
    means.update(*more)
    other.update(*more)
    assert torch.equal(other.vectors, means.vectors)


def test_means_move_to_another_type_with_what_waits():
    means = ClassMeans(C, D)
    for batch in batches(2):
        means.update(*batch)
    assert means.double().vectors.dtype == torch.float64
    assert means.seen.any()
    start = means.vectors.clone()
    h, y = next(batches(1, seed=3))
    means.update(h.double(), y)
    expected = by_loop([(h, y)], momentum=0.9, normalize=True, start=start)
    there = np.unique(y)
    assert 0 < len(there) < C
    np.testing.assert_allclose(means.vectors[there], expected[there], rtol=1e-13, atol=1e-15)


def test_a_large_matrix_of_sums_is_never_made_of_many_batches():
    means = ClassMeans(3000, 300)
    for _ in range(9):
        means.update(torch.ones(1, 300), torch.tensor([7]))
        assert len(means._waiting) < 3
    assert means.seen.sum() == 1


def test_a_random_start_is_of_its_generator_and_on_the_sphere():
    first, second, other = (
        ClassMeans(C, D, initial="random", generator=torch.Generator().manual_seed(i)).vectors
        for i in (1, 1, 2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    torch.testing.assert_close(first.norm(dim=1), torch.ones(C))


@pytest.mark.parametrize("wrong", [C, -1])
def test_a_label_out_of_range_is_refused_and_no_mean_moves(wrong):
    means = ClassMeans(C, D)
    means.update(torch.ones(2, D), torch.tensor([0, wrong]))
    with pytest.raises(DataError, match=f"^labels: {wrong} is out of range; there are 6 classes"):
        _ = means.vectors
    assert not means.seen.any()

"""Losses against loops, closed forms and autograd."""

from functools import partial
from math import exp, log, sqrt

import numpy as np
import pytest
import torch
from scipy.spatial.distance import pdist
from torch.nn import functional as F  # noqa: N812

from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.core.losses import (
    LOSSES,
    balance_weights,
    cross_entropy,
    dot_regression,
    hpn,
    ipm,
)
from imprint_bench.fixed.core.losses.mixup import mixed_loss, mixup
from imprint_bench.fixed.core.losses.sphere import uniformity_of, unit_products, unit_squares
from imprint_bench.fixed.heads.cosine import CosineHead
from imprint_bench.fixed.heads.fixed import FixedPrototypeHead
from imprint_bench.fixed.heads.linear import LinearHead
from imprint_bench.params import check_params, settable

LABELS = torch.tensor([0, 2, 2, 3, 0])  # class 1 is not in the batch
C, D = 4, 3


def etf(c):
    """Return c unit vectors in R^c whose cosines are all -1/(c-1)."""
    return np.sqrt(c / (c - 1)) * (np.eye(c) - 1 / c)


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fixed_head(**options):
    W = unit(np.random.default_rng(0).normal(size=(C, D)))
    return FixedPrototypeHead(W, **options).double()


def features_of(seed=1, *, requires_grad=True):
    h = np.random.default_rng(seed).normal(size=(len(LABELS), D)) * 3
    return torch.tensor(h, requires_grad=requires_grad)


def cosines(head, h):
    W, h = head.prototypes.numpy(), h.detach().numpy()
    return [float(W[y] @ x / np.linalg.norm(x)) for x, y in zip(h, LABELS, strict=True)]


# --- inner products


@pytest.mark.parametrize("factor", [1.0, 0.5])
def test_ipm_is_the_sum_or_the_mean_of_squares(factor):
    head, h = fixed_head(), features_of()
    squares = [factor * (q - 1) ** 2 for q in cosines(head, h)]
    assert ipm(head, h, LABELS, factor=factor).item() == pytest.approx(sum(squares))
    mean = ipm(head, h, LABELS, factor=factor, reduction="mean")
    assert mean.item() == pytest.approx(sum(squares) / 5)


def test_the_gradient_of_ipm_is_the_projected_one():
    head, h = fixed_head(), features_of()
    ipm(head, h, LABELS, factor=0.5).backward()
    for i, (x, q) in enumerate(zip(h.detach().numpy(), cosines(head, h), strict=True)):
        w, length = head.prototypes[LABELS[i]].numpy(), np.linalg.norm(x)
        expected = -(1 - q) * (w - q * x / length) / length
        np.testing.assert_allclose(h.grad[i], expected, rtol=0, atol=1e-15)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_a_feature_on_or_opposite_to_its_prototype_does_not_move(side):
    head = fixed_head()
    h = (2 * side * head.prototypes[LABELS]).requires_grad_()
    loss = ipm(head, h, LABELS)
    loss.backward()
    assert loss.item() == pytest.approx(5 * (side - 1) ** 2)
    assert h.grad.abs().max() < 1e-15


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_ipm_with_half_is_dot_regression_of_unit_lengths(reduction):
    head, h = fixed_head(), features_of()
    half = ipm(head, h, LABELS, factor=0.5, reduction=reduction)
    assert half.item() == pytest.approx(dot_regression(head, h, LABELS, reduction=reduction).item())


@pytest.mark.parametrize("normalizes", [True, False])
def test_dot_regression_takes_vectors_and_features_of_the_lengths_it_is_told(normalizes):
    head, h = fixed_head(normalize_features=normalizes), features_of()
    e_w, e_h = 4.0, 2.5
    terms = []
    for x, y in zip(h.detach().numpy(), LABELS, strict=True):
        x = sqrt(e_h) * x / np.linalg.norm(x) if normalizes else x
        dot = sqrt(e_w) * head.prototypes[y].numpy() @ x
        terms.append((dot - sqrt(e_w * e_h)) ** 2 / (2 * sqrt(e_w * e_h)))
    found = dot_regression(head, h, LABELS, e_w=e_w, e_h=e_h)
    assert found.item() == pytest.approx(np.mean(terms))
    lengths = np.linalg.norm(h.detach().numpy(), axis=1)
    longer = dot_regression(head, h, LABELS, e_w=e_w, e_h=e_h, length_penalty=0.1)
    assert longer.item() == pytest.approx(np.mean(terms) + 0.1 * lengths.mean())


def test_dot_regression_refuses_a_length_of_zero():
    with pytest.raises(ValueError, match=r"expected positive e_w and e_h, got 0.0 and 1.0"):
        dot_regression(fixed_head(), features_of(), LABELS, e_w=0.0)


def test_hpn_is_the_sum_of_squared_cosine_distances():
    head, h = fixed_head(), features_of()
    expected = sum((1 - q) ** 2 for q in cosines(head, h))
    assert hpn(head, h, LABELS).item() == pytest.approx(expected)


def test_products_with_the_own_class_never_make_logits():
    class NoLogits(FixedPrototypeHead):
        def forward(self, features):
            raise AssertionError("logits of all classes")

    head = NoLogits(etf(C))
    h = torch.randn(5, C)
    for loss in (ipm, dot_regression, hpn, partial(ipm, balanced=True)):
        assert loss(head, h, LABELS).ndim == 0


# --- long tails


def test_weights_of_a_batch_are_inverse_to_its_own_counts():
    labels = torch.tensor([0, 0, 0, 2])
    found = balance_weights(labels, 4, dtype=torch.float64)
    np.testing.assert_allclose(found, [2 / 3, 2 / 3, 2 / 3, 2.0])
    assert balance_weights(LABELS, C, dtype=torch.float64).sum().item() == pytest.approx(5)


def test_the_balanced_loss_is_that_of_the_published_code_for_features_of_length_one():
    head, h = fixed_head(), features_of()
    f = unit(h.detach().numpy())
    present, counts = np.unique(LABELS, return_counts=True)
    e = np.ones(C)
    e[present] = np.sqrt(len(f) / len(present) / counts)
    targets = e[LABELS, None] * head.prototypes[LABELS].numpy()
    lengths = np.linalg.norm(f, axis=1)
    errors = ((f * targets).sum(1) - np.linalg.norm(targets, axis=1) * lengths) ** 2 / lengths
    found = ipm(head, h, LABELS, factor=0.5, reduction="mean", balanced=True)
    assert found.item() == pytest.approx(errors.mean() / 2)


# --- cross-entropy


@pytest.mark.parametrize("c", [2, 10, 100])
@pytest.mark.parametrize("scale", [1.0, 16.0])
def test_perfect_features_on_a_simplex_reach_the_known_cross_entropy(c, scale):
    head = FixedPrototypeHead(etf(c), scale=scale).double()
    loss = cross_entropy(head, 5 * torch.tensor(etf(c)), torch.arange(c))
    assert loss.item() == pytest.approx(log(1 + (c - 1) * exp(-scale * c / (c - 1))), rel=1e-6)


def test_without_a_scale_a_hundred_classes_cannot_get_below_three_and_a_half_nats():
    head = FixedPrototypeHead(etf(100)).double()
    loss = cross_entropy(head, torch.tensor(etf(100)), torch.arange(100))
    assert loss.item() == pytest.approx(3.61, abs=0.01)


def test_psc_as_published_is_the_softmax_of_unscaled_cosines():
    head, h = CosineHead(C, D).double(), features_of()
    V, z = unit(head.weight.detach().numpy()), unit(h.detach().numpy())
    logits = torch.tensor(z @ V.T)
    expected = F.cross_entropy(logits, LABELS)
    assert cross_entropy(head, h, LABELS).item() == pytest.approx(expected.item())
    assert logits.abs().max() <= 1


@pytest.mark.parametrize(
    ("vectors", "expected"),
    [
        (etf(10), -4.444444),
        (etf(100), -4.040404),
        (etf(200), -4.020101),
        (np.concatenate([np.eye(5), -np.eye(5)]), -4.115496),
        (np.concatenate([np.eye(50), -np.eye(50)]), -4.009965),
    ],
    ids=["simplex 10", "simplex 100", "simplex 200", "cross-polytope 10", "cross-polytope 100"],
)
def test_uniformity_has_the_known_values(vectors, expected):
    assert uniformity_of(3 * torch.tensor(vectors)).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("t", [2.0, 0.5])
def test_uniformity_is_the_mean_over_pairs(t):
    V = np.random.default_rng(3).normal(size=(7, 4))
    expected = np.log(np.mean(np.exp(-t * pdist(unit(V)) ** 2)))
    assert uniformity_of(torch.tensor(V), t=t).item() == pytest.approx(expected)


def test_psc_star_adds_uniformity_and_pushes_the_learned_vectors_apart():
    head, h = CosineHead(C, D).double(), features_of()
    plain = cross_entropy(head, h, LABELS)
    more = cross_entropy(head, h, LABELS, uniformity=0.01)
    expected = plain + 0.01 * uniformity_of(head.weight)
    assert more.item() == pytest.approx(expected.item())
    (of_plain,) = torch.autograd.grad(plain, head.weight)
    (of_more,) = torch.autograd.grad(more, head.weight)
    assert not torch.allclose(of_plain, of_more)


# --- gradients

HEADS = {
    "linear": lambda: LinearHead(C, D).double(),
    "cosine": lambda: CosineHead(C, D, scale="learnable").double(),
    "fixed": fixed_head,
    "fixed, learnable scale": lambda: fixed_head(scale="learnable"),
    "fixed, raw features": lambda: fixed_head(normalize_features=False, scale=0.1),
}
ASKED = {
    "ipm": ({}, {"reduction": "mean", "factor": 0.5}, {"balanced": True}),
    "dot_regression": ({}, {"e_w": 4.0, "e_h": 2.0, "length_penalty": 0.1}),
    "cross_entropy": ({}, {"uniformity": 0.5}),
    "hpn": ({},),
}


@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_are_those_of_finite_differences(name, head):
    module, h = HEADS[head](), features_of()
    for params in ASKED[name]:

        def loss(h, *_, params=params):  # gradcheck moves the parameters where they are
            return LOSSES[name](module, h, LABELS, **params)

        assert torch.autograd.gradcheck(loss, (h, *module.parameters()))


@pytest.mark.parametrize("balanced", [False, True])
def test_the_gradient_made_with_the_value_is_that_of_autograd(balanced):
    head, h = CosineHead(C, D).double(), features_of()
    weights = balance_weights(LABELS, C, dtype=h.dtype) if balanced else torch.ones(5)
    expected = (weights * (head.products(h, LABELS) - 1) ** 2).sum()
    found = ipm(head, h, LABELS, balanced=balanced)
    torch.testing.assert_close(found, expected)
    inputs = (h, head.weight)
    for of_found, of_expected in zip(
        torch.autograd.grad(3 * found, inputs),
        torch.autograd.grad(3 * expected, inputs),
        strict=True,
    ):
        torch.testing.assert_close(of_found, of_expected, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("balanced", [False, True])
@pytest.mark.parametrize("head", HEADS)
def test_second_derivatives_are_those_of_finite_differences(head, balanced):
    module, h = HEADS[head](), features_of()

    def loss(h, *_):
        return ipm(module, h, LABELS, balanced=balanced)

    assert torch.autograd.gradgradcheck(loss, (h, *module.parameters()))


def plain_squares(rows, others):
    return (unit_products(rows, others) - 1).square().sum()


@pytest.mark.parametrize("both", [lambda x: (x, x.sin()), lambda x: (2 * x, (2 * x).cos())])
def test_vectors_that_depend_on_the_features_count_once(both):
    x = features_of()
    firsts, seconds = [], []
    for squares in (unit_squares, plain_squares):
        (first,) = torch.autograd.grad(squares(*both(x)), x, create_graph=True)
        firsts.append(first)
        seconds.append(torch.autograd.grad(first.square().sum(), x)[0])
    torch.testing.assert_close(*firsts)
    torch.testing.assert_close(*seconds)


def test_a_feature_of_zeros_has_finite_second_derivatives():
    h = torch.zeros(5, D, dtype=torch.float64, requires_grad=True)
    (first,) = torch.autograd.grad(ipm(fixed_head(), h, LABELS), h, create_graph=True)
    (second,) = torch.autograd.grad(first.square().sum(), h)
    assert second.isfinite().all()


def test_gradients_of_single_features_come_from_torch_func():
    head, h = fixed_head(), features_of()
    (expected,) = torch.autograd.grad(ipm(head, h, LABELS), h)
    found = torch.func.vmap(
        torch.func.grad(lambda h, w: unit_squares(h[None], w[None]))
    )(h.detach(), head.vectors_of(LABELS))  # fmt: skip
    torch.testing.assert_close(found, expected)
    whole = torch.func.grad(lambda h: ipm(head, h, LABELS))(h.detach())
    torch.testing.assert_close(whole, expected)


@pytest.mark.parametrize("name", LOSSES)
def test_a_feature_of_zeros_has_a_finite_gradient(name):
    head = fixed_head()
    h = torch.zeros(5, D, dtype=torch.float64, requires_grad=True)
    LOSSES[name](head, h, LABELS).backward()
    assert h.grad.isfinite().all()
    assert h.grad.abs().max() > 0


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_features_of_half_precision_are_scored_in_float32(dtype):
    head = FixedPrototypeHead(etf(C))
    h = torch.randn(5, C, generator=torch.Generator().manual_seed(0)).to(dtype)
    loss = ipm(head, h, LABELS)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(ipm(head, h.float(), LABELS).item())


# --- mixup


def test_mixup_adds_the_partner_in_the_share_that_is_left():
    images = torch.arange(12.0).reshape(3, 1, 2, 2)
    labels, partners = torch.tensor([5, 6, 7]), torch.tensor([2, 0, 1])
    mixed = mixup(images, labels, 0.25, partners)
    torch.testing.assert_close(mixed.images[0], 0.25 * images[0] + 0.75 * images[2])
    assert mixed.labels.tolist() == [5, 6, 7]
    assert mixed.partners.tolist() == [7, 5, 6]


def test_a_mixed_loss_is_that_of_both_labels_in_their_shares():
    head, h = fixed_head(), features_of()
    others = LABELS.roll(1)
    mixed = mixup(h, LABELS, 0.3, torch.arange(5).roll(1))
    expected = 0.3 * ipm(head, h, LABELS) + 0.7 * ipm(head, h, others)
    assert mixed_loss(ipm, head, h, mixed, 0.3).item() == pytest.approx(expected.item())
    assert mixed_loss(ipm, head, h, mixed, 1.0).item() == pytest.approx(ipm(head, h, LABELS).item())


# --- what is refused


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("wrong", [4, -1, -100])
def test_a_label_out_of_range_is_one_sentence_in_every_step(name, wrong):
    head, h = fixed_head(), features_of()
    sentence = rf"^labels: {wrong} is out of range; there are 4 classes, from 0 to 3\.$"
    bad = torch.tensor([0, 1, wrong, 2, 3])
    with pytest.raises(DataError, match=sentence):
        LOSSES[name](head, h, bad)
    LOSSES[name](head, h, LABELS)
    with pytest.raises(DataError, match=sentence):
        LOSSES[name](head, h, bad)


def test_features_that_are_no_numbers_are_one_sentence_in_the_first_step_and_a_nan_loss_later():
    head = fixed_head()
    bad = features_of(requires_grad=False)
    bad[2, 1] = float("nan")
    with pytest.raises(DataError, match=r"^head: some features are NaN or infinite; expected"):
        ipm(head, bad, LABELS)
    ipm(head, features_of(), LABELS)
    assert ipm(head, bad, LABELS).isnan()


@pytest.mark.parametrize(
    ("features", "labels", "sentence"),
    [
        (torch.ones(5, 2), LABELS, r"expected features of shape \(B, 3\), got \(5, 2\)"),
        (torch.ones(5, 3, 1), LABELS, r"got \(5, 3, 1\)"),
        (torch.ones(4, 3), LABELS, r"int64 labels of shape \(4,\).* of shape \(5,\)"),
        (torch.ones(5, 3), LABELS.float(), "got torch.float32"),
        (torch.ones(0, 3), LABELS[:0], "the batch is empty"),
    ],
)
def test_wrong_shapes_are_one_sentence(features, labels, sentence):
    with pytest.raises(DataError, match=sentence):
        ipm(fixed_head(), features, labels)


@pytest.mark.parametrize("name", LOSSES)
def test_an_empty_batch_is_one_sentence_in_every_step_and_moves_no_mean(name):
    head, h = fixed_head(assignment="dynamic"), features_of(requires_grad=False)
    LOSSES[name](head, h, LABELS)
    head.observe(h, LABELS)
    before = head.means.vectors.clone()
    with pytest.raises(DataError, match=r"^head: the batch is empty; expected at least one row\.$"):
        LOSSES[name](head, h[:0], LABELS[:0])
    head.observe(h[:0], LABELS[:0])
    torch.testing.assert_close(head.means.vectors, before)


def test_the_parameters_of_a_loss_are_what_yaml_may_set():
    assert set(settable(LOSSES["ipm"])) == {"reduction", "factor", "balanced"}
    assert set(settable(LOSSES["cross_entropy"])) == {"uniformity"}
    assert set(settable(LOSSES["hpn"])) == set()
    with pytest.raises(ConfigError, match=r"loss.ipm.reduction: .*Did you mean 'sum'"):
        check_params(LOSSES["ipm"], {"reduction": "summ"}, at="loss.ipm")


def test_every_loss_is_tested_with_parameters_above():
    assert set(ASKED) == set(LOSSES)

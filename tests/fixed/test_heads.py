"""Heads: what they score, what they save, and how a dynamic assignment runs."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812

import imprint_bench
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.core.assignment import assign
from imprint_bench.fixed.core.losses import LOSSES, ipm
from imprint_bench.fixed.core.rules import Schedule
from imprint_bench.fixed.heads.cosine import CosineHead
from imprint_bench.fixed.heads.fixed import FixedPrototypeHead
from imprint_bench.fixed.heads.head import FIRST_SCALE, HEADS, build_head
from imprint_bench.fixed.heads.linear import LinearHead

C, D = 6, 4
ALL_DYNAMIC = {"dynamic": {"updates_per_epoch": 2, "momentum": 0.5}}
QUICK = {"dynamic": {"momentum": 0.0}}  # class means are those of the last batch


def unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def prototypes(c=C, d=D, seed=0):
    return unit(np.random.default_rng(seed).normal(size=(c, d)))


def features(n=8, d=D, seed=1):
    return torch.tensor(np.random.default_rng(seed).normal(size=(n, d)) * 3).float()


HEAD = {
    "linear": lambda: LinearHead(C, D, seed=3),
    "cosine": lambda: CosineHead(C, D, scale="learnable", seed=3),
    "fixed": lambda: FixedPrototypeHead(prototypes(), assignment=ALL_DYNAMIC, scale=16.0),
    "raw features": lambda: FixedPrototypeHead(prototypes(), normalize_features=False),
}


# --- what they score


def test_the_linear_head_is_torchs_linear_layer():
    head, h = LinearHead(C, D), features()
    same = nn.Linear(D, C)
    same.load_state_dict(head.state_dict())
    torch.testing.assert_close(head(h), same(h))
    assert LinearHead(C, D, bias=False).bias is None
    bound = 1 / np.sqrt(D)
    for first in (head.weight, head.bias):
        assert 0.5 * bound < first.abs().max() <= bound


@pytest.mark.parametrize("scale", [1.0, 16.0, "learnable"])
@pytest.mark.parametrize("kind", ["cosine", "fixed"])
def test_logits_are_cosines_times_the_scale(kind, scale):
    made = {
        "cosine": lambda: CosineHead(C, D, scale=scale),
        "fixed": lambda: FixedPrototypeHead(prototypes(), scale=scale),
    }
    head, h = made[kind](), features()
    V = head.weight if kind == "cosine" else head.prototypes
    expected = F.cosine_similarity(h[:, None], V[None], dim=2)
    factor = FIRST_SCALE if scale == "learnable" else scale
    torch.testing.assert_close(head(h), factor * expected)
    assert head.scale == factor
    assert ("factor" in dict(head.named_parameters())) == (scale == "learnable")


def test_features_may_keep_their_length():
    head = FixedPrototypeHead(prototypes(), normalize_features=False, scale=0.1)
    h = features()
    torch.testing.assert_close(head(h), 0.1 * h @ head.prototypes.T)


@pytest.mark.parametrize("name", HEAD)
def test_products_are_those_with_the_own_class_without_scale_and_bias(name):
    head, h, y = HEAD[name](), features(), torch.arange(8) % C
    z = F.normalize(h) if head.normalizes_features else h
    expected = (z @ head.class_vectors.T)[torch.arange(8), y]
    torch.testing.assert_close(head.products(h, y), expected)
    assert head.class_vectors.shape == (head.n_classes, head.d) == (C, D)


def test_the_assignment_says_which_prototype_a_class_has():
    W = prototypes()
    head = FixedPrototypeHead(W, assignment={"static": {"initial": "random"}}, seed=4)
    order = head.assignment.numpy()
    assert not np.array_equal(order, np.arange(C))
    np.testing.assert_allclose(head.class_vectors, W[order], atol=1e-7)
    h = features()
    z = h / h.norm(dim=1, keepdim=True)
    torch.testing.assert_close(head(h), (z @ torch.tensor(W[order]).float().T))


@pytest.mark.parametrize("form", ["list", "tensor", "set"])
def test_prototypes_come_as_arrays_tensors_or_sets(form):
    class Set:
        vectors = prototypes()

    given = {"list": Set.vectors.tolist(), "tensor": torch.tensor(Set.vectors), "set": Set()}
    head = FixedPrototypeHead(given[form])
    torch.testing.assert_close(head.prototypes, torch.tensor(Set.vectors).float())


def test_the_learned_vectors_of_another_head_can_be_the_prototypes():
    learned = CosineHead(C, D)
    head = FixedPrototypeHead(learned.class_vectors, assignment="dynamic")
    torch.testing.assert_close(head.prototypes, learned.class_vectors.detach())
    assert not list(head.parameters())


# --- what is trained and what is not


def test_nothing_of_a_fixed_head_is_trained():
    head = FixedPrototypeHead(prototypes(), assignment="dynamic")
    assert not list(head.parameters())
    h = features().requires_grad_()
    F.cross_entropy(head(h), torch.arange(8) % C).backward()
    assert h.grad is not None
    assert not any(buffer.requires_grad for buffer in head.buffers())


def test_training_a_network_towards_it_leaves_the_prototypes_as_they_are():
    torch.manual_seed(0)
    head = FixedPrototypeHead(prototypes(), scale=4.0)
    network, before = nn.Linear(5, D), head.prototypes.clone()
    optimizer = torch.optim.SGD([*network.parameters(), *head.parameters()], lr=0.1)
    x, y = torch.randn(40, 5), torch.arange(40) % C
    losses = []
    for _ in range(30):
        loss = ipm(head, network(x), y, reduction="mean")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.8 * losses[0]
    assert torch.equal(head.prototypes, before)


# --- the dynamic assignment


def observed(head, *, n=60, classes=range(C), seed=2):
    """Show a head features around vectors of their own, and return those."""
    rng = np.random.default_rng(seed)
    centers = unit(rng.normal(size=(head.n_classes, head.d)))
    labels = rng.choice(list(classes), size=n)
    h = centers[labels] * 5 + rng.normal(size=(n, head.d)) * 0.1
    for part in np.array_split(np.arange(n), 4):
        head.observe(torch.tensor(h[part]).float(), torch.tensor(labels[part]))
    return centers


def test_a_dynamic_head_matches_its_class_means_to_its_prototypes():
    head = FixedPrototypeHead(prototypes(), assignment="dynamic", seed=1)
    first = head.assignment.clone()
    centers = observed(head)
    assert torch.equal(head.assignment, first)  # until it is told
    expected = assign(centers, prototypes())
    assert head.reassign() == pytest.approx(np.mean(first.numpy() != expected))
    np.testing.assert_array_equal(head.assignment, expected)
    np.testing.assert_allclose(head.class_vectors, prototypes()[expected], atol=1e-7)
    assert head.reassign() == 0.0


def test_class_means_are_of_features_of_length_one_where_the_head_normalizes():
    head = FixedPrototypeHead(prototypes(), assignment="dynamic")
    h = torch.zeros(2, D)
    h[0, 0], h[1, 1] = 100.0, 1.0
    head.observe(h, torch.tensor([2, 2]))
    torch.testing.assert_close(head.means.vectors[2, :2], torch.full((2,), 0.5**0.5))


def test_a_class_never_seen_gets_what_is_left():
    head = FixedPrototypeHead(prototypes(), assignment={"dynamic": {"initial": "identity"}})
    observed(head, classes=[0, 1, 3])
    head.reassign()
    assert sorted(head.assignment.tolist()) == list(range(C))
    seen = head.means.seen.numpy()
    assert seen.tolist() == [True, True, False, True, False, False]
    taken = set(head.assignment[seen].tolist())
    for j in (2, 4, 5):
        assert head.assignment[j] == j or j in taken


def test_before_anything_is_observed_a_match_changes_nothing():
    head = FixedPrototypeHead(prototypes(), assignment="dynamic")
    first = head.assignment.clone()
    assert head.reassign() == 0.0
    assert torch.equal(head.assignment, first)


@pytest.mark.parametrize("name", ["linear", "cosine", "static"])
def test_other_heads_have_nothing_to_assign(name):
    head = FixedPrototypeHead(prototypes()) if name == "static" else HEAD[name]()
    state = copy.deepcopy(head.state_dict())
    head.observe(features(), torch.arange(8) % C)
    assert head.reassign() == 0.0
    assert head.schedule is None
    assert all(torch.equal(state[key], value) for key, value in head.state_dict().items())


def test_the_schedule_of_a_dynamic_head_is_the_one_asked_for():
    assert FixedPrototypeHead(prototypes(), assignment=ALL_DYNAMIC).schedule == Schedule(2)


def test_class_means_that_are_no_numbers_are_one_sentence_and_change_nothing():
    head = FixedPrototypeHead(prototypes(), assignment="dynamic")
    first = head.assignment.clone()
    head.observe(torch.full((1, D), float("nan")), torch.tensor([0]))
    with pytest.raises(DataError, match=r"^head: a class mean is NaN or infinite"):
        head.reassign()
    assert torch.equal(head.assignment, first)


# --- saving


def test_what_is_saved_scores_the_same_and_goes_on_the_same():
    head = FixedPrototypeHead(prototypes(), assignment=QUICK, seed=1)
    observed(head)
    head.reassign()
    observed(head, seed=7)  # waits for the next match
    other = FixedPrototypeHead(prototypes(seed=9), assignment=QUICK, seed=2)
    other.load_state_dict(copy.deepcopy(head.state_dict()))
    assert torch.equal(other(features()), head(features()))
    assert other.reassign() == head.reassign() > 0
    assert torch.equal(other.assignment, head.assignment)


def test_a_whole_model_loads_its_head_with_its_assignment():
    def model(seed):
        head = FixedPrototypeHead(
            prototypes(), assignment={"static": {"initial": "random"}}, seed=seed
        )
        return nn.Sequential(nn.Linear(3, D), head)

    first, second = model(1), model(2)
    x = torch.randn(5, 3)
    assert not torch.equal(first(x), second(x))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x), second(x))


def test_a_copy_and_a_conversion_keep_the_assignment():
    head = FixedPrototypeHead(prototypes(), assignment=QUICK)
    observed(head)
    head.reassign()
    other = copy.deepcopy(head)
    assert torch.equal(other(features()), head(features()))
    observed(other, seed=8)
    other.reassign()
    assert not torch.equal(other.class_vectors, head.class_vectors)
    assert head.double().class_vectors.dtype == torch.float64


@pytest.mark.parametrize("name", HEAD)
def test_a_state_of_other_sizes_is_one_sentence(name):
    state = {
        "linear": LinearHead(3, 2),
        "cosine": CosineHead(3, 2),
    }.get(name, FixedPrototypeHead(prototypes(3, 2))).state_dict()
    with pytest.raises(
        DataError, match=r"^head: the state is of 3 x 2 \(classes x dimensions\), the head of 6 x 4"
    ):
        nn.ModuleDict({"head": HEAD[name]()}).load_state_dict(
            {f"head.{key}": value for key, value in state.items()}
        )


# --- by name


def test_heads_are_built_by_name_from_the_seed_alone():
    assert set(HEADS) == {"linear", "cosine", "fixed"}
    state = torch.random.get_rng_state()
    for kind, params in (("linear", {"bias": False}), ("cosine", {"scale": 4})):
        first, second, other = (
            build_head(kind, C, D, params=params, seed=seed) for seed in (1, 1, 2)
        )
        assert torch.equal(first.weight, second.weight)
        assert not torch.equal(first.weight, other.weight)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_a_fixed_head_is_built_from_a_prototype_set(tmp_path):
    head = build_head(
        "fixed", 5, 4,
        params={
            "prototypes": {"simplex": {}},
            "assignment": {"dynamic": {"updates_per_epoch": 0.5}},
            "scale": 16,
        },
        seed=1, cache=tmp_path,
    )  # fmt: skip
    cosines = head.class_vectors @ head.class_vectors.T
    np.testing.assert_allclose(cosines, np.eye(5) * 1.25 - 0.25, atol=1e-6)
    assert head.schedule == Schedule(0.5)
    assert head.scale == 16.0


@pytest.mark.parametrize(
    ("kind", "params", "sentence"),
    [
        ("fixd", {}, "^head: unknown head 'fixd'; known: cosine, fixed, linear. Did you mean"),
        ("linear", {"bias": 1}, "^head.linear.bias: expected true or false, got 1"),
        ("cosine", {"scale": 0}, "^head.*scale: expected a positive number or 'learnable', got 0"),
        ("cosine", {"scale": "big"}, "^head.cosine.scale: expected a float"),
        ("fixed", {}, "^head.fixed.prototypes: missing"),
        (
            "fixed",
            {"prototypes": {"simplex": {}}, "assignment": {"static": {}, "dynamic": {}}},
            "^head.fixed.assignment: expected one name with its parameters",
        ),
        (
            "fixed",
            {"prototypes": {"simplex": {}}, "assignment": {"dynamic": {"momentm": 0.9}}},
            "^head.fixed.assignment.dynamic.momentm: no such parameter.*Did you mean 'momentum'",
        ),
        (
            "fixed",
            {"prototypes": {"simplex": 3}},
            "^head.fixed.prototypes.simplex: expected a mapping of parameters, got 3",
        ),
        ("fixed", {"prototypes": {"simplx": {}}}, "^head.fixed.prototypes: unknown prototype set"),
    ],
)
def test_a_wrong_head_is_one_sentence(kind, params, sentence):
    with pytest.raises(ConfigError, match=sentence):
        build_head(kind, 5, 4, params=params, seed=0)


@pytest.mark.parametrize(("c", "d"), [(1, 3), (0, 3), (3, 0)])
def test_sizes_that_are_no_classification_are_one_sentence(c, d):
    with pytest.raises(ConfigError, match=r"^head: .*; expected [12] or more"):
        LinearHead(c, d)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ([1.0, 0.0], r"^prototypes: expected shape \(classes, dimensions\), got \(2,\)"),
        ([[1.0, 0.0], [0.0, 2.0]], "^prototypes: row 1 has length 2; expected rows of length 1"),
        ([[float("nan"), 0.0], [0.0, 1.0]], "^prototypes: row 0 has length nan"),
        ("simplex", r"^prototypes: 'simplex' is a name; expected vectors, as build_prototypes\("),
    ],
)
def test_prototypes_that_are_none_are_one_sentence(wrong, sentence):
    with pytest.raises(DataError, match=sentence):
        FixedPrototypeHead(wrong)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("normalizes", [True, False])
@pytest.mark.parametrize("scale", [2.0, "learnable"])
def test_a_fixed_head_of_half_precision_scores_matches_and_moves_its_means(
    scale, normalizes, dtype
):
    options = {"assignment": ALL_DYNAMIC, "scale": scale, "normalize_features": normalizes}
    whole = FixedPrototypeHead(prototypes(), **options)
    half = FixedPrototypeHead(prototypes(), **options).to(dtype)
    h = torch.randn(12, D, generator=torch.Generator().manual_seed(0)).to(dtype)
    y = torch.arange(12) % C
    logits = half(h)
    assert logits.dtype == torch.float32
    torch.testing.assert_close(logits, whole(h.float()), rtol=0.05, atol=0.05)
    for name in LOSSES:
        found, expected = (LOSSES[name](head, h, y) for head in (half, whole))
        torch.testing.assert_close(found, expected, rtol=0.03, atol=0.03)
    half.observe(h, y)
    assert 0 <= half.reassign() <= 1
    assert half.means.vectors.isfinite().all()


# --- the public name


def test_the_package_offers_the_fixed_head():
    assert imprint_bench.FixedPrototypeHead is FixedPrototypeHead
    assert "FixedPrototypeHead" in dir(imprint_bench)
    with pytest.raises(AttributeError, match="has no attribute 'FixedPrototypHead'"):
        _ = imprint_bench.FixedPrototypHead


def test_a_head_shows_its_sizes():
    assert repr(LinearHead(C, D)) == "LinearHead(d=4, classes=6)"


@pytest.mark.parametrize(("rows", "n_labels"), [((5, D + 1), 5), ((5,), 5), ((5, D), 4)])
def test_features_of_another_shape_are_refused_when_they_are_observed(rows, n_labels):
    head = FixedPrototypeHead(torch.eye(D), assignment="dynamic")
    with pytest.raises(DataError, match=rf"shape \(B, {D}\)"):
        head.observe(torch.randn(rows), torch.zeros(n_labels, dtype=torch.int64))


@pytest.mark.parametrize("scale", ["abc", None, [1.0], True, 0, -1.0, float("nan"), float("inf")])
def test_a_scale_that_is_no_positive_number_is_one_sentence(scale):
    for make in (
        lambda: FixedPrototypeHead(np.eye(3), scale=scale),
        lambda: CosineHead(3, 3, scale=scale),
    ):
        with pytest.raises(ConfigError, match=r"^head.scale: expected a positive number or 'learn"):
            make()

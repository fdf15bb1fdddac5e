import math

import pytest
import torch
from torch import nn

from imprint_bench.errors import ConfigError
from imprint_bench.training.optimizers import OPTIMIZERS
from imprint_bench.training.recipe import Choice, read_recipe
from imprint_bench.training.schedules import SCHEDULES


def rates(raw, steps=2):
    recipe = read_recipe(raw)
    return [recipe.rate(step, steps) for step in range(recipe.epochs * steps)]


def test_a_recipe_of_epochs_alone_has_the_defaults():
    recipe = read_recipe({"epochs": 3})
    assert (recipe.batch_size, recipe.accumulate, recipe.mixup, recipe.amp) == (128, 1, 0.0, "none")
    assert recipe.optimizer.kind == "sgd"
    assert recipe.optimizer.params["momentum"] == 0.9
    assert recipe.schedule == Choice("constant", {})
    assert recipe.augmentation == ()


def test_augmentations_keep_their_order_as_a_mapping_and_as_a_list():
    as_mapping = {"crop": {"padding": 2}, "flip": None, "noise": {"std": 1}}
    as_list = [{"crop": {"padding": 2}}, {"flip": {}}, {"noise": {"std": 1.0}}]
    recipes = [read_recipe({"epochs": 1, "augmentation": raw}) for raw in (as_mapping, as_list)]
    assert recipes[0] == recipes[1]
    assert [choice.kind for choice in recipes[0].augmentation] == ["crop", "flip", "noise"]


def test_milestones_multiply_the_rate_from_their_epoch_on():
    found = rates({"epochs": 4, "schedule": {"milestones": {"at": [1, 3], "gamma": 0.5}}})
    assert found == [1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_a_cosine_starts_after_the_warm_up_and_ends_at_its_minimum():
    raw = {"epochs": 6, "warmup_epochs": 2, "schedule": {"cosine": {"minimum": 0.1}}}
    found = rates(raw, steps=4)
    assert found[:8] == pytest.approx([k / 8 for k in range(1, 9)])
    expected = [0.1 + 0.9 * (1 + math.cos(math.pi * k / 16)) / 2 for k in range(16)]
    assert found[8:] == pytest.approx(expected)


def test_a_warm_up_rises_from_its_start_to_the_rate_and_milestones_count_all_epochs():
    raw = {"epochs": 3, "warmup_epochs": 1, "warmup_start": 0.2}
    raw["schedule"] = {"milestones": {"at": [2]}}
    assert rates(raw) == pytest.approx([0.6, 1, 1, 1, 0.1, 0.1])


def test_every_schedule_is_1_at_the_end_of_the_warm_up_and_falls():
    for name, schedule in SCHEDULES.items():
        params = {"at": [5, 8]} if name == "milestones" else {}
        values = [schedule(2 + k / 10, 2.0, 10.0, **params) for k in range(80)]
        assert values[0] == 1
        assert values == sorted(values, reverse=True)


@pytest.mark.parametrize("kind", sorted(OPTIMIZERS))
def test_decay_of_matrices_spares_biases_and_a_learned_scale(kind):
    layer = nn.Linear(3, 2)
    layer.scale = nn.Parameter(torch.tensor(7.0))
    before = [p.detach().clone() for p in layer.parameters()]
    raw = {"epochs": 1, "optimizer": {kind: {"weight_decay": 0.5, "decayed": "matrices"}}}
    optimizer = read_recipe(raw).make_optimizer(nn.ModuleList([layer]), 0.1)
    for p in layer.parameters():
        p.grad = torch.zeros_like(p)
    optimizer.step()
    changed = [not torch.equal(a, b) for a, b in zip(before, layer.parameters(), strict=True)]
    assert changed == [p.ndim == 2 for p in before]


def test_sgd_is_the_textbook_rule_with_coupled_decay():
    p = nn.Parameter(torch.tensor([2.0]))
    module = nn.ParameterList([p])
    raw = {"epochs": 1, "optimizer": {"sgd": {"momentum": 0.5, "weight_decay": 0.1}}}
    optimizer = read_recipe(raw).make_optimizer(nn.ModuleList([module]), 0.25)
    weight, speed = 2.0, 0.0
    for _ in range(3):
        p.grad = torch.tensor([3.0])
        optimizer.step()
        speed = 0.5 * speed + 3.0 + 0.1 * weight
        weight -= 0.25 * speed
    assert float(p.detach()) == pytest.approx(weight, rel=1e-6)


def test_what_is_frozen_is_not_optimized():
    layer = nn.Linear(3, 2).requires_grad_(False)
    layer.bias.requires_grad_(True)
    optimizer = read_recipe({"epochs": 1}).make_optimizer(nn.ModuleList([layer]), 0.1)
    assert [p is layer.bias for g in optimizer.param_groups for p in g["params"]] == [True]


BAD = [
    ({}, "recipe.epochs: missing"),
    ({"epochs": 0}, "recipe.epochs: expected an int of at least 1, got 0"),
    ({"epoch": 3}, "recipe.epoch: no such key; .* Did you mean 'epochs'?"),
    ({"epochs": 3, "optimizer": {"sdg": {}}}, "unknown optimizer 'sdg'; .*'sgd'?"),
    ({"epochs": 3, "optimizer": {"sgd": {"lr": 1}}}, "recipe.optimizer.sgd.lr: no such parameter"),
    ({"epochs": 3, "optimizer": {"sgd": {}, "adamw": {}}}, "expected one of adamw, sgd"),
    ({"epochs": 3, "schedule": {"milestones": {}}}, "recipe.schedule.milestones.at: missing"),
    ({"epochs": 3, "augmentation": {"noise": {}}}, "augmentation.noise.std: missing"),
    ({"epochs": 3, "augmentation": ["flip"]}, "recipe.augmentation: expected a mapping"),
    ({"epochs": 3, "augmentation": {"crop": {"padding": 0}}}, "an int of at least 1, got 0"),
    ({"epochs": 3, "normalize": "imagenet"}, "recipe.normalize: 'imagenet'; expected data, none"),
    ({"epochs": 3, "normalize": {"mean": [0.5]}}, "recipe.normalize.std: expected a list"),
    ({"epochs": 3, "normalize": {"mean": [0.5], "std": [0.0]}}, "positive deviations"),
    ({"epochs": 3, "shares": {"a": 0.5, "b": 0.6}}, "shares: {'a': 0.5, 'b': 0.6}; expected pos"),
    ({"epochs": 3, "shares": {"a": 1.5, "b": -0.5}}, "expected positive numbers that sum to 1"),
    ({"epochs": 3, "shares": {"a": "half"}}, "expected a mapping from names to float or nothing"),
    ({"epochs": 3, "shares": [0.5, 0.5]}, "expected a mapping from names to float or nothing"),
    ({"epochs": 3, "accumulate": 3}, "3 parts of a batch of 128 are not equal"),
    ({"epochs": 3, "warmup_epochs": 4}, "recipe.warmup_epochs: 4 of 3 epochs"),
    ({"epochs": 3, "amp": "float32"}, "recipe.amp: expected one of none, bfloat16, float16"),
    ({"epochs": 3, "max_grad_norm": 0.0}, "recipe.max_grad_norm: 0.0 leaves no gradient"),
]


@pytest.mark.parametrize(("raw", "sentence"), BAD, ids=[s for _, s in BAD])
def test_a_wrong_recipe_is_refused_in_one_sentence(raw, sentence):
    with pytest.raises(ConfigError, match=sentence.replace("?", r"\?")):
        read_recipe(raw)


def test_what_torch_refuses_of_an_optimizer_is_one_sentence():
    recipe = read_recipe({"epochs": 1, "optimizer": {"sgd": {"momentum": 0, "nesterov": True}}})
    with pytest.raises(ConfigError, match=r"recipe\.optimizer\.sgd: torch refuses lr 0.1"):
        recipe.make_optimizer(nn.ModuleList([nn.Linear(1, 1)]), 0.1)

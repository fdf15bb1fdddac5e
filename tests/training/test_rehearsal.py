import pytest
import torch
from small_sweeps import METHODS

from imprint_bench.errors import ConfigError
from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.training.rehearsal import rehearse

ETF = METHODS["etf"]


def dynamic(**params):
    return {"fixed": {"prototypes": {"simplex": {}}, "assignment": {"dynamic": params}}}


REFUSED = {
    "method.m.head.fixed.assignment.dynamic.momentum: expected a number in [0, 1), got 2": {
        "method": {"m": {**ETF, "head": dynamic(momentum=2.0)}}
    },
    "method.m.head.scale: expected a positive number": {
        "method": {"m": {**ETF, "head": {"fixed": {"prototypes": {"simplex": {}}, "scale": 0.0}}}}
    },
    "recipe.r.accumulate: 2 parts do not add up to a batch, as the loss of method m of": {
        "recipe": {"r": {"epochs": 1, "batch_size": 50, "accumulate": 2}},
        "method": {"m": {**ETF, "loss": {"ipm": {"balanced": True}}}},
    },
    "recipe.r.optimizer.sgd: torch refuses lr 0.05": {
        "recipe": {"r": {"epochs": 1, "batch_size": 50, "optimizer": {"sgd": {"momentum": 2.0}}}}
    },
}


def test_what_is_right_passes_and_every_method_takes_a_step(small):
    seen = []

    def noted(head, features, labels):
        seen.append((type(head).__name__, head.schedule is not None))
        return head(features).square().mean()

    methods = {**METHODS, "dynamic": {**ETF, "head": dynamic()}}
    LOSSES.add("noted", noted)
    try:
        rehearse(small(method={n: {**m, "loss": {"noted": {}}} for n, m in methods.items()}).config)
    finally:
        del LOSSES._entries["noted"]
    fixed = "FixedPrototypeHead"
    assert seen == [("LinearHead", False), (fixed, False), (fixed, True)]


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_wrong_value_is_told_before_anything_is_trained(small, sentence):
    with pytest.raises(ConfigError) as refused:
        rehearse(small(**REFUSED[sentence]).config)
    assert sentence in str(refused.value)


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (lambda head, x, y: head.products(x, y), "gave torch.float32 of shape (12,)"),
        (lambda head, x, y: 1.0, "gave 1.0 for 12 toy features; expected one finite number"),
        (lambda head, x, y: head.products(x, y).sum() / 0, "of shape ()"),
        (lambda head, x, y: torch.zeros(()) / missing, "NameError"),  # noqa: F821
    ],
)
def test_a_loss_of_the_users_that_gives_no_number_is_refused(small, loss, told):
    LOSSES.add("mine", loss)
    try:
        with pytest.raises(ConfigError) as refused:
            rehearse(small(method={"m": {**ETF, "loss": {"mine": {}}}}).config)
    finally:
        del LOSSES._entries["mine"]
    assert str(refused.value).startswith("method.m")
    assert told in str(refused.value)

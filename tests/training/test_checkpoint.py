import math
import pickle

import numpy as np
import pytest
import torch
from small_tasks import make_task, same

from imprint_bench.errors import StoreError
from imprint_bench.fixed.core.losses import ipm
from imprint_bench.fixed.heads.fixed import FixedPrototypeHead
from imprint_bench.training.checkpoint import Checkpoint
from imprint_bench.training.trainer import train
from imprint_bench.training.training_data import InMemoryData


class Interrupted(Exception):  # noqa: N818
    """As if somebody had pulled the plug."""


def interrupt(task, before):
    """Make the loss of `task` raise in step `before`, counted from 0."""
    loss, calls = task.loss, []

    def breaking(head, features, labels):
        calls.append(1)
        if len(calls) == before + 1:
            raise Interrupted
        return loss(head, features, labels)

    breaking.__qualname__ = "ipm"
    task.loss = breaking
    return task


def named(task):
    """Give the loss of `task` a name without parameters, which `interrupt` keeps."""
    loss = task.loss

    def plain(head, features, labels):
        return loss(head, features, labels)

    plain.__qualname__ = "ipm"
    task.loss = plain
    return task


def run(task, **options):
    return train(**vars(task), progress=False, **options)


def equal(a, b):
    """Tell whether two nested states are equal to the last bit, NaN to NaN."""
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(equal, a, b))
    return a == b or (math.isnan(a) and math.isnan(b))


EVERYTHING = {
    "dropout": 0.3,
    "augmentation": {"crop": {"padding": 1}, "flip": {}, "noise": {"std": 0.3}},
    "warmup_epochs": 1,
    "schedule": {"cosine": {}},
}
RECIPES = [
    EVERYTHING,
    {"mixup": 0.5, "optimizer": {"adamw": {}}, "accumulate": 2},
    {"amp": "float16", "max_grad_norm": 1.0, "optimizer": {"sgd": {"weight_decay": 0.01}}},
]


@pytest.mark.parametrize("raw", RECIPES)
@pytest.mark.parametrize("step", [4, 6, 7])  # within an epoch of 3 steps, and at its end
def test_a_resumed_training_is_the_uninterrupted_one_to_the_last_bit(tmp_path, raw, step):
    calls = step * raw.get("accumulate", 1) * (2 if raw.get("mixup") else 1)
    calls += 3 if raw.get("accumulate") else 0  # the probe whether the loss is a sum
    whole, path = tmp_path / "whole.pt", tmp_path / "c.pt"
    run(named(make_task(**raw)), checkpoint=whole)
    with pytest.raises(Interrupted):
        run(interrupt(make_task(**raw), calls), checkpoint=path, checkpoint_every=0)
    assert torch.load(path, weights_only=True)["state"]["done"] == step
    torch.manual_seed(123)  # another process has other random numbers
    run(named(make_task(**raw)), checkpoint=path)
    a, b = (torch.load(p, weights_only=True)["state"] for p in (whole, path))
    assert a.pop("seconds") > 0
    assert b.pop("seconds") > 0
    assert equal(a, b)


def test_a_finished_training_is_read_and_not_repeated(tmp_path):
    path = tmp_path / "c.pt"
    first = run(make_task(), checkpoint=path)
    again = make_task()
    second = run(interrupt(again, 0) and make_task(), checkpoint=path)
    assert same(first.network, second.network)
    assert same(first.head, second.head)
    assert equal(first.history.plain(), second.history.plain())
    assert second.seconds >= first.seconds - 0.1


def test_without_time_to_write_only_the_end_is_written(tmp_path):
    path = tmp_path / "c.pt"
    with pytest.raises(Interrupted):
        run(interrupt(make_task(), 8), checkpoint=path)
    assert not path.exists()


def other_data(made):
    made.data = InMemoryData(255 - made.data.images, made.data.labels)


def other_prototypes(made):
    made.head = FixedPrototypeHead(np.eye(5)[:, [0, 1, 2, 3]] @ np.eye(4) + 0, assignment="static")


def set_to(**values):
    def change(made):
        for name, value in values.items():
            setattr(made, name, value)

    return change


class Weighted:
    """A loss that is an object."""

    def __init__(self, factor):
        self.factor = factor

    def __call__(self, head, features, labels):
        return self.factor * ipm(head, features, labels)


def head_with(**options):
    """Return what gives a task the same head with other options."""
    asked = {"assignment": {"dynamic": {"updates_per_epoch": 1}}} | options

    def change(made):
        made.head = FixedPrototypeHead(made.head.prototypes, **asked)

    return change


CHANGES = [
    ({"epochs": 4}, None, "with recipe.epochs = 3 and not 4"),
    ({"batch_size": 12}, None, "with recipe.batch_size = 16 and not 12"),
    ({"optimizer": {"adamw": {}}}, None, "with recipe.optimizer.kind = 'sgd' and not 'adamw'"),
    ({"augmentation": {"flip": {}}}, None, "with recipe.augmentation = [] and not [{'kind': "),
    ({"norm": False}, None, "with different network"),
    ({}, set_to(lr=0.5), "with lr = 0.005 and not 0.5"),
    ({}, set_to(seed=5), "with seed = 4 and not 5"),
    ({}, other_data, "with different data"),
    ({"loss": "hpn"}, None, "with loss.name = 'ipm' and not 'hpn'"),
    ({}, set_to(loss=Weighted(2.0)), "with loss.name = 'ipm' and not 'Weighted'"),
    (
        {},
        head_with(assignment={"dynamic": {"momentum": 0.1}}),
        "with head.assignment.momentum = 0.9 and not 0.1",
    ),
    ({}, head_with(normalize_features=False), "with head.normalizes_features = True and not False"),
    ({}, head_with(scale=1.0000001), "with head.scale = 1.0 and not 1.0000001"),
    ({}, head_with(scale="learnable"), "with head.scale = 1.0 and not 'learned'"),
]


def test_attributes_of_a_loss_that_is_an_object_are_told_apart(tmp_path):
    path = tmp_path / "c.pt"
    for factor in (2.0, 3.0):
        made = make_task()
        made.loss = Weighted(factor)
        if factor == 2.0:
            run(made, checkpoint=path)
            continue
        with pytest.raises(StoreError, match=r"with loss.factor = 2.0 and not 3.0; remove it"):
            run(made, checkpoint=path)


@pytest.mark.parametrize(("raw", "change", "sentence"), CHANGES, ids=[c[2] for c in CHANGES])
def test_a_checkpoint_of_another_configuration_is_refused_by_its_first_difference(
    tmp_path, raw, change, sentence
):
    path = tmp_path / "c.pt"
    run(make_task(), checkpoint=path)
    content = path.read_bytes()
    made = make_task(**raw)
    if change:
        change(made)
    with pytest.raises(StoreError) as caught:
        run(made, checkpoint=path)
    assert f"{path}: written by another training, {sentence}" in str(caught.value)
    assert path.read_bytes() == content


def test_other_prototypes_and_other_first_weights_are_another_configuration(tmp_path):
    path = tmp_path / "c.pt"
    run(make_task(), checkpoint=path)
    made = make_task()
    made.head.prototypes.mul_(-1)
    with pytest.raises(StoreError, match="with different first weights"):
        run(made, checkpoint=path)


class Attack:
    def __reduce__(self):
        return (exec, ("raise SystemExit('executed')",))


def test_a_file_that_would_execute_something_is_refused(tmp_path):
    path = tmp_path / "c.pt"
    torch.save({"format": 1, "configuration": "{}", "state": Attack()}, path)
    with pytest.raises(StoreError, match="damaged, or no checkpoint"):
        Checkpoint(path, {}, every=0).read()


@pytest.mark.parametrize("content", [b"", b"hello", pickle.dumps({"a": 1})])
def test_a_file_of_something_else_is_refused(tmp_path, content):
    path = tmp_path / "c.pt"
    path.write_bytes(content)
    with pytest.raises(StoreError, match=r"damaged, or no checkpoint; remove it"):
        Checkpoint(path, {}, every=0).read()


@pytest.mark.parametrize("content", [torch.zeros(3), {"weight": torch.zeros(3)}, [1, 2]])
def test_a_file_of_torchs_that_is_no_checkpoint_is_refused(tmp_path, content):
    path = tmp_path / "c.pt"
    torch.save(content, path)
    with pytest.raises(StoreError, match="checkpoint"):
        Checkpoint(path, {}, every=0).read()


def test_half_a_file_is_refused(tmp_path):
    path = tmp_path / "c.pt"
    run(make_task(epochs=1), checkpoint=path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(StoreError, match="damaged, or no checkpoint"):
        run(make_task(epochs=1), checkpoint=path)


def test_a_writing_that_fails_leaves_the_file_before(tmp_path):
    file = Checkpoint(tmp_path / "c.pt", {"a": 1}, every=0)
    file.write({"done": 1})
    with pytest.raises((TypeError, AttributeError, pickle.PicklingError)):
        file.write({"done": (lambda: 2)})
    assert file.read() == {"done": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["c.pt"]

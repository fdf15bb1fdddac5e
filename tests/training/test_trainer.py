import copy
import math
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from small_tasks import blobs, learned_head, make_task, same
from torch import nn

from imprint_bench.core.neural_collapse import nc1
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.core.losses import cross_entropy, ipm
from imprint_bench.fixed.core.losses.mixup import Mixed
from imprint_bench.fixed.core.rules import Schedule
from imprint_bench.fixed.heads.fixed import FixedPrototypeHead
from imprint_bench.seeding import stream
from imprint_bench.training import stepping
from imprint_bench.training.checkpoint import first_difference
from imprint_bench.training.history import DivergedError, EpochRecord
from imprint_bench.training.mixing import mixture_of
from imprint_bench.training.preparation import measured
from imprint_bench.training.streaming import StreamedData
from imprint_bench.training.trainer import train


def run(task, **options):
    return train(**vars(task), progress=False, **options)


def watched(task):
    """Make the loss of `task` note the assignment, features and labels of every step."""
    seen, loss = [], task.loss

    def noting(head, features, labels):
        seen.append((head.class_vectors.detach().clone(), features.detach().clone(), labels))
        return loss(head, features, labels)

    task.loss = noting
    return seen


def plainly(task, epochs=3, batch=16):
    """Train as `train` does, in a few lines of torch, without augmentation and schedule."""
    images = measured(task.data)(torch.from_numpy(task.data.images).permute(0, 3, 1, 2))
    labels = torch.from_numpy(task.data.labels)
    parameters = [*task.network.parameters(), *task.head.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=task.lr, momentum=0.9)
    for epoch in range(epochs):
        rows = stream(task.seed, "order", epoch).permutation(len(labels))
        for k in range(len(labels) // batch):
            part = torch.from_numpy(rows[k * batch : (k + 1) * batch])
            features = task.network(images[part])
            optimizer.zero_grad()
            task.loss(task.head, features, labels[part]).backward()
            optimizer.step()
            task.head.observe(features, labels[part])
        if epoch < epochs - 1:
            task.head.reassign()


@pytest.mark.parametrize("loss", ["ipm", "cross_entropy"])
def test_training_is_the_plain_loop_with_the_assignment_made_anew_between_epochs(loss):
    ours, theirs = make_task(loss), make_task(loss)
    run(ours)
    plainly(theirs)
    assert torch.equal(ours.head.assignment, theirs.head.assignment)
    assert torch.allclose(ours.head.means.vectors, theirs.head.means.vectors, atol=1e-6)
    for a, b in zip(ours.network.parameters(), theirs.network.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6)


def test_a_learned_head_is_trained_too():
    head = learned_head()
    theirs = make_task("cross_entropy", head=copy.deepcopy(head))
    ours = make_task("cross_entropy", head=head)
    run(ours)
    plainly(theirs)
    assert torch.allclose(ours.head.weight, theirs.head.weight, atol=1e-6)
    assert not torch.equal(ours.head.bias, learned_head().bias)


DRAWN = {"dropout": 0.3, "augmentation": {"crop": {"padding": 1}, "noise": {"std": 0.3}}}


@pytest.mark.parametrize("more", [{}, {"mixup": 1.0}])
def test_a_seed_gives_the_same_bits_whatever_was_drawn_before(more):
    first, second, other = (make_task(**DRAWN, **more) for _ in range(3))
    other.seed += 1
    torch.manual_seed(1)
    run(first)
    torch.manual_seed(2)
    run(second)
    run(other)
    assert same(first.network, second.network)
    assert same(first.head, second.head)
    assert not same(first.network, other.network)


def test_torchs_random_numbers_and_threads_are_as_before():
    before = torch.random.get_rng_state(), torch.get_num_threads()
    run(make_task(**DRAWN))
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]


def test_training_learns_and_says_how_far_it_came():
    trained = run(make_task(epochs=30))
    history = trained.history
    assert all(len(values) == 30 for values in history.plain().values())
    assert history.loss[-1] < history.loss[0] / 4
    assert history.accuracy[-1] > 0.9
    assert history.nc1[-1] < history.nc1[0]
    assert not trained.network.training
    assert trained.seconds > 0


def test_the_assignment_that_is_tested_and_stored_is_the_one_that_was_trained(tmp_path):
    made = make_task()
    seen = watched(made)
    path = tmp_path / "c.pt"
    updates, real = [], made.head.reassign
    made.head.reassign = lambda: updates.append(real()) or updates[-1]
    trained = run(made, checkpoint=path)
    assert torch.equal(trained.head.class_vectors, seen[-1][0])
    stored = torch.load(path, weights_only=True)["state"]["head"]["assignment"]
    assert torch.equal(trained.head.prototypes[stored], seen[-1][0])
    # One update per epoch, of which the last would be ahead of the weights.
    assert trained.head.schedule.due(9, 3)
    assert len(updates) == 2


def test_the_assignment_changes_between_epochs_only_and_the_share_is_recorded():
    made = make_task(epochs=4)
    seen = watched(made)
    history = run(made).history
    shares = []
    for a, b in pairwise(seen):
        shares.append(float((a[0] != b[0]).any(1).double().mean()))
    assert len(seen) == 12
    assert all(share == 0 for k, share in enumerate(shares, start=1) if k % 3)
    assert math.isnan(history.change[0])
    assert history.change[1:] == shares[2::3]
    assert history.change[1] > 0


def test_several_updates_in_an_epoch_are_averaged():
    W = np.eye(5)[:, :4] + 0.1
    W /= np.linalg.norm(W, axis=1, keepdims=True)
    head = FixedPrototypeHead(W, assignment={"dynamic": {"updates_per_epoch": 3}})
    made = make_task(head=head, epochs=2)
    calls, real = [], head.reassign
    head.reassign = lambda: calls.append(real()) or calls[-1]
    history = run(made).history
    assert len(calls) == 5  # before every step but the first
    assert history.change == [np.mean(calls[:2]), np.mean(calls[2:])]


def test_the_history_is_that_of_the_losses_and_features_of_the_epoch():
    made = make_task(augmentation={"noise": {"std": 0.5}}, epochs=2)
    seen = watched(made)
    trained = run(made)
    last = seen[3:]
    x, y = torch.cat([s[1] for s in last]), torch.cat([s[2] for s in last])
    unit = (x / x.norm(dim=1, keepdim=True)).numpy()
    assert trained.history.nc1[1] == pytest.approx(nc1(unit, y.numpy()))
    right = (trained.head(x).argmax(1) == y).double().mean()
    assert trained.history.accuracy[1] == pytest.approx(float(right))
    losses = [float(ipm(made.head, s[1], s[2])) for s in last]
    assert trained.history.loss[1] == pytest.approx(np.mean(losses), rel=1e-5)


@pytest.mark.parametrize("loss", ["ipm", "cross_entropy", "dot_regression", "hpn"])
def test_a_batch_in_parts_is_the_batch(loss):
    whole, parts = make_task(loss, norm=False), make_task(loss, norm=False, accumulate=4)
    a, b = run(whole), run(parts)
    for p, q in zip(a.network.parameters(), b.network.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-6)
    assert torch.allclose(whole.head.means.vectors, parts.head.means.vectors, atol=1e-6)
    assert torch.equal(whole.head.assignment, parts.head.assignment)
    assert a.history.loss == pytest.approx(b.history.loss, rel=1e-5)


@pytest.mark.parametrize("reduction", ["sum", "mean"])
def test_a_loss_that_weighs_images_by_their_batch_is_not_computed_in_parts(reduction):
    made = make_task(accumulate=2)
    made.loss = partial(ipm, balanced=True, reduction=reduction)
    with pytest.raises(
        ConfigError, match=r"2 parts do not add up .* which do not weigh each other"
    ):
        run(made)


@pytest.mark.parametrize("first", [float("nan"), 0.0])
def test_a_first_loss_that_tells_nothing_does_not_blame_the_parts(first):
    made, calls = make_task(accumulate=2, norm=False), []

    def loss(head, features, labels):
        calls.append(len(labels))
        return ipm(head, features, labels) * (first if len(calls) == 1 or first == 0 else 1)

    made.loss = loss
    if first == 0:
        assert run(made).history.loss[-1] == 0
        return
    with pytest.raises(DivergedError, match="the loss is nan in epoch 1, step 1"):
        run(made)


def test_where_no_step_waits_for_its_loss_an_update_looks_before_it_matches(monkeypatch):
    made = make_task(epochs=3)
    made.lr = 1e38
    made.head.schedule = Schedule(updates_per_epoch=100)
    monkeypatch.setattr(stepping, "isfinite", lambda value: True)  # as on an accelerator
    with pytest.raises(DivergedError, match="the loss is nan in epoch 1, step"):
        run(made)


def test_a_loss_that_is_neither_sum_nor_mean_is_not_computed_in_parts():
    made = make_task(accumulate=2)
    made.loss = lambda head, x, y: ipm(head, x, y) ** 2
    with pytest.raises(ConfigError, match=r"recipe\.accumulate: 2 parts do not add up to a batch"):
        run(made)


def test_mixed_images_have_the_losses_of_both_labels_and_count_for_their_own():
    head = learned_head()
    made = make_task("cross_entropy", head=head, mixup=1.0, epochs=1)
    made.lr = 0.0
    seen = watched(made)
    observed = []
    head.observe = lambda features, labels, **_: observed.append((features, labels))
    trained = run(made)
    lams = _lams(made)
    assert len(seen) == 6  # both labels of three steps
    for k, lam in enumerate(lams):
        (_, x, own), (_, _, other) = seen[2 * k : 2 * k + 2]
        assert sorted(own.tolist()) == sorted(other.tolist())
        assert torch.equal(observed[k][0], x)
        assert torch.equal(observed[k][1], own)
        assert 0 < lam < 1
    losses = [
        lam * cross_entropy(head, seen[2 * k][1], seen[2 * k][2]).detach()
        + (1 - lam) * cross_entropy(head, seen[2 * k][1], seen[2 * k + 1][2]).detach()
        for k, lam in enumerate(lams)
    ]
    assert trained.history.loss == pytest.approx([float(sum(losses) / 3)])
    assert math.isnan(trained.history.nc1[0])
    chosen = [head(s[1]).argmax(1) for s in seen[::2]]
    right = [
        lam * (c == seen[2 * k][2]) + (1 - lam) * (c == seen[2 * k + 1][2])
        for k, (lam, c) in enumerate(zip(lams, chosen, strict=True))
    ]
    assert trained.history.accuracy[0] == pytest.approx(float(torch.cat(right).mean()))


def _lams(task):
    drawn = stream(task.seed, "augmentation", 0)
    drawn.integers(2**31, size=(3, 3))
    return drawn.beta(1.0, 1.0, 3).tolist()


def test_the_learning_rate_follows_the_recipe_step_by_step():
    raw = {"warmup_epochs": 1, "schedule": {"milestones": {"at": [2]}}}
    made = make_task(norm=False, optimizer={"sgd": {"momentum": 0}}, **raw)
    seen, loss = [], made.loss

    def noting(head, features, labels):
        seen.append([p.detach().clone() for p in made.network.parameters()])
        return loss(head, features, labels)

    made.loss = noting
    run(made)
    seen.append([p.detach().clone() for p in made.network.parameters()])
    # Without momentum a step is rate times the last gradient; the last one is still there.
    step = [b - a for a, b in zip(seen[-2], seen[-1], strict=True)]
    rate = made.lr * made.recipe.rate(8, 3)
    assert rate == pytest.approx(0.1 * made.lr)
    for moved, p in zip(step, made.network.parameters(), strict=True):
        assert torch.allclose(moved, -rate * p.grad, atol=1e-6)


def test_the_gradient_of_network_and_head_together_is_cut_to_its_longest():
    raw = {"optimizer": {"sgd": {"momentum": 0}}, "max_grad_norm": 1e-2, "epochs": 1}
    made = make_task("cross_entropy", head=learned_head(), batch_size=60, **raw)
    weights = [*made.network.parameters(), *made.head.parameters()]
    start = [p.detach().clone() for p in weights]
    run(made)  # one step
    squares = [(a - b.detach()).square().sum() for a, b in zip(start, weights, strict=True)]
    assert math.sqrt(sum(map(float, squares))) == pytest.approx(made.lr * 1e-2, rel=1e-2)


@pytest.mark.parametrize("amp", ["bfloat16", "float16"])
def test_lowered_arithmetic_trains_to_about_the_same(amp):
    exact, lowered = run(make_task(epochs=30)), run(make_task(epochs=30, amp=amp))
    assert lowered.history.loss != exact.history.loss
    assert lowered.history.loss[-1] < lowered.history.loss[0] / 10
    assert lowered.history.accuracy[-1] == pytest.approx(exact.history.accuracy[-1], abs=0.05)
    assert all(p.dtype == torch.float32 for p in lowered.network.parameters())


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_before_it_does_harm_and_names_the_step(bad):
    made = make_task(epochs=4)
    loss, calls = made.loss, []

    def breaking(head, features, labels):
        calls.append(1)
        return loss(head, features, labels) * (bad if len(calls) == 8 else 1)

    made.loss = breaking
    with pytest.raises(DivergedError, match=rf"the loss is {bad} in epoch 3, step 2; choose"):
        run(made)
    assert all(p.isfinite().all() for p in made.network.parameters())


def test_features_that_are_not_finite_stop_the_training_too():
    made = make_task(norm=False)
    made.lr = 1e30
    with pytest.raises(DivergedError, match=r"(nan|inf|NaN or infinite) in epoch 1, step \d"):
        run(made)


def test_a_diverged_training_leaves_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "c.pt"
    made = make_task(norm=False, epochs=2)
    loss, calls = made.loss, []

    class Bomb(torch.autograd.Function):
        """Passes values on, and infinite gradients back."""

        @staticmethod
        def forward(ctx, x):
            return x.clone()

        @staticmethod
        def backward(ctx, g):
            return g * math.inf

    def breaking(head, features, labels):
        calls.append(1)
        return loss(head, Bomb.apply(features) if len(calls) == 5 else features, labels)

    made.loss = breaking
    # The loss of step 5 is finite, the weights after it are not: they are not written.
    with pytest.raises(DivergedError, match=r"a weight is NaN or infinite in epoch 2, step 2"):
        run(made, checkpoint=path, checkpoint_every=0)
    state = torch.load(path, weights_only=True)["state"]
    assert state["done"] == 4
    assert all(t.isfinite().all() for t in state["network"].values())


def test_where_looking_means_waiting_the_first_bad_loss_of_many_is_named():
    record = EpochRecord(steps=10, batch_size=2, n_classes=3)
    y = torch.tensor([0, 1])
    for loss in (1.0, 2.0, math.inf, math.nan):
        record.add(torch.tensor(loss), torch.zeros(2, 4), Mixed(y, y, y), 1.0)
        if loss == 1.0:
            record.check(6)
    with pytest.raises(DivergedError, match="the loss is inf in epoch 7, step 3"):
        record.check(6)


def test_the_bar_shows_loss_accuracy_collapse_and_changes_of_the_last_epoch(monkeypatch):
    shown = []

    class Bar:
        def __init__(self, *, total, initial):
            self.total, self.done = total, initial

        def __enter__(self):
            return self

        def __exit__(self, *_):
            shown.append((self.done, self.total))

        def update(self):
            self.done += 1

        def set_postfix(self, values):
            shown.append(values)

    monkeypatch.setattr("imprint_bench.training.trainer.progress_bar", Bar)
    history = train(**vars(make_task())).history
    assert [set(values) for values in shown[:-1]] == [{"loss", "accuracy", "nc1", "change"}] * 3
    assert shown[2]["loss"] == f"{history.loss[2]:.3g}"
    assert shown[-1] == (9, 9)


def test_nothing_is_shown_where_nobody_watches(capsys):
    train(**vars(make_task(epochs=1)), progress=True)
    assert capsys.readouterr() == ("", "")


def test_errors_of_a_loss_that_are_no_divergence_come_through():
    made = make_task()

    def wrong(head, features, labels):
        raise DataError("loss: needs word vectors.")

    made.loss = wrong
    with pytest.raises(DataError, match="needs word vectors"):
        run(made)


def test_several_sources_are_trained_together_in_their_shares():
    made = make_task(epochs=2)
    parts = {"a": range(40), "b": range(40, 60)}
    mixture = mixture_of(parts, {"a": 0.75, "b": 0.25}, dataset="blobs", at="recipe.shares")
    made.data = replace(blobs(), mixture=mixture)
    seen = watched(made)
    run(made)
    rows = np.concatenate([made.data.order(16, stream(made.seed, "order", e)) for e in range(2)])
    assert rows.shape == (2 * (40 // 12), 16)
    assert ((rows < 40).sum(1) == 12).all()
    assert [s[2].tolist() for s in seen] == made.data.labels[rows].tolist()


def test_streamed_images_train_to_the_same_bits_with_any_number_of_threads():
    from imprint_bench.data.dataset import ImageDataset

    rng = np.random.default_rng(0)
    stored = [rng.integers(0, 256, (5 + i % 3, 6, 3), dtype=np.uint8) for i in range(20)]
    source = ImageDataset(
        where="folder",
        read_labels=lambda split: np.arange(20) % 5,
        read_images=lambda split, start, stop: stored[start:stop],
        read_shape=lambda: (5, 6, 3),
        read_fingerprint=lambda: "f",
    )
    networks = []
    for workers in (1, 3):
        made = make_task(batch_size=5, epochs=2)
        made.data = StreamedData(source, "train", 4, workers=workers)
        made.network = nn.Sequential(nn.Flatten(), nn.Linear(48, 4))
        nn.init.ones_(made.network[1].weight)
        nn.init.zeros_(made.network[1].bias)
        networks.append(run(made).network)
    assert same(*networks)


def test_features_of_another_length_than_the_heads_are_refused_before_the_first_step():
    with pytest.raises(DataError, match=r"have shape \(2, 7\); expected \(2, 4\)"):
        run(make_task(d=7))


def test_fewer_images_than_a_batch_are_refused():
    with pytest.raises(DataError, match="blobs: 60 images are fewer than a batch of 61"):
        run(make_task(batch_size=61))


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(device):
    with pytest.raises(ConfigError, match=rf"device: '{device}' is not there; torch finds .*cpu"):
        run(make_task(), device=device)


def test_auto_takes_a_device_that_is_there():
    assert run(make_task(epochs=1), device="auto").device.type in ("cpu", "cuda", "mps")


def test_the_look_at_the_features_before_the_first_step_changes_nothing():
    made = make_task()
    before = copy.deepcopy(made.network).train()
    seen = watched(made)
    run(made)
    order = made.data.order(16, stream(made.seed, "order", 0))
    first = next(made.data.batches(order, device=torch.device("cpu"), draw=None))
    assert torch.equal(seen[0][1], before(measured(made.data)(first)).detach())


def test_the_sentence_of_a_difference_names_the_deepest_entry():
    assert first_difference({"a": {"b": [1]}}, {"a": {"b": [1]}}) is None
    assert first_difference({"a": {"b": 1}}, {"a": {"b": 2}}) == "with a.b = 1 and not 2"
    assert first_difference({"a": 1, "z": 1}, {"a": 1}) == "with z = 1 and not None"

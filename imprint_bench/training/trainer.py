"""The trainer: a network and a head, trained by a recipe; deterministic under a seed."""

from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from torch import nn

from imprint_bench.data.networks.computing import Computing, resolved
from imprint_bench.data.networks.torch_network import exact_float32
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.heads.head import Head
from imprint_bench.seeding import stream
from imprint_bench.sweep.progress import progress_bar
from imprint_bench.training.checkpoint import Checkpoint, State
from imprint_bench.training.history import EpochRecord, History, diverged
from imprint_bench.training.preparation import (
    Normalization,
    Preparation,
    normalization_of,
    normalized_once,
)
from imprint_bench.training.random_numbers import own_random_numbers, seed_global
from imprint_bench.training.recipe import Recipe
from imprint_bench.training.stepping import LossOf, NotFiniteError, Stepper, Task
from imprint_bench.training.training_data import TrainingData, check_against

CHECK_EVERY = 100  # steps between two looks at the loss where a look waits for the device
SECONDS = 60.0  # between two checkpoints


@dataclass(frozen=True, eq=False)
class Trained:
    """A network and its head after training, in evaluation mode.

    Attributes
    ----------
    network, head : nn.Module
        The modules that were given, on `device`. The assignment of the head is the one that
        they were last trained with.
    normalization : Normalization
        Of the images that the network takes.
    history : History
        A value per epoch.
    seconds : float
        That the training took, over all runs that it was resumed in.
    device : torch.device
    """

    network: nn.Module
    head: Head
    normalization: Normalization
    history: History
    seconds: float
    device: torch.device


def train(
    network: nn.Module,
    head: Head,
    loss: LossOf,
    data: TrainingData,
    recipe: Recipe,
    *,
    lr: float,
    seed: int = 0,
    device: str = "cpu",
    checkpoint: Path | None = None,
    checkpoint_every: float = SECONDS,
    progress: bool = True,
) -> Trained:
    """Train a network and a head on images; both are changed.

    The order of the images and all that is drawn depend on the seed, the epoch and the step
    alone. On the CPU the result is bit-equal from run to run, with and without interruption,
    for one number of torch's threads. Torch's global random numbers are as before afterwards.

    Each step updates the weights, then the head's class means. An assignment that is due is
    made before the next step, so what is tested and stored has the one it was trained with.

    Parameters
    ----------
    network : nn.Module
        From float32 images (b, channels, height, width) to features (b, d).
    head : Head
    loss : callable
        ``(head, features, labels) -> loss``, such as a loss of `LOSSES` with its parameters
        bound by `functools.partial`.
    data : TrainingData
    recipe : Recipe
    lr : float
        Learning rate.
    seed : int
        Of the order of the images and of what is drawn; not of the first weights.
    device : str
        "cpu", "cuda", "cuda:1", "mps", or "auto" for the first that is there.
    checkpoint : Path, optional
        A file from which the training goes on if it is there.
    checkpoint_every : float
        Seconds between two writings of it; it is also written at the end.
    progress : bool
        Show a bar, if this is a terminal.

    Raises
    ------
    DataError
        If a label has no class, there are fewer images than a batch, or the features do not
        suit the head.
    ConfigError
        If the device is not there, or the recipe does not suit the data or the loss.
    DivergedError
        If the loss or a weight becomes NaN or infinite. The checkpoint stays the last good one.
    StoreError
        If the checkpoint is of another training, or cannot be read or written.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype
    Assignment", CVPR 2024, section 3.3 and algorithm 1.
    """
    task = Task(network, head, loss, data, recipe, float(lr), seed)
    check_against(data, n_classes=head.n_classes, batch_size=recipe.batch_size)
    place = torch.device(_resolved(device))
    file = None
    if checkpoint is not None:
        file = Checkpoint(checkpoint, task.configuration(), every=checkpoint_every)
    with own_random_numbers(place), exact_float32(Computing(str(place), recipe.amp)):
        run = _Run(task, place, file)
        with progress_bar(total=run.total, initial=run.done) if progress else nullcontext() as bar:
            run.finish(bar)
    network.eval()
    head.eval()
    return Trained(network, head, run.normalization, run.history, run.seconds(), place)


class _Run:
    """A training under way: where it is, and what has been recorded."""

    def __init__(self, task: Task, device: torch.device, file: Checkpoint | None) -> None:
        self.started, self.before = perf_counter(), 0.0
        self.recipe, self.seed, self.device, self.file = task.recipe, task.seed, device, file
        self.normalization = normalization_of(task.recipe, task.data)
        self.data = normalized_once(task.data, task.recipe, self.normalization)
        self.labels = torch.from_numpy(task.data.labels)
        prepare = Preparation.of(task.recipe, self.normalization)
        self.stepper = Stepper(task, prepare, device)
        self.rng = torch.Generator(device)
        self.steps = len(self.data.order(self.recipe.batch_size, np.random.default_rng(0)))
        self.total, self.done = self.recipe.epochs * self.steps, 0
        self.history = History()
        self.record = EpochRecord(
            steps=self.steps, batch_size=self.recipe.batch_size, n_classes=task.head.n_classes
        )
        _check_features(self.stepper, self.data, self.normalization)
        state = None if file is None else file.read()
        if state is not None:
            self._load(state)

    def seconds(self) -> float:
        """Return how long the training has taken, over all runs."""
        return self.before + perf_counter() - self.started

    def finish(self, bar: Any) -> None:
        """Train to the end, with a checkpoint now and then."""
        self.stepper.modules.train()
        while self.done < self.total:
            self._epoch(bar)
        if self.file is not None:
            self.file.write(self._state())

    def _epoch(self, bar: Any) -> None:
        """Train what is left of the current epoch."""
        epoch, first = divmod(self.done, self.steps)
        order = self.data.order(self.recipe.batch_size, stream(self.seed, "order", epoch))
        drawn = stream(self.seed, "augmentation", epoch)
        # For what is drawn inside the network, by augmentations, and while images are read.
        seeds = drawn.integers(2**31, size=(self.steps, 3)).tolist()
        mixup = self.recipe.mixup
        lams = drawn.beta(mixup, mixup, self.steps).tolist() if mixup else [1.0] * self.steps
        labels = self.labels[torch.from_numpy(order)].to(self.device)
        images = self.data.batches(order[first:], device=self.device, draw=seeds[0][2])
        for i, batch in enumerate(images, start=first):
            seed_global(self.device, seeds[i][0])
            self.rng.manual_seed(seeds[i][1])
            self._reassign(epoch)
            try:
                rate = self.recipe.rate(self.done, self.steps)
                stepped = self.stepper.step(batch, labels[i], lam=lams[i], rate=rate, rng=self.rng)
            except NotFiniteError as error:
                raise diverged(epoch, i, str(error)) from None
            self.record.add(*stepped)
            self.done += 1
            self._after_a_step(epoch, bar)

    def _reassign(self, epoch: int) -> None:
        schedule = self.stepper.head.schedule
        if schedule is not None and schedule.due(self.done, self.steps):
            self.record.check(epoch)  # of what is not finite there are no means
            self.record.changes.append(self.stepper.head.reassign())

    def _after_a_step(self, epoch: int, bar: Any) -> None:
        """Look whether all is well, close an epoch, write a checkpoint: each when it is time."""
        is_last = self.done % self.steps == 0
        writes = self.file is not None and self.file.is_due() and self.done < self.total
        waits = self.device.type != "cpu" and self.done % CHECK_EVERY == 0
        if is_last or writes or waits:
            self.record.check(epoch)
        if (is_last or writes) and not self.stepper.is_finite():
            raise diverged(epoch, (self.done - 1) % self.steps, "a weight is NaN or infinite")
        if is_last:
            self.record.close(self.stepper.head, self.history, mixing=self.recipe.mixup > 0)
        if writes:
            assert self.file is not None  # `writes` says so
            self.file.write(self._state())
        if bar is not None:
            bar.update()
            if is_last:
                bar.set_postfix(self.history.latest())

    def _state(self) -> State:
        return {
            "done": self.done,
            "seconds": self.seconds(),
            "history": self.history.plain(),
            "record": self.record.state(),
            **self.stepper.state(),
        }

    def _load(self, state: State) -> None:
        self.done, self.before = state["done"], state["seconds"]
        self.history = History(**state["history"])
        self.record.load(state["record"], self.device)
        self.stepper.load(state)


def _resolved(device: str) -> str:
    try:
        return resolved(device)
    except (ConfigError, KeyError, ValueError):
        known = [name for name in ("cuda", "mps", "cpu") if _is_there(name)]
        raise ConfigError(
            f"device: {device!r} is not there; torch finds {', '.join(known)} on this machine, of "
            "which auto takes the first."
        ) from None


def _is_there(device: str) -> bool:
    try:
        return resolved(device) == device
    except ConfigError:
        return False


def _check_features(stepper: Stepper, data: TrainingData, normalization: Normalization) -> None:
    """Pass two images through the network in evaluation mode, which changes nothing."""
    images = next(
        iter(data.batches([np.arange(2) % len(data.labels)], device=stepper.device, draw=None))
    )
    stepper.network.eval()
    with torch.no_grad():
        shape = tuple(stepper.network(normalization(images)).shape)
    if shape != (2, stepper.head.d):
        raise DataError(
            f"network: features of two images have shape {shape}; expected (2, {stepper.head.d}), "
            "for which the head is built."
        )

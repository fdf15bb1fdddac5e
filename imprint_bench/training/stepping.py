"""One step of training: from a batch of images to updated weights."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import isfinite
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from imprint_bench.errors import DataError
from imprint_bench.fixed.core.losses.mixup import Mixed, mixed_loss, mixup
from imprint_bench.fixed.heads.head import Head
from imprint_bench.training.accumulation import weight_of_a_part
from imprint_bench.training.checkpoint import State, described, digest_of
from imprint_bench.training.preparation import Preparation
from imprint_bench.training.recipe import Recipe
from imprint_bench.training.training_data import TrainingData

LossOf = Callable[[Head, Tensor, Tensor], Tensor]


class NotFiniteError(Exception):
    """A loss or a feature is NaN or infinite; says which."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is trained how."""

    network: nn.Module
    head: Head
    loss: LossOf
    data: TrainingData
    recipe: Recipe
    lr: float
    seed: int

    def configuration(self) -> dict[str, Any]:
        """Return what makes this training another one than others, as plain values."""
        return {
            "lr": self.lr,
            "seed": self.seed,
            "recipe": self.recipe.plain(),
            "loss": described(self.loss),
            "images": len(self.data.labels),
            "data": self.data.fingerprint,
            "network": repr(self.network),
            "head": self.head.facts(),
            "first weights": digest_of(self.network, self.head),
        }


class Stepped(NamedTuple):
    """What is known after a step: on the device, without gradients."""

    loss: Tensor
    features: Tensor
    mixed: Mixed
    lam: float


class Stepper:
    """Network, head and optimizer on their device.

    Parameters
    ----------
    task : Task
        Its modules are moved.
    prepare : Preparation
    device : torch.device
    """

    def __init__(self, task: Task, prepare: Preparation, device: torch.device) -> None:
        self.recipe, self.loss, self.lr = task.recipe, task.loss, task.lr
        self.device, self.prepare = device, prepare
        self.network = task.network.to(device)
        self.layout = _layout(self.network, device)
        self.network.to(memory_format=self.layout)  # type: ignore[call-overload]
        self.head = task.head.to(device)
        self.modules = nn.ModuleList([self.network, self.head])
        self.optimizer = task.recipe.make_optimizer(self.modules, task.lr)
        self.scaler = torch.amp.GradScaler(device.type, enabled=task.recipe.amp == "float16")
        self._weight: float | None = 1.0 if task.recipe.accumulate == 1 else None

    def step(
        self, images: Tensor, labels: Tensor, *, lam: float, rate: float, rng: torch.Generator
    ) -> Stepped:
        """Update the weights, then the class means of the head.

        Parameters
        ----------
        images : Tensor of shape (b, c, h, w)
            As `TrainingData` has them; may be changed.
        labels : int64 Tensor of shape (b,)
        lam : float
            What an image keeps of itself when it is mixed; 1 does not mix.
        rate : float
            Factor of the learning rate.
        rng : torch.Generator
            On the device; augmentations and partners are drawn from it.

        Raises
        ------
        NotFiniteError
            Before anything is updated; where the device is a CPU.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.lr * rate
        images = self.prepare(images, rng)
        mixed = Mixed(images, labels, labels)
        if lam < 1:
            partners = torch.randperm(len(labels), generator=rng, device=self.device)
            mixed = mixup(images, labels, lam, partners)
        features, loss = self._backward(mixed, lam)
        if self.recipe.max_grad_norm is not None:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.modules.parameters(), self.recipe.max_grad_norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        # Of mixed images, features count for the label of the image itself, as published.
        self.head.observe(features, labels, copy=False)
        return Stepped(loss, features, mixed, lam)

    def state(self) -> State:
        """Return what a checkpoint holds of it."""
        parts = ("network", "head", "optimizer", "scaler")
        return {name: getattr(self, name).state_dict() for name in parts}

    def load(self, state: State) -> None:
        """Take up what `state` returned."""
        for name in ("network", "head", "optimizer", "scaler"):
            getattr(self, name).load_state_dict(state[name])

    def is_finite(self) -> bool:
        """Tell whether all weights and buffers are; waits for the device."""
        return all(bool(t.isfinite().all()) for t in self.modules.state_dict().values())

    def _backward(self, mixed: Mixed, lam: float) -> tuple[Tensor, Tensor]:
        """Compute the gradient of a batch, in parts; return its features and its loss."""
        self.optimizer.zero_grad()
        features, losses = [], []
        for part in self._parts(mixed):
            with self._autocast():
                x = self.network(part.images.contiguous(memory_format=self.layout))
            x = x.float()
            loss = self._loss(x, part, lam)
            if self.device.type == "cpu" and not isfinite(value := loss.item()):
                raise NotFiniteError(f"the loss is {value}")
            if (weight := self._part_counts(x.detach(), part.labels)) != 1:
                loss = loss * weight
            self.scaler.scale(loss).backward()
            features.append(x.detach())
            losses.append(loss.detach())
        if len(features) == 1:
            return features[0], losses[0]
        return torch.cat(features), torch.stack(losses).sum()

    def _parts(self, batch: Mixed) -> Iterable[Mixed]:
        """Return the parts in which the gradient of a batch is computed."""
        n = self.recipe.accumulate
        if n == 1:
            return [batch]
        return map(Mixed._make, zip(*(rows.chunk(n) for rows in batch), strict=True))

    def _loss(self, features: Tensor, part: Mixed, lam: float) -> Tensor:
        try:
            if lam < 1:
                return mixed_loss(self.loss, self.head, features, part, lam)
            return self.loss(self.head, features, part.labels)
        except DataError:
            if features.isfinite().all():
                raise
            raise NotFiniteError("a feature is NaN or infinite") from None

    def _part_counts(self, features: Tensor, labels: Tensor) -> float:
        """Return the factor of the loss of a part, which the first loss above 0 tells."""
        if self._weight is None:
            self._weight = weight_of_a_part(
                self.loss, self.head, features, labels, parts=self.recipe.accumulate
            )
        return 1 / self.recipe.accumulate if self._weight is None else self._weight

    def _autocast(self) -> AbstractContextManager[Any]:
        if self.recipe.amp == "none":
            return torch.autocast(self.device.type, enabled=False)
        return torch.autocast(self.device.type, dtype=getattr(torch, self.recipe.amp))


def _layout(network: nn.Module, device: torch.device) -> torch.memory_format:
    """Return where the channels of an image are in memory: together for convolutions.

    That is a fifth to a half faster on CPUs, too; Apple's GPUs make copies of it.
    """
    has_convolutions = any(isinstance(m, nn.Conv2d) for m in network.modules())
    if has_convolutions and device.type != "mps":
        return torch.channels_last
    return torch.contiguous_format

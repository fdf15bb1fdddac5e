"""What is recorded of each epoch: loss, accuracy, neural collapse, changed assignments."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from math import isfinite, nan
from typing import Any

import numpy as np
import torch
from torch import Tensor

from imprint_bench.core.neural_collapse import nc1
from imprint_bench.errors import RunFailed
from imprint_bench.fixed.core.losses.mixup import Mixed
from imprint_bench.fixed.heads.head import Head

FEWEST_KEPT = 5000  # rows at the end of an epoch that accuracy and NC1 are measured on
KEPT_PER_CLASS = 20


class DivergedError(RunFailed):
    """The loss, or a weight, is NaN or infinite: choose a smaller learning rate."""


@dataclass
class History:
    """A value per epoch of each.

    Attributes
    ----------
    loss : list of float
        Mean over the epoch's steps, as it was minimized.
    accuracy : list of float
        Share of the epoch's last training images (5000, or 20 per class if these are more)
        for which the head, at the end of the epoch, chooses their class. The features are
        those of the training steps: augmented, with dropout, of weights up to 5000 images
        old. Of mixed images each class counts with its part.
    nc1 : list of float
        Of the same features divided by their lengths; NaN where images are mixed.
    change : list of float
        Mean share of classes that got another prototype, over the updates before the steps
        of the epoch; NaN where there was none, as in the first epoch.
    """

    loss: list[float] = field(default_factory=list)
    accuracy: list[float] = field(default_factory=list)
    nc1: list[float] = field(default_factory=list)
    change: list[float] = field(default_factory=list)

    def plain(self) -> dict[str, list[float]]:
        """Return the lists by their names."""
        return asdict(self)

    def latest(self) -> dict[str, str]:
        """Return the values of the last epoch, for a progress bar."""
        return {name: f"{values[-1]:.3g}" for name, values in self.plain().items()}


class EpochRecord:
    """What has been seen of the current epoch.

    Parameters
    ----------
    steps, batch_size, n_classes : int
        Of the epoch, of a step, of the head.
    """

    def __init__(self, *, steps: int, batch_size: int, n_classes: int) -> None:
        rows = max(FEWEST_KEPT, KEPT_PER_CLASS * n_classes)
        self._first_kept = steps - -(-rows // batch_size)
        self.losses: list[Tensor] = []
        self.changes: list[float] = []
        self._checked = 0
        self._kept: dict[str, list[Tensor]] = {name: [] for name in ("x", "own", "other", "lam")}

    def add(self, loss: Tensor, features: Tensor, mixed: Mixed, lam: float) -> None:
        """Take notice of a step; the device is not waited for."""
        if len(self.losses) >= self._first_kept:
            share = torch.full_like(mixed.labels, lam, dtype=torch.float32)
            for name, rows in zip(
                self._kept, (features, mixed.labels, mixed.partners, share), strict=True
            ):
                self._kept[name].append(rows)
        self.losses.append(loss)

    def check(self, epoch: int) -> None:
        """Raise DivergedError if a loss since the last check is not finite."""
        new = self.losses[self._checked :]
        if not new:
            return
        for i, loss in enumerate(torch.stack(new).tolist(), start=self._checked):
            if not isfinite(loss):
                raise diverged(epoch, i, f"the loss is {loss}")
        self._checked = len(self.losses)

    def close(self, head: Head, history: History, *, mixing: bool) -> None:
        """Append the epoch to the history and forget it."""
        kept = {name: torch.cat(rows) for name, rows in self._kept.items()}
        with torch.no_grad():
            chosen = head(kept["x"]).argmax(1)
        right = kept["lam"] * (chosen == kept["own"]) + (1 - kept["lam"]) * (
            chosen == kept["other"]
        )
        history.loss.append(float(torch.stack(self.losses).double().mean()))
        history.accuracy.append(float(right.mean()))
        history.nc1.append(nan if mixing else collapse(kept["x"], kept["own"]))
        history.change.append(float(np.mean(self.changes)) if self.changes else nan)
        self.losses, self.changes, self._checked = [], [], 0
        self._kept = {name: [] for name in self._kept}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint needs to go on with the epoch."""
        kept = {name: torch.cat(rows) for name, rows in self._kept.items() if rows}
        losses = torch.stack(self.losses) if self.losses else torch.empty(0)
        return {"losses": losses, "changes": list(self.changes), "kept": kept}

    def load(self, state: Mapping[str, Any], device: torch.device) -> None:
        """Take up what `state` returned."""
        self.losses = list(state["losses"].to(device))
        self.changes = list(state["changes"])
        self._checked = len(self.losses)
        for name, rows in state["kept"].items():
            self._kept[name] = [rows.to(device)]


def collapse(features: Tensor, labels: Tensor) -> float:
    """Return NC1 of features divided by their lengths; NaN of fewer than two classes.

    Parameters
    ----------
    features : Tensor of shape (n, d)
    labels : int64 Tensor of shape (n,)
    """
    X = features.detach().float().cpu().numpy()
    y = labels.cpu().numpy()
    if len(np.unique(y)) < 2 or not np.isfinite(X).all():
        return nan
    lengths = np.linalg.norm(X, axis=1, keepdims=True)
    return nc1(X / np.where(lengths > 0, lengths, 1), y)


def diverged(epoch: int, step: int, what: str) -> DivergedError:
    """Return the error of a training that diverged; epoch and step count from 0."""
    return DivergedError(
        f"training: {what} in epoch {epoch + 1}, step {step + 1}; choose a smaller lr, a "
        "warm-up, or max_grad_norm. The last good checkpoint, if any, is kept."
    )

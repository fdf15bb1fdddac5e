"""One run, from a dataset's images to a result row; small enough to be sent to a worker."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.fixed.core.losses.sphere import unit_rows
from imprint_bench.fixed.heads.fixed import FixedPrototypeHead
from imprint_bench.fixed.heads.head import Head, build_head
from imprint_bench.fixed.kept_head import KeptHead
from imprint_bench.fixed.network_file import write_network_file
from imprint_bench.fixed.networks import build_network
from imprint_bench.fixed.networks.network import Shape
from imprint_bench.params import Source
from imprint_bench.training.config import TrainSettings
from imprint_bench.training.evaluation import evaluate
from imprint_bench.training.loading import load
from imprint_bench.training.method import TrainingMethod
from imprint_bench.training.plan import TrainingTrial
from imprint_bench.training.recipe import Recipe
from imprint_bench.training.trainer import Trained, train
from imprint_bench.training.training_data import TrainingData

Row = dict[str, Any]


@dataclass(frozen=True)
class Run:
    """What a worker needs to train one network.

    Attributes
    ----------
    trial_id : str
    trial : TrainingTrial
    dataset, network : Source
    recipe : Recipe
    settings : TrainSettings
    fingerprint : str
        Of the dataset.
    results : Path
        Folder with `checkpoints`, `prototypes` and `networks`.
    progress : bool
        Whether to show a bar.
    """

    trial_id: str
    trial: TrainingTrial
    dataset: Source
    network: Source
    recipe: Recipe
    settings: TrainSettings
    fingerprint: str
    results: Path
    progress: bool = False

    def __len__(self) -> int:
        return 1

    @property
    def label(self) -> str:
        """What the run is called, fit for the name of a file."""
        t = self.trial
        names = [t.dataset, t.network, t.recipe, t.method.name, f"d{t.d}", f"seed{t.seed}"]
        return "-".join([*names, self.trial_id[:8]])

    @property
    def network_file(self) -> Path:
        """Where the network is kept, if it is."""
        return self.results / "networks" / f"{self.label}.pt"


def train_one(run: Run) -> Row:
    """Train and test one network, and return its row of the store.

    Raises
    ------
    ImprintError
        If data or settings are of no use, or the training diverges.
    """
    trial = run.trial
    dataset = run.dataset
    classes, data, test = load(dataset, run.recipe)
    with _threads(run.settings.threads):
        before = trial.method.first
        first = None if before is None else _trained(run, before, data, len(classes), part="-first")
        trained = _trained(run, trial.method, data, len(classes), first=first)
        result = evaluate(trained, data, test)
    if run.settings.keep:
        _keep(run, trained, classes, shape=data.shape, accuracy=result.accuracy)
    for part in ("", "-first"):
        _checkpoint(run, part).unlink(missing_ok=True)
    return {
        "trial_id": run.trial_id,
        "status": "ok",
        **trial.columns(),
        **result.plain(),
        **{f"epoch_{name}": values for name, values in trained.history.plain().items()},
        **_geometry(trained.head),
        "scale_final": None if trained.head.scale is None else float(trained.head.scale),
        **_settings("recipe", run.recipe.plain()),
        **_settings("network", run.network.params),
        "n_train": len(data.labels),
        "n_test": len(test.labels),
        "imbalance": run.dataset.params.get("rho"),
        "train_seconds": trained.seconds + (0.0 if first is None else first.seconds),
        "data": run.fingerprint,
    }


def make_head(
    run: Run, method: TrainingMethod, n_classes: int, first: Trained | None = None
) -> Head:
    """Return the head of a method, with prototypes from the cache where it has some.

    Parameters
    ----------
    run : Run
    method : TrainingMethod
    n_classes : int
    first : Trained, optional
        Whose class vectors are the prototypes, each divided by its length.
    """
    chosen = method.head
    if first is None:
        return build_head(
            chosen.kind,
            n_classes,
            run.trial.d,
            params=chosen.params,
            seed=run.trial.seed,
            cache=run.results / "prototypes",
        )
    vectors = unit_rows(first.head.class_vectors.detach().cpu().double())
    params = {name: value for name, value in chosen.params.items() if name != "prototypes"}
    params["assignment"] = params["assignment"] or "static"
    return FixedPrototypeHead(vectors, seed=run.trial.seed, **params)


def _trained(
    run: Run,
    method: TrainingMethod,
    data: TrainingData,
    n_classes: int,
    *,
    part: str = "",
    first: Trained | None = None,
) -> Trained:
    """Train a network and the head of a method from the start, or from a checkpoint."""
    trial, seconds = run.trial, run.settings.checkpoint_seconds
    network = build_network(
        run.network.kind, data.shape, trial.d, params=run.network.params, seed=trial.seed
    )
    return train(
        network,
        make_head(run, method, n_classes, first),
        partial(LOSSES[method.loss.kind], **method.loss.params),
        data,
        run.recipe,
        lr=method.lr,
        seed=trial.seed,
        device=run.settings.device,
        checkpoint=_checkpoint(run, part) if seconds else None,
        checkpoint_every=seconds,
        progress=run.progress,
    )


def _checkpoint(run: Run, part: str) -> Path:
    return run.results / "checkpoints" / f"{run.trial_id}{part}.pt"


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Let torch compute with `n` threads within the block."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _settings(part: str, values: Mapping[str, Any]) -> Row:
    """Return settings as columns: numbers and words as they are, all else as JSON."""
    plain = (int, float, str, bool, type(None))
    return {
        f"{part}_{name}": value if isinstance(value, plain) else json.dumps(value, sort_keys=True)
        for name, value in values.items()
    }


def _geometry(head: Head) -> Row:
    """Return the highest, lowest and mean cosine between the vectors of two classes."""
    vectors = head.class_vectors.detach().cpu().double().numpy()
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    n = len(unit)
    nearest, furthest = np.empty(n), np.empty(n)
    for i in range(n):
        others = np.delete(unit @ unit[i], i)
        nearest[i], furthest[i] = others.max(), others.min()
    total = unit.sum(axis=0)
    return {
        "cosine_max": float(nearest.max()),
        "cosine_min": float(furthest.min()),
        "cosine_mean": float((total @ total - (unit * unit).sum()) / (n * (n - 1))),
    }


def _keep(
    run: Run, trained: Trained, classes: np.ndarray, *, shape: Shape, accuracy: float
) -> None:
    trial = run.trial
    write_network_file(
        run.network_file,
        network=trained.network,
        kind=run.network.kind,
        params=run.network.params,
        shape=shape,
        d=trial.d,
        mean=trained.normalization.mean,
        std=trained.normalization.std,
        classes=classes.tolist(),
        head=KeptHead.of(trained.head).plain(),
        remark={"method": trial.method.name, "seed": trial.seed, "accuracy": accuracy,
                "trial_id": run.trial_id, "data": run.fingerprint},
    )  # fmt: skip

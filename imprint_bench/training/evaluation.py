"""What a trained network achieves: accuracy, by class and by how frequent it is, and collapse."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import nan
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.torch_network import exact_float32
from imprint_bench.errors import DataError
from imprint_bench.training.history import collapse
from imprint_bench.training.preparation import Normalization
from imprint_bench.training.trainer import Trained
from imprint_bench.training.training_data import TrainingData

BATCH = 500  # images at once
MOST_FOR_COLLAPSE = 50_000  # rows that NC1 is measured on
LONG_TAIL = 2  # most training images of a class, as a multiple of the fewest
MANY, FEW = 0.36, 0.29  # shares of the classes that are most and least frequent


@dataclass(frozen=True)
class Result:
    """What a trained network achieves; of images as they are, not augmented.

    Attributes
    ----------
    accuracy, accuracy_top5 : float
        Share of the test images whose class has the highest, or one of the five highest,
        logits.
    class_accuracy : tuple of float
        Of the test images of each class; NaN where there are none.
    accuracy_many, accuracy_medium, accuracy_few : float or None
        Mean of the class accuracies of frequent, of middling and of rare classes, see
        `frequency_groups`; None where the training classes are balanced.
    nc1, nc1_test : float
        NC1 of training and of test features, divided by their lengths; of 50,000 images,
        evenly spaced, where there are more.
    """

    accuracy: float
    accuracy_top5: float
    class_accuracy: tuple[float, ...]
    accuracy_many: float | None
    accuracy_medium: float | None
    accuracy_few: float | None
    nc1: float
    nc1_test: float

    def plain(self) -> dict[str, Any]:
        """Return the values by their names, lists as lists."""
        return {**asdict(self), "class_accuracy": list(self.class_accuracy)}


def evaluate(trained: Trained, data: TrainingData, test: TrainingData) -> Result:
    """Return what a trained network achieves on test images, with its assignment in force.

    Parameters
    ----------
    trained : Trained
    data : TrainingData
        What it was trained on: for NC1, and for how frequent the classes are.
    test : TrainingData

    Raises
    ------
    DataError
        If the images differ in shape, or a test label has no class.
    """
    n_classes = trained.head.n_classes
    if test.shape != data.shape:
        raise DataError(
            f"{test.where}: images of shape {test.shape}; expected {data.shape}, as in "
            f"{data.where}."
        )
    labels = torch.from_numpy(test.labels)
    if int(labels.max()) >= n_classes:
        raise DataError(
            f"{test.where}: label {int(labels.max())}; the head has {n_classes} classes, from 0 to "
            f"{n_classes - 1}."
        )
    features = features_of(trained, test)
    with torch.no_grad():
        logits = torch.cat(
            [trained.head(part.to(trained.device)).cpu() for part in features.split(BATCH)]
        )
    right = logits.argmax(1) == labels
    best = logits.topk(min(5, n_classes), dim=1).indices
    by_class = class_accuracy(right.numpy(), test.labels, n_classes)
    return Result(
        accuracy=float(right.double().mean()),
        accuracy_top5=float((best == labels[:, None]).any(1).double().mean()),
        class_accuracy=tuple(by_class.tolist()),
        **_by_frequency(by_class, np.bincount(data.labels, minlength=n_classes)),
        nc1=_collapse(trained, data),
        nc1_test=_collapse(trained, test, features),
    )


def features_of(trained: Trained, data: TrainingData, rows: np.ndarray | None = None) -> Tensor:
    """Return the features of images, float32 of shape (n, d), on the CPU.

    Parameters
    ----------
    trained : Trained
    data : TrainingData
    rows : int64 ndarray of shape (n,), optional
        Which images; all in their order where it is left out.
    """
    return features_by(trained.network, data, trained.normalization, trained.device, rows=rows)


def features_by(
    network: nn.Module,
    data: TrainingData,
    normalization: Normalization,
    device: torch.device,
    *,
    rows: np.ndarray | None = None,
) -> Tensor:
    """Return the features of images by a network in evaluation mode, which it is put in.

    Parameters
    ----------
    network : nn.Module
        On `device`.
    data : TrainingData
    normalization : Normalization
    device : torch.device
    rows : int64 ndarray of shape (n,), optional
        Which images; all in their order where it is left out.
    """
    rows = np.arange(len(data.labels)) if rows is None else rows
    blocks = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    network.eval()
    with torch.no_grad(), exact_float32(Computing(str(device))):
        batches = data.batches(blocks, device=device, draw=None)
        return torch.cat([network(normalization(images)).float().cpu() for images in batches])


def class_accuracy(right: np.ndarray, labels: np.ndarray, n_classes: int) -> np.ndarray:
    """Return the share of right answers per class, float64 of shape (n_classes,); NaN of none."""
    counts = np.bincount(labels, minlength=n_classes)
    hits = np.bincount(labels, weights=right, minlength=n_classes)
    return np.where(counts > 0, hits / np.maximum(counts, 1), nan)


def frequency_groups(counts: np.ndarray) -> Mapping[str, np.ndarray] | None:
    """Return the classes that have many, medium and few training images; None of balanced ones.

    Balanced are those of which none has twice the images of another one. In descending order
    of their training images (of equals, the lower number first), the first 36 % of the classes
    (rounded down) have many, the last 29 % (rounded) have few: 36, 35 and 29 of 100 classes, 3,
    4 and 3 of 10, as in the long-tail tables of DL2PA.

    Parameters
    ----------
    counts : int64 ndarray of shape (c,)
        Training images of each class.

    Examples
    --------
    >>> [len(group) for group in frequency_groups(np.arange(10)).values()]
    [3, 4, 3]
    """
    if counts.max() < LONG_TAIL * counts.min():
        return None
    order = np.argsort(-counts, kind="stable")
    many, few = int(MANY * len(counts)), round(FEW * len(counts))
    middle = len(counts) - few
    return {"many": order[:many], "medium": order[many:middle], "few": order[middle:]}


def _by_frequency(by_class: np.ndarray, counts: np.ndarray) -> dict[str, float | None]:
    groups = frequency_groups(counts)
    if groups is None:
        return {f"accuracy_{name}": None for name in ("many", "medium", "few")}
    kept = {name: by_class[group][~np.isnan(by_class[group])] for name, group in groups.items()}
    return {
        f"accuracy_{n}": float(values.mean()) if len(values) else nan for n, values in kept.items()
    }


def _collapse(trained: Trained, data: TrainingData, features: Tensor | None = None) -> float:
    n = len(data.labels)
    rows = np.linspace(0, n - 1, min(n, MOST_FOR_COLLAPSE)).round().astype(np.int64)
    x = features_of(trained, data, rows) if features is None else features[torch.from_numpy(rows)]
    return collapse(x, torch.from_numpy(data.labels[rows]))

"""A dataset of which the training images become fewer from class to class."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, Literal

import numpy as np

from imprint_bench.data.dataset import DATASETS, ImageDataset, built_at, digest
from imprint_bench.data.reading.another_dataset import built_of, digest_of, images_at
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import AtLeast
from imprint_bench.seeding import stream

SHOWN = 3  # classes that a remark lists


@DATASETS.register("long_tailed")
def long_tailed(
    *,
    of: Mapping[str, Any],
    rho: float,
    n_max: Annotated[float, AtLeast(1)] | None = None,
    order: Literal["label", "count"] = "label",
    draw_seed: Annotated[int, AtLeast(0)] = 0,
) -> ImageDataset:
    """Return a dataset with ``int(n_max * rho ** (k / (C - 1)))`` training images of class k.

    C is the number of its classes. Only training images are left out; all others keep their
    labels and their order, and the test images are those of the dataset. A class that has
    fewer images than that keeps all it has, and the `remark` says so.

    Of the n images of a class, the first of a permutation stay, from the stream
    (draw_seed, "long tail", label): a smaller `rho` keeps a part of what a larger one keeps.

    Parameters
    ----------
    of : Mapping[str, Mapping[str, Any]]
        ``{kind: {parameters}}`` of the dataset.
    rho : float
        Images of the last class as a share of those of the first; above 0, at most 1.
    n_max : float or None
        Images of the first class, before it is rounded down as all counts are. None is the mean
        number of training images per class: 7325.7 of SVHN.
    order : str
        "label": k goes through the labels as they are numbered; "count": through the classes
        from the one with most training images to the one with fewest (ties as numbered).
    draw_seed : int
        Draws which images stay; the trials' seeds do not touch it.

    Raises
    ------
    ConfigError
        If `rho` is not above 0 and at most 1, or the dataset is none. That `rho` leaves a class
        without an image is found when the labels are read.

    References
    ----------
    K. Cao et al., "Learning imbalanced datasets with label-distribution-aware margin loss",
    NeurIPS 2019, section 4 (long-tailed imbalance).
    """
    if not 0 < rho <= 1:
        raise ConfigError(f"long_tailed.rho: {rho}; expected a number above 0, at most 1.")
    at = "long_tailed.of"
    whole = built_at(at, lambda: built_of(of, at=at), instead_of="dataset")

    @cache
    def asked() -> dict[int, int]:
        labels, classes = whole.labels("train"), _in_order(whole.labels("train"), order)
        most = n_max or len(labels) / len(classes)
        if len(classes) < 2:
            raise DataError(f"{whole.where}: {len(classes)} class; a long tail needs two or more.")
        counts = long_tailed_counts(len(classes), rho=rho, n_max=most)
        if counts[-1] == 0:
            raise ConfigError(
                f"long_tailed.rho: {rho} leaves class {classes[counts.index(0)]} without a "
                f"training image, as {counts[0]} of the first of {len(classes)} classes stay; "
                f"expected at least {_least_rho(most):g}."
            )
        return dict(zip(classes, counts, strict=True))

    @cache
    def rows(split: str) -> np.ndarray:
        labels = whole.labels(split)
        return _kept(labels, asked(), draw_seed) if split == "train" else np.arange(len(labels))

    return ImageDataset(
        where=f"long tail of {whole.where}",
        read_labels=lambda split: whole.labels(split)[rows(split)],
        read_images=lambda split, start, stop: images_at(whole, split, rows(split)[start:stop]),
        read_shape=lambda: whole.shape,
        read_fingerprint=lambda: digest(
            of=whole.fingerprint, rows=digest_of({s: rows(s) for s in ("train", "test")})
        ),
        class_names=whole.class_names,
        remark=lambda: " ".join(
            filter(None, (whole.remark() if whole.remark else "", _clipped(whole, asked())))
        ),
    )


def long_tailed_counts(n_classes: int, *, rho: float, n_max: float) -> list[int]:
    """Return the numbers of training images of classes 0 to `n_classes` - 1.

    Parameters
    ----------
    n_classes : int
        Two or more.
    rho : float
        Share of the last class, above 0, at most 1.
    n_max : float
        Images of the first class, before rounding down.

    Returns
    -------
    counts : list of int
        Never ascending; the last ones are 0 where `rho` is below ``1 / n_max``.

    Examples
    --------
    >>> long_tailed_counts(10, rho=0.01, n_max=5000)
    [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]
    """
    return [int(n_max * rho ** (k / (n_classes - 1))) for k in range(n_classes)]


def _least_rho(n_max: float) -> float:
    """Return the smallest share that keeps an image of the last class, rounded up."""
    digits = len(str(int(n_max))) + 3
    return float(np.ceil(10**digits / n_max) / 10**digits)


def _in_order(labels: np.ndarray, order: str) -> list[int]:
    """Return the labels that occur, in the order in which their classes become smaller."""
    classes, counts = np.unique(labels, return_counts=True)
    by_count = np.argsort(-counts, kind="stable")
    return (classes[by_count] if order == "count" else classes).tolist()


def _kept(labels: np.ndarray, asked: Mapping[int, int], draw_seed: int) -> np.ndarray:
    """Return the rows that stay, ascending."""
    parts = []
    for label, count in asked.items():
        members = np.flatnonzero(labels == label)
        parts.append(stream(draw_seed, "long tail", label).permutation(members)[:count])
    return np.sort(np.concatenate(parts))


def _clipped(whole: ImageDataset, asked: Mapping[int, int]) -> str:
    """Return a sentence on the classes that have fewer images than asked for, or nothing."""
    there = np.bincount(whole.labels("train"))
    short = [f"{there[k]:,} of {n:,} (class {k})" for k, n in asked.items() if there[k] < n]
    if not short:
        return ""
    more = f" and {len(short) - SHOWN} more classes" if len(short) > SHOWN else ""
    listed = ", ".join(short[:SHOWN]) + more
    return f"The long tail has fewer training images than asked for: {listed}."

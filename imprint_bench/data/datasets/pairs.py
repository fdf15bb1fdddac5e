"""Two images side by side: from few classes many, of which some are related."""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset, Shape, built_at, digest
from imprint_bench.data.reading.another_dataset import built_of, digest_of, images_at
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import AtLeast, PositiveInt
from imprint_bench.seeding import stream


@DATASETS.register("pairs")
def pairs(
    *,
    of: Mapping[str, Any],
    n_train: PositiveInt = 100,
    n_test: PositiveInt = 30,
    split_seed: Annotated[int, AtLeast(0)] = 0,
    shrink: PositiveInt = 1,
) -> ImageDataset:
    """Return images that are two of another dataset's side by side, of C times C classes.

    With a class a on the left and b on the right the label is ``C * a + b``, where C is the
    number of classes of the dataset: classes that share a side are related, as classes of one
    superclass are. Training pairs are made from its training images, test pairs from its test
    images, so that no image is in both.

    The pairs of a class are a draw without repetition from all pairs of an image of a with one
    of b, from the stream (split_seed, "pairs", split, a, b). Rows come class by class.

    Parameters
    ----------
    of : Mapping[str, Mapping[str, Any]]
        ``{kind: {parameters}}`` of the dataset; all its images have one size, its labels are
        0 to C - 1.
    n_train, n_test : int
        Pairs per class.
    split_seed : int
        Draws the pairs; the trials' seeds do not touch it.
    shrink : int
        A pixel is the rounded mean over `shrink` x `shrink` pixels of the dataset.

    Raises
    ------
    ConfigError
        If the dataset is none. That it has fewer pairs than asked for is found when the labels
        are read, and a size that `shrink` does not divide with the first image.
    """
    at = "pairs.of"
    single = built_at(at, lambda: built_of(of, at=at), instead_of="dataset")
    wanted = {"train": n_train, "test": n_test}

    @cache
    def drawn(split: str) -> np.ndarray:
        return _drawn(single, split, wanted[split], split_seed)

    def labels(split: str) -> np.ndarray:
        return np.repeat(np.arange(len(drawn(split)) // wanted[split]), wanted[split])

    return ImageDataset(
        where=f"pairs of {single.where}",
        read_labels=labels,
        read_images=lambda split, start, stop: _joined(
            single, split, drawn(split)[start:stop], shrink
        ),
        read_shape=lambda: _shape(single, shrink),
        read_fingerprint=lambda: digest(
            of=single.fingerprint, rows=digest_of({s: drawn(s) for s in SPLITS}), shrink=shrink
        ),
        class_names=lambda: _names(single),
        remark=single.remark,
    )


def _n_classes(single: ImageDataset) -> int:
    """Return the number of classes, after a look at the labels of both splits."""
    for split in SPLITS:
        classes = np.unique(single.labels(split))
        if split == "train":
            n_classes = int(classes[-1]) + 1
        lacking = np.setdiff1d(np.arange(n_classes), classes)
        if len(lacking) or classes[-1] >= n_classes:
            what = f"no {split} image of class {lacking[0]}" if len(lacking) else "another class"
            raise DataError(
                f"{single.where}: {what}; pairs need images of the same classes 0 to "
                f"{n_classes - 1} in both splits."
            )
    return n_classes


def _drawn(single: ImageDataset, split: str, n: int, split_seed: int) -> np.ndarray:
    """Return the rows of the left and the right images, int64 (C * C * n, 2)."""
    labels, n_classes = single.labels(split), _n_classes(single)
    members = [np.flatnonzero(labels == label) for label in range(n_classes)]
    found = []
    for a, left in enumerate(members):
        for b, right in enumerate(members):
            if n > len(left) * len(right):
                raise ConfigError(
                    f"pairs.n_{split}: {n}; {len(left)} images of class {a} and {len(right)} of "
                    f"class {b} make {len(left) * len(right)} pairs, expected at most as many."
                )
            rng = stream(split_seed, "pairs", split, a, b)
            chosen = rng.choice(len(left) * len(right), n, replace=False)
            i, j = np.divmod(chosen, len(right))
            found.append(np.column_stack([left[i], right[j]]))
    return np.concatenate(found)


def _joined(single: ImageDataset, split: str, rows: np.ndarray, shrink: int) -> np.ndarray:
    """Return uint8 (n, h, 2 w, c) from the rows of both sides, (n, 2)."""
    shape = _shape(single, shrink)
    if len(rows) == 0:
        return np.empty((0, *shape), dtype=np.uint8)
    both = images_at(single, split, rows.ravel())
    if not isinstance(both, np.ndarray) or both.shape[1:] != single.shape:
        raise DataError(f"{single.where}: images of several sizes; pairs need images of one size.")
    left_right = _shrunk(both, shrink).reshape(len(rows), 2, shape[0], shape[1] // 2, shape[2])
    return np.concatenate([left_right[:, 0], left_right[:, 1]], axis=2)


def _shrunk(images: np.ndarray, by: int) -> np.ndarray:
    """Return the means over `by` x `by` pixels, halves rounded up: uint8 (n, h / by, w / by, c)."""
    if by == 1:
        return images
    n, height, width, channels = images.shape
    blocks = images.reshape(n, height // by, by, width // by, by, channels)
    return ((blocks.sum(axis=(2, 4), dtype=np.int64) * 2 + by**2) // (2 * by**2)).astype(np.uint8)


def _shape(single: ImageDataset, shrink: int) -> Shape:
    height, width, channels = single.shape
    if height % shrink or width % shrink:
        raise ConfigError(
            f"pairs.shrink: {shrink} does not divide images of {height} x {width} pixels; "
            "expected a divisor of both."
        )
    return height // shrink, 2 * width // shrink, channels


def _names(single: ImageDataset) -> list[str]:
    names = single.class_names() if single.class_names is not None else ()
    return [f"{a} {b}" for a in names for b in names] if len(names) == _n_classes(single) else []

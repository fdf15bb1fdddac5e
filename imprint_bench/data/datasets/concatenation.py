"""Several datasets as one: with the same classes, or with classes of their own."""

from collections.abc import Mapping
from functools import cache, partial
from itertools import accumulate, pairwise
from typing import Any, Literal

import numpy as np

from imprint_bench.data.dataset import DATASETS, ImageDataset, Images, built_at, digest
from imprint_bench.data.fetching.downloads import MissingFilesError
from imprint_bench.data.reading.another_dataset import built_of
from imprint_bench.errors import ConfigError, DataError

Parts = Mapping[str, ImageDataset]


@DATASETS.register("concatenation")
def concatenation(
    *, parts: Mapping[str, Any], labels: Literal["shared", "offset"] = "shared"
) -> ImageDataset:
    """Return the images of several datasets, one dataset after the other, all in color.

    A grey image is repeated to three channels. Images keep the sizes of their
    datasets.

    Parameters
    ----------
    parts : Mapping[str, Mapping[str, Mapping[str, Any]]]
        ``{name: {kind: {parameters}}}`` of each dataset, in this order.
    labels : "shared" or "offset"
        Whether a label means the same in all of them, or the classes of each follow those of
        the parts before it.

    Raises
    ------
    ConfigError
        If there are no parts, or a kind or parameter is unknown or wrong.
    MissingFilesError
        If files of parts are missing: of all of them at once.
    """
    datasets: dict[str, ImageDataset] = {}
    lacking: list[MissingFilesError] = []
    for name, value in _checked(parts).items():
        try:
            datasets[name] = _built(name, value)
        except MissingFilesError as error:
            lacking.append(error)
    if lacking:
        downloads = [download for error in lacking for download in error.downloads]
        others = f" There are {len(lacking) - 1} more parts of which files are missing."
        raise MissingFilesError(str(lacking[0]) + (others if lacking[1:] else ""), downloads)
    first = next(iter(datasets.values()))
    rows = cache(partial(_rows, datasets))

    def read_labels(split: str) -> np.ndarray:
        return (_labels if labels == "shared" else _offset_labels)(datasets, split)

    def images(split: str, start: int, stop: int) -> Images:
        found = _images(datasets, rows(split), split, start, stop)
        return found if len(found) else np.empty((0, *first.shape[:2], 3), dtype=np.uint8)

    return ImageDataset(
        where=f"concatenation of {', '.join(datasets)}",
        read_labels=read_labels,
        read_images=images,
        read_shape=lambda: (*first.shape[:2], 3),
        read_fingerprint=lambda: digest(
            parts=[d.fingerprint for d in datasets.values()],
            **({} if labels == "shared" else {"labels": labels}),
        ),
        parts=rows,
        remark=lambda: " ".join(
            text for d in datasets.values() if d.remark and (text := d.remark())
        ),
    )


def _checked(parts: Mapping[str, Any]) -> Mapping[str, Any]:
    if not parts:
        raise ConfigError("concatenation.parts: no parts; expected at least one dataset.")
    for name, value in parts.items():
        if not isinstance(value, Mapping) or len(value) != 1:
            raise ConfigError(
                f"concatenation.parts.{name}: expected {{kind: {{parameters}}}}, got {value!r}."
            )
    return parts


def _built(name: str, value: Mapping[str, Any]) -> ImageDataset:
    at = f"concatenation.parts.{name}"
    return built_at(at, lambda: built_of(value, at=at), instead_of="dataset")


def _rows(datasets: Parts, split: str) -> dict[str, range]:
    """Return the rows of `split` that each dataset has."""
    ends = accumulate((dataset.size(split) for dataset in datasets.values()), initial=0)
    return {name: range(*pair) for name, pair in zip(datasets, pairwise(ends), strict=True)}


def _labels(datasets: Parts, split: str) -> np.ndarray:
    labels = {name: dataset.labels(split) for name, dataset in datasets.items()}
    if split == "train":
        _check_classes(labels)
    return np.concatenate(list(labels.values()))


def _offset_labels(datasets: Parts, split: str) -> np.ndarray:
    found, start = [], 0
    for name, dataset in datasets.items():
        trained, own = dataset.labels("train"), dataset.labels(split)
        if own.max() > trained.max():  # it would be a class of the next part
            raise DataError(
                f"concatenation.parts.{name}: no training image of class {own.max()}, which is "
                f"in {split}; expected every class to be trained."
            )
        found.append(own + start)
        start += int(trained.max()) + 1
    return np.concatenate(found)


def _check_classes(labels: Mapping[str, np.ndarray]) -> None:
    classes = {name: set(np.unique(y).tolist()) for name, y in labels.items()}
    everywhere = set.union(*classes.values())
    for name, own in classes.items():
        if lacking := sorted(everywhere - own):
            raise DataError(
                f"concatenation.parts.{name}: no training image of class {lacking[0]}, which "
                "another part has; expected datasets with the same labels."
            )


def _images(
    datasets: Parts, rows: Mapping[str, range], split: str, start: int, stop: int
) -> Images:
    found: list[Images] = []
    for name, own in rows.items():
        low, high = max(start, own.start), min(stop, own.stop)
        if low < high:
            images = datasets[name].images(split, low - own.start, high - own.start)
            found.append(_colored(images))
    return found[0] if len(found) == 1 else [image for images in found for image in images]


def _colored(images: Images) -> Images:
    """Return the images in three channels: grey is repeated."""
    if isinstance(images, np.ndarray):
        return images if images.shape[-1] == 3 else np.repeat(images, 3, axis=-1)
    return [image if image.shape[-1] == 3 else np.repeat(image, 3, axis=-1) for image in images]

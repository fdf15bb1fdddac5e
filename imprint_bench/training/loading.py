"""The images of a dataset as a run trains on them, kept for the next run in the same process."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from imprint_bench.data.dataset import SPLITS, ImageDataset, build_dataset
from imprint_bench.params import Source
from imprint_bench.training.mixing import mixture_of
from imprint_bench.training.recipe import Recipe
from imprint_bench.training.streaming import StreamedData
from imprint_bench.training.training_data import InMemoryData, TrainingData, in_memory

Split = InMemoryData | StreamedData


class _Frozen(Mapping[str, Any]):
    """Parameters that can be a key of a cache."""

    def __init__(self, params: Mapping[str, Any]) -> None:
        self._params = dict(params)

    def __getitem__(self, name: str) -> Any:
        return self._params[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._params)

    def __len__(self) -> int:
        return len(self._params)

    def __hash__(self) -> int:
        return hash(repr(sorted(self._params.items())))


def load(source: Source, recipe: Recipe) -> tuple[np.ndarray, TrainingData, TrainingData]:
    """Return the classes of a dataset, and its training and test images with labels from 0 on.

    The last dataset is kept in memory for the next run.

    Parameters
    ----------
    source : Source
    recipe : Recipe
        Its ``image_size`` is that to which images are cropped while they are read, None reads
        them all at once; its ``shares`` are those of the parts of the dataset in every batch.
    """
    classes, parts, train, test = _loaded(
        source.name, source.kind, _Frozen(source.params), recipe.image_size
    )
    if recipe.shares is not None:
        mixture = mixture_of(parts, recipe.shares, dataset=source.name, at="recipe.shares")
        train = replace(train, mixture=mixture)
    return classes, train, test


@lru_cache(maxsize=1)  # runs of one dataset follow each other, and images may fill the memory
def _loaded(
    name: str, kind: str, params: Mapping[str, Any], image_size: int | None
) -> tuple[np.ndarray, Mapping[str, range], Split, Split]:
    dataset = build_dataset(Source(name, kind, dict(params)))
    classes = np.unique(dataset.labels("train"))
    numbered = replace(
        dataset, read_labels=lambda split: np.searchsorted(classes, dataset.labels(split))
    )
    train, test = (_split(numbered, split, image_size) for split in SPLITS)
    return classes, dataset.rows_of_parts("train"), train, test


def _split(dataset: ImageDataset, split: str, image_size: int | None) -> Split:
    if image_size is None:
        return in_memory(dataset, split)
    return StreamedData(dataset, split, image_size)

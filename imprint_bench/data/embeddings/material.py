"""What an entry of the cache is made of: a foundation model, and data."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from imprint_bench.data.dataset import ImageDataset, build_dataset, digest
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.foundation_model import FoundationModel, build_foundation_model
from imprint_bench.data.networks.computing import Autocast, Computing
from imprint_bench.data.reading.precomputed_arrays import PrecomputedArrays
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source

REMEDY = "nothing was stored; mend the foundation model or the images and run again"


@dataclass(frozen=True, eq=False)
class Material:
    """A foundation model with the images it embeds, or with ready-made arrays.

    Attributes
    ----------
    fm : FoundationModel
        Built, its network not yet loaded.
    data : ImageDataset or PrecomputedArrays
        Where labels come from, and what is embedded or copied.
    autocast : Autocast
        Arithmetic of torch networks.
    dtype : str
        "float32" or "float16", in which embeddings are stored.
    """

    fm: FoundationModel
    data: ImageDataset | PrecomputedArrays
    autocast: Autocast
    dtype: str

    @cached_property
    def data_fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of images and labels, or of the npz file."""
        return self.data.fingerprint

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of all that settles the embeddings."""
        fm = self.fm.fingerprint_for(Computing(autocast=self.autocast))
        stored = {} if self.dtype == "float32" else {"dtype": self.dtype}
        return digest(fm=fm, data=self.data_fingerprint, **stored)

    @cached_property
    def length(self) -> int:
        """Values per embedding; nothing is embedded to find it out."""
        if isinstance(self.data, PrecomputedArrays):
            return self.data.length
        return self.fm.length_for(self.data.shape)

    @property
    def identity(self) -> dict[str, Any]:
        """The parts of the fingerprint in words, for the manifest."""
        lowered = self.fm.on_torch and self.autocast != "none"
        return {
            "weights": self.fm.weights,
            "preprocessing": {
                "kind": self.fm.kind,
                "version": self.fm.version,
                **self.fm.preprocessing,
            }
            | ({"autocast": self.autocast} if lowered else {}),
            "data": self.data_fingerprint,
            "dtype": self.dtype,
        }

    @property
    def remedy(self) -> str:
        """What to do about embeddings that are not finite."""
        if isinstance(self.data, PrecomputedArrays):
            return f"nothing was stored; mend {self.data.path.absolute()} and run again"
        return REMEDY

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of `split`: int64 of shape (n,)."""
        return self.data.labels(split)


def build_material(fm: Source, dataset: Source, settings: EmbedSettings) -> Material:
    """Return what the embeddings of `dataset` by `fm` are made of; reads nothing big.

    Raises
    ------
    ConfigError
        If a kind or parameter is wrong, or the dataset has no images for this
        foundation model.
    DataError
        If a file is missing.
    """
    model = build_foundation_model(fm)
    if model.arrays_for is not None:
        if dataset.kind != "precomputed" and "{dataset}" not in str(fm.params.get("file", "")):
            raise ConfigError(
                f"fm.{fm.name}.file: {fm.params.get('file')!r} has labels of its own, not "
                f"those of dataset {dataset.name!r}; choose dataset=[precomputed], or write "
                "{dataset} in the name of a file of that dataset."
            )
        data: ImageDataset | PrecomputedArrays = _explained_arrays(model, fm, dataset)
    elif dataset.kind == "precomputed":
        raise ConfigError(
            f"dataset.{dataset.name}: has no images for fm {fm.name!r} of kind {fm.kind}; expected "
            "a foundation model of kind precomputed."
        )
    else:
        data = build_dataset(dataset)
    return Material(model, data, settings.autocast, settings.dtype)


def _explained_arrays(model: FoundationModel, fm: Source, dataset: Source) -> PrecomputedArrays:
    assert model.arrays_for is not None
    try:
        return model.arrays_for(dataset.name)
    except DataError as error:
        raise DataError(f"fm.{fm.name}.file for dataset {dataset.name}: {error}") from error

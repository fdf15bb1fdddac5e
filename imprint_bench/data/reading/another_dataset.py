"""A dataset that is made from another one: how it is named, and how single rows of it are read."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset, Images, build_dataset
from imprint_bench.errors import ConfigError
from imprint_bench.params import Source, check_params


def built_of(of: Mapping[str, Any], *, at: str) -> ImageDataset:
    """Return the dataset that a parameter names as ``{kind: {parameters}}``.

    Parameters
    ----------
    of : Mapping[str, Mapping[str, Any]]
        One kind of the registry, with its parameters.
    at : str
        The place of the parameter, with which a message starts.

    Raises
    ------
    ConfigError
        If it names no dataset or several, or a kind or parameter is unknown or wrong.
    MissingFilesError
        If its files are missing.
    """
    if len(of) != 1:
        raise ConfigError(
            f"{at}: expected one dataset, {{kind: {{parameters}}}}, got {len(of)} of them "
            f"({', '.join(map(str, of)) or 'none'})."
        )
    ((kind, params),) = of.items()
    function = DATASETS.find(kind, at=at)
    if not isinstance(params, Mapping | None):
        raise ConfigError(f"{at}.{kind}: expected a mapping of its parameters, got {params!r}.")
    check_params(function, params or {}, at=f"{at}.{kind}")
    return build_dataset(Source(kind, kind, params or {}))


def images_at(dataset: ImageDataset, split: str, rows: np.ndarray) -> Images:
    """Return the images of any rows, in that order; neighbors are read together.

    Parameters
    ----------
    dataset : ImageDataset
    split : str
        "train" or "test".
    rows : int ndarray of shape (n,)
        Rows of the split; one may stand there several times.

    Returns
    -------
    images : uint8 ndarray of shape (n, h, w, c), or list of ndarrays (h_i, w_i, c)
    """
    if len(rows) == 0:
        return np.empty((0, *dataset.shape), dtype=np.uint8)
    wanted, places = np.unique(rows, return_inverse=True)
    found = [dataset.images(split, run.start, run.stop) for run in _runs(wanted)]
    arrays = [part for part in found if isinstance(part, np.ndarray)]
    if len(arrays) == len(found) and len({part.shape[1:] for part in arrays}) == 1:
        return np.concatenate(arrays)[places]
    images = [image for part in found for image in part]
    return [images[place] for place in places]


def digest_of(rows: Mapping[str, np.ndarray]) -> str:
    """Return the SHA-256 (hexadecimal) of the rows of both splits, int64 of any shape."""
    content = hashlib.sha256()
    for split in SPLITS:
        content.update(f"{split} {rows[split].shape}\n".encode())
        content.update(np.ascontiguousarray(rows[split], dtype="<i8").tobytes())
    return content.hexdigest()


def _runs(rows: np.ndarray) -> Iterator[range]:
    """Yield the ranges of neighbors among ascending rows."""
    for run in np.split(rows, np.flatnonzero(np.diff(rows) > 1) + 1):
        yield range(int(run[0]), int(run[-1]) + 1)

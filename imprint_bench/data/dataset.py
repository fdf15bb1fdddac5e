"""What a dataset is: labels and images of two splits, read only when they are asked for."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source, check_params
from imprint_bench.plugins import code_of
from imprint_bench.registry import Registry

SPLITS = ("train", "test")
CHANNELS = (1, 3)

Shape = tuple[int, int, int]
Images = np.ndarray | Sequence[np.ndarray]


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Labels and images of a "train" and a "test" split, all with as many channels.

    The attributes are the ways to read it; use the methods, which check what
    they return. Building one reads nothing big.

    Attributes
    ----------
    where : str
        Folder or file it is read from, for messages.
    read_labels : callable
        ``(split) -> (n,)`` whole numbers; cheap, does not touch the images.
    read_images : callable
        ``(split, start, stop) -> uint8 (stop - start, h, w, c)``, or a list of as many
        images (h_i, w_i, c) where their sizes differ.
    read_shape : callable
        ``() -> (h, w, c)`` of the first training image; c = 1 (grey) or 3 (red, green, blue).
    read_fingerprint : callable
        ``() -> str``, SHA-256 (hexadecimal) of the content, not of where it lies.
    class_names : callable or None
        ``() -> names`` of classes 0, 1, 2, ...; empty or None where they have none.
    parts : callable or None
        ``(split) -> {name: rows}`` of the sources that the dataset is joined from; None
        where there is one source.
    remark : callable or None
        ``() -> str``: a sentence on what is there but not read, or "". None if nothing can be.
    """

    where: str
    read_labels: Callable[[str], np.ndarray]
    read_images: Callable[[str, int, int], Images]
    read_shape: Callable[[], Shape]
    read_fingerprint: Callable[[], str]
    class_names: Callable[[], Sequence[str]] | None = None
    parts: Callable[[str], Mapping[str, range]] | None = None
    remark: Callable[[], str] | None = None

    def labels(self, split: str) -> np.ndarray:
        """Return the labels of `split`: int64 of shape (n,), n >= 1, none negative."""
        return checked_labels(
            self.read_labels(_known(split)), at=f"{self.where}, labels of {split}"
        )

    def rows_of_parts(self, split: str) -> Mapping[str, range]:
        """Return the rows of each source by its name; nothing where there is one source."""
        return {} if self.parts is None else self.parts(_known(split))

    def size(self, split: str) -> int:
        """Return the number of images of `split`."""
        return len(self.labels(split))

    def images(self, split: str, start: int, stop: int) -> Images:
        """Return rows `start` to `stop` (excluded).

        Returns
        -------
        images : uint8 ndarray of shape (stop - start, h, w, c), or list of ndarrays
            An array where all images are as large, else a list of (h_i, w_i, c).
        """
        images = self.read_images(_known(split), start, stop)
        at = f"{self.where}, images {start} to {stop} of {split}"
        if len(images) != stop - start:
            raise DataError(f"{at}: got {len(images)}; expected {stop - start}.")
        channels = self.shape[2]
        of_each_kind: list[Any] = list(images[:1] if isinstance(images, np.ndarray) else images)
        for image in of_each_kind:
            if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != channels:
                raise DataError(
                    f"{at}: got {image.dtype} of shape {image.shape}; expected uint8 of shape "
                    f"(height, width, {channels})."
                )
        if isinstance(images, np.ndarray) or len({image.shape for image in images}) > 1:
            return images
        return np.stack(images)

    @cached_property
    def shape(self) -> Shape:
        """Height, width and channels of the first training image; all have as many channels."""
        return self.read_shape()

    @property
    def fingerprint(self) -> str:
        """SHA-256 (hexadecimal) of the content."""
        return self.read_fingerprint()


DATASETS: Registry[Callable[..., ImageDataset]] = Registry("dataset", "imprint_bench.data.datasets")


def build_dataset(source: Source) -> ImageDataset:
    """Return the dataset that `source` names.

    The file of a function that the user imported is part of its fingerprint. A function
    starts its messages with its kind, ``long_tailed.rho: ...``, and they come out with the name.

    Raises
    ------
    ConfigError
        If the kind or a parameter is unknown or wrong; the message starts with
        ``dataset.<name>.<kind>``, or ``dataset.<name>`` if that is the kind. Some of it is
        found only when the dataset is read.
    DataError
        If a file is missing.
    """
    at = f"dataset.{source.name}"
    function = DATASETS.find(source.kind, at=at)
    at = at if source.kind == source.name else f"{at}.{source.kind}"
    check_params(function, source.params, at=at)
    made = built_at(at, lambda: function(**source.params), instead_of=source.kind)
    if (code := code_of(function)) is None:
        return made
    return replace(made, read_fingerprint=lambda: digest(content=made.fingerprint, code=code))


def built_at(at: str, make: Callable[[], ImageDataset], *, instead_of: str) -> ImageDataset:
    """Return what `make` makes; its messages, now and whenever it is read, start with `at`.

    Parameters
    ----------
    at : str
        Place of the dataset in the configuration.
    make : callable
        ``() -> ImageDataset``.
    instead_of : str
        Place that its messages start with otherwise. A message that starts with something
        else, such as a file, stays as it is.
    """
    placed = _placed(at, instead_of)
    made = placed(make)()
    ways = {field.name: getattr(made, field.name) for field in fields(made)}
    return replace(made, **{name: placed(way) for name, way in ways.items() if callable(way)})


def checked_labels(labels: np.ndarray, *, at: str) -> np.ndarray:
    """Return `labels` as int64 of shape (n,).

    Parameters
    ----------
    labels : ndarray of shape (n,) or (n, 1)
        Whole numbers of 0 or more.
    at : str
        The place, with which a message starts.

    Raises
    ------
    DataError
        If there are none, or they are text, fractions, negative or several per row.
    """
    labels = np.asarray(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise DataError(f"{at}: shape {labels.shape}; expected one label per row, shape (n,).")
    if len(labels) == 0:
        raise DataError(f"{at}: no rows; expected at least one.")
    if labels.dtype.kind not in "iu":
        first = labels.tolist()[0]
        raise DataError(
            f"{at}: {labels.dtype} such as {first!r}; expected whole numbers from 0 on."
        )
    if labels.min() < 0:
        row = int(np.argmax(labels < 0))
        raise DataError(f"{at}: {labels[row]} in row {row}; expected whole numbers from 0 on.")
    return labels.astype(np.int64)


def digest(**content: Any) -> str:
    """Return the SHA-256 (hexadecimal) of JSON values: the same for the same values."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


@contextmanager
def _placed(at: str, instead_of: str) -> Iterator[None]:
    """Change the place with which the message of an error starts; decorates functions, too."""
    try:
        yield
    except (ConfigError, DataError) as error:
        sentence = str(error)
        if sentence.startswith(tuple(instead_of + mark for mark in ".[:")):
            error.args = (at + sentence.removeprefix(instead_of),)
        raise


def _known(split: str) -> str:
    if split not in SPLITS:
        raise ValueError(f"split {split!r}; expected one of {', '.join(SPLITS)}")
    return split

"""IDX files, the layout of MNIST and its relatives."""

import gzip
import hashlib
import math
import struct
import zlib
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import IO

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset, Shape, digest
from imprint_bench.data.fetching.downloads import Download, missing
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.data.reading.files import absence, given_path, identity
from imprint_bench.errors import DataError

PREFIX = {"train": "train", "test": "t10k"}
BYTES = 0x08  # the IDX code for unsigned bytes
KINDS = ("images-idx3", "labels-idx1")
TORCHVISION = ("MNIST", "FashionMNIST", "KMNIST")  # which are four IDX files, and downloaded


@DATASETS.register("idx")
def idx(*, folder: str) -> ImageDataset:
    """Return a dataset of grey images from four IDX files, plain or gzipped.

    Parameters
    ----------
    folder : str
        Holds train-images-idx3-ubyte, train-labels-idx1-ubyte,
        t10k-images-idx3-ubyte and t10k-labels-idx1-ubyte, each with or without
        ``.gz``: the folder ``MNIST/raw``, ``FashionMNIST/raw`` or ``KMNIST/raw`` of torchvision.

    Raises
    ------
    DataError
        If a file is missing: MissingFilesError in a folder of one of these three names.
        Damaged files are found when they are read.

    References
    ----------
    Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998:
    a big-endian header (0, 0, type, dimensions, one size each), then the values.
    """
    place = given_path(folder, at="idx.folder")
    images, labels = ({s: _found(place, f"{PREFIX[s]}-{k}-ubyte") for s in SPLITS} for k in KINDS)
    if lacking := [p for p in (*images.values(), *labels.values()) if not p.is_file()]:
        raise _missing(place, lacking)
    return ImageDataset(
        where=str(place.absolute()),
        read_labels=partial(_labels, images, labels),
        read_images=partial(_images, images),
        read_shape=partial(_shape, images["train"]),
        read_fingerprint=lambda: digest(
            images=[_hash(images[s]) for s in SPLITS], labels=[_hash(labels[s]) for s in SPLITS]
        ),
    )


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    offset: int  # bytes before the values


def _found(folder: Path, name: str) -> Path:
    """Return the place of the file: plain, or gzipped where only that is there."""
    gzipped = folder / f"{name}.gz"
    return gzipped if gzipped.is_file() and not (folder / name).is_file() else folder / name


def _missing(folder: Path, lacking: list[Path]) -> DataError:
    what, family = absence(lacking[0], "file"), folder.parent.name
    what = what.replace("no such file", "no such file (nor with .gz)")
    if folder.name != "raw" or family not in TORCHVISION:
        return DataError(
            f"{lacking[0].absolute()}: {what}; put the four IDX files there, or set "
            "paths.data=FOLDER to the folder that has them."
        )
    published = getattr(torchvision().datasets, family)
    downloads = [
        Download(
            f"{published.mirrors[0]}{name}",
            folder / name,
            checksum=f"md5:{md5}",
            mirrors=tuple(f"{mirror}{name}" for mirror in published.mirrors[1:]),
        )
        for name, md5 in published.resources
        if (folder / name).with_suffix("") in lacking
    ]
    return missing(lacking[0], downloads, what=what)


def _open(path: Path) -> IO[bytes]:
    return gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb")  # type: ignore[return-value]


def _header(path: Path, dimensions: int) -> _Header:
    """Read the first bytes; a plain file must be exactly as long as they promise."""
    offset = 4 + 4 * dimensions
    try:
        with _open(path) as file:
            start = file.read(offset)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    magic = bytes([0, 0, BYTES, dimensions])
    if start[:4] != magic:
        raise DataError(
            f"{path.absolute()}: starts with {start[:4].hex(' ') or 'nothing'}; expected "
            f"{magic.hex(' ')}, an IDX file of bytes in {dimensions} dimensions."
        )
    if len(start) < offset:
        raise _damaged(path, "it ends within its header")
    shape = struct.unpack(f">{dimensions}I", start[4:])
    held = path.stat().st_size - offset
    if path.suffix != ".gz" and held != math.prod(shape):
        raise _damaged(path, f"it has {held} bytes of values, its header promises {shape}")
    return _Header(shape, offset)


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path.absolute()}: damaged, {reason}; fetch the file again.")


def _values(path: Path, dimensions: int) -> np.ndarray:
    """Return all values: a memory map of a plain file, an array from a gzipped one."""
    if path.suffix == ".gz":
        return _decompressed(path, _header(path, dimensions), identity(path))
    return _mapped(path, dimensions, identity(path))


@lru_cache(maxsize=4)
def _mapped(path: Path, dimensions: int, _identity: tuple[int, int, int]) -> np.ndarray:
    header = _header(path, dimensions)
    return np.memmap(path, np.uint8, "r", offset=header.offset, shape=header.shape)


@lru_cache(maxsize=1)
def _decompressed(path: Path, header: _Header, _identity: tuple[int, int, int]) -> np.ndarray:
    promised = math.prod(header.shape)
    try:
        with _open(path) as file:
            file.seek(header.offset)
            content = file.read(promised + 1)  # no more, whatever the file expands to
            if len(content) == promised:
                file.read(1)  # the end, where gzip compares its checksum
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    if len(content) != promised:
        more = "more" if len(content) > promised else "fewer"
        raise _damaged(path, f"it has {more} values than its header promises, {header.shape}")
    return np.frombuffer(content, np.uint8).reshape(header.shape)


def _labels(images: dict[str, Path], labels: dict[str, Path], split: str) -> np.ndarray:
    values = np.array(_values(labels[split], 1))
    rows = _header(images[split], 3).shape[0]
    if len(values) != rows:
        raise DataError(
            f"{labels[split].absolute()}: {len(values)} labels for {rows} images in "
            f"{images[split].name}; expected one label per image."
        )
    return values


def _images(images: dict[str, Path], split: str, start: int, stop: int) -> np.ndarray:
    return np.array(_values(images[split], 3)[start:stop])[..., None]


def _shape(train: Path) -> Shape:
    _, height, width = _header(train, 3).shape
    return height, width, 1


def _hash(path: Path) -> str:
    """Return the hash of the uncompressed content: gzipping a file does not change the data."""
    return _hash_of(path, identity(path))


@lru_cache(maxsize=64)
def _hash_of(path: Path, _identity: tuple[int, int, int]) -> str:
    content = hashlib.sha256()
    try:
        with _open(path) as file:
            while block := file.read(1 << 22):
                content.update(block)
    except (OSError, EOFError, zlib.error) as error:
        raise _damaged(path, str(error)) from error
    return content.hexdigest()

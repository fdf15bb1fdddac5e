"""USPS: handwritten digits from envelopes, in the text format of LIBSVM."""

import bz2
from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset
from imprint_bench.data.fetching.downloads import Download, missing
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.data.reading.files import given_path
from imprint_bench.data.reading.published import (
    absent,
    array_dataset,
    folder_with,
    numbered_from_zero,
)
from imprint_bench.errors import DataError

SHAPE = (16, 16, 1)
VALUES = 16 * 16
NAMES = {"train": "usps.bz2", "test": "usps.t.bz2"}
MOST_BYTES = 1 << 28  # of text; the real files have a tenth of that


@DATASETS.register("usps")
def usps(*, root: str) -> ImageDataset:
    """Return USPS: 16 x 16 pixels in grey, label = digit.

    A value v from -1 to 1 becomes the pixel ``(v + 1) / 2 * 255``, without its
    fraction, as torchvision has it.

    Parameters
    ----------
    root : str
        Holds usps.bz2 and usps.t.bz2, or has a folder ``USPS`` that does.

    Raises
    ------
    MissingFilesError
        If a file is missing. Damaged files are found when they are read.

    References
    ----------
    J. J. Hull, "A database for handwritten text recognition research", IEEE Transactions on
    Pattern Analysis and Machine Intelligence 16, 1994. Files: LIBSVM Data, "usps": lines of
    ``label index:value ...`` with labels 1 to 10 for the digits 0 to 9.
    """
    folder = folder_with(given_path(root, at="usps.root"), ("USPS", ""), list(NAMES.values()))
    if lacking := absent(folder, list(NAMES.values())):
        published = torchvision().datasets.USPS.split_list
        raise missing(
            lacking[0],
            [
                Download(url, folder / name, checksum=f"md5:{md5}")
                for url, name, md5 in (published[split] for split in SPLITS)
                if folder / name in lacking
            ],
        )
    pieces = {split: [(folder / NAMES[split],)] for split in SPLITS}
    return array_dataset(folder, pieces, read=_read, shape=SHAPE)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    lines = _text(path).splitlines()
    labels = np.empty(len(lines), dtype=np.int64)
    values = np.zeros((len(lines), VALUES))  # LIBSVM leaves out zeros
    for row, line in enumerate(lines):
        try:
            label, *pairs = line.replace(b":", b" ").split()
            labels[row] = int(label)
            positions = [int(index) - 1 for index in pairs[::2]]
            if min(positions, default=0) < 0:
                raise IndexError
            values[row, positions] = [float(value) for value in pairs[1::2]]
        except (ValueError, IndexError, OverflowError) as error:
            raise DataError(
                f"{path.absolute()}: line {row + 1} starts {line[:40].decode('latin1')!r}; "
                f"expected a label and pairs index:value with indices from 1 to {VALUES}."
            ) from error
    outside = ~(np.abs(values) <= 1).all(axis=1)
    if outside.any():
        raise DataError(
            f"{path.absolute()}: line {int(np.argmax(outside)) + 1} has values outside -1 to 1; "
            "fetch the file again."
        )
    pixels = ((values.astype(np.float32) + 1) / 2 * 255).astype(np.uint8)
    numbers = numbered_from_zero(labels, first=1, n_classes=10, path=path)
    return pixels.reshape(-1, *SHAPE), numbers


def _text(path: Path) -> bytes:
    try:
        with bz2.open(path) as file:
            text = file.read(MOST_BYTES + 1)
    except (OSError, EOFError, ValueError) as error:
        raise DataError(
            f"{path.absolute()}: no whole bz2 file ({str(error).rstrip('.')}); fetch it again."
        ) from error
    if len(text) > MOST_BYTES:
        raise DataError(
            f"{path.absolute()}: unpacks to more than {MOST_BYTES} bytes; fetch it again."
        )
    return text

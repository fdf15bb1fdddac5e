"""Street View House Numbers: digits cut from photos of house fronts."""

import math
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

SHAPE = (32, 32, 3)
NAMES = {split: f"{split}_32x32.mat" for split in SPLITS}
MOST_TIMES = 1100  # zlib compresses nothing to less than a 1032nd


@DATASETS.register("svhn")
def svhn(*, root: str) -> ImageDataset:
    """Return SVHN's cropped digits: 32 x 32 pixels in color, label = digit.

    Parameters
    ----------
    root : str
        Holds train_32x32.mat and test_32x32.mat, or has a folder ``SVHN`` that does.

    Raises
    ------
    MissingFilesError
        If a file is missing. Damaged files are found when they are read.

    References
    ----------
    Y. Netzer et al., "Reading digits in natural images with unsupervised feature learning",
    2011. Files: http://ufldl.stanford.edu/housenumbers, "Format 2": X of shape (32, 32, 3, n),
    y of shape (n, 1), where 10 stands for the digit 0.
    """
    folder = folder_with(given_path(root, at="svhn.root"), ("SVHN", ""), list(NAMES.values()))
    if lacking := absent(folder, list(NAMES.values())):
        published = torchvision().datasets.SVHN.split_list
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
    from scipy.io import loadmat, whosmat

    try:
        sizes = {name: shape for name, shape, _ in whosmat(path)}
        promised = sum(math.prod(sizes.get(name, ())) for name in ("X", "y"))
        if promised > MOST_TIMES * path.stat().st_size:
            raise DataError(
                f"{path.absolute()}: its header promises {promised} values, more than the file "
                "can hold; fetch it again."
            )
        content = loadmat(path, variable_names=["X", "y"])
    except DataError:
        raise
    except Exception as error:  # a damaged file raises nearly anything
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise DataError(
            f"{path.absolute()}: no whole MATLAB file ({reason}); fetch it again."
        ) from error
    X, y = content.get("X"), content.get("y")
    if X is None or X.dtype != np.uint8 or X.ndim != 4 or X.shape[:3] != SHAPE:
        raise DataError(f"{path.absolute()}: {_described('X', X)}; expected uint8 (32, 32, 3, n).")
    if y is None or y.dtype.kind not in "iu" or y.ndim != 2 or y.shape[1] != 1:
        raise DataError(f"{path.absolute()}: {_described('y', y)}; expected whole numbers (n, 1).")
    digits = numbered_from_zero(y[:, 0], first=1, n_classes=10, path=path) + 1
    return np.moveaxis(X, 3, 0), digits % 10


def _described(name: str, array: np.ndarray | None) -> str:
    return f"no {name}" if array is None else f"{name} is {array.dtype} of shape {array.shape}"

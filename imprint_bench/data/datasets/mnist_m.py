"""MNIST-M: the digits of MNIST blended with patches of color photos."""

from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset
from imprint_bench.data.fetching.downloads import Download, missing
from imprint_bench.data.reading.files import given_path
from imprint_bench.data.reading.published import (
    absent,
    array_dataset,
    folder_with,
    numbered_from_zero,
)
from imprint_bench.data.reading.torch_files import why_unreadable
from imprint_bench.errors import DataError

SHAPE = (28, 28, 3)
PLACES = ("MNISTM/processed", "MNISTM", "")
RELEASE = "https://github.com/liyxi/mnist-m/releases/download/data"
NAMES = {split: f"mnist_m_{split}.pt" for split in SPLITS}
MD5 = {"train": "191ed53db9933bd85cc9700558847391", "test": "e11cb4d7fff76d7ec588b1134907db59"}


@DATASETS.register("mnist_m")
def mnist_m(*, root: str) -> ImageDataset:
    """Return MNIST-M: 28 x 28 pixels in color, label = digit.

    Parameters
    ----------
    root : str
        Holds mnist_m_train.pt and mnist_m_test.pt, or has a folder ``MNISTM/processed`` or
        ``MNISTM`` that does.

    Raises
    ------
    MissingFilesError
        If a file is missing. Damaged files are found when they are read.

    References
    ----------
    Y. Ganin et al., "Domain-adversarial training of neural networks", Journal of Machine
    Learning Research 17, 2016. Files: https://github.com/liyxi/mnist-m: a pair of torch tensors,
    uint8 images (n, 28, 28, 3) and labels (n,).
    """
    folder = folder_with(given_path(root, at="mnist_m.root"), PLACES, list(NAMES.values()))
    if lacking := absent(folder, list(NAMES.values())):
        archives = [
            Download(
                f"{RELEASE}/{name}.tar.gz",
                folder / f"{name}.tar.gz",
                checksum=f"md5:{MD5[split]}",
                unpack=True,
            )
            for split, name in NAMES.items()
            if folder / name in lacking
        ]
        raise missing(lacking[0], archives)
    pieces = {split: [(folder / NAMES[split],)] for split in SPLITS}
    return array_dataset(folder, pieces, read=_read, shape=SHAPE)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises nearly anything
        reason = why_unreadable(path, error)
        raise DataError(
            f"{path.absolute()}: no whole file of torch tensors ({reason}); fetch it again."
        ) from error
    if not isinstance(content, tuple | list) or len(content) != 2:
        raise _damaged(path, f"it holds {_described(content)}; expected images and labels")
    images, labels = content
    if _kind(images) != (torch.uint8, SHAPE):
        raise _damaged(path, f"images are {_described(images)}; expected uint8 (n, 28, 28, 3)")
    if not torch.is_tensor(labels) or labels.ndim != 1 or labels.is_floating_point():
        raise _damaged(path, f"labels are {_described(labels)}; expected whole numbers (n,)")
    numbers = numbered_from_zero(labels.numpy(), first=0, n_classes=10, path=path)
    return images.numpy(), numbers


def _kind(value: Any) -> tuple[Any, tuple[int, ...]]:
    return getattr(value, "dtype", None), tuple(getattr(value, "shape", ()))[1:]


def _described(value: Any) -> str:
    dtype = getattr(value, "dtype", None)
    return f"{dtype} of shape {tuple(value.shape)}" if dtype else f"a {type(value).__name__}"


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path.absolute()}: {reason}; fetch the file again.")

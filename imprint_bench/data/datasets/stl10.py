"""STL-10: color photos of ten classes, larger than CIFAR's and fewer."""

from pathlib import Path

import numpy as np

from imprint_bench.data.dataset import DATASETS, SPLITS, ImageDataset
from imprint_bench.data.fetching.downloads import Download, missing
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.data.reading.files import given_path
from imprint_bench.data.reading.published import absent, array_dataset, numbered_from_zero
from imprint_bench.errors import DataError

FOLDER = "stl10_binary"
SHAPE = (96, 96, 3)
VALUES = 3 * 96 * 96
NAMES = [f"{split}_{kind}.bin" for split in SPLITS for kind in ("X", "y")]


@DATASETS.register("stl10")
def stl10(*, root: str) -> ImageDataset:
    """Return the labeled part of STL-10: 96 x 96 pixels in color, labels 0 to 9.

    Parameters
    ----------
    root : str
        Has the folder ``stl10_binary`` with train_X.bin, train_y.bin, test_X.bin and
        test_y.bin, as torchvision unpacks it.

    Raises
    ------
    MissingFilesError
        If a file is missing. Damaged files are found when they are read.

    References
    ----------
    A. Coates, H. Lee, A. Y. Ng, "An analysis of single-layer networks in unsupervised feature
    learning", AISTATS 2011. Files: https://cs.stanford.edu/~acoates/stl10: per image all red,
    all green and all blue bytes, each column by column; labels 1 to 10, one byte each.
    """
    place = given_path(root, at="stl10.root")
    folder = place / FOLDER
    if lacking := absent(folder, NAMES):
        published = torchvision().datasets.STL10
        archive = place / published.filename
        checksum = f"md5:{published.tgz_md5}"
        raise missing(lacking[0], [Download(published.url, archive, checksum, unpack=True)])
    pieces = {s: [(folder / f"{s}_X.bin", folder / f"{s}_y.bin")] for s in SPLITS}
    return array_dataset(folder, pieces, read=_read, shape=SHAPE)


def _read(images: Path, labels: Path) -> tuple[np.ndarray, np.ndarray]:
    size = images.stat().st_size
    if size == 0 or size % VALUES:
        raise DataError(
            f"{images.absolute()}: {size} bytes, no multiple of {VALUES}, which is an image of "
            "96 x 96 pixels in color; fetch it again."
        )
    rows = np.memmap(images, np.uint8, "r").reshape(-1, 3, 96, 96)
    numbers = numbered_from_zero(np.fromfile(labels, np.uint8), first=1, n_classes=10, path=labels)
    return rows.transpose(0, 3, 2, 1), numbers

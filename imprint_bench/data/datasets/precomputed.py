"""A dataset of any modality that exists only as embeddings."""

from typing import NoReturn

from imprint_bench.data.dataset import DATASETS, ImageDataset
from imprint_bench.errors import DataError


@DATASETS.register("precomputed")
def precomputed() -> ImageDataset:
    """Return a dataset without images: its labels come with the embeddings.

    It goes with a foundation model of kind ``precomputed``, whose npz file holds
    the embeddings and the labels.
    """
    return ImageDataset("nowhere", _nothing, _nothing, _nothing, _nothing)


def _nothing(*_: object) -> NoReturn:
    raise DataError(
        "dataset of kind precomputed: has neither images nor labels of its own; "
        "use it with a foundation model of kind precomputed."
    )

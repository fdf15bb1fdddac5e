"""Embeddings from elsewhere: any network, any modality."""

from pathlib import Path
from typing import NoReturn

from imprint_bench.data.foundation_model import FOUNDATION_MODELS, FoundationModel, WeightDecay
from imprint_bench.data.precomputed_arrays import PrecomputedArrays
from imprint_bench.errors import DataError


@FOUNDATION_MODELS.register("precomputed")
def precomputed(*, file: str, weight_decay: WeightDecay = 1e-4) -> FoundationModel:
    """Return a foundation model whose embeddings and labels are read from npz files.

    Parameters
    ----------
    file : str
        Holds train_embeddings, train_labels, test_embeddings and test_labels.
        ``{dataset}`` in it stands for the name of the dataset.
    weight_decay : float
        Lambda of least squares.
    """
    return FoundationModel(
        kind="precomputed",
        version=1,
        weights="none: the arrays are the data",
        preprocessing={},
        weight_decay=weight_decay,
        load=_no_network,
        length_for=_no_network,
        arrays_for=lambda name: PrecomputedArrays(Path(file.replace("{dataset}", name))).check(),
    )


def _no_network(*_: object) -> NoReturn:
    raise DataError("foundation model of kind precomputed: embeds no images; it hands over arrays.")

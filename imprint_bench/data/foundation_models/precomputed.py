"""Embeddings from elsewhere: any network, any modality."""

from typing import NoReturn

from imprint_bench.data.foundation_model import FOUNDATION_MODELS, FoundationModel, WeightDecay
from imprint_bench.data.reading.precomputed_arrays import open_arrays
from imprint_bench.data.reading.shards import check_different
from imprint_bench.errors import DataError


@FOUNDATION_MODELS.register("precomputed")
def precomputed(
    *,
    file: str,
    weight_decay: WeightDecay = 1e-4,
    train_split: str = "train",
    test_split: str = "test",
    embedding_column: str = "embedding",
    label_column: str = "label",
) -> FoundationModel:
    """Return a foundation model whose embeddings and labels are read from files.

    Parameters
    ----------
    file : str
        An npz or safetensors file that holds train_embeddings, train_labels, test_embeddings
        and test_labels; or a parquet file with a column of embeddings (lists of numbers),
        one of labels, and one called ``split``, which is not needed if ``{split}`` in the name
        gives a file per split. ``{dataset}`` in it stands for the name of the dataset.
    weight_decay : float
        Lambda of least squares.
    train_split, test_split : str
        What the splits are called: prefix of the arrays, value of the column ``split``, or
        part of the file's name. ``test_split=val`` tests on a validation split.
    embedding_column, label_column : str
        Columns of a parquet file.
    """
    splits = {"train": train_split, "test": test_split}
    columns = (embedding_column, label_column)
    check_different(splits, kind="precomputed")
    return FoundationModel(
        kind="precomputed",
        version=1,
        weights="none: the arrays are the data",
        preprocessing={},
        weight_decay=weight_decay,
        load=_no_network,
        length_for=_no_network,
        arrays_for=lambda name: open_arrays(
            file.replace("{dataset}", name), splits=splits, columns=columns
        ).check(),
    )


def _no_network(*_: object) -> NoReturn:
    raise DataError("foundation model of kind precomputed: embeds no images; it hands over arrays.")

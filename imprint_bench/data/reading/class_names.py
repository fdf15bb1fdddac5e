"""Labels that are names: in which order they are numbered, and what is refused."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from imprint_bench.errors import ConfigError, DataError, did_you_mean

SHOWN = 10  # names that a message lists


def unique_names(names: Sequence[str], *, at: str) -> tuple[str, ...]:
    """Return the names of classes 0, 1, 2, ... as a tuple.

    Raises
    ------
    ConfigError
        If a name stands there twice.
    """
    for i, name in enumerate(names):
        if name in names[:i]:
            raise ConfigError(f"{at}[{i}]: {name!r} stands there twice; remove one.")
    return tuple(names)


def class_label_names(schema: Any, column: str) -> tuple[str, ...] | None:
    """Return the names that a Hugging Face ClassLabel gives to labels 0, 1, 2, ...

    Parameters
    ----------
    schema : pyarrow.Schema
        The key ``huggingface`` of its metadata holds the features as JSON.
    column : str
        Column of labels.

    Returns
    -------
    names : tuple of str, or None
        None where the column is no ClassLabel.

    References
    ----------
    Hugging Face Datasets, "Features": ``{"info": {"features": {column: {"names": [...],
    "_type": "ClassLabel"}}}}``.
    """
    try:
        content = json.loads((schema.metadata or {})[b"huggingface"])
        names = content["info"]["features"][column]["names"]
    except (KeyError, TypeError, ValueError):  # no such metadata, or another feature
        return None
    return tuple(names) if isinstance(names, list) and all(map(_is_text, names)) else None


def numbered(values: Any, names: Sequence[str] | None, *, at: str, remedy: str) -> np.ndarray:
    """Return a column of labels as whole numbers.

    Parameters
    ----------
    values : pyarrow.ChunkedArray
        Whole numbers, or names of classes; also dictionary-encoded.
    names : sequence of str, or None
        Of classes 0, 1, 2, ...; None where they have none.
    at : str
        The place, with which a message starts.
    remedy : str
        What to do about names of classes that nothing numbers.

    Returns
    -------
    labels : integer ndarray of shape (n,)

    Raises
    ------
    DataError
        If a label is missing, neither number nor name, or not that of a class.
    """
    import pyarrow
    from pyarrow import types

    if types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if values.null_count:
        raise DataError(
            f"{at}: {values.null_count} rows without a label; expected one label per row."
        )
    if types.is_integer(values.type):
        return _in_range(values.to_numpy(), names, at=at)
    if not (types.is_string(values.type) or types.is_large_string(values.type)):
        first = f" such as {values[0].as_py()!r}" if len(values) else ""
        raise DataError(
            f"{at}: {values.type}{first}; expected whole numbers from 0 on, or names of classes."
        )
    if names is None:
        found = values.unique().to_pylist()
        listed = ", ".join(sorted(found)[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
        raise DataError(
            f"{at}: names of classes such as {found[0]!r}, which nothing numbers; {remedy} "
            f"(found: {listed})."
        )
    indices = pyarrow.compute.index_in(values, pyarrow.array(names, values.type))
    if indices.null_count:
        row = int(np.argmax(indices.is_null().to_numpy()))
        name = values[row].as_py()
        raise DataError(
            f"{at}: {name!r} in row {row} is none of the {len(names)} classes "
            f"{', '.join(names[:SHOWN])}{', ...' if len(names) > SHOWN else ''}; "
            f"mend the label or the list.{did_you_mean(name, names)}"
        )
    return indices.to_numpy()


def _in_range(labels: np.ndarray, names: Sequence[str] | None, *, at: str) -> np.ndarray:
    """Return `labels` unless one is negative, or has no name though labels have names."""
    wrong = labels < 0
    if names is not None:
        wrong |= labels >= len(names)
    if not wrong.any():
        return labels
    row = int(np.argmax(wrong))
    if labels[row] == -1:
        raise DataError(
            f"{at}: -1 in row {row}, as in test sets without labels; choose a labeled split, for "
            "instance test_split=validation."
        )
    upper = "on" if names is None else f"to {len(names) - 1}, as there are {len(names)} names"
    raise DataError(f"{at}: {labels[row]} in row {row}; expected whole numbers from 0 {upper}.")


def _is_text(name: object) -> bool:
    return isinstance(name, str)

"""Class embeddings of the user, such as word vectors of class names, from a file."""

from io import BytesIO
from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from imprint_bench.data.reading.files import NO_PICKLE, existing, given_path
from imprint_bench.errors import DataError

SUFFIXES = (".npy", ".npz", ".csv")
ARRAY = "embeddings"  # in an .npz file with several arrays
WRITE_IT = (
    "write one row per class, in the order of the classes, with numpy.save (.npy), "
    f"numpy.savez(file, {ARRAY}=...) (.npz) or as .csv"
)


def read_class_embeddings(file: str | Path, *, at: str) -> np.ndarray:
    """Return the table of class embeddings that a file holds.

    Parameters
    ----------
    file : str or Path
        ``.npy`` with one array; ``.npz`` with one, or one called "embeddings"; ``.csv`` with one
        row per class, whose first row may hold names of columns, and first column names of
        classes.
    at : str
        The place in the configuration, with which a message starts if the path is empty.

    Returns
    -------
    table : ndarray of shape (c, e), float64

    Raises
    ------
    ConfigError
        If the path is empty.
    DataError
        If there is no such file, or it holds no table of finite numbers.
    """
    path = existing(given_path(str(file), at=at), remedy=WRITE_IT)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: a file of type {suffix or 'none'}; {WRITE_IT}.")
    table = _from_csv(path) if suffix == ".csv" else _from_numpy(path)
    if table.ndim != 2 or not table.size or table.dtype.kind not in "fiu":
        raise DataError(f"{path}: {table.dtype} of shape {table.shape}; {WRITE_IT}.")
    wrong = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(wrong):
        raise DataError(
            f"{path}: {len(wrong)} of {len(table)} rows hold no finite numbers "
            f"(first: row {wrong[0]}); expected numbers only."
        )
    return table.astype(np.float64)


def _from_numpy(path: Path) -> np.ndarray:
    try:
        # From memory: numpy leaves a file open that it cannot read.
        found = np.load(BytesIO(path.read_bytes()), allow_pickle=False)
        if isinstance(found, np.ndarray):
            return found
        with found:
            names = found.files
            if len(names) != 1 and ARRAY not in names:
                listed = ", ".join(names) or "none"
                raise DataError(f"{path}: arrays {listed}; expected one, or one called {ARRAY!r}.")
            return found[ARRAY if ARRAY in names else names[0]]
    except ValueError as error:
        raise DataError(f"{path}: not readable, or {NO_PICKLE}.") from error
    except (OSError, EOFError, BadZipFile) as error:
        raise DataError(f"{path}: damaged or no numpy file; {WRITE_IT}.") from error


def _from_csv(path: Path) -> np.ndarray:
    import pandas as pd

    try:
        cells = pd.read_csv(path, header=None, dtype=str, skipinitialspace=True)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path}: no table of comma-separated values; {WRITE_IT}.") from error
    numbers = cells.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=np.float64)
    if len(numbers) > 1 and np.isnan(numbers[0]).all():  # names of the columns
        numbers = numbers[1:]
    if numbers.shape[1] > 1 and np.isnan(numbers[:, 0]).all():  # names of the classes
        numbers = numbers[:, 1:]
    return numbers

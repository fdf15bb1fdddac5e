"""Parquet files of the user: columns and row groups, or what is wrong with the file."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from imprint_bench.data.reading.files import identity
from imprint_bench.errors import DataError, did_you_mean


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what pyarrow raises on a damaged file into one sentence."""
    import pyarrow

    try:
        yield
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise DataError(
            f"{path.absolute()}: not a whole parquet file ({reason}); fetch the file again."
        ) from error


@contextmanager
def opened(path: Path, column: str) -> Iterator[Any]:
    """Open a file that must have `column`: a pyarrow ParquetFile.

    Raises
    ------
    DataError
        If it is no parquet file, is damaged, or lacks the column.
    """
    from pyarrow.parquet import ParquetFile

    with explained(path), ParquetFile(path) as file:
        names = file.schema_arrow.names
        if column not in names:
            raise DataError(
                f"{path.absolute()}: no column {column!r}; it holds {', '.join(names)}."
                + did_you_mean(column, names)
            )
        yield file


def read_column(path: Path, column: str) -> Any:
    """Return all values of `column`: a pyarrow ChunkedArray."""
    with opened(path, column) as file:
        return file.read(columns=[column])[column]


def schema_of(path: Path) -> Any:
    """Return the pyarrow Schema of an unchanged file; it is read once per process."""
    return _facts(path, identity(path))[0]


def group_sizes(path: Path) -> tuple[int, ...]:
    """Return the rows of every row group of an unchanged file; they are read once per process."""
    return _facts(path, identity(path))[1]


@lru_cache(maxsize=4096)
def _facts(path: Path, _identity: tuple[int, int, int]) -> tuple[Any, tuple[int, ...]]:
    from pyarrow.parquet import ParquetFile

    with explained(path), ParquetFile(path) as file:
        groups = range(file.metadata.num_row_groups)
        return file.schema_arrow, tuple(file.metadata.row_group(i).num_rows for i in groups)

"""The store: result rows in Parquet parts that are whole or not there.

Every finished unit of work becomes one part, written in one atomic step under a
name of its own; nothing is ever appended to or changed. A row is found by its
`trial_id`, so any sweep reads what any other has computed, and two runs may
write into one folder at the same time.

A part is called ``part-<time>-<digest>.parquet``: when it was written, in
nanoseconds, and the SHA-256 of its content. The digest is compared whenever a
part is read: Parquet's own page checksums leave out the footer and the page
headers, where one flipped bit in eighty of a small part changes rows unseen.
"""

import hashlib
import logging
import re
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imprint_bench.durable import (
    check_writable,
    explained,
    make_folder,
    remove_unfinished,
    write_bytes,
)
from imprint_bench.errors import StoreError

log = logging.getLogger(__name__)

PART = re.compile(r"part-\d{20}-(?P<digest>[0-9a-f]{32})\.parquet")
BYTES_PER_ROW = 250  # of the disk, on the safe side: with f1 of ten classes it is 110 to 230
BYTES_PER_PART = 1 << 14  # beside its rows: the schema and the footer
COLUMNS = ("trial_id", "status", "accuracy")  # of an empty store; every row has them


class Store:
    """Result rows below one folder.

    Parameters
    ----------
    folder : Path
        Holds ``part-*.parquet``; made when the first rows are written.
    quarantine : Path
        Where corrupt parts are set aside.
    """

    def __init__(self, folder: Path, quarantine: Path) -> None:
        self.folder = folder
        self.quarantine = quarantine

    def prepare(self, *, n_rows: int, n_parts: int) -> None:
        """Make sure that rows can be written, and remove what a killed run left unfinished.

        Raises
        ------
        StoreError
            Now, rather than after the first unit of work, if the folder cannot be
            written or the disk has no room for `n_rows` rows in `n_parts` parts.
        """
        n_bytes = BYTES_PER_ROW * n_rows + BYTES_PER_PART * n_parts
        check_writable(self.folder, n_bytes=n_bytes)
        remove_unfinished(self.folder)

    def write(self, rows: Sequence[dict[str, Any]]) -> Path:
        """Write rows as one part, in one atomic step.

        Parameters
        ----------
        rows : sequence of dict
            One per trial, with at least `trial_id`, `status` and `accuracy`.

        Raises
        ------
        StoreError
            If the folder cannot be written or the disk is full; the store is as it was.
        """
        table = _table(rows)
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
        content = sink.getvalue().to_pybytes()
        path = self.folder / f"part-{time.time_ns():020d}-{_digest(content)}.parquet"
        write_bytes(path, content)
        return path

    def ids(self) -> np.ndarray:
        """Return the ids of all stored trials, as bytes of length 64, ascending, each once."""
        columns = [_ids(table) for table in self._parts(["trial_id"])]
        return np.unique(np.concatenate(columns)) if columns else np.empty(0, dtype="S64")

    def read(self, ids: np.ndarray | None = None) -> pd.DataFrame:
        """Return stored rows, one for each trial: of several the one written last.

        Parameters
        ----------
        ids : ndarray of bytes of length 64, or None
            Trials wanted; None takes all. Ids that are not stored are left out.

        Returns
        -------
        DataFrame
            One column per axis and result; integers that may be absent are nullable.
        """
        wanted = None if ids is None else np.sort(ids)
        chosen = [part for t in self._parts() if (part := _of(t, wanted)).num_rows]
        if not chosen:
            return pd.DataFrame(columns=list(COLUMNS))
        frame = _joined(chosen).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        for name in frame.columns[frame.isna().all()]:
            frame[name] = frame[name].astype("Int64")  # an axis without a value, such as n_shot
        return frame.drop_duplicates("trial_id", keep="last", ignore_index=True)

    def _parts(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield every whole part, the oldest first; set any other file aside and say so."""
        for path in sorted(self.folder.glob("part-*.parquet")):
            try:
                content = path.read_bytes()
            except FileNotFoundError:
                continue  # another run has set it aside
            except OSError as error:
                raise StoreError(
                    f"{path}: cannot be read ({error.strerror}); give yourself the right to read "
                    "it, or choose another folder with paths.results=FOLDER."
                ) from error
            named = PART.fullmatch(path.name)
            if named and named["digest"] == _digest(content):
                yield pq.read_table(pa.BufferReader(content), columns=columns)
            elif named:
                self._set_aside(path, "its content is not what was written: damaged or cut short")
            else:
                self._set_aside(path, "this program gives no such name")

    def _set_aside(self, path: Path, reason: str) -> None:
        target = self.quarantine / path.name
        with explained(target):
            make_folder(self.quarantine)
            with suppress(FileNotFoundError):  # another run has set it aside
                path.replace(target)
        log.warning(
            "%s: no part of the store (%s); moved to %s, its trials are computed again.",
            path, reason, self.quarantine,
        )  # fmt: skip


def read_rows(results: str | Path = "results") -> pd.DataFrame:
    """Return every stored trial of a results folder, one row each.

    Parameters
    ----------
    results : str or Path
        The folder that ``paths.results`` names.

    Returns
    -------
    DataFrame
        `trial_id`; the axes `fm`, `dataset`, `mapping`, `task`, `n_shot` (null: all
        rows), `seed`, `norm_pre`, `gen`, `norm_post`, `norm_inf`, `agg`; the methods'
        parameters as `gen_<name>` and `agg_<name>` (null where a method has none);
        `accuracy`, `f1_macro`, `f1_weighted` and `f1` per class, all in [0, 1];
        `n_train`, `n_test`, `n_proxies`; `k_effective`, the proxies of the class with
        the fewest; `gen_seconds` that the generator took for the task's classes, for
        the `timed_together` values of k that were computed with it; `data`, the
        fingerprint of the embeddings.
    """
    folder = Path(results)
    return Store(folder / "rows", folder / "quarantine").read()


def missing(ids: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Return a mask of the `ids` that are not among the ascending `stored` ids."""
    if not len(stored):
        return np.ones(len(ids), dtype=bool)
    place = np.minimum(np.searchsorted(stored, ids), len(stored) - 1)
    return stored[place] != ids


def _ids(table: pa.Table) -> np.ndarray:
    return table.column("trial_id").to_numpy().astype("S64")


def _of(table: pa.Table, wanted: np.ndarray | None) -> pa.Table:
    return table if wanted is None else table.filter(pa.array(~missing(_ids(table), wanted)))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:32]


def _table(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows as columns; an axis without a value is one of whole numbers, as n_shot is."""
    if not rows:
        raise StoreError("store: no rows to write.")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def _column(values: Sequence[Any]) -> pa.Array:
    try:
        column = pa.array(values)
        return column.cast(pa.int64()) if pa.types.is_null(column.type) else column
    except pa.ArrowInvalid:  # two methods have a parameter of this name, of unlike types
        return pa.array([None if value is None else str(value) for value in values])


def _joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all tables; columns of types that no type holds become text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowTypeError:
        texts = {name for name in _names(tables) if not _alike(name, tables)}
    return pa.concat_tables([_with_text(t, texts) for t in tables], promote_options="permissive")


def _names(tables: Sequence[pa.Table]) -> set[str]:
    return {name for table in tables for name in table.column_names}


def _alike(name: str, tables: Sequence[pa.Table]) -> bool:
    types = {t.schema.field(name).type for t in tables if name in t.column_names}
    try:
        pa.unify_schemas([pa.schema([(name, t)]) for t in types], promote_options="permissive")
    except pa.ArrowTypeError:
        return False
    return True


def _with_text(table: pa.Table, names: set[str]) -> pa.Table:
    for name in names.intersection(table.column_names):
        place = table.column_names.index(name)
        values = [None if v is None else str(v) for v in table.column(name).to_pylist()]
        table = table.set_column(place, name, pa.array(values, pa.string()))
    return table

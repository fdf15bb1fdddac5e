"""The store: result rows in Parquet parts that are whole or not there.

Every finished unit of work becomes one part, written in one atomic step under a
name of its own; nothing is ever appended to or changed. A row is found by its
`trial_id`, so any sweep reads what any other has computed, and two runs may
write into one folder at the same time.
"""

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from imprint_bench.durable import TEMPORARY, atomic, explained
from imprint_bench.errors import StoreError

log = logging.getLogger(__name__)

STALE_SECONDS = 24 * 3600  # a temporary file of this age belongs to no running process
REQUIRED = {"trial_id", "status", "accuracy"}


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

    def check_writable(self) -> None:
        """Raise StoreError now, rather than after the first unit, if nothing can be written."""
        with atomic(self.folder / "writable") as file:
            file.write(b"rows of imprint_bench\n")

    def clean(self, *, now: float) -> None:
        """Remove temporary files that a killed run left behind, once they are a day old."""
        for path in self.folder.glob(f"{TEMPORARY}*"):
            if now - path.stat().st_mtime > STALE_SECONDS:
                path.unlink(missing_ok=True)

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
        path = self.folder / f"part-{uuid4().hex}.parquet"
        with atomic(path) as file:
            pq.write_table(
                pa.Table.from_pylist(list(rows), schema=_schema(rows)),
                file,
                compression="zstd",
                write_page_checksum=True,
            )
        return path

    def ids(self) -> np.ndarray:
        """Return the ids of all stored trials, as bytes of length 64, ascending, each once."""
        columns = [t.column("trial_id").to_numpy().astype("S64") for t in self._parts(["trial_id"])]
        return np.unique(np.concatenate(columns)) if columns else np.empty(0, dtype="S64")

    def read(self, ids: np.ndarray | None = None) -> pd.DataFrame:
        """Return stored rows, one for each trial.

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
            return pd.DataFrame(columns=sorted(REQUIRED))
        table = pa.concat_tables(chosen, promote_options="permissive")
        frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        for name in frame.columns[frame.isna().all()]:
            frame[name] = frame[name].astype("Int64")  # an axis without a value, such as n_shot
        return frame.drop_duplicates("trial_id", keep="last", ignore_index=True)

    def _parts(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """Yield every whole part; set a corrupt one aside and say so."""
        for path in sorted(self.folder.glob("part-*.parquet"), key=lambda p: p.stat().st_mtime_ns):
            try:
                with pq.ParquetFile(path, page_checksum_verification=True) as part:
                    if missing := REQUIRED - set(part.schema_arrow.names):
                        raise pa.ArrowInvalid(f"column {sorted(missing)[0]} is missing")
                    yield part.read(columns=columns)
            except FileNotFoundError:
                continue  # another run has set it aside
            except (pa.ArrowException, OSError, ValueError) as error:
                self._set_aside(path, str(error))

    def _set_aside(self, path: Path, reason: str) -> None:
        target = self.quarantine / path.name
        with explained(target):
            self.quarantine.mkdir(parents=True, exist_ok=True)
            path.replace(target)
        log.warning(
            "%s: not a whole part of the store (%s); moved to %s, its trials are computed again.",
            path, reason.splitlines()[0][:160], self.quarantine,
        )  # fmt: skip


def missing(ids: np.ndarray, stored: np.ndarray) -> np.ndarray:
    """Return a mask of the `ids` that are not among the ascending `stored` ids."""
    if not len(stored):
        return np.ones(len(ids), dtype=bool)
    place = np.minimum(np.searchsorted(stored, ids), len(stored) - 1)
    return stored[place] != ids


def _of(table: pa.Table, wanted: np.ndarray | None) -> pa.Table:
    if wanted is None:
        return table
    ids = table.column("trial_id").to_numpy().astype("S64")
    return table.filter(pa.array(~missing(ids, wanted)))


def _schema(rows: Sequence[dict[str, Any]]) -> pa.Schema:
    """Return the type of every column; that of one without a value is left open."""
    if not rows:
        raise StoreError("store: no rows to write.")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.schema([(n, pa.infer_type([row.get(n) for row in rows])) for n in names])

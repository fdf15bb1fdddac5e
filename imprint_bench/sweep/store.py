"""The store: result rows in Parquet parts that are whole or not there.

Every finished unit of work becomes one part, written in one atomic step under a
name of its own; nothing is ever appended to or changed. A row is found by its
`trial_id`, so any sweep reads what any other has computed, and several runs may
write into one folder at the same time. Of several rows of one trial the one
written last counts.

`parts` has the format of one part, `compaction` joins small ones.
"""

import itertools
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from imprint_bench.durable import (
    check_writable,
    explained,
    make_folder,
    remove_unfinished,
    write_bytes,
)
from imprint_bench.errors import StoreError
from imprint_bench.sweep import trial_ids
from imprint_bench.sweep.parts import (
    PART,
    Part,
    decode,
    encode,
    is_whole,
    joined,
    part_name,
    stacked,
    table_of,
    valued,
)

log = logging.getLogger(__name__)

OK = "ok"  # the status of a row that is a result
BYTES_PER_ROW = 250  # of the disk, on the safe side: with f1 of ten classes it is 80 to 230
BYTES_PER_PART = 1 << 14  # beside its rows: the schema and the footer
COLUMNS = ("trial_id", "status", "accuracy")  # of an empty store; every row has them
AXES_WITHOUT_VALUE = {"n_shot"}  # whose column is there although no row has a value


class Stored(NamedTuple):
    """What the store has, without the rows.

    Attributes
    ----------
    ids : ndarray of bytes of length 64
        Trials with a row, ascending, each once.
    ok : ndarray of bool
        Whether the row that counts is a result; else its trial crashed or failed.
    """

    ids: np.ndarray
    ok: np.ndarray


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
        content = encode(table_of(rows))
        path = self.folder / part_name(content, time.time_ns())
        write_bytes(path, content)
        return path

    def stored(self) -> Stored:
        """Return which trials have a row, and whether it is a result."""
        parts = list(self.parts(["trial_id", "status"]))
        if not parts:
            return Stored(trial_ids.NONE, np.empty(0, dtype=bool))
        ids = np.concatenate([part.ids for part in parts])
        ok = np.concatenate([pc.equal(part.table["status"], OK).to_numpy() for part in parts])
        last = trial_ids.last_of_each(ids, np.concatenate([part.times for part in parts]))
        return Stored(ids[last], ok[last])

    def ids(self) -> np.ndarray:
        """Return the ids of all stored trials, as bytes of length 64, ascending, each once."""
        return self.stored().ids

    def read(self, ids: np.ndarray | None = None) -> pd.DataFrame:
        """Return stored rows, one for each trial: of several the one written last.

        Parameters
        ----------
        ids : ndarray of bytes of length 64, or None
            Trials wanted; None takes all. Ids that are not stored are left out.

        Returns
        -------
        DataFrame
            One column per axis and result of which a row has a value, and `n_shot`;
            rows in the order in which they were written. Integers that may be absent are
            nullable.
        """
        wanted = None if ids is None else trial_ids.Index(np.sort(ids))
        chosen = (p if wanted is None else p.rows(wanted.holds(p.ids)) for p in self.parts())
        parts = [part for part in chosen if len(part.times)]
        if not parts:
            return pd.DataFrame(columns=list(COLUMNS))
        table = _latest(parts)
        frame = table.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
        empty = set(frame) - {field.name for field in valued(table)}
        for name in empty.intersection((*COLUMNS, *AXES_WITHOUT_VALUE)):
            frame[name] = frame[name].astype("Float64" if name == "accuracy" else "Int64")
        return frame.drop(columns=list(empty.difference((*COLUMNS, *AXES_WITHOUT_VALUE))))

    def listed(self) -> list[Path]:
        """Return the files that are named like parts, the oldest first."""
        return sorted(self.folder.glob("part-*.parquet"))

    def parts(self, columns: list[str] | None = None) -> Iterator[Part]:
        """Yield every whole part; set any other file aside and say so.

        Another process may join parts meanwhile: it writes the joined part before it
        removes its members. So what is listed and gone is found in a part that is
        listed later, and the folder is listed until nothing is new. A row may come
        twice, but none is missed.
        """
        seen: set[str] = set()
        for passed in itertools.count():
            fresh = [path for path in self.listed() if path.name not in seen]
            seen.update(path.name for path in fresh)
            some_gone = False
            for path in fresh:
                content = self.content(path)
                some_gone |= content is None
                if content is not None:
                    yield decode(path.name, content, columns)
            if not fresh or (passed and not some_gone):
                return

    def content(self, path: Path) -> bytes | None:
        """Return the bytes of a part, or None where it is gone or had to be set aside."""
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(
                f"{path}: cannot be read ({error.strerror}); give yourself the right to read "
                "it, or choose another folder with paths.results=FOLDER."
            ) from error
        if is_whole(path.name, content):
            return content
        if PART.fullmatch(path.name):
            self._set_aside(path, "its content is not what was written: damaged or cut short")
        else:
            self._set_aside(path, "this program gives no such name")
        return None

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
        `trial_id`; `status`: ``ok`` of a result, ``crashed`` of a trial that killed
        its process, ``failed`` of one that raised an error (these have no results, and
        a `reason`; the column is there if any trial has one); the axes `fm`,
        `dataset`, `mapping`, `task`, `n_shot` (null: all rows), `seed`, `norm_pre`,
        `gen`, `norm_post`, `norm_inf`, `agg`; the methods' parameters as `gen_<name>`
        and `agg_<name>` (null where a method has none); `accuracy`, `f1_macro`,
        `f1_weighted` and `f1` per class, all in [0, 1]; `n_train`, `n_test`,
        `n_proxies`; `k_effective`, the proxies of the class with the fewest;
        `gen_seconds` that the generator took for the task's classes: the steps for
        this k, and those that it shares with the other `timed_together` values of k
        computed with it; `data`, the fingerprint of the embeddings.

        Of a trial that trained a network: the axes `dataset`, `network`, `recipe`, `d`,
        `method`, `seed`; `head`, `prototypes`, `assignment` and `loss` (null where a
        method has none), their parameters as `head_<name>` and so on, and `lr`;
        `accuracy`, `accuracy_top5`, `class_accuracy` (a list, in the order of the
        classes), `accuracy_many`, `accuracy_medium` and `accuracy_few` (of long tails);
        `nc1` and `nc1_test`; `cosine_max`, `cosine_min` and `cosine_mean` between class
        vectors; `epoch_loss`, `epoch_accuracy`, `epoch_nc1` and `epoch_change` (lists, one
        value per epoch: see `training.history`); `scale_final`, `imbalance`, `n_train`,
        `n_test`, `train_seconds`; the settings as `recipe_<key>` and `network_<parameter>`.
        A parameter that may also be a word, such as `head_scale`, is text: ``"16"``.

    Raises
    ------
    StoreError
        If there is no such folder, or it has no rows of any sweep.
    """
    folder = Path(results)
    if not (folder / "rows").is_dir():
        inside = f" Did you mean {str(folder.parent)!r}?" if folder.name == "rows" else ""
        raise StoreError(
            f"{folder}: has no folder rows; expected a folder of results, as paths.results names "
            f"it.{inside}"
        )
    return Store(folder / "rows", folder / "quarantine").read()


def _latest(parts: Sequence[Part]) -> pa.Table:
    """Return the row of every trial that was written last, in the order of writing.

    Rows that do not count are left out before types are compared, so that the
    result does not depend on whether parts were joined.
    """
    parts = sorted(parts, key=lambda part: part.name)
    times = np.concatenate([part.times for part in parts])
    last = trial_ids.last_of_each(np.concatenate([part.ids for part in parts]), times)
    if len(last) < len(times):
        counts = np.zeros(len(times), dtype=bool)
        counts[last] = True
        ends = np.cumsum([len(part.times) for part in parts])
        parts = [p.rows(c) for p, c in zip(parts, np.split(counts, ends[:-1]), strict=True)]
        parts = [part for part in parts if len(part.times)]
    groups = stacked(parts)
    table = joined([table for table, _ in groups])
    times = np.concatenate([times for _, times in groups])
    if (times[1:] < times[:-1]).any():
        table = table.take(pa.array(np.argsort(times, kind="stable")))
    return table

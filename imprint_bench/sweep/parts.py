"""Parts of the store: the bytes and the name of a file of rows, and rows of several files as one.

A part is called ``part-<time>-<digest>.parquet``: when its rows were written, in
nanoseconds, and the SHA-256 of its content. The digest is compared whenever a
part is read: Parquet's own page checksums leave out the footer and the page
headers, where one flipped bit in eighty of a small part changes rows unseen.

A part that was joined from others (see `compaction`) is called
``...-joined.parquet``. Its rows keep the times of their first parts in a column
of their own, so that which row of a trial is the latest never depends on
whether, when and by whom parts were joined; its footer names its members.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from imprint_bench.errors import StoreError
from imprint_bench.sweep import trial_ids

PART = re.compile(r"part-(?P<time>\d{20})-(?P<digest>[0-9a-f]{32})(?P<joined>-joined)?\.parquet")
WRITTEN = "written"  # of a joined part: when each row was written, in nanoseconds
MEMBERS = "members"  # of a joined part's footer: keys of the parts that it replaces
DIGITS = 32  # of a digest
KEY = re.compile(r"part-(\d{20}-[0-9a-f]{8})")  # enough of a name to tell a part by


class Part(NamedTuple):
    """Rows of one part.

    Attributes
    ----------
    name : str
    table : Table
        Without the column of times.
    times : ndarray of shape (rows,), int64
        When each row was written, in nanoseconds.
    """

    name: str
    table: pa.Table
    times: np.ndarray

    @property
    def ids(self) -> np.ndarray:
        """The trials of the rows, as bytes of length 64."""
        return ids_of(self.table)

    def rows(self, chosen: np.ndarray) -> "Part":
        """Return the part with the rows that a mask chooses."""
        if chosen.all():
            return self
        return self._replace(table=self.table.filter(pa.array(chosen)), times=self.times[chosen])


def part_name(content: bytes, time: int, *, joined: bool = False) -> str:
    """Return the name of the part that has this content and time."""
    return f"part-{time:020d}-{_digest(content)}{'-joined' if joined else ''}.parquet"


def time_of(name: str) -> int:
    """Return the time in the name of a part, in nanoseconds."""
    match = PART.fullmatch(name)
    assert match is not None  # names of other files are not asked
    return int(match["time"])


def is_whole(name: str, content: bytes) -> bool:
    """Tell whether a file has the content that its name promises."""
    match = PART.fullmatch(name)
    return match is not None and match["digest"] == _digest(content)


def encode(table: pa.Table, *, members: Iterable[str] = ()) -> bytes:
    """Return the bytes of a part.

    Dictionaries make what is repeated small, so only ids and lists are compressed:
    parts of 1,000 rows are written and read in half the time.
    """
    bulky = {"trial_id": "trial_id"} | {
        f.name: f"{f.name}.list.element" for f in table.schema if pa.types.is_list(f.type)
    }
    plain = [name for name in table.column_names if name not in bulky]
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression=dict.fromkeys(plain, "none") | dict.fromkeys(bulky.values(), "zstd"),
        use_dictionary=plain,
        write_statistics=False,
    ) as writer:
        writer.write_table(table)
        if keys := " ".join(map(key_of, members)):
            writer.add_key_value_metadata({MEMBERS: keys})
    return sink.getvalue().to_pybytes()


def decode(name: str, content: bytes, columns: Sequence[str] | None = None) -> Part:
    """Return the rows of a part, of all columns or of those named."""
    wanted = None if columns is None else [*columns, WRITTEN]
    table = pq.ParquetFile(pa.BufferReader(content)).read(wanted, use_threads=False)
    if WRITTEN in table.column_names:
        times = table.column(WRITTEN).to_numpy()
        return Part(name, table.drop_columns([WRITTEN]), times)
    return Part(name, table, np.full(table.num_rows, time_of(name), dtype=np.int64))


def key_of(name: str) -> str:
    """Return what tells a part from all others, in its name."""
    match = KEY.match(name)
    assert match is not None  # names of other files are not asked
    return match[1]


def members_of(path: Path) -> frozenset[str]:
    """Return the keys of the parts that a joined part replaces; none if it is damaged or gone."""
    try:
        footer = pq.read_metadata(path).metadata or {}
    except (OSError, pa.ArrowException):
        return frozenset()
    return frozenset(footer.get(MEMBERS.encode(), b"").decode().split())


def table_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Return rows as columns; an axis without a value is one of whole numbers, as n_shot is.

    Raises
    ------
    StoreError
        If there are none.
    """
    if not rows:
        raise StoreError("store: no rows to write.")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: _column([row.get(name) for row in rows]) for name in names})


def with_times(part: Part) -> pa.Table:
    """Return the rows of a part with the column of times that a joined part has."""
    return part.table.append_column(WRITTEN, pa.array(part.times))


def ids_of(table: pa.Table) -> np.ndarray:
    """Return the column of ids, as bytes of length 64."""
    column = table.column("trial_id").combine_chunks()
    n, start = len(column), column.offset
    if pa.types.is_string(column.type) and n:
        _, offsets, text = column.buffers()
        ends = np.frombuffer(offsets, dtype=np.int32)[start : start + n + 1]
        if (np.diff(ends) == trial_ids.LENGTH).all():  # ten times as fast as one by one
            return np.frombuffer(text, dtype=trial_ids.DTYPE, count=n, offset=int(ends[0]))
    return column.to_numpy(zero_copy_only=False).astype(trial_ids.DTYPE)


def stacked(parts: Iterable[Part]) -> list[tuple[pa.Table, np.ndarray]]:
    """Return the rows of parts with equal columns as one table each, with their times."""
    alike: dict[tuple, list[Part]] = {}
    for part in parts:
        columns = part.table.schema
        alike.setdefault((*columns.names, *columns.types), []).append(part)
    return [
        (pa.concat_tables([p.table for p in group]), np.concatenate([p.times for p in group]))
        for group in alike.values()
    ]


def joined(tables: Sequence[pa.Table]) -> pa.Table:
    """Return the rows of all tables; columns of types that no type holds become text.

    A column without any value takes the type that it has elsewhere.
    """
    own = [{f.name: f.type for f in valued(table)} for table in tables]
    types: dict[str, set[pa.DataType]] = {}
    for name, type_ in (item for of_table in own for item in of_table.items()):
        types.setdefault(name, set()).add(type_)
    texts = {name for name, several in types.items() if not _alike(several)}
    found = [
        _cast(table, typeless=set(types) - set(of_table), texts=texts & set(of_table))
        for table, of_table in zip(tables, own, strict=True)
    ]
    return pa.concat_tables(found, promote_options="permissive")


def valued(table: pa.Table) -> Iterable[pa.Field]:
    """Return the columns of a table that have a value in any row."""
    return [
        field
        for field, column in zip(table.schema, table.columns, strict=True)
        if column.null_count < len(column)
    ]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:DIGITS]


def _column(values: Sequence[Any]) -> pa.Array:
    try:
        column = pa.array(values)
        return column.cast(pa.int64()) if pa.types.is_null(column.type) else column
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a name for parameters of unlike types
        return pa.array([None if value is None else str(value) for value in values])


def _alike(types: set[pa.DataType]) -> bool:
    if len(types) == 1:
        return True
    try:
        pa.unify_schemas([pa.schema([("", t)]) for t in types], promote_options="permissive")
    except pa.ArrowTypeError:
        return False
    return True


def _cast(table: pa.Table, *, typeless: set[str], texts: set[str]) -> pa.Table:
    """Return a table without its `typeless` columns and with its `texts` as text."""
    for place, name in enumerate(table.column_names):
        column = table.column(name)
        if name in texts:
            values = [None if v is None else str(v) for v in column.to_pylist()]
            table = table.set_column(place, name, pa.array(values, pa.string()))
        elif column.null_count == len(column):
            table = table.set_column(place, name, pa.nulls(len(column), pa.int64()))
    return table.drop_columns([name for name in table.column_names if name in typeless])

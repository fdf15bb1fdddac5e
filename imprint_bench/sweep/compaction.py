"""Many small parts of the store become few large ones.

A joined part is written whole before its members are removed, and its footer
names them: a kill at any moment leaves all rows, and what it left twice is
removed by the next compaction. Rows keep their times (see `parts`), so what
others write, read or join meanwhile changes no result. A lock keeps two
processes from joining the same parts, which would only be wasted work.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa

from imprint_bench.durable import write_bytes
from imprint_bench.errors import StoreError
from imprint_bench.sweep import trial_ids
from imprint_bench.sweep.parts import (
    PART,
    Part,
    decode,
    encode,
    joined,
    key_of,
    members_of,
    part_name,
    time_of,
    valued,
    with_times,
)
from imprint_bench.sweep.store import Store

MANY = 50  # small parts; fewer are left as they are
SMALL = 1 << 20  # bytes of a file, about 12,000 rows; larger parts are left as they are
ROWS = 100_000  # of a joined part
MEMORY = 1 << 26  # bytes of its rows in memory: with many classes, fewer rows
LOCK = ".compaction.lock"  # stays in the folder; what counts is who holds it

log = logging.getLogger(__name__)


def compact(store: Store) -> int:
    """Join the small parts of a store if there are many, and return how many are gone.

    Nothing is done where another process does it, where the system has no
    `flock`, or where the disk has no room for a joined part.
    """
    if not _due(store):
        return 0
    with _locked(store.folder / LOCK) as alone:
        if not alone:
            return 0
        try:
            return _remove_members(store) + _join_small(store)
        except StoreError as error:
            log.warning("small parts are not joined: %s", error)
            return 0


@dataclass
class _Group:
    """Parts that become one: no column has values of two types."""

    parts: list[Part] = field(default_factory=list)
    types: dict[str, pa.DataType] = field(default_factory=dict)
    n_rows: int = 0
    n_bytes: int = 0

    def takes(self, types: dict[str, pa.DataType]) -> bool:
        """Tell whether no column of these types would have to change its own."""
        return all(self.types.get(name, type_) == type_ for name, type_ in types.items())

    def add(self, part: Part, types: dict[str, pa.DataType]) -> None:
        """Add a part whose columns have these types."""
        self.parts.append(part)
        self.types.update(types)
        self.n_rows += len(part.times)
        self.n_bytes += part.table.nbytes

    @property
    def full(self) -> bool:
        """Whether it is time to write it."""
        return self.n_bytes >= MEMORY or self.n_rows >= ROWS


def _due(store: Store) -> bool:
    """Tell whether there is something to do, from the names and sizes of the files alone."""
    listed = _parts_of(store)
    some_joined = any(_is_joined(path) for path in listed)
    n_small = sum(1 for _ in _small(listed))
    return n_small >= MANY or (some_joined and n_small > 0)


def _remove_members(store: Store) -> int:
    """Remove what was joined by a process that was killed before it removed it itself."""
    listed = _parts_of(store)
    removed = 0
    for path in filter(_is_joined, listed):
        members = members_of(path)
        left = [other for other in listed if other != path and key_of(other.name) in members]
        if left and store.content(path) is not None:  # their rows are whole elsewhere
            removed += _remove(left)
    return removed


def _join_small(store: Store) -> int:
    small = list(_small(_parts_of(store)))
    if len(small) < MANY:
        return 0
    removed = 0
    groups: list[_Group] = []
    for path in small:
        content = store.content(path)
        if content is None:
            continue
        part = decode(path.name, content)
        types = {f.name: f.type for f in valued(part.table)}
        group = next((g for g in groups if g.takes(types)), None)
        if group is None:
            groups.append(group := _Group())
        group.add(part, types)
        if group.full:
            removed += _join(store, group.parts)
            groups.remove(group)
    removed += sum(_join(store, group.parts) for group in groups)
    log.debug("joined %d small parts of %s.", removed, store.folder)
    return removed


def _join(store: Store, parts: list[Part]) -> int:
    """Write the rows of parts that count as one part, then remove the parts."""
    if len(parts) < 2:
        return 0
    table = joined([with_times(part) for part in parts])
    times = np.concatenate([part.times for part in parts])
    last = np.sort(trial_ids.last_of_each(np.concatenate([part.ids for part in parts]), times))
    kept = last[np.argsort(times[last], kind="stable")]
    names = [part.name for part in parts]
    content = encode(table.take(pa.array(kept)), members=names)
    name = part_name(content, max(map(time_of, names)), joined=True)
    write_bytes(store.folder / name, content)
    return _remove(store.folder / member for member in names)


def _parts_of(store: Store) -> list[Path]:
    return [path for path in store.listed() if PART.fullmatch(path.name)]


def _is_joined(path: Path) -> bool:
    match = PART.fullmatch(path.name)
    return match is not None and match["joined"] is not None


def _small(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        with suppress(FileNotFoundError):  # another process has just set it aside
            if path.stat().st_size < SMALL:
                yield path


def _remove(paths: Iterable[Path]) -> int:
    removed = 0
    for path in paths:
        with suppress(OSError):  # set aside, or it may not be removed: it is there twice, no more
            path.unlink()
            removed += 1
    return removed


@contextmanager
def _locked(path: Path) -> Iterator[bool]:
    """Hold a lock that ends with its process, and tell whether it is ours."""
    try:
        import fcntl
    except ImportError:  # Windows
        yield False
        return
    try:
        file = path.open("ab")
    except OSError:  # a folder that takes no files
        yield False
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # another process has it, or the folder's file system has no locks
            yield False
            return
        yield True

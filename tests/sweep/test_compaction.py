"""Joining parts changes no row that is read, whoever writes, reads, joins or dies meanwhile."""

import hashlib
import json
import os
import subprocess
import sys

import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imprint_bench.errors import StoreError
from imprint_bench.sweep import compaction
from imprint_bench.sweep import store as stores
from imprint_bench.sweep.compaction import compact
from imprint_bench.sweep.store import Store


def trial_id(i):
    return hashlib.sha256(str(i).encode()).hexdigest()


def row(i, **columns):
    plain = {"trial_id": trial_id(i), "status": "ok", "gen": "mean", "n_shot": None, "seed": i}
    return plain | {"accuracy": i / 7, "f1": [i / 3, 0.5]} | columns


def parts(store):
    return sorted(store.folder.glob("part-*"))


def n_written(store):
    return sum(pq.read_metadata(path).num_rows for path in parts(store))


def seeds(frame):
    return sorted(frame["seed"].tolist())


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "rows", tmp_path / "quarantine")


@pytest.fixture
def eager(monkeypatch):
    """Make two parts many, so that every compaction has something to do."""
    monkeypatch.setattr(compaction, "MANY", 2)


def test_small_parts_become_one_and_rows_are_as_before(store):
    for i in range(compaction.MANY - 1):
        store.write([row(2 * i), row(2 * i + 1, n_shot=i)])
    assert compact(store) == 0
    store.write([row(-1)])
    before = store.read()
    assert compact(store) == compaction.MANY
    assert len(parts(store)) == 1
    assert parts(store)[0].name.endswith("-joined.parquet")
    pd.testing.assert_frame_equal(store.read(), before, check_exact=True)
    assert len(store.ids()) == len(before)
    assert compact(store) == 0


def test_joined_parts_are_joined_with_later_ones_until_they_are_large(store, eager, monkeypatch):
    monkeypatch.setattr(compaction, "ROWS", 10)
    for i in range(25):
        store.write([row(i)])
    compact(store)
    assert [pq.read_metadata(path).num_rows for path in parts(store)] == [10, 10, 5]
    store.write([row(25)])
    monkeypatch.setattr(compaction, "SMALL", parts(store)[0].stat().st_size)
    large = parts(store)[:2]
    compact(store)
    assert parts(store)[:2] == large
    assert [pq.read_metadata(path).num_rows for path in parts(store)] == [10, 10, 6]
    assert seeds(store.read()) == list(range(26))


def test_many_classes_make_joined_parts_of_fewer_rows(store, eager, monkeypatch):
    monkeypatch.setattr(compaction, "MEMORY", 50_000)
    for i in range(6):
        store.write([row(i, f1=[0.5] * 3000)])
    compact(store)
    assert [pq.read_metadata(path).num_rows for path in parts(store)] == [3, 3]


def test_rows_that_do_not_count_any_more_are_gone_from_the_disk(store, eager):
    for accuracy in (0.1, 0.2, 0.3):
        store.write([row(1, accuracy=accuracy), row(2, accuracy=accuracy)])
    compact(store)
    assert n_written(store) == 2
    assert store.read()["accuracy"].tolist() == [0.3, 0.3]


VALUES = st.sampled_from([None, 1, 2.5, True, "x", 7])
WRITES = st.tuples(
    st.just("write"),
    st.lists(st.tuples(st.integers(0, 5), VALUES), min_size=1, max_size=4),
    st.sampled_from(["now", "late"]),
    st.sampled_from(["ok", "crashed"]),
)
STEPS = st.one_of(WRITES, WRITES, st.tuples(st.sampled_from(["compact", "killed", "half removed"])))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEPS, max_size=14), rows_of_a_part=st.sampled_from([3, 100]))
def test_any_interleaving_reads_the_same_as_without_compaction(
    tmp_path_factory, steps, rows_of_a_part
):
    """Whatever is overwritten, arrives late, has other types, or is killed between two steps."""
    folder = tmp_path_factory.mktemp("stores")
    plain, joined = (Store(folder / name, folder / "quarantine") for name in "ab")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compaction, "MANY", 2)
        patched.setattr(compaction, "ROWS", rows_of_a_part)
        for number, (what, *how) in enumerate(steps, start=1):
            if what == "write":
                trials, when, status = how
                time = 1000 * number - (2500 if when == "late" else 0)  # a slow process
                patched.setattr(stores.time, "time_ns", lambda time=time: time + 10**6)
                rows = [
                    {k: v for k, v in row(i, agg_p=value, accuracy=float(number)).items()
                     if k != "seed" or number % 2}
                    | {"status": status}
                    for i, value in dict(trials).items()
                ]  # fmt: skip
                for store in (plain, joined):
                    store.write(rows)
                continue
            with pytest.MonkeyPatch.context() as interrupted:
                if what == "killed":
                    interrupted.setattr(compaction, "_remove", lambda paths: 0)
                if what == "half removed":
                    remove = compaction._remove
                    interrupted.setattr(
                        compaction, "_remove", lambda paths, r=remove: r(list(paths)[::2])
                    )
                compact(joined)
    expected, found = plain.read(), joined.read()
    pd.testing.assert_frame_equal(found, expected[found.columns], check_exact=True)
    assert set(found) == set(expected)
    for a, b in zip(plain.stored(), joined.stored(), strict=True):
        assert a.tolist() == b.tolist()
    if parts(joined):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(compaction, "MANY", 1)
            compact(joined)
        pd.testing.assert_frame_equal(joined.read()[found.columns], found, check_exact=True)
    assert not (folder / "quarantine").exists()


def test_what_a_killed_compaction_left_twice_is_removed_by_the_next(store, eager, monkeypatch):
    for i in range(4):
        store.write([row(i)])
    with monkeypatch.context() as killed:
        killed.setattr(compaction, "_remove", lambda paths: 0)
        compact(store)
    assert n_written(store) == 8
    assert len(store.read()) == 4
    assert compact(store) == 4
    assert n_written(store) == 4


def test_nothing_is_removed_for_a_joined_part_that_is_damaged(store, eager, monkeypatch):
    for i in range(4):
        store.write([row(i)])
    with monkeypatch.context() as killed:
        killed.setattr(compaction, "_remove", lambda paths: 0)
        compact(store)
    (joined,) = store.folder.glob("*-joined.parquet")
    content = bytearray(joined.read_bytes())
    content[len(content) // 3] ^= 1
    joined.write_bytes(content)
    compact(store)
    assert [path.name for path in store.quarantine.iterdir()] == [joined.name]
    assert seeds(store.read()) == [0, 1, 2, 3]
    assert n_written(store) == 4


def test_equal_rows_written_again_are_not_taken_for_what_was_joined(store, eager, monkeypatch):
    for accuracy in (0.1, 0.2):
        store.write([row(1, accuracy=accuracy)])
    compact(store)
    store.write([row(1, accuracy=0.1)])  # bit for bit the first part
    assert compact(store) == 2
    assert store.read()["accuracy"].tolist() == [0.1]


def test_a_damaged_member_is_set_aside_and_not_joined(store, eager):
    whole, damaged = store.write([row(1)]), store.write([row(2)])
    store.write([row(3)])
    damaged.write_bytes(damaged.read_bytes()[:-1])
    assert compact(store) == 2
    assert not whole.exists()
    assert seeds(store.read()) == [1, 3]
    assert [path.name for path in store.quarantine.iterdir()] == [damaged.name]


def test_a_reader_that_finds_a_part_gone_looks_again(store, eager, monkeypatch):
    for i in range(6):
        store.write([row(i)])
    content, read = Store.content, []

    def joined_meanwhile(self, path):
        read.append(path)
        if len(read) == 3:
            with monkeypatch.context() as inner:
                inner.setattr(Store, "content", content)
                assert compact(store) >= 6
        return content(self, path)

    for look in (Store.read, Store.ids):
        read.clear()
        with monkeypatch.context() as patched:
            patched.setattr(Store, "content", joined_meanwhile)
            assert len(look(store)) == 6
        assert len(read) > 6
        for i in range(6):
            store.write([row(i)])


def test_a_listing_that_saw_neither_a_part_nor_what_it_was_joined_to_is_repeated(
    store, eager, monkeypatch
):
    """As a folder may be listed while its files change."""
    for i in range(4):
        store.write([row(i)])
    listed = Store.listed
    times = []

    def blind(self):
        times.append(1)
        return listed(self)[2:] if len(times) == 1 else listed(self)

    monkeypatch.setattr(Store, "listed", blind)
    assert seeds(store.read()) == [0, 1, 2, 3]


HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "ab") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    print("held", flush=True)
    time.sleep(60)
"""


def test_one_process_joins_at_a_time_and_a_dead_one_holds_no_lock(store, eager):
    for i in range(3):
        store.write([row(i)])
    command = [sys.executable, "-c", HOLD, str(store.folder / compaction.LOCK)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert compact(store) == 0
        assert len(parts(store)) == 3
        holder.kill()
    assert compact(store) == 3


def test_without_locks_nothing_is_joined(store, eager, monkeypatch):
    for i in range(3):
        store.write([row(i)])
    monkeypatch.setitem(sys.modules, "fcntl", None)
    assert compact(store) == 0
    assert len(parts(store)) == 3


def test_a_full_disk_only_puts_joining_off(store, eager, monkeypatch, caplog):
    for i in range(3):
        store.write([row(i)])
    before = parts(store)

    def full(path, content):
        raise StoreError(f"{path}: no space left on the disk; free some.")

    with monkeypatch.context() as patched:
        patched.setattr(compaction, "write_bytes", full)
        assert compact(store) == 0
    assert parts(store) == before
    assert "small parts are not joined: " in caplog.text
    assert compact(store) == 3


# Compacts in copies of this process that are killed again and again, with a slow disk.
KILLING = """
import hashlib, json, os, random, signal, sys, time
from pathlib import Path
import pyarrow.parquet as pq
from imprint_bench.sweep import compaction
from imprint_bench.sweep.store import Store

folder, kills = Path(sys.argv[1]), int(sys.argv[2])
store = Store(folder / "rows", folder / "quarantine")
compaction.MANY = 10
fsync, unlink = os.fsync, Path.unlink

def slow_fsync(handle):
    time.sleep(0.005)
    fsync(handle)

def slow_unlink(path, missing_ok=False):
    time.sleep(0.001)
    unlink(path, missing_ok=missing_ok)

def row(i):
    trial_id = hashlib.sha256(str(i).encode()).hexdigest()
    return {"trial_id": trial_id, "status": "ok", "accuracy": i / 7}

def compacting():
    pid = os.fork()
    if pid:
        return pid
    os.fsync, Path.unlink = slow_fsync, slow_unlink
    compaction.compact(store)
    os._exit(0)

moments, n, hits = random.Random(3), 0, {"before": 0, "twice": 0, "after": 0}
seconds = 0
while kills:
    while len(store.listed()) < compaction.MANY:
        store.write([row(n), row(n + 1)])
        n += 2
    began = time.monotonic()
    pid = compacting()
    if seconds:
        time.sleep(moments.uniform(0, seconds))
        os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, -signal.SIGKILL)
    if not seconds:
        assert code == 0
        seconds = time.monotonic() - began
    kills -= code != 0
    listed = store.listed()
    on_disk = sum(pq.read_metadata(path).num_rows for path in listed)
    hits["twice" if on_disk > n else "after" if len(listed) == 1 else "before"] += code != 0
    frame = store.read()
    assert len(frame) == n and frame["trial_id"].is_unique
    assert len(store.ids()) == n
compaction.MANY = 2
store.prepare(n_rows=0, n_parts=0)
compaction.compact(store)
print(json.dumps([n, hits]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills copies of its process")
def test_kills_during_compaction_lose_and_double_nothing(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", KILLING, str(tmp_path), "40"],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    n, hits = json.loads(done.stdout)
    assert hits["before"] > 0
    assert hits["twice"] > 0
    store = Store(tmp_path / "rows", tmp_path / "quarantine")
    assert n_written(store) == n == len(store.read())
    assert list(tmp_path.rglob(".tmp-*")) == []
    assert not store.quarantine.exists()


# Writes rows with its own numbers and joins parts all the time, or reads all the time.
BUSY = """
import hashlib, sys
from pathlib import Path
from imprint_bench.sweep import compaction
from imprint_bench.sweep.store import Store

folder, what, first = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
store = Store(folder / "rows", folder / "quarantine")
compaction.MANY = 8
compaction.ROWS = 60

def row(i):
    trial_id = hashlib.sha256(str(i).encode()).hexdigest()
    return {"trial_id": trial_id, "status": "ok", "accuracy": i / 7}

if what == "write":
    for i in range(first, first + 150):
        store.write([row(i)])
        if i % 5 == 0:
            compaction.compact(store)
else:
    seen, looks = set(), 0
    while not (folder / "done").exists():
        now = set(store.ids().tolist())
        assert seen <= now, "a row was missed"
        frame = store.read()
        assert frame["trial_id"].is_unique and now <= {t.encode() for t in frame["trial_id"]}
        seen, looks = now, looks + 1
    print(looks)
"""


def test_processes_that_write_join_and_read_at_once_miss_nothing(tmp_path):
    def started(what, first=0):
        command = [sys.executable, "-c", BUSY, str(tmp_path), what, str(first)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    reader, *writers = started("read"), started("write", 0), started("write", 1000)
    assert [w.communicate(timeout=100)[1] for w in writers] == ["", ""]
    (tmp_path / "done").touch()
    looks, complaint = reader.communicate(timeout=60)
    assert complaint == ""
    assert int(looks) > 5
    store = Store(tmp_path / "rows", tmp_path / "quarantine")
    expected = {trial_id(i) for first in (0, 1000) for i in range(first, first + 150)}
    assert set(store.read()["trial_id"]) == expected
    assert n_written(store) == len(expected)
    assert not store.quarantine.exists()

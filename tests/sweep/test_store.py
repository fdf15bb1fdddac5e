"""Rows come back as they were written; a file that is not a whole part is never read."""

import errno
import hashlib
import os
import re
import resource
import shutil

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from imprint_bench.durable import temporary_beside
from imprint_bench.errors import StoreError
from imprint_bench.sweep.store import Store, read_rows
from imprint_bench.sweep.trial_ids import missing


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "rows", tmp_path / "quarantine")


def trial_id(i):
    return hashlib.sha256(str(i).encode()).hexdigest()


def as_ids(*numbers):
    return np.array([trial_id(i) for i in numbers], dtype="S64")


def row(i, **columns):
    plain = {"trial_id": trial_id(i), "status": "ok", "gen": "mean", "n_shot": None, "seed": i}
    return plain | {"accuracy": i / 7, "f1": [i / 3, 0.5, 1.0]} | columns


def rows(*numbers, **columns):
    return [row(i, **columns) for i in numbers]


def parts(store):
    return sorted(store.folder.iterdir())


def seeds(frame):
    return sorted(frame["seed"].tolist())


def test_rows_come_back_as_they_were_written(store):
    written = [
        row(1, n_shot=5, gen_k=20, agg="mnn", agg_m=3, agg_metric="cosine"),
        row(2, n_shot=None, gen_k=None, agg="max", agg_m=None, agg_metric=None),
        row(3, n_shot=2**40, accuracy=0.1 + 0.2, agg_metric="<script> é"),
    ]
    store.write(written)
    frame = store.read()
    assert len(frame) == 3
    for i, expected in enumerate(written):
        for name, value in expected.items():
            found = frame[name][i]
            if value is None:
                assert pd.isna(found), name
            else:
                assert np.array_equal(found, value), name
    assert frame["n_shot"].dtype == frame["gen_k"].dtype == frame["agg_m"].dtype == "Int64"
    assert frame["accuracy"].dtype == np.float64
    assert frame["f1"][0].dtype == np.float64


def test_parts_with_different_columns_are_read_as_one_frame(store):
    store.write(rows(1, gen_k=5))
    store.write(rows(2, gen_weight_decay=1e-3))
    store.write(rows(3, gen_k=None, gen_weight_decay=1))  # an int where others have a float
    frame = store.read().set_index("seed")
    assert frame["gen_k"].tolist() == [5, pd.NA, pd.NA]
    assert frame["gen_k"].dtype == "Int64"
    np.testing.assert_array_equal(frame["gen_weight_decay"], [np.nan, 1e-3, 1.0])


def test_a_column_without_a_value_takes_those_of_a_later_part(store):
    store.write(rows(1, agg_metric=None, n_shot=None))
    assert store.read()["n_shot"].dtype == "Int64"
    store.write(rows(2, agg_metric="cosine", n_shot=5))
    frame = store.read()
    assert frame["n_shot"].tolist() == [pd.NA, 5]
    assert pd.isna(frame["agg_metric"][0])
    assert frame["agg_metric"][1] == "cosine"


def test_parameters_of_one_name_and_unlike_types_are_kept_as_text(store):
    store.write([row(1, gen_init=3, agg_p=1), row(2, agg_p="x"), row(3)])
    store.write(rows(4, gen_init="heuristic", agg_p=2.5))
    store.write(rows(5, gen_init=True))
    store.write(rows(6, gen_init=None))
    frame = store.read().set_index("seed")
    assert frame["gen_init"].dropna().to_dict() == {1: "3", 4: "heuristic", 5: "True"}
    assert frame["agg_p"].dropna().to_dict() == {1: "1", 2: "x", 4: "2.5"}
    assert frame["accuracy"].tolist() == [i / 7 for i in range(1, 7)]


def test_an_empty_store_has_no_rows_and_the_columns_that_every_row_has(store):
    assert store.ids().dtype == "S64"
    assert len(store.ids()) == 0
    frame = store.read()
    assert len(frame) == 0
    assert {"trial_id", "status", "accuracy"} <= set(frame.columns)


def test_ids_are_ascending_each_once(store):
    store.write(rows(3, 1, 2))
    store.write(rows(2, 5))
    assert store.ids().tolist() == sorted(as_ids(1, 2, 3, 5).tolist())


def test_what_is_stored_is_told_with_whether_its_last_row_is_a_result(store):
    store.write([row(1), row(2, status="crashed"), row(3, status="failed"), row(4)])
    store.write([row(2), row(4, status="crashed")])
    found = store.stored()
    by_id = dict(zip(found.ids.tolist(), found.ok.tolist(), strict=True))
    assert by_id == {trial_id(i).encode(): i in (1, 2) for i in (1, 2, 3, 4)}
    assert sorted(by_id) == found.ids.tolist() == store.ids().tolist()
    assert [len(a) for a in Store(store.folder / "none", store.quarantine).stored()] == [0, 0]


def test_rows_without_results_do_not_change_the_types_of_the_others(store):
    mark = {"trial_id": trial_id(9), "status": "crashed", "accuracy": None, "reason": "why"}
    store.write(rows(1, 2))
    plain = store.read()
    store.write([mark])
    frame = store.read()
    assert frame["reason"].tolist()[2] == "why"
    assert frame["accuracy"].dtype == np.float64
    pd.testing.assert_frame_equal(frame[:2][plain.columns], plain)
    store.write([row(9, seed=3)])
    assert list(store.read()) == list(plain)


def test_a_store_of_marks_alone_can_be_read(store):
    store.write([{"trial_id": trial_id(1), "status": "crashed", "accuracy": None, "reason": "x"}])
    frame = store.read()
    assert frame["accuracy"].isna().tolist() == [True]
    assert frame["accuracy"].dtype.kind == "f"


def test_only_the_wanted_rows_are_read_and_unknown_ids_left_out(store):
    store.write(rows(*range(10)))
    store.write(rows(*range(10, 20)))
    assert seeds(store.read(as_ids(3, 14, 99))) == [3, 14]
    assert len(store.read(as_ids(99))) == 0
    assert len(store.read(as_ids())) == 0


def test_missing_ids_are_those_that_are_not_stored(store):
    store.write(rows(1, 2))
    wanted = as_ids(3, 1, 2, 4)
    assert missing(wanted, store.ids()).tolist() == [True, False, False, True]
    assert missing(wanted, np.empty(0, dtype="S64")).all()
    assert missing(as_ids(), store.ids()).tolist() == []


def test_of_rows_of_one_trial_the_one_written_last_counts(store):
    for accuracy in (0.3, 0.1, 0.2):
        store.write(rows(1, 2, accuracy=accuracy))
        first = parts(store)[0]
    later = first.stat().st_mtime + 1000
    os.utime(first, (later, later))  # a copy of the folder need not keep the times of its files
    frame = store.read()
    assert seeds(frame) == [1, 2]
    assert frame["accuracy"].tolist() == [0.2, 0.2]
    assert store.read(as_ids(2))["accuracy"].tolist() == [0.2]


def test_fifty_thousand_rows_come_back_each_once(store):
    for start in range(0, 50_000, 1000):
        store.write(rows(*range(start, start + 1000)))
    assert len(store.ids()) == 50_000
    frame = store.read()
    assert seeds(frame) == list(range(50_000))
    np.testing.assert_array_equal(frame["accuracy"], frame["seed"].to_numpy(float) / 7)


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def cut_by_a_byte(path):
    path.write_bytes(path.read_bytes()[:-1])


def emptied(path):
    path.write_bytes(b"")


def text(path):
    path.with_name("part-x.parquet").write_text("accuracy,1.0\n")


def others_parquet(path):
    table = pa.table({"trial_id": [trial_id(1)], "status": ["ok"], "accuracy": [1.0]})
    pq.write_table(table, path.with_name("part-x.parquet"))


def flipped(path):
    """One bit in the middle of the first page of data."""
    at = pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset + 40
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def renamed_over(path):
    """A whole part under the name of another."""
    digest = path.stem.rpartition("-")[2]
    path.replace(path.with_name(path.name.replace(digest, "0" * len(digest))))


@pytest.mark.parametrize("harm", [cut_in_half, cut_by_a_byte, emptied, flipped, renamed_over])
@pytest.mark.parametrize("look", [Store.read, Store.ids])
def test_a_damaged_part_is_named_set_aside_and_not_read(store, caplog, harm, look):
    store.write(rows(1, 2))
    whole = store.write(rows(3, 4))
    damaged = store.write(rows(5, 6))
    harm(damaged)
    (damaged,) = (path for path in parts(store)[1:] if path != whole)
    assert len(look(store)) == 4
    assert damaged not in parts(store)
    assert [path.name for path in store.quarantine.iterdir()] == [damaged.name]
    assert caplog.messages == [
        f"{damaged}: no part of the store (its content is not what was written: damaged or cut "
        f"short); moved to {store.quarantine}, its trials are computed again."
    ]
    assert seeds(store.read()) == [1, 2, 3, 4]
    assert len(caplog.messages) == 1


@pytest.mark.parametrize("make", [text, others_parquet])
def test_a_foreign_file_is_named_set_aside_and_not_read(store, caplog, make):
    path = store.write(rows(1, 2))
    make(path)
    assert store.read()["accuracy"].tolist() == [1 / 7, 2 / 7]
    assert parts(store) == [path]
    assert [p.name for p in store.quarantine.iterdir()] == ["part-x.parquet"]
    assert "part-x.parquet: no part of the store (this program gives no such name)" in caplog.text


def test_any_flipped_bit_of_a_part_is_noticed(store):
    """Page checksums alone miss one flip in eighty: those of the footer and of page headers."""
    path = store.write(rows(*range(5)))
    content = path.read_bytes()
    for bit in range(0, 8 * len(content), 101):
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        assert len(store.read()) == 0
    path.write_bytes(content)
    assert len(store.read()) == 5


def test_a_part_that_another_run_sets_aside_meanwhile_is_no_error(store, monkeypatch):
    store.write(rows(1))
    gone, damaged = store.write(rows(2)), store.write(rows(3))
    cut_in_half(damaged)
    monkeypatch.setattr(Store, "_set_aside", set_aside_twice(Store._set_aside))
    listed = sorted(store.folder.glob("*"))
    monkeypatch.setattr("pathlib.Path.glob", lambda folder, pattern: listed)
    gone.unlink()
    assert seeds(store.read()) == [1]


def set_aside_twice(set_aside):
    def both(store, path, reason):
        set_aside(store, path, reason)
        set_aside(store, path, reason)

    return both


def test_a_part_that_may_not_be_read_stays_where_it_is(store, monkeypatch):
    path = store.write(rows(1))

    def read_bytes(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr("pathlib.Path.read_bytes", read_bytes)
    with pytest.raises(StoreError, match=f"^{path}: cannot be read \\(Permission denied\\); "):
        store.read()
    assert parts(store) == [path]


def test_other_files_in_the_folder_do_not_matter(store):
    store.write(rows(1))
    (store.folder / "notes.txt").write_text("mine")
    temporary_beside(store.folder / "part-x.parquet").write_bytes(b"half")
    assert seeds(store.read()) == [1]
    assert not store.quarantine.exists()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_keeps_the_store_whole(store, monkeypatch, code):
    before = store.write(rows(1, 2))

    def full(handle):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="no space left on the disk"):
            store.write(rows(3, 4))
    assert parts(store) == [before]
    store.write(rows(3, 4))
    assert seeds(store.read()) == [1, 2, 3, 4]


def test_a_part_that_is_cut_off_while_it_is_written_leaves_nothing(store):
    before, (soft, hard) = store.write(rows(1)), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (before.stat().st_size, hard))
    try:
        with pytest.raises(StoreError, match=re.escape("larger than files may be here (ulimit")):
            store.write(rows(*range(1000)))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert parts(store) == [before]
    assert seeds(store.read()) == [1]


def test_preparing_makes_the_folder_and_leaves_only_what_is_whole(store):
    store.prepare(n_rows=1, n_parts=1)
    assert parts(store) == []
    path = store.write(rows(1))
    name = temporary_beside(path).name.replace(f"-{os.getpid()}-", "-99999999-")
    (store.folder / name).write_bytes(b"half")
    store.prepare(n_rows=1, n_parts=1)
    assert parts(store) == [path]


def test_room_for_all_rows_is_looked_for_before_the_first(store, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=10**8)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    store.prepare(n_rows=1000, n_parts=10)
    with pytest.raises(StoreError, match=re.escape("needs 0.14 GB, 0.10 GB are free; free some")):
        store.prepare(n_rows=500_000, n_parts=100)


def test_a_file_in_the_place_of_the_store_is_named(store):
    store.folder.write_text("not a folder")
    sentence = f"{store.folder}: a file stands where a folder is needed; set paths.results=FOLDER."
    with pytest.raises(StoreError, match=f"^{re.escape(sentence)}$"):
        store.prepare(n_rows=1, n_parts=1)


def test_a_unit_without_rows_is_a_mistake(store):
    with pytest.raises(StoreError, match="no rows to write"):
        store.write([])


def test_names_of_parts_tell_their_content_and_never_collide(store):
    paths = {store.write(rows(1)) for _ in range(20)}
    assert len(paths) == 20
    assert len({path.stem.rpartition("-")[2] for path in paths}) == 1


def test_pandas_reads_the_folder_though_some_parts_have_no_n_shot(tmp_path):
    store = Store(tmp_path / "rows", tmp_path / "quarantine")
    row = {"trial_id": "a" * 64, "status": "ok", "accuracy": 0.5}
    store.write([row | {"n_shot": None}])
    store.write([row | {"trial_id": "b" * 64, "n_shot": 5}])
    frame = pd.read_parquet(tmp_path / "rows")
    assert frame["n_shot"].dropna().tolist() == [5]
    assert len(frame) == 2


def test_a_folder_without_rows_is_told_and_not_taken_for_an_empty_store(tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StoreError, match=r"has no folder rows; expected a folder of results,"):
            read_rows(folder)
    (tmp_path / "rows").mkdir()
    assert read_rows(tmp_path).empty
    with pytest.raises(StoreError) as caught:
        read_rows(tmp_path / "rows")
    assert str(caught.value).endswith(f"Did you mean {str(tmp_path)!r}?")

"""Files are whole at their final name or not there; what a dead process left is removed."""

import errno
import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from imprint_bench.durable import (
    DAY,
    atomic,
    check_writable,
    make_folder,
    remove_unfinished,
    sha256_of,
    temporary_beside,
    write_bytes,
)
from imprint_bench.errors import StoreError

OPEN = """
import os, sys, time
from pathlib import Path
from imprint_bench.durable import atomic
with atomic(Path(sys.argv[1])) as file:
    file.write(b"half")
    file.flush()
    print("open", flush=True)
    time.sleep(60)
"""


def raises_store_error(message):
    return pytest.raises(StoreError, match=f"^{re.escape(message)}$")


def failing_fsync(code):
    def fsync(handle):
        raise OSError(code, os.strerror(code))

    return fsync


def write_and_raise(path, error):
    with atomic(path) as file:
        file.write(b"x" * 100_000)
        raise error


@pytest.fixture
def writer(tmp_path):
    """Return a process that has written half of a file below the folder, which it returns too."""
    started = []

    def start(name="part"):
        command = [sys.executable, "-c", OPEN, str(tmp_path / name)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout.readline() == "open\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_a_file_appears_whole_and_alone(tmp_path):
    path = tmp_path / "new" / "folder" / "file"
    with atomic(path) as file:
        file.write(b"all of ")
        assert not path.exists()
        file.write(b"it")
    assert path.read_bytes() == b"all of it"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, OSError])
def test_a_block_that_raises_leaves_everything_as_it_was(tmp_path, error):
    old, new = tmp_path / "old", tmp_path / "new"
    write_bytes(old, b"old content")
    for path in (old, new):
        expected = StoreError if error is OSError else error
        with pytest.raises(expected):
            write_and_raise(path, error)
    assert old.read_bytes() == b"old content"
    assert list(tmp_path.iterdir()) == [old]


def test_content_reaches_the_disk_before_the_name_and_the_name_before_the_end(
    tmp_path, monkeypatch
):
    seen = []
    sync, replace = os.fsync, Path.replace

    def fsync(handle):
        seen.append(os.fstat(handle).st_ino)
        sync(handle)

    def renamed(old, new):
        seen.append("rename")
        return replace(old, new)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", renamed)
    path = tmp_path / "a" / "b" / "file"
    write_bytes(path, b"content")
    file, b, a, top = (place.stat().st_ino for place in (path, *list(path.parents)[:3]))
    assert sorted(seen[:2]) == sorted([a, top])  # which have new folders in them
    assert seen[2:] == [file, "rename", b]


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_gets_one_sentence_and_leaves_nothing(tmp_path, monkeypatch, code):
    path = tmp_path / "file"
    monkeypatch.setattr(os, "fsync", failing_fsync(code))
    with raises_store_error(
        f"{path}: no space left on the disk; free some and run again, all finished is kept."
    ):
        write_bytes(path, b"content")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_outgrows_the_limit_gets_one_sentence_and_leaves_nothing(tmp_path):
    """A write that really fails halfway: the system takes the first 1000 bytes only."""
    path, (soft, hard) = tmp_path / "file", resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with raises_store_error(
            f"{path}: larger than files may be here (ulimit -f); raise the limit and run again, "
            "all finished is kept."
        ):
            write_bytes(path, b"x" * 5000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_place_of_a_folder_is_named(tmp_path):
    (tmp_path / "taken").write_text("not a folder")
    for folder in (tmp_path / "taken", tmp_path / "taken" / "deeper"):
        sentence = "a file stands where a folder is needed; set paths.results=FOLDER."
        with raises_store_error(f"{folder / 'file'}: {sentence}"):
            write_bytes(folder / "file", b"")
        with raises_store_error(f"{folder}: {sentence}"):
            check_writable(folder)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_takes_no_files_is_named(tmp_path, monkeypatch, code):
    def mkdir(path, **options):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with raises_store_error(
        f"{tmp_path}: not writable; choose another folder with paths.results=FOLDER."
    ):
        check_writable(tmp_path)


def test_any_other_failure_says_what_the_system_said(tmp_path):
    (tmp_path / "folder").mkdir()
    with raises_store_error(f"{tmp_path / 'folder'}: cannot be written (Is a directory)."):
        write_bytes(tmp_path / "folder", b"")
    assert [p.name for p in tmp_path.iterdir()] == ["folder"]


def test_checking_a_folder_makes_it_and_leaves_nothing_in_it(tmp_path):
    check_writable(tmp_path / "new" / "results", n_bytes=1000)
    assert list((tmp_path / "new" / "results").iterdir()) == []


def test_room_on_the_disk_is_looked_at_before(tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=10**9)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage)
    check_writable(tmp_path, n_bytes=10**8)
    with raises_store_error(
        f"{tmp_path}: needs 3.02 GB, 1.00 GB are free; free some or choose another folder with "
        "paths.results=FOLDER."
    ):
        check_writable(tmp_path, n_bytes=3 * 10**9)


def test_what_a_dead_process_left_is_removed_and_a_live_one_goes_on(tmp_path, writer):
    (tmp_path / "deep").mkdir()
    killed, alive = writer("deep/file"), writer("other")
    (ours,) = tmp_path.glob(".tmp-*")
    remove_unfinished(tmp_path)
    assert len(list(tmp_path.rglob(".tmp-*"))) == 2
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    remove_unfinished(tmp_path)
    assert list(tmp_path.rglob(".tmp-*")) == [ours]
    assert alive.poll() is None


def test_what_other_machines_write_stays_until_it_is_a_day_old(tmp_path):
    own = temporary_beside(tmp_path / "file")
    theirs = own.with_name(re.sub(r"tmp-[0-9a-f]{8}-\d+", "tmp-00000000-1", own.name))
    unknown = tmp_path / ".tmp-file"
    for path in (own, theirs, unknown):
        path.write_bytes(b"half")
    remove_unfinished(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([own, theirs, unknown])
    old = time.time() - DAY - 60
    for path in (theirs, unknown):
        os.utime(path, (old, old))
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == [own]


def test_an_unfinished_folder_is_removed_with_what_is_in_it(tmp_path):
    gone = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"],
                          capture_output=True, check=True)  # fmt: skip
    own = temporary_beside(tmp_path / "folder")
    left = own.with_name(own.name.replace(f"-{os.getpid()}-", f"-{int(gone.stdout)}-"))
    make_folder(left)
    (left / own.name).write_bytes(b"half a file in half a folder")
    (left / "whole").write_bytes(b"whole")
    remove_unfinished(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_nothing_to_remove_is_no_error(tmp_path):
    remove_unfinished(tmp_path / "not there")
    assert list(tmp_path.iterdir()) == []


def test_a_checksum_of_files_is_that_of_their_contents_in_order(tmp_path):
    a, b = tmp_path / "a", tmp_path / "b"
    a.write_bytes(b"x" * 5_000_000)
    b.write_bytes(b"y")
    assert sha256_of(a, b) == hashlib.sha256(b"x" * 5_000_000 + b"y").hexdigest()
    assert sha256_of(b, a) != sha256_of(a, b)

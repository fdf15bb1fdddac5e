import errno
import gzip
import hashlib
import io
import os
import shlex
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from imprint_bench import durable
from imprint_bench.data.fetching import downloads, places, unpacking
from imprint_bench.data.fetching.downloads import (
    Download,
    MissingFilesError,
    fetch,
    missing,
    remote_size,
)
from imprint_bench.errors import DataError, StoreError

CONTENT = np.random.default_rng(0).bytes(3_000_000)  # more than one block
MD5 = "md5:" + hashlib.md5(CONTENT).hexdigest()


class Handler(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        if self.path == "/cut":  # says more than it sends
            self.send_response(200)
            self.send_header("Content-Length", str(len(CONTENT)))
            self.end_headers()
            self.wfile.write(CONTENT[:2_000_000])
        elif self.path == "/unsized":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(CONTENT)
        elif self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/file")
            self.end_headers()
        else:
            super().do_GET()


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Return a folder, and the address under which its files can be had."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "file").write_bytes(CONTENT)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder)))
    server.handle_error = lambda *_: None  # a client that hangs up is part of a test
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def url(served):
    return served[1]


@pytest.fixture
def closed_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


@contextmanager
def refused(kind, *parts):
    """Expect an error of one line whose text has all `parts`."""
    with pytest.raises(kind) as caught:
        yield
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text


def files_below(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


@pytest.mark.parametrize("place", ["file", "unsized", "moved"])
def test_a_file_is_fetched_whole_with_its_progress(tmp_path, url, place):
    path, blocks = tmp_path / "new" / "folder" / "f.bin", []
    fetch([Download(f"{url}/{place}", path, MD5)], progress=blocks.append)
    assert path.read_bytes() == CONTENT
    assert sum(blocks) == len(CONTENT)
    assert len(blocks) > 1
    assert files_below(path.parent) == ["f.bin"]


@pytest.mark.parametrize(
    "checksum", ["", MD5, MD5[:12], "sha256:" + hashlib.sha256(CONTENT).hexdigest()]
)
def test_a_file_may_lie_on_this_machine_and_a_prefix_of_a_checksum_will_do(
    tmp_path, served, checksum
):
    fetch([Download((served[0] / "file").as_uri(), tmp_path / "f", checksum)])
    assert (tmp_path / "f").read_bytes() == CONTENT


def test_what_is_there_with_the_right_checksum_is_not_fetched_but_what_has_another_is(
    tmp_path, url, closed_port
):
    path = tmp_path / "f"
    path.write_bytes(CONTENT)
    fetch([Download(f"{closed_port}/file", path, MD5)])
    path.write_bytes(CONTENT[:-1])
    fetch([Download(f"{url}/file", path, MD5)])
    assert path.read_bytes() == CONTENT


def test_without_a_network_the_file_the_folder_and_the_command_are_named(tmp_path, closed_port):
    path = tmp_path / "set" / "f"
    with refused(
        DataError,
        f"{path}: could not be fetched from {closed_port}/file (no connection: ",
        "Connection refused",
        f"curl -L -o {path} {closed_port}/file",
    ):
        fetch([Download(f"{closed_port}/file", path)])
    assert not path.exists()


@pytest.mark.parametrize(
    ("place", "checksum", "reason"),
    [
        ("gone", "", "HTTP error 404 File not found"),
        ("cut", "", "the connection was cut after 2000000 of 3000000 bytes"),
        ("file", "md5:0123", f"its md5 is {MD5[4:]}, expected 0123"),
        ("file", "sha256:" + "0" * 64, f"expected {'0' * 64}"),
    ],
)
def test_what_is_not_the_whole_right_file_is_not_kept(tmp_path, url, place, checksum, reason):
    with refused(DataError, f"{tmp_path}/f: could not be fetched from {url}/{place} (", reason):
        fetch([Download(f"{url}/{place}", tmp_path / "f", checksum)])
    assert files_below(tmp_path) == []


def test_a_file_without_a_promised_length_is_compared_with_the_size_that_is_known(tmp_path, url):
    with refused(DataError, "cut after 3000000 of 3000001 bytes"):
        fetch([Download(f"{url}/unsized", tmp_path / "f", n_bytes=len(CONTENT) + 1)])
    assert files_below(tmp_path) == []


@pytest.mark.parametrize("address", ["ftp://127.0.0.1/f", "data:,hello", "f"])
def test_addresses_of_other_kinds_are_not_opened(tmp_path, address):
    with refused(DataError, "expected an address that starts with one of https, http, file"):
        fetch([Download(address, tmp_path / "f")])


def test_the_next_mirror_is_tried_and_all_are_named_when_none_has_the_file(
    tmp_path, url, closed_port
):
    bad = (f"{closed_port}/file", f"{url}/cut", f"{url}/gone")
    fetch([Download(bad[0], tmp_path / "f", MD5, mirrors=(*bad[1:], f"{url}/file"))])
    assert (tmp_path / "f").read_bytes() == CONTENT
    with refused(DataError, "no connection", "cut after", "404", *bad):
        fetch([Download(bad[0], tmp_path / "g", MD5, mirrors=bad[1:])])


class FullDisk:
    """A file that takes one block."""

    def __init__(self, file):
        self.file, self.calls = file, 0

    def write(self, block):
        self.calls += 1
        if self.calls > 1:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(block)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()


@pytest.fixture
def full_disk(monkeypatch):
    opened = Path.open
    monkeypatch.setattr(
        Path,
        "open",
        lambda path, mode="r", **options: (
            FullDisk(opened(path, mode, **options))
            if mode in ("xb", "wb")
            else opened(path, mode, **options)
        ),
    )


@pytest.mark.usefixtures("full_disk")
def test_a_disk_that_fills_up_in_the_middle_is_said_and_nothing_is_left(tmp_path, url):
    with refused(StoreError, f"{tmp_path}/f: no space left on the disk; free some and run again"):
        fetch([Download(f"{url}/file", tmp_path / "f", MD5)])
    assert files_below(tmp_path) == []


def test_a_disk_without_the_room_is_seen_before_the_first_byte(tmp_path, url, monkeypatch):
    usage = type("Usage", (), {"free": durable.SPARE + 2_999_999})
    monkeypatch.setattr(places.shutil, "disk_usage", lambda folder: usage)
    received = []
    with refused(StoreError, f"{tmp_path}: needs 0.02 GB for a download, 0.02 GB are free"):
        fetch([Download(f"{url}/file", tmp_path / "f", MD5)], progress=received.append)
    assert received == []
    usage.free += 1
    fetch([Download(f"{url}/file", tmp_path / "f", MD5)])


def test_a_folder_that_cannot_be_made_is_named(tmp_path, url):
    (tmp_path / "set").write_text("a file")
    with refused(StoreError, f"{tmp_path}/set: a file stands where a folder is needed; move it, "):
        fetch([Download(f"{url}/file", tmp_path / "set" / "f")])


def test_what_stands_in_the_way_of_any_file_is_said_before_any_connection(tmp_path, url):
    (tmp_path / "afile").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "f").mkdir()
    first, received = Download(f"{url}/file", tmp_path / "new" / "f", MD5), []
    for path, message in {
        tmp_path / "afile" / "MNIST" / "raw" / "f": f"{tmp_path}/afile: a file stands where a ",
        tmp_path / "link" / "f": f"{tmp_path}/link: a link to a folder that is not there; ",
        tmp_path / "f": f"{tmp_path}/f: a folder stands where a file is needed; ",
    }.items():
        with refused(StoreError, message, "paths.data=FOLDER or paths.weights=FOLDER."):
            fetch([first, Download(f"{url}/file", path)], progress=received.append)
    assert received == []
    assert files_below(tmp_path) == ["afile", "f", "link"]


def test_a_folder_that_cannot_be_written_is_said_before_any_connection(
    tmp_path, closed_port, monkeypatch
):
    monkeypatch.setattr(places.os, "access", lambda place, _: Path(place) != tmp_path)
    with refused(StoreError, f"{tmp_path}: cannot be written; make it writable, or choose"):
        fetch([Download(f"{closed_port}/file", tmp_path / "new" / "folder" / "f")])
    assert files_below(tmp_path) == []


def test_all_that_is_missing_is_named_once_when_one_file_cannot_be_fetched(tmp_path, closed_port):
    names = ("a", "b", "b", "there", "c", "a")
    wanted = [Download(f"{closed_port}/{name}", tmp_path / name) for name in names]
    (tmp_path / "there").write_bytes(b"x")
    with refused(
        DataError,
        f"{tmp_path}/a: could not be fetched from {closed_port}/a (no connection: ",
        f"; nothing was kept, also missing: {tmp_path}/b and {tmp_path}/c; try again or put them "
        f"there with: {wanted[0].command} && {wanted[1].command} && {wanted[4].command}.",
    ):
        fetch(wanted)
    with refused(DataError, f"{tmp_path}/b: ", f"also missing: {tmp_path}/c; try again or put th"):
        fetch(wanted[1:5])
    with refused(DataError, f"kept, try again or put it there with: {wanted[4].command}."):
        fetch(wanted[3:5])


@pytest.mark.parametrize("unpack", [True, False])
def test_a_file_that_is_there_with_a_wrong_checksum_is_mentioned_when_no_other_can_be_had(
    tmp_path, closed_port, unpack
):
    path = tmp_path / "a.tar.gz"
    path.write_bytes(b"half of it")
    with refused(
        DataError,
        f"{path}: is there, but its md5 is {hashlib.md5(b'half of it').hexdigest()}, expected "
        f"{MD5[4:]}, and could not be fetched from {closed_port}/file (no connection: ",
        "; it was left as it is, try again or put it there with: curl ",
    ):
        fetch([Download(f"{closed_port}/file", path, MD5, unpack=unpack)])
    assert path.read_bytes() == b"half of it"


def test_the_error_of_a_missing_file_names_a_file_in_the_way(tmp_path):
    (tmp_path / "afile").write_text("x")
    path = tmp_path / "afile" / "MNIST" / "f"
    error = missing(path, [Download("https://example.org/f", path)])
    assert str(error).startswith(
        f"{path}: no such file, as {tmp_path}/afile is a file and no folder; fetch it with: "
    )


def test_the_size_is_asked_of_the_network_only_if_unknown(tmp_path, url, served, closed_port):
    assert remote_size(Download(f"{url}/file", tmp_path / "f")) == len(CONTENT)
    assert remote_size(Download((served[0] / "file").as_uri(), tmp_path / "f")) == len(CONTENT)
    assert remote_size(Download(f"{closed_port}/f", tmp_path / "f")) is None
    assert remote_size(Download(f"{url}/gone", tmp_path / "f")) is None
    assert remote_size(Download(f"{closed_port}/f", tmp_path / "f", n_bytes=5)) == 5
    mirrored = Download(f"{closed_port}/f", tmp_path / "f", mirrors=(f"{url}/file",))
    assert remote_size(mirrored) == len(CONTENT)


def test_the_error_of_a_missing_file_names_it_and_carries_what_to_fetch(tmp_path):
    wanted = [
        Download("https://example.org/a b.tar.gz", tmp_path / "it's" / "a.tar.gz", unpack=True),
        Download("https://example.org/c", tmp_path / "c"),
    ]
    error = missing(tmp_path / "set" / "a", wanted)
    assert isinstance(error, MissingFilesError)
    assert error.downloads == tuple(wanted)
    assert str(error).startswith(f"{tmp_path}/set/a: no such file; fetch it with: curl -L -o ")
    assert "(and 1 more like it), or set paths.data=FOLDER" in str(error)
    assert shlex.split(wanted[0].command) == [
        *("curl", "-L", "-o", f"{tmp_path}/it's/a.tar.gz", "https://example.org/a b.tar.gz"),
        *("--create-dirs", "&&", "tar", "-xf", f"{tmp_path}/it's/a.tar.gz", "-C"),
        f"{tmp_path}/it's",
    ]


PARTS = {"set/a": CONTENT[:100], "set/deep/b": CONTENT[100:2_000_000], "c": b"c"}


def archive(kind, parts=PARTS):
    """Return the bytes of an archive with the given files."""
    target = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as content:
            for name, data in parts.items():
                content.writestr(name, data)
        return target.getvalue()
    with tarfile.open(fileobj=target, mode="w:gz" if kind == "tar.gz" else "w") as content:
        for name, data in parts.items():
            member = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
            member.size = 0 if member is data else len(data)
            content.addfile(member, None if member is data else io.BytesIO(data))
    return target.getvalue()


def unpacked(folder, content, name="a.tar.gz"):
    """Fetch an archive of the given bytes from this machine, and unpack it into `folder`."""
    source = folder.parent / "source"
    source.write_bytes(content)
    fetch([Download(source.as_uri(), folder / name, unpack=True)])


def assert_parts(folder):
    held = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    assert held == PARTS


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "zip"])
def test_an_archive_is_unpacked_and_removed(tmp_path, kind):
    unpacked(tmp_path / "data", archive(kind))
    assert_parts(tmp_path / "data")


def test_an_archive_that_is_there_needs_no_network(tmp_path, closed_port):
    content = archive("tar.gz")
    checksum = "md5:" + hashlib.md5(content).hexdigest()
    (tmp_path / "a.tar.gz").write_bytes(content)
    fetch([Download(f"{closed_port}/a", tmp_path / "a.tar.gz", checksum, unpack=True)])
    assert_parts(tmp_path)


def test_unpacking_completes_a_folder_and_leaves_other_files_in_it_alone(tmp_path):
    data = tmp_path / "data"
    (data / "set" / "deep").mkdir(parents=True)
    (data / "set" / "a").write_bytes(b"half of a")
    (data / "set" / "mine").write_bytes(b"mine")
    unpacked(data, archive("tar.gz"))
    assert (data / "set" / "mine").read_bytes() == b"mine"
    (data / "set" / "mine").unlink()
    assert_parts(data)


def member(name, kind=tarfile.REGTYPE, link=""):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return {name: info}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (archive("tar.gz", PARTS | {"../out": b"x"}), "member '../out' lies outside the folder"),
        (archive("tar", PARTS | {"/out": b"x"}), "member '/out' lies outside the folder"),
        (archive("zip", PARTS | {"a/../../out": b"x"}), "'a/../../out' lies outside the folder"),
        (archive("zip", PARTS | {"C:\\out": b"x"}), "lies outside the folder"),
        (archive("tar", PARTS | member("l", tarfile.SYMTYPE, "/etc")), "'l' is a link or a device"),
        (archive("tar", PARTS | member("l", tarfile.LNKTYPE, "c")), "'l' is a link or a device"),
        (archive("tar", PARTS | member("p", tarfile.FIFOTYPE)), "'p' is a link or a device"),
        (archive("tar.gz", {"big": bytes(1_000_000)}), "unpacks to more than 100 times its size"),
        (archive("zip", {"big": bytes(1_000_000)}), "unpacks to more than 100 times its size"),
        (b"<html>not found</html>" * 100, "no whole tar, tar.gz or zip archive ("),
        (b"", "no whole tar, tar.gz or zip archive ("),
        (archive("tar.gz")[:-5], "no whole tar, tar.gz or zip archive ("),
        (archive("tar.gz")[:1_000_000], "no whole tar, tar.gz or zip archive ("),
        (archive("tar")[:1_000_000], "no whole tar, tar.gz or zip archive ("),
        (archive("zip")[:-5], "no whole tar, tar.gz or zip archive ("),
        (gzip.compress(b"no tar"), "no whole tar, tar.gz or zip archive ("),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_archive_that_is_none_or_does_harm_is_refused_and_leaves_nothing(
    tmp_path, monkeypatch, content, reason
):
    monkeypatch.setattr(unpacking, "AT_LEAST", 0)
    data = tmp_path / "data"
    with refused(DataError, f"{data}/a.tar.gz: ", reason):
        unpacked(data, content)
    assert files_below(tmp_path) == ["data", "source"]


def test_a_changed_byte_in_an_archive_is_found(tmp_path):
    content = bytearray(archive("tar.gz"))
    content[-6] ^= 1  # of the checksum that gzip keeps
    with refused(DataError, "no whole tar, tar.gz or zip archive (CRC"):
        unpacked(tmp_path / "data", bytes(content))
    assert files_below(tmp_path) == ["data", "source"]


def test_a_disk_that_fills_up_while_unpacking_keeps_the_archive_and_nothing_else(tmp_path, request):
    content = archive("tar.gz")
    (tmp_path / "a.tar.gz").write_bytes(content)
    wanted = Download("https://127.0.0.1/a", tmp_path / "a.tar.gz", unpack=True)
    request.getfixturevalue("full_disk")
    with refused(StoreError, "no space left on the disk"):
        fetch([wanted])
    assert files_below(tmp_path) == ["a.tar.gz"]


KILLED = """
import os, signal
from pathlib import Path
from imprint_bench.data.fetching import downloads
from imprint_bench.data.fetching import unpacking

def kill(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def kill_when_moved(folder):
    if folder.name == "data" and (folder / "set").is_dir():
        kill()

if "{moment}" == "written":
    downloads._disagreement = kill  # all bytes are there, not yet compared
elif "{moment}" == "unpacked":
    unpacking._move_content = kill
else:
    unpacking.sync_folder = kill_when_moved
downloads.fetch([downloads.Download({url!r}, Path({path!r}), unpack=True)])
"""


@pytest.mark.parametrize(
    ("moment", "there"),
    [
        ("written", []),
        ("unpacked", ["b.tar.gz"]),
        ("moved", ["b.tar.gz", "c", "set", "set/a", "set/deep", "set/deep/b"]),
    ],
)
def test_a_kill_at_any_moment_leaves_nothing_that_passes_for_whole(tmp_path, served, moment, there):
    data = tmp_path / "data"
    (served[0] / "b.tar.gz").write_bytes(archive("tar.gz"))
    source = Download((served[0] / "b.tar.gz").as_uri(), data / "b.tar.gz", unpack=True)
    program = KILLED.format(moment=moment, url=source.url, path=str(source.path))
    died = subprocess.run([sys.executable, "-c", program], check=False)
    assert died.returncode == -9
    assert [p for p in files_below(data) if not p.startswith(".tmp-")] == there
    for left in data.rglob("*"):
        os.utime(left, (0, 0))
    fetch([source])
    assert_parts(data)


def test_a_temporary_file_that_is_still_written_is_not_touched(tmp_path, url):
    living = durable.temporary_beside(tmp_path / "f")
    living.write_bytes(b"half")
    other = tmp_path / ".tmp-of-the-user-f"
    other.write_bytes(b"mine")
    os.utime(other, (0, 0))
    fetch([Download(f"{url}/file", tmp_path / "f", MD5)])
    assert sorted(files_below(tmp_path)) == sorted([living.name, other.name, "f"])


def test_two_processes_that_fetch_the_same_files_both_end_well(tmp_path, served, url):
    (served[0] / "two.tar.gz").write_bytes(archive("tar.gz"))
    program = f"""
from pathlib import Path
from imprint_bench.data.fetching.downloads import Download, fetch

folder = Path({str(tmp_path)!r})
wanted = [
    Download("{url}/two.tar.gz", folder / "two.tar.gz", unpack=True),
    Download("{url}/file", folder / "f", "{MD5}"),
]
for _ in range(20):
    fetch(wanted)
"""
    both = [subprocess.Popen([sys.executable, "-W", "error", "-c", program]) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0]
    assert (tmp_path / "f").read_bytes() == CONTENT
    (tmp_path / "f").unlink()
    assert_parts(tmp_path)


def test_several_that_fetch_the_same_archive_at_once_all_end_well(tmp_path, served, url):
    (served[0] / "set.tar.gz").write_bytes(archive("tar.gz"))
    wanted = [
        Download(f"{url}/set.tar.gz", tmp_path / "set.tar.gz", unpack=True),
        Download(f"{url}/file", tmp_path / "f", MD5),
    ]
    errors = []

    def fetching(barrier):
        try:
            barrier.wait()
            fetch(wanted)
        except Exception as error:
            errors.append(error)

    for _ in range(5):
        barrier = threading.Barrier(6)
        threads = [threading.Thread(target=fetching, args=(barrier,)) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        assert (tmp_path / "f").read_bytes() == CONTENT
        (tmp_path / "f").unlink()
        assert_parts(tmp_path)
        for path in (tmp_path / "c", tmp_path / "set" / "a"):
            path.unlink()


def test_an_archive_that_vanishes_was_unpacked_by_another(tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_is_there", lambda download: True)
    fetch([Download("https://127.0.0.1/a", tmp_path / "a.tar.gz", unpack=True)])
    assert files_below(tmp_path) == []


def test_the_error_travels_between_processes(tmp_path):
    import pickle

    error = missing(tmp_path / "a", [Download("file:///a", tmp_path / "a")])
    again = pickle.loads(pickle.dumps(error))
    assert (str(again), again.downloads) == (str(error), error.downloads)

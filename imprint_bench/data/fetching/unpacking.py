"""Archives from elsewhere: unpacked inside one folder, bounded, and in place only when whole."""

import gzip
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Any

from imprint_bench.durable import explained, sync_folder, temporary_beside
from imprint_bench.errors import DataError

GZIP_START, ZIP_START = b"\x1f\x8b", b"PK"
MOST_TIMES = 100  # an archive may unpack to so many times its size ...
AT_LEAST = 1 << 26  # ... or to this many bytes
BLOCK = 1 << 20  # bytes

Member = tuple[str, bool, Any]  # name, whether it is a folder, what opens its content


class _Refused(Exception):  # noqa: N818 - becomes a DataError with the archive's name
    """Why an archive is not unpacked."""


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a tar, tar.gz or zip file into `folder`.

    Everything is written to a temporary folder inside `folder`, flushed to the disk,
    and moved into place when the archive has been read to its end. Files of the same name
    are replaced; others in the same folders stay.

    Parameters
    ----------
    archive : Path
        Data, not to be trusted: a member outside the folder, a link or a device is refused,
        and so is more than 100 times the size of the archive (64 MiB are always allowed).
    folder : Path
        Where the members go; it is there already.

    Raises
    ------
    DataError
        If it is no such archive, damaged, or refused. Nothing has been moved into place.
    StoreError
        If the disk is full or the folder cannot be written.
    FileNotFoundError
        If there is no such archive.
    """
    most = max(MOST_TIMES * archive.stat().st_size, AT_LEAST)
    temporary = temporary_beside(folder / archive.name)
    with explained(temporary):
        temporary.mkdir()
    try:
        with _explained(archive):
            _write_all(archive, temporary, most)
        for place in (temporary, *temporary.rglob("*")):
            if place.is_dir():
                sync_folder(place)
        with explained(folder):
            _move_content(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_all(archive: Path, folder: Path, most: int) -> None:
    with archive.open("rb") as file:
        start = file.read(2)
    members = {ZIP_START: _zip_members, GZIP_START: _gzip_members}.get(start, _tar_members)
    left = most
    for name, is_folder, opened in members(archive, most):
        target = folder / _inside(name)
        with explained(target):
            (target if is_folder else target.parent).mkdir(parents=True, exist_ok=True)
        if not is_folder:
            left -= _write(opened, target, left)


def _write(opened: Any, target: Path, most: int) -> int:
    """Write one member to the disk and return its size, at most `most` bytes."""
    written = 0
    with explained(target):
        file = target.open("wb")
    with opened() as source, file:
        while block := source.read(BLOCK):
            written += len(block)
            if written > most:
                raise _too_large()
            with explained(target):
                file.write(block)
        with explained(target):
            file.flush()
            os.fsync(file.fileno())
    return written


def _zip_members(archive: Path, _most: int) -> Iterator[Member]:
    with zipfile.ZipFile(archive) as content:
        for info in content.infolist():
            if info.external_attr >> 16 & 0o170000 == 0o120000:
                raise _Refused(f"its member {info.filename!r} is a link")
            yield info.filename, info.is_dir(), partial(content.open, info)


def _gzip_members(archive: Path, most: int) -> Iterator[Member]:
    with gzip.open(archive) as file:
        yield from _members(file, most)


def _tar_members(archive: Path, most: int) -> Iterator[Member]:
    with archive.open("rb") as file:
        yield from _members(file, most)


def _members(file: Any, most: int) -> Iterator[Member]:
    stream: Any = _Bounded(file, most)
    with tarfile.open(fileobj=stream, mode="r|") as content:
        for member in content:
            if not (member.isreg() or member.isdir()):
                raise _Refused(f"its member {member.name!r} is a link or a device")
            yield member.name, member.isdir(), partial(content.extractfile, member)
    while stream.read(BLOCK):  # to the end, where gzip compares its checksum
        pass


class _Bounded:
    """A stream that refuses to give more than so many bytes, whatever a header promises."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream = stream
        self._left = most

    def read(self, size: int) -> bytes:
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise _too_large()
        return content


def _too_large() -> _Refused:
    return _Refused(f"it unpacks to more than {MOST_TIMES} times its size")


def _inside(name: str) -> Path:
    """Return the relative path that a member's name means, if it stays inside the folder."""
    path = PurePosixPath(name)
    strange = "\\" in name or "\0" in name or PureWindowsPath(name).drive
    if strange or path.is_absolute() or ".." in path.parts:
        raise _Refused(f"its member {name!r} lies outside the folder")
    return Path(*path.parts)


def _move_content(source: Path, target: Path) -> None:
    """Move what is in `source` into `target`; files of the same name are replaced one by one."""
    for path in sorted(source.iterdir()):
        place = target / path.name
        if path.is_dir():
            with suppress(OSError):  # there is such a folder, with something in it
                path.rename(place)
                continue
            place.mkdir(exist_ok=True)
            _move_content(path, place)
        else:
            path.replace(place)
    sync_folder(target)


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    """Turn what tarfile, zipfile and gzip raise on a damaged archive into one sentence."""
    try:
        yield
    except _Refused as refused:
        raise DataError(
            f"{archive.absolute()}: {refused}; not unpacked, fetch the archive from elsewhere."
        ) from refused
    except FileNotFoundError:
        raise
    except (
        *(tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError),
        *(NotImplementedError, RuntimeError, ValueError, OSError),
    ) as error:
        reason = str(error).rstrip(".") or type(error).__name__
        raise DataError(
            f"{archive.absolute()}: no whole tar, tar.gz or zip archive ({reason}); fetch it again."
        ) from error

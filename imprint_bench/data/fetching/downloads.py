"""Files that can be had from the network: where they are, where they belong, how they get there."""

import hashlib
import logging
import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imprint_bench.data.fetching.places import check_room, check_target, remove_abandoned
from imprint_bench.data.fetching.transfer import BLOCK, Unreachable, blocks, opened, promised
from imprint_bench.data.fetching.unpacking import unpack
from imprint_bench.data.reading.files import absence
from imprint_bench.durable import atomic
from imprint_bench.errors import DataError

PATIENCE = 60  # seconds without a byte, after which a connection is given up
GLANCE = 4  # seconds for a question about a size

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Download:
    """A file in the network and its place on disk.

    Attributes
    ----------
    url : str
        Where it is: http, https or file.
    path : Path
        Where it belongs. An archive is unpacked into the folder of `path` and then removed.
    checksum : str
        "md5:..." or "sha256:..." in hexadecimal; a prefix of the digest will do. "" if unknown.
    n_bytes : int or None
        Its size, if known.
    unpack : bool
        Whether it is an archive (tar, tar.gz, zip) that is wanted unpacked.
    mirrors : tuple of str
        Other places of the same file, tried in turn if `url` fails.
    """

    url: str
    path: Path
    checksum: str = ""
    n_bytes: int | None = None
    unpack: bool = False
    mirrors: tuple[str, ...] = ()

    @property
    def command(self) -> str:
        """The shell command that does the same, for a machine or a person with a network."""
        path, url = shlex.quote(str(self.path.absolute())), shlex.quote(self.url)
        fetched = f"curl -L -o {path} {url} --create-dirs"
        folder = shlex.quote(str(self.path.parent.absolute()))
        return f"{fetched} && tar -xf {path} -C {folder}" if self.unpack else fetched


class MissingFilesError(DataError):
    """Files are not on disk that the network has; `downloads` says which."""

    def __init__(self, sentence: str, downloads: Sequence[Download]) -> None:
        super().__init__(sentence)
        self.downloads = tuple(downloads)

    def __reduce__(self) -> tuple[Any, ...]:
        """Return what makes it again in another process."""
        return type(self), (str(self), self.downloads)


def missing(
    path: Path, downloads: Sequence[Download], *, what: str | None = None
) -> MissingFilesError:
    """Return the error that names a missing file, and how to get it and those missing with it.

    Parameters
    ----------
    path : Path
        What was looked for first.
    downloads : sequence of Download
        All that is missing; at least one.
    what : str or None
        What is wrong with `path`, where that is not that there is no such file.
    """
    more = f" (and {len(downloads) - 1} more like it)" if len(downloads) > 1 else ""
    return MissingFilesError(
        f"{path.absolute()}: {what or absence(path, 'file')}; fetch it with: "
        f"{downloads[0].command}{more}, or set paths.data=FOLDER to the folder that has it.",
        downloads,
    )


def fetch(
    downloads: Sequence[Download], *, progress: Callable[[int], None] = lambda n_bytes: None
) -> None:
    """Fetch files to where they belong; each appears there whole and checked, or not at all.

    A file is written under a temporary name beside its own, compared with its size and
    checksum, flushed to the disk and renamed. Archives are unpacked in the same manner.
    What is there already with the right checksum is not fetched again. Two processes may
    fetch the same files at the same time: both end well.

    Parameters
    ----------
    downloads : sequence of Download
        What to fetch, in this order.
    progress : callable
        Called with the number of bytes just received.

    Raises
    ------
    DataError
        If no address gives the file: no network, an HTTP error, a cut connection, a wrong
        checksum; or if an archive cannot be unpacked. The message has the reason of every
        address, the other files that are missing, and the commands that fetch them.
    StoreError
        If the disk is too full or a folder cannot be written, which is seen before anything is
        fetched. Nothing half is left.
    """
    for download in downloads:
        if download.unpack or not download.path.is_file():
            check_target(download.path)
    for i, download in enumerate(downloads):
        remove_abandoned(download.path)
        if not _is_there(download):
            _fetch_one(download, downloads[i + 1 :], progress)
        if download.unpack:
            _unpack(download)


def remote_size(download: Download) -> int | None:
    """Return the size of the file in bytes, or None where nobody tells within seconds.

    It is asked of the network only if `download.n_bytes` does not say.
    """
    if download.n_bytes is not None:
        return download.n_bytes
    for url in (download.url, *download.mirrors):
        with suppress(Unreachable), opened(url, GLANCE, method="HEAD") as answer:
            return promised(answer)
    return None


def _is_there(download: Download) -> bool:
    return download.path.is_file() and _defect(download) == ""


def _defect(download: Download) -> str:
    """Return how the file that is there differs from what is expected, or nothing."""
    digest = _digest(download)
    try:
        with download.path.open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
    except FileNotFoundError:  # an archive may vanish: who unpacked it has removed it
        return "gone"
    return _disagreement(download, digest)


def _fetch_one(
    download: Download, later: Sequence[Download], progress: Callable[[int], None]
) -> None:
    reasons = []
    for url in (download.url, *download.mirrors):
        try:
            log.info("fetching %s from %s.", download.path, url)
            return _fetch_from(url, download, progress)
        except Unreachable as reason:
            reasons.append(f"{url} ({reason})")
    raise DataError(_failure(download, later, " nor ".join(reasons)))


def _failure(download: Download, later: Sequence[Download], reasons: str) -> str:
    """Return the sentence on a file that could not be fetched, and others that are missing."""
    what, kept = f"could not be fetched from {reasons}", "nothing was kept"
    if download.path.is_file():
        what = f"is there, but {_defect(download)}, and {what}"
        kept = "it was left as it is"
    others = {d.path: d for d in later if d.path != download.path and not d.path.is_file()}
    commands = " && ".join(d.command for d in (download, *others.values()))
    if others:
        *all_but_last, last = (str(path.absolute()) for path in others)
        listed = f"{', '.join(all_but_last)} and {last}" if all_but_last else last
        kept += f", also missing: {listed}; try again or put them"
    else:
        kept += ", try again or put it"
    return f"{download.path.absolute()}: {what}; {kept} there with: {commands}."


def _fetch_from(url: str, download: Download, progress: Callable[[int], None]) -> None:
    """Fetch from one address, or raise Unreachable with the reason."""
    with opened(url, PATIENCE) as answer:
        n_bytes = promised(answer)
        expected = download.n_bytes if n_bytes is None else n_bytes
        check_room(download.path.parent, expected or 0)
        with atomic(download.path) as file:
            digest, received = _digest(download), 0
            for block in blocks(answer):
                file.write(block)
                digest.update(block)
                received += len(block)
                progress(len(block))
            if expected is not None and received != expected:
                raise Unreachable(f"the connection was cut after {received} of {expected} bytes")
            if disagreement := _disagreement(download, digest):
                raise Unreachable(disagreement)


def _digest(download: Download) -> Any:
    name = download.checksum.partition(":")[0] or "sha256"
    return hashlib.new(name, usedforsecurity=False)


def _disagreement(download: Download, digest: Any) -> str:
    """Return how the digest differs from what is expected, or nothing."""
    name, _, expected = download.checksum.partition(":")
    if digest.hexdigest().startswith(expected.lower()):
        return ""
    return f"its {name} is {digest.hexdigest()}, expected {expected}"


def _unpack(download: Download) -> None:
    try:
        unpack(download.path, download.path.parent)
    except FileNotFoundError:  # another process has unpacked it whole, and then removed it
        return
    except DataError:
        download.path.unlink(missing_ok=True)  # it would fail again
        raise
    download.path.unlink(missing_ok=True)

"""Files that can be had from the network: where they are, and where they belong."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from imprint_bench.errors import DataError


@dataclass(frozen=True)
class Download:
    """A file in the network and its place on disk.

    Attributes
    ----------
    url : str
        Where it is.
    path : Path
        Where it belongs. An archive is unpacked into the folder of `path` and then removed.
    checksum : str
        "md5:..." or "sha256:..." in hexadecimal; a prefix of the digest will do. "" if unknown.
    n_bytes : int or None
        Its size, if known.
    unpack : bool
        Whether it is an archive (tar, tar.gz, zip) that is wanted unpacked.
    """

    url: str
    path: Path
    checksum: str = ""
    n_bytes: int | None = None
    unpack: bool = False


class MissingFilesError(DataError):
    """Files are not on disk that the network has; `downloads` says which."""

    def __init__(self, sentence: str, downloads: Sequence[Download]) -> None:
        super().__init__(sentence)
        self.downloads = tuple(downloads)

"""What settles the images of a folder: a digest per file, without reading more than needed."""

import hashlib
from functools import lru_cache
from pathlib import Path

from imprint_bench.data.reading.files import identity
from imprint_bench.data.reading.image_files import Listing
from imprint_bench.errors import ImageError

HASHED = 1 << 30  # bytes of images of which the content is hashed; above, sizes and times are


def content_of(found: Listing) -> list[tuple[str, str]]:
    """Return what settles the images and labels: a name and a digest per file.

    The digest is that of the content if all images of the split fill at most 1 GiB;
    else it is made of size and time of change, since reading all would take minutes.
    A file that cannot be read has none.
    """
    identities = tuple(_identity(found.path(row)) for row in range(len(found.names)))
    return list(zip(found.names, _digests(found, identities), strict=True))


@lru_cache(maxsize=4)
def _digests(found: Listing, identities: tuple[tuple[int, int, int], ...]) -> list[str]:
    if sum(size for _, size, _ in identities) <= HASHED:
        return [_digest(found, row) for row in range(len(identities))]
    return [f"{size} bytes of {time} ns" for _, size, time in identities]


def _digest(found: Listing, row: int) -> str:
    try:
        return hashlib.sha256(found.read(row)).hexdigest()
    except ImageError:  # refused or skipped where it is embedded
        return ""


def _identity(path: Path) -> tuple[int, int, int]:
    try:
        return identity(path)
    except OSError:
        return 0, 0, 0

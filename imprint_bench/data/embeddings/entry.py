"""One folder of the cache: named, written in one step, checked, set aside when damaged."""

import json
import logging
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from imprint_bench.data.embeddings.manifest import MANIFEST, read_manifest, sealed
from imprint_bench.durable import (
    explained,
    make_folder,
    sync_folder,
    temporary_beside,
    write_bytes,
)
from imprint_bench.errors import ConfigError

QUARANTINE = "quarantine"

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._+=@-]*")

log = logging.getLogger(__name__)


def folder_name(name: str, *, at: str) -> str:
    """Return `name` if it can be a folder's name.

    Raises
    ------
    ConfigError
        If it has signs that a folder's name should not have, or is taken by the cache.
    """
    if not NAME.fullmatch(name) or name == QUARANTINE:
        raise ConfigError(
            f"{at}: name {name!r} cannot be a folder of the cache; expected letters, digits "
            "and . _ + = @ - after a letter or digit."
        )
    return name


def entry_folder(root: Path, fm: str, dataset: str, fingerprint: str) -> Path:
    """Return the folder of an entry."""
    place = root / folder_name(dataset, at=f"dataset.{dataset}")
    return place / f"{folder_name(fm, at=f'fm.{fm}')}-{fingerprint[:8]}"


def others(folder: Path, fm: str) -> list[tuple[Path, dict[str, Any]]]:
    """Return the other entries of the same foundation model's name, newest first."""
    pattern = re.compile(re.escape(fm) + r"-[0-9a-f]{8}")
    found = []
    for path in folder.parent.glob("*"):
        if path != folder and pattern.fullmatch(path.name):
            manifest = read_manifest(path)
            if manifest is not None and manifest.get("fm") == fm:
                found.append((path, manifest))
    return sorted(found, key=lambda entry: entry[0].stat().st_mtime, reverse=True)


def set_aside(root: Path, folder: Path, reason: str) -> Path:
    """Move a damaged entry to the quarantine, say so in the log, and return where it is."""
    aside = root / QUARANTINE / f"{folder.parent.name}-{folder.name}-{uuid4().hex[:8]}"
    with explained(aside):
        make_folder(aside.parent)
        with suppress(FileNotFoundError):  # another run has set it aside
            folder.replace(aside)
    log.warning(
        "embeddings %s/%s: %s; moved to %s, they are computed again.",
        folder.parent.name,
        folder.name,
        reason,
        aside,
    )
    return aside


@contextmanager
def unfinished(final: Path) -> Iterator[Path]:
    """Make a temporary folder beside `final` for writing; it vanishes if the block raises."""
    folder = temporary_beside(final)
    with explained(final):
        make_folder(folder)
    try:
        yield folder
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def publish(folder: Path, final: Path, manifest: Mapping[str, Any], *, replace: bool) -> None:
    """Give a written folder its final name, after its manifest is on the disk.

    Parameters
    ----------
    folder : Path
        From `unfinished`, all arrays written and flushed.
    final : Path
        The entry's name. When another process was faster, its entry stays.
    manifest : Mapping[str, Any]
        Written last.
    replace : bool
        Put this entry in the place of one that is there.
    """
    content = json.dumps(sealed(manifest), indent=1, sort_keys=True, ensure_ascii=False)
    write_bytes(folder / MANIFEST, content.encode())
    with explained(final):
        if replace and final.exists():
            old = temporary_beside(final)  # which a later run removes, if this one is killed
            final.replace(old)
            shutil.rmtree(old, ignore_errors=True)
        try:
            folder.replace(final)
        except OSError:
            if not final.is_dir():
                raise
            shutil.rmtree(folder, ignore_errors=True)
    sync_folder(final.parent)

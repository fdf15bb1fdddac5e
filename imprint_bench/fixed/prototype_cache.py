"""Prototype sets on disk: made once for each name, size, seed and parameters."""

import hashlib
import json
import logging
import zlib
from collections.abc import Mapping
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zipfile import BadZipFile

import numpy as np

from imprint_bench.durable import write_bytes
from imprint_bench.errors import ConfigError
from imprint_bench.fixed.class_embeddings import read_class_embeddings
from imprint_bench.fixed.core.prototype_set import (
    PROTOTYPES,
    PrototypeSet,
    build_prototypes,
    check_prototypes,
    version_of,
    with_certificate,
)
from imprint_bench.params import settable, takes, with_defaults

Params = Mapping[str, Any]
NONE: Params = MappingProxyType({})

log = logging.getLogger(__name__)


def cached_prototypes(
    folder: Path | None,
    name: str,
    c: int,
    d: int,
    *,
    seed: int = 0,
    params: Params = NONE,
    at: str = "prototypes",
) -> PrototypeSet:
    """Return a prototype set, from `folder` if it lies there, else made and put there.

    Parameters
    ----------
    folder : Path or None
        Made if missing; None keeps nothing.
    name : str
        A registered name.
    c, d : int
        Number of classes, and dimensions.
    seed : int
    params : Mapping[str, Any]
        As YAML has them: for a table of class embeddings the path of its file, `file` of
        word_vectors and `semantic` of hpn, or an array. The set keeps the path.
    at : str
        The place in the configuration, with which a message starts.

    Returns
    -------
    prototypes : PrototypeSet
        Bit-equal whether made or read.

    Raises
    ------
    ConfigError
        If there is no such set, or a parameter is wrong.
    DataError
        If a file of class embeddings cannot be read.
    StoreError
        If the folder cannot be written.
    """
    given = with_tables(name, params, at=at)
    check_prototypes(name, c, d, params=given, at=at)
    full = with_defaults(PROTOTYPES[name], given)
    shown = full | dict(params)
    if shown.get("file") is not None:
        del shown["table"]

    def made() -> PrototypeSet:
        return build_prototypes(name, c, d, seed=seed, params=given, at=at)

    if folder is None:
        return replace(made(), params=shown)
    drawn = seed if takes(PROTOTYPES[name], "rng") else None  # one file for all seeds
    key = [name, version_of(name), c, d, drawn, full]
    path = folder / name / f"{c}x{d}-{_digest(key)[:16]}.npz"
    vectors = _read(path, shape=(c, d))
    if vectors is None:
        vectors = made().vectors
        write_bytes(path, _content(vectors))
    return with_certificate(name, vectors, seed=seed, params=shown)


def with_tables(name: str, params: Params, *, at: str) -> dict[str, Any]:
    """Return parameters in which the path of a file of class embeddings is the table itself.

    Parameters
    ----------
    name : str
        A registered name.
    params : Mapping[str, Any]
        `file` stands for `table`; a text under `semantic` is a path, too.
    at : str

    Raises
    ------
    ConfigError, DataError
        If a file cannot be read.
    """
    read = dict(params)
    if "file" in settable(PROTOTYPES.find(name, at=at)):
        file = read.pop("file", None)
        if (file is None) == (read.get("table") is None):
            wrong = "missing" if file is None else "given beside table"
            raise ConfigError(
                f"{at}.{name}.file: {wrong}; expected the path of a file with one row per class."
            )
        if file is not None:
            read["table"] = _table(file, at=f"{at}.{name}.file")
    if isinstance(read.get("semantic"), str):
        read["semantic"] = _table(read["semantic"], at=f"{at}.{name}.semantic")
    return read


def _table(file: Any, *, at: str) -> np.ndarray:
    if not isinstance(file, str):
        raise ConfigError(f"{at}: expected the path of a file, got {file!r}.")
    return read_class_embeddings(file, at=at)


def _digest(value: Any) -> str:
    """Return the SHA-256 (hexadecimal) of JSON values among which there are arrays."""
    text = json.dumps(value, sort_keys=True, default=_array_digest)
    return hashlib.sha256(text.encode()).hexdigest()


def _array_digest(array: np.ndarray) -> list[Any]:
    return [array.shape, str(array.dtype), _checksum(array)]


def _checksum(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()


def _content(vectors: np.ndarray) -> bytes:
    file = BytesIO()
    np.savez(file, vectors=vectors, sha256=np.array(_checksum(vectors)))
    return file.getvalue()


def _read(path: Path, *, shape: tuple[int, int]) -> np.ndarray | None:
    """Return the vectors of a file that is there and whole; a damaged one is made anew."""
    if not path.exists():
        return None
    try:
        # From memory: numpy leaves a file open that it cannot read.
        with np.load(BytesIO(path.read_bytes()), allow_pickle=False) as found:
            vectors, checksum = found["vectors"], str(found["sha256"])
    except (OSError, EOFError, ValueError, KeyError, BadZipFile, zlib.error) as error:
        log.warning("%s: not readable (%s); it is made anew.", path, error)
        return None
    if vectors.shape != shape or _checksum(vectors) != checksum:
        log.warning("%s: not what was written there; it is made anew.", path)
        return None
    return vectors

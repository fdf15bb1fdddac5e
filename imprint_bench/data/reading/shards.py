"""The parquet files of every split: found by their names, each only once."""

import glob
import re
from collections.abc import Mapping
from pathlib import Path

from imprint_bench.data.reading.files import absence
from imprint_bench.errors import ConfigError, DataError, did_you_mean

Shards = dict[str, tuple[Path, ...]]

PLACES = ("", "data")  # in the folder itself, or as in a repository of Hugging Face
COUNTED = re.compile(r"-of-(\d+)(?:-|$)")


def find_shards(folder: Path, splits: Mapping[str, str]) -> Shards:
    """Return the parquet files of each split, in the order of their names.

    Parameters
    ----------
    folder : Path
        Holds ``SPLIT-*.parquet`` or ``SPLIT.parquet``, or has a folder ``data`` that does.
    splits : Mapping[str, str]
        The name that each split has there.

    Raises
    ------
    ConfigError
        If two splits are one.
    DataError
        If files are missing, or one file is reached by two names.
    """
    check_different(splits, kind="image_parquet")
    shards = {split: _shards(folder, name) for split, name in splits.items()}
    seen: dict[tuple[int, int], Path] = {}
    for path in (path for paths in shards.values() for path in paths):
        stat = path.stat()
        other = seen.setdefault((stat.st_dev, stat.st_ino), path)
        if other != path:
            raise DataError(
                f"{path.absolute()}: the same file as {other.name}, reached by two names; "
                "remove one."
            )
    return shards


def check_different(splits: Mapping[str, str], *, kind: str) -> None:
    """Raise ConfigError if training and test images are to come from one split."""
    if splits["train"] == splits["test"]:
        raise ConfigError(
            f"{kind}.test_split: {splits['test']!r} is train_split, too; expected another split, "
            "or the test would be on training images."
        )


def _shards(folder: Path, split: str) -> tuple[Path, ...]:
    _check_folder(folder)
    found: list[tuple[Path, ...]] = []
    for place in (folder / name for name in PLACES):
        single = place / f"{split}.parquet"
        several = sorted(place.glob(f"{glob.escape(split)}-*.parquet"))
        found += [(single,)] if single.exists() else []
        found += [tuple(several)] if several else []
    for path in (path for paths in found for path in paths):
        if path.is_dir():
            raise DataError(
                f"{path.absolute()}: {absence(path, 'file')}; move the parquet files in it to "
                f"{folder.absolute()} and call them {split}-0.parquet, {split}-1.parquet, ..."
            )
    if len(found) > 1:
        raise DataError(
            f"{found[0][0].absolute()}: stands beside {found[1][0].relative_to(folder)}; expected "
            "either one file or shards in one folder, remove what does not belong there."
        )
    if found:
        return found[0] if found[0][0].stem == split else _complete(found[0], split)
    raise DataError(
        f"{(folder / split).absolute()}-*.parquet: no such file (nor {split}.parquet, nor in "
        f"data/){_others(folder, split)}"
    )


def _check_folder(folder: Path) -> None:
    """Raise DataError if there is something else where the folder should be."""
    if folder.suffix == ".parquet" and folder.is_file():
        raise DataError(
            f"{folder.absolute()}: a file; give the folder that holds it, "
            f"{folder.parent.absolute()}."
        )
    if not folder.is_dir() and (reason := absence(folder, "folder")) != "no such folder":
        raise DataError(f"{folder.absolute()}: {reason}; give the folder of the parquet files.")


def _others(folder: Path, split: str) -> str:
    """Return the rest of the sentence: which splits are there instead, or how to get some."""
    files = (path for place in PLACES for path in (folder / place).glob("*.parquet"))
    there = sorted({re.split(r"-\d", path.stem)[0] for path in files})
    if there:
        return (
            f"; there are {', '.join(there)}, to be chosen with train_split and test_split."
            + did_you_mean(split, there)
        )
    return (
        "; put the parquet shards of the dataset (from huggingface.co/datasets) there, or set "
        "paths.data=FOLDER to the folder that has them."
    )


def _complete(paths: tuple[Path, ...], split: str) -> tuple[Path, ...]:
    """Return `paths` if they are as many as their names promise."""
    promised = COUNTED.search(paths[0].stem)
    if promised and int(promised[1]) != len(paths):
        raise DataError(
            f"{paths[0].parent.absolute()}: {len(paths)} of {int(promised[1])} shards "
            f"{split}-*.parquet; fetch the others, or remove those that do not belong there."
        )
    return paths

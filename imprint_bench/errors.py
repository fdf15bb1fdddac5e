"""Every error that a user can make, and the one sentence it gets.

A message reads ``<where>: <what is wrong, with the value>; <what would be
right>. <nearest name>``.
"""

import difflib
from collections.abc import Iterable
from typing import Any


class ImprintError(Exception):
    """Base of all errors of this package; `exit_code` is what the command returns."""

    exit_code = 1


class ConfigError(ImprintError):
    """A YAML file or an override is wrong: mend the named path."""

    exit_code = 2


class DataError(ImprintError):
    """A data set, network file or array is missing or unusable: mend the named file."""

    exit_code = 2


class ImageError(DataError):
    """One image cannot be read; the others may be well."""


class CacheError(ImprintError):
    """Cached embeddings do not fit what was asked for: pass ``embed.force=true`` to redo them."""

    exit_code = 2


class StoreError(ImprintError):
    """The results folder cannot be read or written: mend the named file or folder."""

    exit_code = 2


class IncompleteError(ImprintError):
    """A table lacks rows: run the sweep that computes them.

    `trials` names them, a row each, where they are known (a DataFrame).
    """

    exit_code = 1

    def __init__(self, sentence: str, *, trials: Any = None) -> None:
        super().__init__(sentence)
        self.trials = trials


class RunFailed(ImprintError):  # noqa: N818 - says what happened, not what was wrong
    """Some units of work failed; the others are stored. Run again after mending the cause."""

    exit_code = 1


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the known name nearest to `name`, or nothing.

    Examples
    --------
    >>> did_you_mean("kmean", ["all", "fps", "kmeans"])
    " Did you mean 'kmeans'?"
    >>> did_you_mean("zzz", ["all", "fps"])
    ''
    """
    close = difflib.get_close_matches(str(name), list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]!r}?" if close else ""

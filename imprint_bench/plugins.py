"""Modules of the user, which register generators and other methods of their own."""

import importlib
import importlib.util
import sys
from collections.abc import Callable, Sequence
from hashlib import sha256
from pathlib import Path

from imprint_bench.durable import sha256_of
from imprint_bench.errors import ConfigError

_loaded: dict[str, None] = {}  # in the order of loading
_code: dict[str, str] = {}  # SHA-256 of a file, by the name of its module


def load(names: Sequence[str]) -> None:
    """Import modules, each once per process.

    Parameters
    ----------
    names : sequence of str
        Names of importable modules, or paths of files that end in ``.py``.

    Raises
    ------
    ConfigError
        If one is not there or cannot be imported.
    """
    for i, name in enumerate(names):
        if name in _loaded:
            continue
        try:
            _from_file(Path(name)) if name.endswith(".py") else importlib.import_module(name)
        except Exception as error:  # the user's code may raise anything
            reason = f"{type(error).__name__}: {error}"
            raise ConfigError(
                f"imports[{i}]: {name!r} cannot be imported ({reason}); give the name of an "
                "installed module or the path of a .py file."
            ) from error
        _loaded[name] = None


def loaded() -> tuple[str, ...]:
    """Return the names of what was loaded, so that a worker process can load it too."""
    return tuple(_loaded)


def code_of(function: Callable) -> str | None:
    """Return the SHA-256 of the ``.py`` file of the user's that defines `function`, or None.

    It is part of the id of a trial, so that an edited file is not taken for the old one.
    """
    return _code.get(function.__module__)


def _from_file(path: Path) -> None:
    path = path.expanduser().resolve()
    name = f"{path.stem}_{sha256(str(path).encode()).hexdigest()[:8]}"
    if name in sys.modules:
        return
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}")
    _code[name] = sha256_of(path)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None  # the name ends in .py
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise

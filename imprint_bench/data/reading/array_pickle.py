"""Pickles of NumPy arrays: read as data, with none of the code that a pickle may ask for."""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.errors import DataError

DTYPES: dict[str, np.dtype] = {"u1": np.dtype("u1"), "i4": np.dtype("<i4"), "i8": np.dtype("<i8")}


def load_arrays(path: Path) -> dict[str, Any]:
    """Return the dictionary that the file holds: text, numbers, lists and arrays of whole numbers.

    Nothing that the pickle names is imported or called. The few names by which NumPy
    rebuilds an array are answered by functions of this module, which look at every value.

    Raises
    ------
    DataError
        If the file is damaged, holds anything else, or asks for another name.

    References
    ----------
    The Python Standard Library, "pickle", section "Restricting Globals".
    """
    try:
        content = _Reader(io.BytesIO(path.read_bytes()), encoding="latin1").load()
        if not isinstance(content, dict):
            raise pickle.UnpicklingError(f"it holds a {type(content).__name__}, not a dict")
        return {
            str(name): value.finished() if isinstance(value, _Array) else value
            for name, value in content.items()
        }
    except FileNotFoundError:
        raise
    except Exception as error:  # a damaged pickle raises nearly anything
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise DataError(
            f"{path.absolute()}: no whole pickle of plain arrays ({reason}); fetch the file again."
        ) from error


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        known = {
            "numpy.ndarray": _Array,
            "numpy.dtype": _Type,
            "numpy.multiarray._reconstruct": _new_array,
            "numpy.numeric._frombuffer": _array_from,
            "_codecs.encode": _latin1,
        }
        # NumPy 2 renamed numpy.core to numpy._core.
        asked = f"{module.replace('._core', '').replace('.core', '')}.{name}"
        if asked not in known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is never called")
        return known[asked]


class _Type:
    """What stands for numpy.dtype."""

    def __init__(self, code: str, *_: object) -> None:
        if code not in DTYPES:
            raise pickle.UnpicklingError(f"an array of type {code!r}, not of whole numbers")
        self.dtype: np.dtype = DTYPES[code]

    def __setstate__(self, state: tuple) -> None:
        if state[1] not in ("|", "<", "="):
            raise pickle.UnpicklingError(f"an array with bytes in the order {state[1]!r}")


class _Array:
    """What stands for numpy.ndarray; it becomes one when everything has been looked at."""

    values: np.ndarray | None = None

    def __setstate__(self, state: tuple) -> None:
        _, shape, kind, by_column, content = state
        self.values = _filled(content, kind, shape, "F" if by_column else "C")

    def finished(self) -> np.ndarray:
        if self.values is None:
            raise pickle.UnpicklingError("an array without values")
        return self.values


def _new_array(*_: object) -> _Array:
    return _Array()


def _array_from(content: bytes, kind: _Type, shape: tuple, order: str) -> _Array:
    array = _Array()
    array.values = _filled(content, kind, shape, order)
    return array


def _filled(content: bytes | str, kind: _Type, shape: tuple, order: str) -> np.ndarray:
    raw = content.encode("latin1") if isinstance(content, str) else content  # str of Python 2
    values: np.ndarray = np.frombuffer(raw, dtype=kind.dtype)
    return values.reshape(shape, order="F" if order == "F" else "C")


def _latin1(text: str, encoding: str) -> bytes:
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"text in the encoding {encoding!r}")
    return text.encode("latin1")

"""Checkpoints: everything that a training needs to go on where it was, in one file."""

import json
import pickle
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from time import monotonic
from typing import Any

import torch
from torch import nn

from imprint_bench.durable import atomic
from imprint_bench.errors import StoreError

FORMAT = 1
LONGEST_SHOWN = 60  # characters of a value in a message
UNREADABLE = (RuntimeError, OSError, EOFError, KeyError, ValueError, pickle.UnpicklingError)

State = dict[str, Any]


class Checkpoint:
    """The file of one training, which is replaced by a newer one in one atomic step.

    Parameters
    ----------
    path : Path
    configuration : mapping
        What is trained how, plain: another training does not go on from this file.
    every : float
        Seconds between two writings; 0 writes after every step.
    """

    def __init__(self, path: Path, configuration: Mapping[str, Any], *, every: float) -> None:
        self.path = path
        self.configuration = _plain(configuration)
        self.every = every
        self._written = monotonic()

    def is_due(self) -> bool:
        """Tell whether the last writing is long enough ago."""
        return monotonic() - self._written >= self.every

    def write(self, state: State) -> None:
        """Write the state: tensors, numbers, text, and lists and dicts of them.

        Raises
        ------
        StoreError
            If the file cannot be written; the one before is as it was.
        """
        with atomic(self.path) as file:
            header = {"format": FORMAT, "configuration": json.dumps(self.configuration)}
            torch.save(header | {"state": state}, file)
        self._written = monotonic()

    def read(self) -> State | None:
        """Return the state in the file; None if there is no file.

        Nothing in the file is executed. Tensors are on the CPU.

        Raises
        ------
        StoreError
            If the file is of another training, or cannot be read.
        """
        if not self.path.exists():
            return None
        try:
            with warnings.catch_warnings():  # on files that torch did not write
                warnings.simplefilter("ignore")
                content = torch.load(self.path, map_location="cpu", weights_only=True)
            written = json.loads(content["configuration"])
            if content["format"] != FORMAT:
                raise ValueError(f"format {content['format']}, not {FORMAT}")
            state = content["state"]
        except UNREADABLE as error:
            raise StoreError(
                f"{self.path}: damaged, or no checkpoint; remove it to start anew."
            ) from error
        except (TypeError, IndexError) as error:  # a tensor, or another file of torch's
            raise StoreError(
                f"{self.path}: is no checkpoint of a training; choose another file."
            ) from error
        difference = first_difference(written, self.configuration)
        if difference is not None:
            raise StoreError(
                f"{self.path}: written by another training, {difference}; remove it to start "
                "anew, or choose another file."
            )
        return state


def first_difference(written: Mapping[str, Any], asked: Mapping[str, Any]) -> str | None:
    """Return in words the first entry in which two nested plain mappings differ, or None.

    Examples
    --------
    >>> first_difference({"recipe": {"epochs": 20}, "seed": 1}, {"recipe": {"epochs": 30}})
    'with recipe.epochs = 20 and not 30'
    """
    a, b = dict(_flat(written)), dict(_flat(asked))
    for key in [*b, *(key for key in a if key not in b)]:
        if a.get(key) != b.get(key):
            values = [repr(x.get(key)) for x in (a, b)]
            if max(map(len, values)) > LONGEST_SHOWN:  # the text of a network, a digest
                return f"with different {key}"
            return f"with {key} = {values[0]} and not {values[1]}"
    return None


def described(loss: Callable[..., Any]) -> dict[str, Any]:
    """Return what a loss is: its name, and the parameters that it is bound to.

    Those are the ones of `functools.partial`, and the attributes of an object that is called.
    """
    params: dict[str, Any] = {}
    while isinstance(loss, partial):
        params = {**loss.keywords, **params}
        loss = loss.func
    if hasattr(loss, "__qualname__"):
        return {"name": loss.__qualname__, **params}
    return {"name": type(loss).__qualname__, **getattr(loss, "__dict__", {}), **params}


def digest_of(*modules: nn.Module) -> str:
    """Return the SHA-256 (hexadecimal) of weights and buffers."""
    content = sha256()
    for module in modules:
        for name, tensor in module.state_dict().items():
            content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            content.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return content.hexdigest()


def _plain(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration as JSON gives it back: tuples are lists."""
    return json.loads(json.dumps(configuration, default=str))


def _flat(mapping: Mapping[str, Any], at: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{at}{key}.")
        else:
            yield f"{at}{key}", value

"""Embeddings in a safetensors file."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.errors import ConfigError, DataError, did_you_mean

NUMBERS = {
    **{f"F{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"{sign}{bits}": f"{word}{bits}" for bits in (8, 16, 32, 64) for sign, word in
       (("I", "int"), ("U", "uint"))},
    "BF16": "float (bfloat16)",
}  # fmt: skip


@dataclass(frozen=True)
class SafetensorsReader:
    """A file with the tensors SPLIT_embeddings and SPLIT_labels for two splits.

    Attributes
    ----------
    path : Path
    splits : Mapping[str, str]
        The prefix that "train" and "test" have in the file.

    References
    ----------
    Hugging Face, "Safetensors", format: the length of a JSON header as 8 bytes, the header
    with dtype, shape and offsets of every tensor, then the tensors.
    """

    path: Path
    splits: Mapping[str, str]

    @property
    def files(self) -> Mapping[str, Path]:
        """The file, for both splits."""
        return dict.fromkeys(self.splits, self.path)

    def place(self, split: str, what: str) -> str:
        """Return the file and the name of the tensor."""
        return f"{self.path.absolute()}, tensor {self._name(split, what)}"

    def facts(self, split: str) -> tuple[tuple[int, ...], str]:
        """Return shape and dtype, from the header of the file."""
        name = self._name(split, "embeddings")
        with self._opened(name) as file:
            part = file.get_slice(name)
            return tuple(part.get_shape()), NUMBERS.get(part.get_dtype(), part.get_dtype())

    def labels(self, split: str) -> np.ndarray:
        """Return the tensor of labels."""
        labels = self._tensor(self._name(split, "labels"))
        return (labels.float() if labels.is_floating_point() else labels).numpy()

    def embeddings(self, split: str) -> np.ndarray:
        """Return the tensor of embeddings as float32."""
        return self._tensor(self._name(split, "embeddings")).float().numpy()

    def _tensor(self, name: str) -> Any:
        with self._opened(name) as file:
            if file.get_slice(name).get_dtype() not in NUMBERS:
                kind = file.get_slice(name).get_dtype()
                raise DataError(
                    f"{self.path.absolute()}: {name} is {kind}; expected "
                    "whole numbers, or F16, BF16, F32 or F64 for embeddings."
                )
            return file.get_tensor(name)

    @contextmanager
    def _opened(self, name: str) -> Iterator[Any]:
        """Open the file, which must hold the tensor; NumPy has no bfloat16, so as torch's."""
        try:
            from safetensors import SafetensorError, safe_open
        except ImportError as error:
            raise ConfigError(
                f"fm of kind precomputed: the package safetensors is missing ({error}); "
                "install it with `pip install 'imprint-bench[safetensors]'`."
            ) from error
        try:
            with safe_open(self.path, framework="pt") as file:
                if name not in file.keys():  # noqa: SIM118 - it is no mapping
                    names = sorted(file.keys())
                    raise DataError(
                        f"{self.path.absolute()}: no tensor {name!r}; it holds "
                        f"{', '.join(names) or 'nothing'}.{did_you_mean(name, names)}"
                    )
                yield file
        except (SafetensorError, OSError) as error:
            reason = str(error).splitlines()[0].rstrip(".")
            raise DataError(
                f"{self.path.absolute()}: not a whole safetensors file ({reason}); write it "
                "again with safetensors.numpy.save_file."
            ) from error

    def _name(self, split: str, what: str) -> str:
        return f"{self.splits[split]}_{what}"

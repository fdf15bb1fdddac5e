"""Quantized networks in LiteRT (TensorFlow Lite) files."""

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from imprint_bench.data.foundation_model import (
    FOUNDATION_MODELS,
    FoundationModel,
    Network,
    WeightDecay,
)
from imprint_bench.data.networks.resizing import Squared
from imprint_bench.data.reading.files import content_hash, existing
from imprint_bench.errors import ConfigError, DataError

IDENTIFIER = b"TFL3"  # bytes 4 to 8 of every LiteRT flat buffer


@FOUNDATION_MODELS.register("litert")
def litert(*, file: str, weight_decay: WeightDecay = 1e-4) -> FoundationModel:
    """Return the network of a LiteRT file with one 8-bit image as input.

    Images are resized bilinearly to the size that the file states, grey is
    repeated to three channels. The output, if quantized, becomes
    ``scale * (value - zero_point)`` in float32. The network sees one image at a
    time: its integer arithmetic gives the same embedding in any company.

    Parameters
    ----------
    file : str
        The flat buffer, usually with the ending .tflite.
    weight_decay : float
        Lambda of least squares.

    Raises
    ------
    DataError
        If the file is missing or is not a LiteRT network.
    """
    path = existing(
        Path(file), remedy="put the network there, or set paths.data=FOLDER to the folder it is in"
    )
    with path.open("rb") as opened:
        if opened.read(8)[4:] != IDENTIFIER:
            raise DataError(
                f"{path.absolute()}: not a LiteRT network (no TFL3 at byte 4); "
                "expected a .tflite file."
            )
    weights = content_hash(path)
    return FoundationModel(
        kind="litert",
        version=1,
        weights=weights,
        preprocessing={
            "channels": "grey repeated to 3",
            "resize": "bilinear",
            "size": "as the file states",
        },
        weight_decay=weight_decay,
        load=lambda _: _interpreter(path, weights).as_network(),
        length_for=lambda _: _interpreter(path, weights).length,
    )


@dataclass(frozen=True, eq=False)
class _Interpreter:
    """One interpreter, ready to run.

    LiteRT's XNNPACK kernels take one image at a time here: the published networks contain a
    reshape to a fixed batch of 1, and handing over an image costs 1 % of the smallest network.
    """

    interpreter: Any
    input: dict[str, Any]
    output: dict[str, Any]

    @property
    def length(self) -> int:
        """Values per embedding."""
        return int(np.prod(self.output["shape"]))

    def as_network(self) -> Network:
        """Return it in two steps: resize to what the file states, then interpret."""
        import torch  # noqa: F401 - which resizes: a second now, rather than in the first batch

        return Network(Squared(int(self.input["shape"][1])), self.forward)

    def forward(self, images: np.ndarray) -> np.ndarray:
        """Return the embeddings of resized images, float32 of shape (b, length)."""
        raw = np.empty((len(images), self.length), dtype=self.output["dtype"])
        # int8 inputs are uint8 ones moved by 128, which flips the highest bit
        ready = (
            (images ^ np.uint8(0x80)).view(np.int8) if self.input["dtype"] == np.int8 else images
        )
        for i in range(len(ready)):
            self.interpreter.set_tensor(self.input["index"], ready[i : i + 1])
            self.interpreter.invoke()
            raw[i] = self.interpreter.get_tensor(self.output["index"]).reshape(-1)
        scale, zero_point = self.output["quantization"]
        if not scale:
            return raw.astype(np.float32)
        return (raw.astype(np.float32) - np.float32(zero_point)) * np.float32(scale)


@lru_cache(maxsize=4)
def _interpreter(path: Path, weights: str) -> _Interpreter:
    """Return the network of the file whose hash is `weights`: one interpreter per process."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ConfigError(
            f"fm of kind litert: the package ai-edge-litert is missing ({error}); "
            "install it with `pip install ai-edge-litert`."
        ) from error
    try:
        interpreter = Interpreter(str(path), num_threads=1)
        interpreter.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise DataError(
            f"{path.absolute()}: LiteRT cannot use it ({str(error).splitlines()[0].rstrip('.')}); "
            "expected a whole .tflite file."
        ) from error
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    _check_input(path, inputs)
    return _Interpreter(interpreter, inputs[0], outputs[0])


def _check_input(path: Path, inputs: list[dict[str, Any]]) -> None:
    shape = tuple(map(int, inputs[0]["shape"]))
    eight_bit = inputs[0]["dtype"] in (np.uint8, np.int8)
    square = len(shape) == 4 and shape[0] == 1 and shape[1] == shape[2] and shape[3] == 3
    if len(inputs) != 1 or not square or not eight_bit:
        kind = np.dtype(inputs[0]["dtype"]).name
        raise DataError(
            f"{path.absolute()}: {len(inputs)} inputs, the first {kind} of shape {shape}; "
            "expected one 8-bit input of shape (1, size, size, 3)."
        )

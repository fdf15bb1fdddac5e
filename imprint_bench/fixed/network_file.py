"""Files of trained networks: weights, and all it takes to build the network again and feed it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from imprint_bench.data.networks.weights import State, fill
from imprint_bench.data.reading.torch_files import why_unreadable
from imprint_bench.durable import atomic
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import AtLeast, PositiveInt, check_value

if TYPE_CHECKING:
    from torch import nn

FORMAT = 1
CHANNELS = (1, 3)
EXPECTED = "expected a whole file that a training run of imprint_bench has written"
FIELDS = {
    "kind": str,
    "params": Mapping[str, Any],
    "shape": tuple[PositiveInt, ...],
    "d": PositiveInt,
    "mean": tuple[float, ...],
    "std": tuple[Annotated[float, AtLeast(1e-12)], ...],
    "classes": list[int] | list[str] | None,
    "remark": Mapping[str, Any],
    "weights": str,
}


@dataclass(frozen=True)
class NetworkFile:
    """What a network file says of its network; the weights are read by `load_network`.

    Attributes
    ----------
    kind : str
        Name in ``fixed.networks.NETWORKS``.
    params : Mapping[str, Any]
        Its parameters.
    shape : tuple of int
        Height, width and channels (1 or 3) of the images that it was trained on.
    d : int
        Length of the features.
    mean, std : tuple of float
        Of each channel, of pixels between 0 and 1: an image enters the network as
        ``(image / 255 - mean) / std``.
    classes : list or None
        Labels or names of the classes that it was trained on, in the order of the head.
    remark : Mapping[str, Any]
        Anything else worth keeping: method, seed, accuracy. It settles nothing.
    weights : str
        SHA-256 (hexadecimal) of the weights.
    """

    kind: str
    params: Mapping[str, Any]
    shape: tuple[int, int, int]
    d: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: list[int] | list[str] | None
    remark: Mapping[str, Any]
    weights: str

    def __post_init__(self) -> None:
        """Raise ValueError unless the fields agree with each other."""
        if len(self.shape) != 3 or self.shape[2] not in CHANNELS:
            raise ValueError(f"shape {self.shape}; expected height, width and 1 or 3 channels")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if len(values) != self.shape[2]:
                raise ValueError(
                    f"{name} has {len(values)} values; expected {self.shape[2]}, one per channel"
                )
        if min(self.std) <= 0:
            raise ValueError(f"std {list(self.std)}; expected numbers above 0")


def write_network_file(
    path: Path,
    *,
    network: "nn.Module",
    kind: str,
    params: Mapping[str, Any],
    shape: Sequence[int],
    d: int,
    mean: Sequence[float],
    std: Sequence[float],
    classes: Sequence[Any] | None = None,
    remark: Mapping[str, Any] | None = None,
    head: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained network in one atomic step; see `NetworkFile` for the parameters.

    The file is one of ``torch.save``: a mapping with ``imprint_bench network`` (the number of the
    format), ``metadata`` (JSON) and ``state_dict``, which ``torch.load(weights_only=True)`` reads.

    Parameters
    ----------
    network : torch.nn.Module
        From float (b, channels, h, w) to features (b, d), on any device; without the head.
    head : Mapping[str, Any], optional
        What it was tested with, as `kept_head` has it; it settles no embedding.
    path, kind, params, shape, d, mean, std, classes, remark
        Where it goes, and what else is kept.

    Raises
    ------
    ValueError
        If shape, mean and std do not agree, or a value is none of JSON's.
    StoreError
        If the file cannot be written.
    """
    import torch

    state = network.state_dict()
    for name, tensor in state.items():
        state[name] = tensor.detach().cpu().clone()
    facts = NetworkFile(
        kind=kind,
        params=dict(params),
        shape=(int(shape[0]), int(shape[1]), int(shape[2])),
        d=int(d),
        mean=tuple(map(float, mean)),
        std=tuple(map(float, std)),
        classes=None if classes is None else list(classes),
        remark=dict(remark or {}),
        weights=_digest(state),
    )
    try:
        metadata = json.dumps(asdict(facts), sort_keys=True)
    except TypeError as error:
        raise ValueError(f"{error}; expected values of JSON in params, classes, remark") from error
    content = {"imprint_bench network": FORMAT, "metadata": metadata, "state_dict": state}
    if head is not None:
        content["head"] = dict(head)
    with atomic(path) as file:
        torch.save(content, file)


def read_network_file(path: Path) -> NetworkFile:
    """Return what a network file says of its network, without reading the weights.

    Raises
    ------
    DataError
        If it is no such file, is damaged, or is of a later format.
    """
    return _read(path)[0]


def load_network(path: Path) -> "nn.Module":
    """Return the network of a file, on the CPU and in evaluation mode.

    Raises
    ------
    DataError
        As `read_network_file`, or if the weights are damaged or do not fit the network that
        the file names.
    """
    from imprint_bench.fixed.networks import build_network

    facts, state = _read(path)
    if _digest(state) != facts.weights:
        raise DataError(f"{path.absolute()}: its weights are damaged; copy the file again.")
    try:
        network = build_network(facts.kind, facts.shape, facts.d, params=facts.params, seed=0)
    except ConfigError as error:
        raise DataError(
            f"{path.absolute()}: its network cannot be built ({str(error).rstrip('.')}); expected "
            "one of this version, or import what registers it."
        ) from error
    fill(network, _copied(state), path=path)
    return network.eval()


def read_content(path: Path) -> Mapping[str, Any]:
    """Return what a network file holds, tensors mapped and not read.

    Raises
    ------
    DataError
        If it is no such file, or is of a later format.
    """
    import torch

    try:
        # Mapped, so that no weight is read before it is needed, and nothing compressed unpacks.
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # whatever torch's readers meet in a file of another kind
        reason = why_unreadable(path, error)
        raise DataError(f"{path.absolute()}: no network file ({reason}); {EXPECTED}.") from error
    if not isinstance(content, Mapping) or "imprint_bench network" not in content:
        raise DataError(f"{path.absolute()}: no network file, it lacks metadata; {EXPECTED}.")
    if content["imprint_bench network"] != FORMAT:
        raise DataError(
            f"{path.absolute()}: a network file of format {content['imprint_bench network']!r}; "
            f"this version reads format {FORMAT}."
        )
    return content


def _read(path: Path) -> tuple[NetworkFile, State]:
    import torch

    content = read_content(path)
    state = content.get("state_dict")
    if not isinstance(state, Mapping) or not all(
        isinstance(tensor, torch.Tensor) for tensor in state.values()
    ):
        raise DataError(f"{path.absolute()}: no network file, it lacks weights; {EXPECTED}.")
    try:
        return _facts(json.loads(content.get("metadata") or "")), state
    except (ValueError, TypeError, ConfigError) as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"{path.absolute()}: its metadata are wrong ({reason}); {EXPECTED}."
        ) from error


def _facts(metadata: Any) -> NetworkFile:
    if not isinstance(metadata, Mapping) or set(metadata) != set(FIELDS):
        raise ValueError(f"expected {', '.join(FIELDS)}")
    for name, annotation in FIELDS.items():
        check_value(metadata[name], annotation, at=name)
    fields: dict[str, Any] = dict(metadata)
    for name in ("shape", "mean", "std"):
        fields[name] = tuple(fields[name])
    return NetworkFile(**fields)


def _digest(state: State) -> str:
    """Return the SHA-256 (hexadecimal) of names, types, shapes and values of tensors."""
    import torch

    content = hashlib.sha256()
    for name, tensor in sorted(state.items()):
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        content.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy())
    return content.hexdigest()


def _copied(state: State) -> State:
    """Return tensors in memory of their own: a file may be replaced while a network is used."""
    copy = type(state)((name, tensor.clone()) for name, tensor in state.items())  # type: ignore[call-arg]
    if (metadata := getattr(state, "_metadata", None)) is not None:
        copy._metadata = metadata  # type: ignore[attr-defined]
    return copy

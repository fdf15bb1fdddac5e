"""Checkpoint files: read as data, compared with what they promise and with the network."""

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from imprint_bench.data.reading.files import content_hash
from imprint_bench.data.reading.torch_files import OBJECTS, why_unreadable
from imprint_bench.errors import ConfigError, DataError

ENDINGS = (".pth", ".pt", ".bin", ".safetensors")
WRAPPERS = ("state_dict", "model", "model_state_dict")  # keys under which trainers put the weights
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile
COUNTER = "num_batches_tracked"  # of batch normalization in training; old files lack it

State = Mapping[str, Any]  # tensors by name, perhaps with the attribute _metadata of torch


def promised_prefix(name: str) -> str:
    """Return the beginning of the SHA-256 that a file's name ends with, or "".

    Examples
    --------
    >>> promised_prefix("resnet18-f37072fd.pth"), promised_prefix("mine.pth")
    ('f37072fd', '')
    """
    match = re.search(r"-([0-9a-f]{8,64})\.\w+$", name)
    return match[1] if match else ""


def check_promise(path: Path) -> None:
    """Raise DataError unless the file's SHA-256 begins as its name says."""
    promised = promised_prefix(path.name)
    if not content_hash(path).startswith(promised):
        raise DataError(
            f"{path.absolute()}: wrong checksum (SHA-256 {content_hash(path)[: len(promised)]}...; "
            f"its name promises {promised}); it is half a download or another file: remove it and "
            "fetch it again."
        )


def read_checkpoint(path: Path) -> State:
    """Return the tensors of a checkpoint file, by name; nothing in it is executed.

    Parameters
    ----------
    path : Path
        A state dict as ``torch.save`` writes it, alone or under the key "state_dict",
        "model" or "model_state_dict", or a safetensors file.

    Raises
    ------
    DataError
        If the file is damaged, is no checkpoint, or holds Python objects.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    _check_archive(path)
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch's readers meet in a file of another kind
        raise DataError(_unreadable(path, error)) from error
    for key in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
            break
    tensors = isinstance(content, Mapping) and all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in content.items()
    )
    if not tensors or not content:
        raise DataError(
            f"{path.absolute()}: holds no weights ({type(content).__name__}); expected a mapping "
            "from names to tensors, as torch.save(network.state_dict(), FILE) writes it."
        )
    return _without_prefix(content)


def fill(module: Any, state: State, *, path: Path, left_out: Sequence[str] = ()) -> None:
    """Give a module the weights of `state`, as float32 where they are fractions.

    Parameters
    ----------
    module : torch.nn.Module
        May be hollow; takes over the tensors without copying them.
    state : mapping from name to tensor
    path : Path
        Where they come from, for messages.
    left_out : sequence of str
        Parts of the network that `module` lacks on purpose: what begins so is ignored.

    Raises
    ------
    DataError
        If a tensor is missing, is not known, or has another shape.
    """
    kept = _renamed(state)
    kept = {n: t for n, t in kept.items() if not n.startswith(tuple(left_out))}
    wanted = module.state_dict()
    _check_shapes(kept, wanted, path)
    for name, tensor in wanted.items():
        if name.endswith(COUNTER) and name not in kept:
            kept[name] = tensor.new_zeros((), device="cpu")
    ready = {n: t.float() if t.is_floating_point() else t for n, t in kept.items()}
    # Versions of the layers that wrote the file. Without them, layers take theirs for old.
    metadata = getattr(state, "_metadata", None) or {"": {"version": module._version}}
    try:
        missing, unexpected = module.load_state_dict(
            _with_metadata(ready, metadata), strict=False, assign=True
        )
    except (RuntimeError, ValueError) as error:  # a layer's own conversion of old names failed
        raise DataError(_misfit(path, " ".join(str(error).split())[:200].rstrip("."))) from error
    parts = [
        f"{len(names)} tensors are {what} (first: {names[0]})"
        for names, what in ((missing, "missing"), (unexpected, "unknown"))
        if names
    ]
    if parts:
        raise DataError(_misfit(path, " and ".join(parts)))


def _check_shapes(state: State, wanted: State, path: Path) -> None:
    wrong = [n for n in wanted if n in state and state[n].shape != wanted[n].shape]
    if wrong:
        there, needed = tuple(state[wrong[0]].shape), tuple(wanted[wrong[0]].shape)
        raise DataError(
            _misfit(
                path,
                f"{len(wrong)} tensors have another shape (first: {wrong[0]}, {there} instead of "
                f"{needed})",
            )
        )


def _misfit(path: Path, what: str) -> str:
    return (
        f"{path.absolute()}: does not fit the network: {what}; expected a checkpoint of this "
        "architecture."
    )


def _read_safetensors(path: Path) -> State:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ConfigError(
            f"{path.absolute()}: the package safetensors is missing ({error}); install it with "
            "`pip install 'imprint-bench[safetensors]'`."
        ) from error
    try:
        return _without_prefix(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise DataError(_unreadable(path, error)) from error


def _check_archive(path: Path) -> None:
    """Refuse TorchScript, and an archive whose members would swell when they are read."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    if any(m.filename.endswith("constants.pkl") for m in members):
        raise DataError(
            f"{path.absolute()}: a TorchScript network; expected a checkpoint, or write "
            "fm: {torchscript: {file: ...}}."
        )
    if any(m.compress_type != zipfile.ZIP_STORED for m in members):
        raise DataError(
            f"{path.absolute()}: a compressed archive; expected a checkpoint as torch.save "
            "writes it."
        )


def _unreadable(path: Path, error: Exception) -> str:
    reason = why_unreadable(path, error)
    if reason == OBJECTS:
        return (
            f"{path.absolute()}: holds Python objects (a pickle), which are never loaded; save "
            "network.state_dict() alone."
        )
    return (
        f"{path.absolute()}: cannot be read as a checkpoint ({reason}); expected a whole "
        "file with weights, .pth, .pt, .bin or .safetensors."
    )


def _without_prefix(state: State) -> State:
    """Return `state` without a prefix that all names have."""
    for prefix in PREFIXES:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def _renamed(state: State) -> dict[str, Any]:
    """Return `state` with the names that DenseNet's layers have had since torch 0.4.1."""
    old = re.compile(r"(.*denselayer\d+\.(?:norm|conv))\.([12]\..*)")
    return {old.sub(r"\1\2", name): tensor for name, tensor in state.items()}


def _with_metadata(state: dict[str, Any], metadata: Any) -> dict[str, Any]:
    """Return `state` with the versions of the layers that wrote it, which layers ask for."""
    from collections import OrderedDict

    marked = OrderedDict(state)
    marked._metadata = metadata  # type: ignore[attr-defined]
    return marked

"""Networks of the timm library, without their classifier."""

import math
import sys
from collections.abc import Mapping
from functools import lru_cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from imprint_bench.data.fetching.downloads import Download, MissingFilesError
from imprint_bench.data.foundation_model import (
    FOUNDATION_MODELS,
    FoundationModel,
    Network,
    WeightDecay,
)
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.cropping import Cropped, Interpolation
from imprint_bench.data.networks.penultimate import made_hollow, output_shape
from imprint_bench.data.networks.torch_network import forward_on, placed
from imprint_bench.data.networks.vision import torchvision as import_torchvision
from imprint_bench.data.networks.weights import ENDINGS, fill, read_checkpoint
from imprint_bench.data.reading.files import content_hash, existing
from imprint_bench.errors import ConfigError, DataError, did_you_mean

HUB = "https://huggingface.co/{}/resolve/main/{}"
FILE_NAME = "model.safetensors"


@FOUNDATION_MODELS.register("timm")
def timm(
    *, model: str, file: str = "", folder: str = "", weight_decay: WeightDecay = 1e-4
) -> FoundationModel:
    """Return a pretrained network of timm; its embedding is what the classifier would get.

    Images are resized, cropped and normalized as the configuration of the weights says;
    grey is repeated to three channels.

    Parameters
    ----------
    model : str
        Name of the network, with or without the tag of its weights: resnet18,
        resnet18.a1_in1k.
    file : str
        A checkpoint of this network (.safetensors, .pth, .pt, .bin). "" stands for
        ``<folder>/timm/<model>.<tag>.safetensors``, or another of these endings.
    folder : str
        Where weights lie, and are downloaded to. "" is torch's own folder,
        ``$TORCH_HOME/hub/checkpoints``.
    weight_decay : float
        Of the training: lambda of least squares.

    Raises
    ------
    ConfigError
        If timm is not installed, or has no such network.
    MissingFilesError
        If the weights are not on disk.
    DataError
        If `file` is missing.
    """
    library = _library()
    settings = _settings(library, model)
    full_name = ".".join(part for part in (settings.architecture, settings.tag) if part)
    path = _found(full_name, settings, file, folder)
    prepare, normalization = _preprocessing(library, full_name, settings)
    return FoundationModel(
        kind="timm",
        version=1,
        weights=content_hash(path),
        preprocessing={
            "architecture": settings.architecture,
            "tag": settings.tag or "",
            "channels": "grey repeated to 3",
            "resize": prepare.resize,
            "proportions": "ignored" if prepare.squash else "kept",
            "crop": prepare.crop,
            "interpolation": prepare.interpolation,
            **normalization,
        },
        weight_decay=weight_decay,
        load=lambda computing: _load(full_name, path, prepare, normalization, computing),
        length_for=lambda _: _width(full_name, prepare.crop),
        on_torch=True,
    )


def _library() -> ModuleType:
    import_torchvision()  # timm imports it, too; this door opens where the plain import fails
    try:
        import timm

        return timm
    except ImportError as error:
        raise ConfigError(
            f"fm of kind timm: the package timm is missing ({error}); install it with "
            "`pip install 'imprint-bench[timm]'`."
        ) from error


def _settings(library: ModuleType, model: str) -> Any:
    """Return timm's configuration of the weights that `model` names."""
    architecture, _, tag = model.partition(".")
    if not library.is_model(architecture):
        known = library.list_models()
        raise ConfigError(
            f"fm of kind timm: unknown model {model!r}; expected one of timm's {len(known)} "
            f"networks, such as resnet18.a1_in1k.{did_you_mean(architecture, known)}"
        )
    tagged = library.list_models(f"{architecture}.*", pretrained=True)
    if tag and model not in tagged:
        raise ConfigError(
            f"fm of kind timm: {architecture} has no weights {tag!r}; there are "
            f"{', '.join(t.partition('.')[2] for t in tagged) or 'none'}."
            + did_you_mean(model, tagged)
        )
    return library.get_pretrained_cfg(model)


def _found(full_name: str, settings: Any, file: str, folder: str) -> Path:
    """Return the file of the weights, or say where it is to be had."""
    if file:
        return existing(
            Path(file).expanduser(), remedy='put the checkpoint there, or write file: ""'
        )
    import torch

    hub = Path(torch.hub.get_dir()) / "checkpoints"
    place = (Path(folder).expanduser() if folder else hub) / "timm"
    for ending in (".safetensors", *ENDINGS):
        if (path := place / f"{full_name}{ending}").is_file():
            return path
    path = place / f"{full_name}.safetensors"
    if not settings.hf_hub_id:
        raise DataError(
            f"{path.absolute()}: no such file, and none is to be had from the Hugging Face hub; "
            f"expected a checkpoint of {full_name} there, or fm.NAME.file=FILE."
        )
    url = HUB.format(settings.hf_hub_id, settings.hf_hub_filename or FILE_NAME)
    raise MissingFilesError(
        f"{path.absolute()}: no such file; put the weights there (mkdir -p {place.absolute()} && "
        f"curl -L -o {path.absolute()} {url}), or set paths.weights=FOLDER to the folder that has "
        f"timm/{path.name}.",
        [Download(url, path)],
    )


def _preprocessing(
    library: ModuleType, full_name: str, settings: Any
) -> tuple[Cropped, dict[str, list[float]]]:
    """Return the geometry and the normalization of timm's evaluation transform."""
    config = library.data.resolve_data_config(pretrained_cfg=settings.to_dict())
    channels, height, width = config["input_size"]
    mode, interpolation = config["crop_mode"], config["interpolation"]
    usable = (
        channels == 3
        and height == width
        and mode in ("center", "squash")
        and interpolation in get_args(Interpolation)
    )
    if not usable:
        raise ConfigError(
            f"fm of kind timm: {full_name} wants images of {height} x {width} pixels in {channels} "
            f"channels ({mode}, {interpolation}); expected a network of square color images, "
            "centered or squashed, bilinear or bicubic."
        )
    resize = math.floor(height / config["crop_pct"])
    prepare = Cropped(resize, height, interpolation, squash=mode == "squash")
    return prepare, {"mean": [*map(float, config["mean"])], "std": [*map(float, config["std"])]}


def _hollow_network(full_name: str) -> Any:
    """Return the network without classifier and without values of its weights."""
    return made_hollow(partial(_library().create_model, full_name, pretrained=False, num_classes=0))


@lru_cache(maxsize=64)
def _width(full_name: str, size: int) -> int:
    """Return the values per embedding, checked by a pass without arithmetic."""
    network = _hollow_network(full_name)
    shape = output_shape(network, size)
    width = int(getattr(network, "head_hidden_size", None) or network.num_features)
    if shape != (2, width):
        raise DataError(
            f"fm of kind timm: {full_name} without its classifier gives {shape} for two images; "
            f"expected (2, {width})."
        )
    return width


def _load(
    full_name: str,
    path: Path,
    prepare: Cropped,
    normalization: Mapping[str, list[float]],
    computing: Computing,
) -> Network:
    _width(full_name, prepare.crop)  # the check that one row per image comes out
    network = _hollow_network(full_name)
    heads = network.pretrained_cfg.get("classifier") or ()
    heads = (heads,) if isinstance(heads, str) else heads
    state = _converted(read_checkpoint(path), network, full_name, path)
    fill(network, state, path=path, left_out=[f"{head}." for head in heads])
    network = placed(network, computing)
    return Network(prepare, forward_on(network, computing=computing, **normalization))


def _converted(
    state: Mapping[str, Any], network: Any, full_name: str, path: Path
) -> Mapping[str, Any]:
    """Return `state` with today's names, by the function that timm has for old checkpoints."""
    maker = _library().models.model_entrypoint(full_name.partition(".")[0])
    convert = getattr(sys.modules[maker.__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        return convert(dict(state), network)
    except (KeyError, RuntimeError, ValueError, AttributeError, IndexError, TypeError) as error:
        raise DataError(
            f"{path.absolute()}: does not fit the network: timm cannot convert its names "
            f"({type(error).__name__}: {error}); expected a checkpoint of {full_name}."
        ) from error

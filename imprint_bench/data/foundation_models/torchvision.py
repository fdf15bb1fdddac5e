"""Classification networks of torchvision, without their final layer."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from imprint_bench.data.fetching.downloads import Download, MissingFilesError
from imprint_bench.data.foundation_model import (
    FOUNDATION_MODELS,
    FoundationModel,
    Network,
    WeightDecay,
)
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.cropping import Cropped
from imprint_bench.data.networks.penultimate import made_hollow, output_shape, take_out_final_layer
from imprint_bench.data.networks.torch_network import forward_on, placed
from imprint_bench.data.networks.vision import torchvision as import_torchvision
from imprint_bench.data.networks.weights import (
    ENDINGS,
    check_promise,
    fill,
    promised_prefix,
    read_checkpoint,
)
from imprint_bench.data.reading.files import content_hash, existing
from imprint_bench.errors import ConfigError, DataError, did_you_mean

# Heads that help training, and the conversion of the input that the published weights need.
INCEPTION = {"init_weights": False, "aux_logits": False, "transform_input": True}
AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


@FOUNDATION_MODELS.register("torchvision")
def torchvision(
    *, model: str, weights: str = "DEFAULT", folder: str = "", weight_decay: WeightDecay = 1e-4
) -> FoundationModel:
    """Return a classification network of torchvision; its embedding is the final layer's input.

    Images are resized, cropped and normalized as the weights' authors did to evaluate them;
    grey is repeated to three channels.

    Parameters
    ----------
    model : str
        As in ``torchvision.models.list_models(module=torchvision.models)``.
    weights : str
        Name of published weights: DEFAULT, IMAGENET1K_V1, ...; or the path of a checkpoint of
        this architecture (.pth, .pt, .bin, .safetensors), with any number of classes. Its
        images are prepared as for the default weights.
    folder : str
        Where published weights lie, and are downloaded to. They are also found in
        torch's own folder, ``$TORCH_HOME/hub/checkpoints``, for which "" stands.
    weight_decay : float
        Of the training: lambda of least squares.

    Raises
    ------
    ConfigError
        If there is no such network or no such weights.
    MissingFilesError
        If the published weights are not on disk.
    DataError
        If a checkpoint of the user's is missing, or the checksum of a published one is wrong.
    """
    _check_name(model)
    published = _published(model)
    if weights in published:
        entry = published[weights]
        path = _found(entry.url, folder)
        check_promise(path)
    else:
        entry = published["DEFAULT"]
        path = _users_own(model, weights, published)
    recipe = _Recipe(model, _image_size(model, entry))
    prepare, normalization = _preprocessing(entry.transforms())
    return FoundationModel(
        kind="torchvision",
        version=1,
        weights=content_hash(path),
        preprocessing={
            "architecture": model,
            "channels": "grey repeated to 3",
            "resize": prepare.resize,
            "crop": prepare.crop,
            "interpolation": prepare.interpolation,
            **normalization,
            "converted by the network": model in ("googlenet", "inception_v3"),
        },
        weight_decay=weight_decay,
        load=lambda computing: _load(recipe, path, prepare, normalization, computing),
        length_for=lambda _: _width(recipe, prepare.crop),
        on_torch=True,
    )


@dataclass(frozen=True)
class _Recipe:
    """What settles the network but its weights: name, and the input size it is built for."""

    model: str
    image_size: int | None

    def hollow_network(self) -> Any:
        """Return the network without values of its weights."""
        params: dict[str, Any] = {} if self.image_size is None else {"image_size": self.image_size}
        if self.model in ("googlenet", "inception_v3"):
            params = INCEPTION
        make = partial(import_torchvision().models.get_model, self.model, weights=None, **params)
        return made_hollow(make)


def names() -> list[str]:
    """Return the names of torchvision's classification networks."""
    models = import_torchvision().models
    return models.list_models(module=models)


def _check_name(model: str) -> None:
    known = names()
    if model not in known:
        raise ConfigError(
            f"fm of kind torchvision: unknown model {model!r}; expected one of torchvision's "
            f"{len(known)} classification networks, such as resnet18, vit_b_16 or convnext_tiny."
            + did_you_mean(model, known)
        )


def _published(model: str) -> Mapping[str, Any]:
    """Return the published weights of `model` by name, with DEFAULT among them."""
    return import_torchvision().models.get_model_weights(model).__members__


def _image_size(model: str, entry: Any) -> int | None:
    """Return the size that a vision transformer's positions are for; others take any."""
    return int(entry.meta["min_size"][0]) if model.startswith("vit_") else None


def _preprocessing(transforms: Any) -> tuple[Cropped, dict[str, list[float]]]:
    """Return the geometry and the normalization of torchvision's evaluation transform."""
    prepare = Cropped(
        int(transforms.resize_size[0]),
        int(transforms.crop_size[0]),
        transforms.interpolation.value,
    )
    return prepare, {"mean": [*map(float, transforms.mean)], "std": [*map(float, transforms.std)]}


def _found(url: str, folder: str) -> Path:
    """Return the file of published weights, or say where it is to be had."""
    import torch

    own = Path(torch.hub.get_dir()) / "checkpoints"
    name = url.rpartition("/")[2]
    path = (Path(folder).expanduser() if folder else own) / name
    for place in (path, own / name):
        if place.is_file():
            return place
    prefix = promised_prefix(name)
    raise MissingFilesError(
        f"{path.absolute()}: no such file; put the weights there (mkdir -p {path.parent.absolute()}"
        f" && curl -L -o {path.absolute()} {url}), or set paths.weights=FOLDER to the folder "
        f"that has {name}.",
        [Download(url, path, f"sha256:{prefix}" if prefix else "")],
    )


def _users_own(model: str, weights: str, published: Mapping[str, Any]) -> Path:
    path = Path(weights).expanduser()
    if path.suffix not in ENDINGS and not path.is_file():
        known = ", ".join(published)
        raise ConfigError(
            f"fm of kind torchvision: unknown weights {weights!r} of {model}; there are {known}, "
            "or give the path of a checkpoint (.pth, .pt, .safetensors)."
            + did_you_mean(weights, published)
        )
    return existing(
        path, remedy="put the checkpoint there, or choose weights: DEFAULT for published ones"
    )


@lru_cache(maxsize=256)
def _width(recipe: _Recipe, size: int) -> int:
    """Return the values per embedding, checked by a pass without arithmetic."""
    network = recipe.hollow_network()
    name, width = take_out_final_layer(network)
    shape = output_shape(network, size)
    if shape != (2, width):
        raise DataError(
            f"fm of kind torchvision: {recipe.model} without its layer {name} gives {shape} for "
            f"two images; expected (2, {width}), the layer's input."
        )
    return width


def _load(
    recipe: _Recipe,
    path: Path,
    prepare: Cropped,
    normalization: Mapping[str, list[float]],
    computing: Computing,
) -> Network:
    _width(recipe, prepare.crop)  # the check that the final layer is the final one
    network = recipe.hollow_network()
    name, _ = take_out_final_layer(network)
    fill(network, read_checkpoint(path), path=path, left_out=(f"{name}.", *AUXILIARY))
    network = placed(network, computing)
    return Network(prepare, forward_on(network, computing=computing, **normalization))

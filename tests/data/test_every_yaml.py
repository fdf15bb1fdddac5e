"""Every YAML file in conf/fm and conf/dataset embeds something, as it stands.

Its files are made in their real format, with random content, where the YAML looks for them,
or are the real ones. Whoever adds a kind adds what makes its files.
"""

import json
import warnings
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import (
    pictures,
    png,
    write_cifar_parquet,
    write_cifar_pickles,
    write_imagenet,
    write_imagenet_lt,
    write_mnist,
    write_mnist_m,
    write_shard,
    write_stl10,
    write_svhn,
    write_tiny_imagenet,
    write_usps,
)
from PIL import Image

from imprint_bench.command_line import choices, conf_folder, parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.dataset import SPLITS, build_dataset
from imprint_bench.data.embeddings.creation import create
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.data.foundation_models.torchvision import names
from imprint_bench.data.networks import weights
from imprint_bench.data.networks.penultimate import made_hollow
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.fixed.network_file import write_network_file
from imprint_bench.fixed.networks import build_network
from imprint_bench.params import Source

SETTINGS = EmbedSettings(device="cpu", batch_size=16)
CONV = Source("conv", "random_conv", {"width": 4, "input_size": 8})


def composed(*overrides):
    return read(compose(parse(overrides))[0].raw)


# --- files of datasets, below the folder that is paths.data


def _folder(data, params):
    for split in ("train_split", "test_split"):
        images, labels = pictures("train", channels=3)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = data / "images" / params[split] / f"class {label}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(path)


def _parquet(data, params):
    (data / "images").mkdir()
    for split in SPLITS:
        images, labels = pictures(split, channels=3)
        path = data / "images" / f"{split}-00000-of-00001.parquet"
        write_shard(path, [png(image) for image in images], labels)


def _npz(data, params):
    arrays = {}
    for split in SPLITS:
        images, labels = pictures(split, channels=3)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels[:, None]}
    file = data.parent / params["file"]
    file.parent.mkdir(exist_ok=True)
    np.savez(file, **arrays)


def _several(data, params):
    for part in params["parts"].values():
        ((kind, inner),) = part.items()
        DATASET_FILES[kind](data, inner)


def _long_tailed(data, params):
    ((kind, inner),) = params["of"].items()
    DATASET_FILES[kind](data, inner)


def _pairs(data, params):
    if "idx" in params["of"]:  # as many images per class as the pairs that are drawn need
        write_mnist(data, rows={"train": 100, "test": 60})


DATASET_FILES = {
    "digits": lambda data, params: None,
    "idx": lambda data, params: write_mnist(data, Path(params["folder"]).parent.name),
    "cifar": lambda data, params: write_cifar_pickles(data, params["n_classes"]),
    "svhn": lambda data, params: write_svhn(data),
    "usps": lambda data, params: write_usps(data),
    "stl10": lambda data, params: write_stl10(data),
    "mnist_m": lambda data, params: write_mnist_m(data),
    "imagenet": lambda data, params: write_imagenet(data / "imagenet"),
    "image_list": lambda data, params: write_imagenet_lt(data / "imagenet"),
    "tiny_imagenet": lambda data, params: write_tiny_imagenet(data / "tiny-imagenet-200"),
    "long_tailed": _long_tailed,
    "pairs": _pairs,
    "concatenation": _several,
    "image_folder": _folder,
    "image_parquet": _parquet,
    "npz": _npz,
}


@pytest.mark.parametrize("name", choices([conf_folder()], "dataset"))
def test_every_dataset_is_embedded_from_files_in_its_format(name, tmp_path, monkeypatch, recwarn):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    (source,) = composed(f"dataset=[{name}]", "paths.data=data").datasets
    if source.kind == "precomputed":  # embedded in the test of the foundation model of that kind
        assert build_dataset(source).where == "nowhere"
        return
    DATASET_FILES[source.kind](data, source.params)
    entry = create(tmp_path / "cache", CONV, source, SETTINGS)
    dataset = build_dataset(source)
    for split in SPLITS:
        n = dataset.size(split)
        assert entry.X(split).shape == (n, 64)
        assert np.isfinite(entry.X(split)).all()
        assert len(np.unique(entry.X(split), axis=0)) > n / 2  # the images differ
        np.testing.assert_array_equal(entry.y(split), dataset.labels(split))
    recwarn.clear()  # imagenet remarks that there are not a thousand classes


def test_cifar_as_parquet_is_embedded_too(tmp_path):
    write_cifar_parquet(tmp_path)
    (source,) = composed("dataset=[cifar10]", f"paths.data={tmp_path}").datasets
    assert create(tmp_path / "cache", CONV, source, SETTINGS).n("train") > 0


# --- files of foundation models, below paths.data and paths.weights


class _Small(torch.nn.Module):
    def forward(self, x):
        return x.mean(dim=(2, 3))


def _random(shapes):
    """Return a state dict with small random values and statistics that keep activations alive."""
    torch.manual_seed(0)
    return OrderedDict(
        (
            name,
            (torch.rand(t.shape) - 0.5) / 8 if t.ndim > 1 else torch.ones(t.shape, dtype=t.dtype),
        )
        for name, t in shapes.items()
    )


def _of_torchvision(folder, params):
    models = torchvision().models
    entry = models.get_model_weights(params["model"])[params["weights"]]
    network = made_hollow(lambda: models.get_model(params["model"], weights=None))
    torch.save(_random(network.state_dict()), folder / entry.url.rpartition("/")[2])


def _of_timm(folder, params):
    import timm
    from safetensors.torch import save_file

    (folder / "timm").mkdir()
    model = timm.create_model(params["model"])
    save_file(model.state_dict(), folder / "timm" / f"{params['model']}.safetensors")


def _script(folder, params):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
        torch.jit.save(torch.jit.script(_Small()), params["file"])


def _exported(folder, params):
    size = params["size"]
    torch.export.save(
        torch.export.export(_Small(), (torch.zeros(2, 3, size, size),)), params["file"]
    )


def _arrays(folder, params):
    rng, arrays = np.random.default_rng(0), {}
    for split, n in (("train", 9), ("test", 6)):
        arrays |= {f"{split}_embeddings": rng.random((n, 4)), f"{split}_labels": np.arange(n) % 3}
    np.savez(params["file"].replace("{dataset}", "precomputed"), **arrays)


def _trained(folder, params):
    network = build_network("mlp", (8, 16, 1), 5, params={"hidden": [7]})
    write_network_file(
        Path(params["file"]), network=network, kind="mlp", params={"hidden": [7]},
        shape=(8, 16, 1), d=5, mean=[0.3], std=[0.4],
    )  # fmt: skip


FM_FILES = {
    "pixels": lambda folder, params: None,
    "random_conv": lambda folder, params: None,
    "litert": lambda folder, params: None,  # the real ones
    "torchvision": _of_torchvision,
    "timm": _of_timm,
    "torchscript": _script,
    "trained": _trained,
    "exported": _exported,
    "precomputed": _arrays,
}
PACKAGES = {
    "litert": ("ai_edge_litert", "pip install 'imprint-bench[litert]'"),
    "timm": ("timm", "pip install 'imprint-bench[timm]'"),
}


@pytest.fixture
def two_images(tmp_path):
    rng = np.random.default_rng(0)
    images = {f"{s}_images": rng.integers(0, 256, (2, 9, 9, 3), dtype=np.uint8) for s in SPLITS}
    np.savez(tmp_path / "two.npz", **images, train_labels=[0, 1], test_labels=[0, 1])
    return Source("two", "npz", {"file": str(tmp_path / "two.npz")})


@pytest.mark.parametrize("name", choices([conf_folder()], "fm"))
def test_every_foundation_model_embeds_from_files_in_its_format(
    name, tmp_path, monkeypatch, two_images, request, needed
):
    monkeypatch.setattr(weights, "promised_prefix", lambda file: "")  # the values are random
    folder = tmp_path / "weights"
    folder.mkdir()
    data = tmp_path
    (source,) = composed(f"fm=[{name}]", f"paths.weights={folder}", f"paths.data={data}").fms
    if source.kind in PACKAGES:
        needed(*PACKAGES[source.kind])
    if source.kind == "litert":
        data = request.getfixturevalue("shared_data")
        (source,) = composed(f"fm=[{name}]", f"paths.data={data}").fms
    FM_FILES[source.kind](folder, source.params)
    dataset = two_images
    if source.kind == "precomputed":
        (dataset,) = composed("dataset=[precomputed]").datasets
    entry = create(tmp_path / "cache", source, dataset, SETTINGS)
    for path in folder.rglob("*.*"):
        path.unlink()  # up to 350 MB
    X = entry.X("train")
    assert np.isfinite(X).all()
    assert len(np.unique(X, axis=0)) == len(X)  # what differs has different embeddings
    assert json.loads((entry.folder / "manifest.json").read_text())["fm"] == name


def test_the_names_in_conf_are_those_of_the_library():
    (source,) = composed("fm=[torchvision]").fms
    assert source.params["model"] in names()
    assert build_foundation_model(Source("p", "pixels", {})).length_for((2, 3, 1)) == 6

import builtins
import re

import numpy as np
import pytest
import torch
from PIL import Image

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.fetching.downloads import MissingFilesError
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source

TINY = ["test_resnet", "test_vit", "test_efficientnet", "test_convnext"]


@pytest.fixture(scope="module")
def library(needed):
    torchvision()  # timm imports it, too
    needed("timm", "pip install 'imprint-bench[timm]'")
    import timm

    return timm


def built(**params):
    return build_foundation_model(Source("mine", "timm", params))


def pictures(n=2, height=200, width=260):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, height, width, 3), dtype=np.uint8)


def saved(library, name, path):
    """Write the weights of a network, drawn at random, and return the network."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = library.create_model(name).eval()
    if path.suffix == ".safetensors":
        from safetensors.torch import save_file

        save_file(model.state_dict(), path)
    else:
        torch.save(model.state_dict(), path)
    return model


@pytest.mark.parametrize("name", TINY)
def test_an_embedding_is_what_the_classifier_would_have_got(name, library, tmp_path):
    model = saved(library, name, tmp_path / "mine.safetensors")
    fm = built(model=name, file=str(tmp_path / "mine.safetensors"))
    images = pictures()
    X = fm.embed(images)

    config = library.data.resolve_model_data_config(model)
    prepared = torch.from_numpy(fm.network(Computing()).prepare(images)).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(config[key]).view(3, 1, 1) for key in ("mean", "std"))
    with torch.inference_mode():
        features = model.forward_features((prepared / 255 - mean) / std)
        expected = model.forward_head(features, pre_logits=True).numpy()
    assert X.dtype == np.float32
    assert X.shape == expected.shape == (2, fm.length_for((200, 260, 3)))
    scale = np.abs(expected).max()
    assert scale > 0
    np.testing.assert_allclose(X / scale, expected / scale, atol=1e-5)


@pytest.mark.parametrize("name", ["test_vit", "resnet18.tv_in1k", "vit_base_patch16_siglip_224"])
def test_pixels_are_within_two_grey_levels_of_timms_own_transform(name, library, tmp_path):
    (tmp_path / "none.pth").write_bytes(b"")
    fm = built(model=name, file=str(tmp_path / "none.pth"))
    config = library.data.resolve_data_config(
        pretrained_cfg=library.get_pretrained_cfg(name).to_dict()
    )
    transform = library.data.create_transform(**config, normalize=False)
    settings = fm.preprocessing
    from imprint_bench.data.networks.cropping import Cropped

    prepare = Cropped(
        settings["resize"],
        settings["crop"],
        settings["interpolation"],
        squash=settings["proportions"] == "ignored",
    )
    for image in [*pictures(1, 300, 240), *pictures(1, 32, 32)]:
        theirs = transform(Image.fromarray(image)).permute(1, 2, 0).numpy()
        ours = prepare([image])[0]
        np.testing.assert_allclose(ours.astype(int), theirs.astype(int), atol=2)
    assert settings["mean"] == list(config["mean"])
    assert settings["std"] == list(config["std"])


@pytest.mark.parametrize("ending", [".safetensors", ".pth", ".bin"])
def test_the_yaml_finds_weights_in_the_folder(ending, library, tmp_path):
    (tmp_path / "timm").mkdir()
    saved(library, "test_resnet", tmp_path / "timm" / f"test_resnet.r160_in1k{ending}")
    overrides = ["fm=[timm]", "fm.timm.model=test_resnet", f"paths.weights={tmp_path}"]
    (source,) = read(compose(parse(overrides))[0].raw).fms
    fm = build_foundation_model(source)
    assert fm.embed(pictures(1)).shape == (1, fm.length_for((1, 1, 3)))
    assert fm.preprocessing["tag"] == "r160_in1k"


def test_the_yaml_as_it_stands_names_a_network_that_is_there(library, tmp_path):
    (source,) = read(compose(parse(["fm=[timm]", f"paths.weights={tmp_path}"]))[0].raw).fms
    with pytest.raises(MissingFilesError, match=r"timm/resnet18.a1_in1k.safetensors: no such"):
        build_foundation_model(source)


def test_missing_weights_are_named_with_the_command_and_the_download(library, tmp_path):
    with pytest.raises(MissingFilesError) as caught:
        built(model="test_vit", folder=str(tmp_path))
    (download,) = caught.value.downloads
    path = tmp_path / "timm" / "test_vit.r160_in1k.safetensors"
    assert download.path == path
    assert download.url == (
        "https://huggingface.co/timm/test_vit.r160_in1k/resolve/main/model.safetensors"
    )
    assert str(caught.value).startswith(f"{path}: no such file; put the weights there (mkdir -p ")
    assert f"curl -L -o {path} {download.url})" in str(caught.value)


MISTAKES = [
    (
        {"model": "resnet81"},
        "fm of kind timm: unknown model 'resnet81'; expected one of timm's ",
        "Did you mean 'resnet18'?",
    ),
    (
        {"model": "test_vit.r16_in1k"},
        "fm of kind timm: test_vit has no weights 'r16_in1k'; there are ",
        "Did you mean 'test_vit.r160_in1k'?",
    ),
    (
        {"model": "flexivit_base.1000ep_in21k", "interpolation": "nearest"},
        "fm.mine.interpolation: no such parameter; fm.mine takes model, file, folder, weight_decay",
        "",
    ),
]


@pytest.mark.parametrize(("params", "message", "ending"), MISTAKES)
def test_a_wrong_name_gets_the_nearest_one(params, message, ending, library):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}") as caught:
        built(**params)
    assert str(caught.value).endswith(ending)


def test_a_network_of_oblong_images_is_refused(library, tmp_path):
    name = next(
        name
        for name in library.list_models(pretrained=True)
        if len(set(library.get_pretrained_cfg(name).input_size[1:])) == 2
    )
    (tmp_path / "none.pth").write_bytes(b"")
    with pytest.raises(ConfigError, match=r"expected a network of square color images"):
        built(model=name, file=str(tmp_path / "none.pth"))


def test_weights_without_a_place_in_the_hub_are_named(library, tmp_path):
    with pytest.raises(DataError, match=r"gcvit_base.in1k.safetensors: no such file, and none is"):
        built(model="gcvit_base", folder=str(tmp_path))


def test_weights_of_another_network_are_refused(library, tmp_path):
    saved(library, "test_resnet", tmp_path / "mine.pth")
    for name in ("test_convnext", "test_vit"):
        with pytest.raises(DataError, match=r"mine.pth: does not fit the network: "):
            built(model=name, file=str(tmp_path / "mine.pth")).embed(pictures(1))


def test_the_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.partition(".")[0] == "timm":
            raise ImportError("No module named 'timm'")
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=re.escape("pip install 'imprint-bench[timm]'")):
        built(model="resnet18")

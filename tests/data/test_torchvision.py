import gzip
import math
import pickle
import re
import warnings
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.fetching.downloads import MissingFilesError
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.data.foundation_models.torchvision import names
from imprint_bench.data.networks import weights as weights_module
from imprint_bench.data.networks.computing import Computing
from imprint_bench.data.networks.cropping import Cropped, as_tensor
from imprint_bench.data.networks.penultimate import made_hollow, take_out_final_layer
from imprint_bench.data.networks.torch_network import exact_float32, forward_on
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.data.networks.weights import promised_prefix, read_checkpoint
from imprint_bench.errors import ConfigError, DataError, ImageError
from imprint_bench.params import Source

SMALL = "shufflenet_v2_x0_5"
WIDTHS = {
    "alexnet": 4096,
    "densenet121": 1024,
    "efficientnet_b0": 1280,
    "googlenet": 1024,
    "inception_v3": 2048,
    "maxvit_t": 512,
    "resnet18": 512,
    "resnet50": 2048,
    "squeezenet1_1": 512,
    "swin_b": 1024,
    "vit_b_16": 768,
    "vit_h_14": 1280,
}


def built(**params):
    return build_foundation_model(Source("mine", "torchvision", params))


def network(name, **params):
    """Return a network of torchvision with random weights, the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torchvision().models.get_model(name, weights=None, **params).eval()


def pictures(n, height=40, width=50, channels=3):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, height, width, channels), dtype=np.uint8)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """Return the file of a small network's weights and the network."""
    model = network(SMALL)
    path = tmp_path_factory.mktemp("weights") / "small.pth"
    torch.save(model.state_dict(), path)
    return path, model


@pytest.fixture
def any_checksum(monkeypatch):
    """Let files of random weights bear the names of published ones."""
    monkeypatch.setattr(weights_module, "promised_prefix", lambda name: "")


@pytest.mark.parametrize("part", range(4))
def test_every_classification_network_gives_the_input_of_its_final_layer(part, tmp_path):
    path = tmp_path / "none.pth"
    path.write_bytes(b"no weights are needed to know the length")
    chosen = names()[part::4]
    lengths = {n: built(model=n, weights=str(path)).length_for((1, 1, 3)) for n in chosen}
    assert len(names()) >= 80
    assert min(lengths.values()) >= 256
    assert lengths.items() >= {(n, w) for n, w in WIDTHS.items() if n in chosen}


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("resnet18", {}),
        ("squeezenet1_1", {}),
        (SMALL, {}),
        ("mobilenet_v3_small", {}),
        ("mnasnet0_5", {}),
        ("googlenet", {"init_weights": False, "transform_input": True}),
    ],
)
def test_an_embedding_is_what_the_final_layer_would_have_got(name, params, tmp_path):
    model = network(name, **params)
    torch.save(model.state_dict(), tmp_path / "mine.pth")
    fm = built(model=name, weights=str(tmp_path / "mine.pth"))
    images = pictures(2)
    X = fm.embed(images)

    seen = []
    kind = torch.nn.Conv2d if name == "squeezenet1_1" else torch.nn.Linear
    final = [m for m in model.modules() if isinstance(m, kind)][-1]
    final.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    transform = torchvision().models.get_model_weights(name).DEFAULT.transforms()
    prepared = torch.from_numpy(fm.network(Computing()).prepare(images)).permute(0, 3, 1, 2)
    with torch.inference_mode():
        normalized = torchvision().transforms.functional.normalize(
            prepared / 255, transform.mean, transform.std
        )
        model(normalized)
    expected = seen[0].mean((2, 3)) if seen[0].ndim == 4 else seen[0]
    assert X.dtype == np.float32
    assert X.shape == (2, fm.length_for((40, 50, 3)))
    scale = float(expected.abs().max())
    assert scale > 0
    np.testing.assert_allclose(X / scale, expected.numpy() / scale, atol=1e-5)


GEOMETRIES = ["resnet18", "vit_b_16", "swin_b", "efficientnet_b0", "efficientnet_v2_s"]


@pytest.mark.parametrize("name", GEOMETRIES)
def test_pixels_are_those_of_torchvisions_transforms(name, tmp_path):
    (tmp_path / "none.pth").write_bytes(b"")
    preset = torchvision().models.get_model_weights(name).DEFAULT.transforms()
    settings = built(model=name, weights=str(tmp_path / "none.pth")).preprocessing
    prepare = Cropped(settings["resize"], settings["crop"], settings["interpolation"])
    images = [*pictures(2, 60, 45), *pictures(1, 31, 90), *pictures(1, 400, 300, channels=1)]
    from torchvision.transforms import functional as pil
    from torchvision.transforms.v2 import functional as v2

    assert settings["mean"] == preset.mean
    assert settings["std"] == preset.std
    for ours, image in zip(prepare(images), images, strict=True):
        rgb = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
        planes = torch.from_numpy(rgb).permute(2, 0, 1)
        theirs = v2.resize(planes, preset.resize_size, preset.interpolation, antialias=True)
        theirs = v2.center_crop(theirs, preset.crop_size)
        np.testing.assert_array_equal(ours, theirs.permute(1, 2, 0).numpy())
        photo = pil.resize(Image.fromarray(rgb), preset.resize_size, preset.interpolation)
        photo = np.asarray(pil.center_crop(photo, preset.crop_size))
        np.testing.assert_allclose(ours.astype(int), photo.astype(int), atol=2)


def test_a_batch_of_one_size_is_prepared_as_its_images_one_by_one():
    prepare, images = Cropped(30, 24, "bicubic"), pictures(37, 20, 26)
    np.testing.assert_array_equal(prepare(images), prepare(list(images)))
    grey = pictures(3, 24, 24, channels=1)
    np.testing.assert_array_equal(Cropped(24, 24, "bilinear")(grey), np.repeat(grey, 3, axis=-1))


def test_images_are_only_read_even_where_they_cannot_be_written():
    images = pictures(3, 20, 26)
    before = images.copy()
    images.flags.writeable = False
    prepared = Cropped(30, 24, "bilinear")(images)
    np.testing.assert_array_equal(prepared, Cropped(30, 24, "bilinear")(before))
    assert as_tensor(images).data_ptr() != images.ctypes.data


def test_an_image_like_a_thread_is_named_instead_of_filling_the_memory():
    with pytest.raises(ImageError, match=r"an image of 2 x 200 pixels; expected at most 64 times"):
        Cropped(256, 224, "bilinear")([np.zeros((2, 200, 3), np.uint8)])


def test_networks_of_one_geometry_prepare_images_the_same_way(checkpoint, tmp_path):
    path, _ = checkpoint
    prepare = built(model=SMALL, weights=str(path)).network(Computing()).prepare
    assert prepare == Cropped(256, 224, "bilinear")
    assert pickle.loads(pickle.dumps(prepare)) == prepare
    assert hash(prepare) == hash(Cropped(256, 224, "bilinear"))


def test_embeddings_do_not_depend_on_the_batch(tmp_path):
    torch.save(network("squeezenet1_1").state_dict(), tmp_path / "mine.pth")
    fm = built(model="squeezenet1_1", weights=str(tmp_path / "mine.pth"))
    images = pictures(64, 28, 28, channels=1)
    whole = fm.embed(images)
    single = np.concatenate([fm.embed(images[i : i + 1]) for i in range(0, 64, 8)])
    assert 0.1 < np.abs(whole).max() < 100
    np.testing.assert_allclose(single, whole[::8], atol=1e-5)


@pytest.mark.parametrize("autocast", ["bfloat16", "float16"])
def test_autocast_rounds_and_is_part_of_the_identity(autocast, tmp_path):
    torch.save(network("squeezenet1_1").state_dict(), tmp_path / "mine.pth")
    fm = built(model="squeezenet1_1", weights=str(tmp_path / "mine.pth"))
    exact, images = Computing(), pictures(2)
    rounded = Computing(autocast=autocast)
    X, Y = fm.embed(images, exact), fm.embed(images, rounded)
    assert Y.dtype == np.float32
    assert 1e-5 < np.abs(X - Y).max() < 0.1 * np.abs(X).max()
    assert fm.fingerprint_for(exact) != fm.fingerprint_for(rounded)


def test_the_memory_format_changes_nothing(checkpoint):
    fm = built(model=SMALL, weights=str(checkpoint[0]))
    X, Y = (fm.embed(pictures(2), Computing(channels_last=flag)) for flag in (True, False))
    np.testing.assert_allclose(X / X.max(), Y / X.max(), atol=1e-5)


def test_tensorfloat_is_off_within_a_pass_on_cuda_and_the_settings_are_put_back():
    conv, matmul = torch.backends.cudnn.conv, torch.backends.cuda.matmul
    before = conv.fp32_precision, matmul.fp32_precision
    with exact_float32(Computing("cuda:0")):
        assert (conv.fp32_precision, matmul.fp32_precision) == ("ieee", "ieee")
    assert (conv.fp32_precision, matmul.fp32_precision) == before
    with exact_float32(Computing("cuda", autocast="bfloat16")):
        assert (conv.fp32_precision, matmul.fp32_precision) == before


def wrapped(state, form):
    prefixed = {f"module.{name}": tensor for name, tensor in state.items()}
    other_head = {n: torch.zeros(10, *t.shape[1:]) if "fc." in n else t for n, t in state.items()}
    no_counters = {n: t for n, t in state.items() if "num_batches" not in n}
    return {
        "under state_dict": {"epoch": 3, "state_dict": state},
        "under model, prefixed": {"model": prefixed},
        "ten classes": other_head,
        "no counters": no_counters,
    }[form]


@pytest.mark.parametrize(
    "form", ["under state_dict", "under model, prefixed", "ten classes", "no counters"]
)
def test_checkpoints_as_trainers_write_them_give_the_same_embeddings(form, checkpoint, tmp_path):
    path, model = checkpoint
    torch.save(wrapped(model.state_dict(), form), tmp_path / "other.pt")
    first, other = (built(model=SMALL, weights=str(p)) for p in (path, tmp_path / "other.pt"))
    np.testing.assert_array_equal(first.embed(pictures(1)), other.embed(pictures(1)))
    assert first.fingerprint != other.fingerprint


def test_old_and_safe_formats_are_read_and_half_precision_becomes_float32(
    checkpoint, tmp_path, needed
):
    needed("safetensors", "pip install 'imprint-bench[safetensors]'")
    from safetensors.torch import save_file

    path, model = checkpoint
    state = model.state_dict()
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "safe.safetensors")
    torch.save(
        {n: t.half() if t.is_floating_point() else t for n, t in state.items()},
        tmp_path / "half.pth",
    )
    X = built(model=SMALL, weights=str(path)).embed(pictures(1))
    for name in ("old.pth", "safe.safetensors"):
        same = built(model=SMALL, weights=str(tmp_path / name)).embed(pictures(1))
        np.testing.assert_array_equal(same, X)
    half = built(model=SMALL, weights=str(tmp_path / "half.pth")).embed(pictures(1))
    assert half.dtype == np.float32
    np.testing.assert_allclose(half / X.max(), X / X.max(), atol=0.01)


def small_densenet():
    return torchvision().models.DenseNet(4, (2, 2, 1, 1), num_init_features=8)


def test_layer_names_of_published_densenets_are_understood(tmp_path):
    state, path = small_densenet().state_dict(), tmp_path / "old.pth"
    old = OrderedDict(
        (re.sub(r"(denselayer\d+\.(?:norm|conv))([12])", r"\1.\2", n), t) for n, t in state.items()
    )
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    torch.save(old, path)
    filled = made_hollow(small_densenet)
    weights_module.fill(filled, read_checkpoint(path), path=path)
    for name, tensor in filled.state_dict().items():
        torch.testing.assert_close(tensor, state[name], rtol=0, atol=0)


def as_published(state):
    """Return `state` with the names in the published files of vision transformers."""
    names = {"mlp.0.": "mlp.linear_1.", "mlp.3.": "mlp.linear_2."}
    pattern = re.compile(r"(?<=\.)mlp\.[03]\.")
    return OrderedDict((pattern.sub(lambda m: names[m[0]], n), t) for n, t in state.items())


@pytest.mark.parametrize(
    ("choice", "file", "decay", "crop"),
    [
        ("resnet18", "resnet18-f37072fd.pth", 1e-4, 224),
        ("resnet50", "resnet50-0676ba61.pth", 1e-4, 224),
        ("vit_b_16", "vit_b_16-c867db91.pth", 0.1, 224),
        ("swin_b", "swin_b-68c6b09e.pth", 0.05, 224),
    ],
)
def test_the_networks_of_the_paper_run_from_their_yaml(
    choice, file, decay, crop, tmp_path, any_checksum
):
    overrides = [f"fm=[{choice}]", f"paths.weights={tmp_path}"]
    (source,) = read(compose(parse(overrides))[0].raw).fms
    shapes = made_hollow(lambda: network(choice)).state_dict()
    values = [torch.full(t.shape, 0.01 if t.ndim > 1 else 1.0) for t in shapes.values()]
    state = OrderedDict(
        (name, value if wanted.is_floating_point() else wanted)
        for (name, wanted), value in zip(shapes.items(), values, strict=True)
    )
    torch.save(as_published(state) if choice.startswith("vit") else state, tmp_path / file)
    try:
        fm = build_foundation_model(source)
        X = fm.embed(pictures(1, 30, 30))
    finally:
        (tmp_path / file).unlink()  # up to 350 MB
    assert X.shape == (1, WIDTHS[choice])
    assert np.isfinite(X).all()
    assert fm.weight_decay == decay
    assert fm.preprocessing["crop"] == crop
    assert fm.on_torch


def test_the_yaml_of_any_network_takes_its_name(tmp_path, any_checksum):
    overrides = ["fm=[torchvision]", f"fm.torchvision.model={SMALL}", f"paths.weights={tmp_path}"]
    (source,) = read(compose(parse(overrides))[0].raw).fms
    torch.save(network(SMALL).state_dict(), tmp_path / "shufflenetv2_x0.5-f707e7126e.pth")
    assert build_foundation_model(source).embed(pictures(1)).shape == (1, 1024)


def test_published_weights_are_also_found_in_torchs_own_folder(tmp_path, monkeypatch, any_checksum):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    own = tmp_path / "hub" / "checkpoints"
    own.mkdir(parents=True)
    torch.save(network(SMALL).state_dict(), own / "shufflenetv2_x0.5-f707e7126e.pth")
    assert built(model=SMALL).weights == built(model=SMALL, folder=str(tmp_path / "no")).weights


def test_missing_weights_are_named_with_the_command_and_the_download(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "home"))
    with pytest.raises(MissingFilesError) as caught:
        built(model="resnet18", folder=str(tmp_path))
    (download,) = caught.value.downloads
    path = tmp_path / "resnet18-f37072fd.pth"
    assert (download.path, download.checksum) == (path, "sha256:f37072fd")
    assert str(caught.value).startswith(f"{path}: no such file; put the weights there (mkdir -p ")
    assert f"curl -L -o {path} {download.url})" in str(caught.value)
    with pytest.raises(MissingFilesError) as caught:
        built(model="resnet18")
    assert caught.value.downloads[0].path.parent == tmp_path / "home" / "hub" / "checkpoints"


def test_a_file_that_breaks_the_promise_of_its_name_is_refused(tmp_path):
    path = tmp_path / "resnet18-f37072fd.pth"
    path.write_bytes(b"half of it")
    with pytest.raises(DataError, match=r"f37072fd.pth: wrong checksum .* promises f37072fd\); it"):
        built(model="resnet18", folder=str(tmp_path))


def test_the_promise_of_a_name_is_its_hexadecimal_end():
    known = {
        entry.url.rpartition("/")[2]
        for name in names()
        for entry in torchvision().models.get_model_weights(name)
    }
    promises = {promised_prefix(file) for file in known}
    assert "" not in promises
    assert len(promises) == len(known)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"model": "resnet81"},
            "fm of kind torchvision: unknown model 'resnet81'; expected one of torchvision's ",
        ),
        ({"model": "fcn_resnet50"}, "fm of kind torchvision: unknown model 'fcn_resnet50'; "),
        (
            {"model": "resnet50", "weights": "IMAGENET1K_V3"},
            "fm of kind torchvision: unknown weights 'IMAGENET1K_V3' of resnet50; there are "
            "IMAGENET1K_V1, IMAGENET1K_V2, DEFAULT, or give the path of a checkpoint (.pth, .pt, "
            ".safetensors). Did you mean 'IMAGENET1K_V",
        ),
        ({}, "fm.mine.model: missing; "),
    ],
)
def test_a_wrong_name_gets_the_nearest_one(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        built(**params)


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


def cut(path, state):
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-5000])


def cut_early(path, state):
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:50])


def change_pickle(path, state):
    torch.save(state, path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(f"{archive.namelist()[0].partition('/')[0]}/data.pkl").header_offset
    content[start + 200 : start + 210] = b"\xff" * 10
    path.write_bytes(content)


def write(text):
    return lambda path, _: path.write_text(text)


def write_archive(path, _):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "x")


def without_first(state):
    return dict(list(state.items())[3:])


UNREADABLE = "cannot be read as a checkpoint ("
BAD = {
    "text": (write("hello"), f"{UNREADABLE}it is not a file of torch.save or safetensors); exp"),
    "empty": (write(""), f"{UNREADABLE}it is empty); expected a whole file with weights, .pth"),
    "a web page": (write("<!DOCTYPE html>\n"), f"{UNREADABLE}it is a web page or another text"),
    "a pointer": (write("version https://git-lfs.gi"), f"{UNREADABLE}it is a pointer of Git LFS"),
    "gzip": (lambda path, _: path.write_bytes(gzip.compress(b"x")), f"{UNREADABLE}it is compress"),
    "truncated": (cut, f"{UNREADABLE}it is cut off); expected"),
    "truncated early": (cut_early, f"{UNREADABLE}it is cut off); expected"),
    "a changed byte": (change_pickle, f"{UNREADABLE}it is damaged); expected"),
    "half a pickle": (
        lambda path, _: path.write_bytes(b"\x80\x02}"),
        f"{UNREADABLE}it is a pickle that is cut off, or not one of torch.save); expected",
    ),
    "another archive": (
        write_archive,
        f"{UNREADABLE}it is a zip archive that torch.save did not write); expected",
    ),
    "safetensors": (
        lambda path, _: path.write_bytes((16).to_bytes(8, "little") + b'{"w":{}}' * 2),
        f"{UNREADABLE}it is a file of safetensors; let its name end in .safetensors); expected",
    ),
    "truncated, old format": (
        lambda path, state: (
            path.write_bytes(path.read_bytes()[:-5000])
            if torch.save(state, path, _use_new_zipfile_serialization=False) is None
            else None
        ),
        f"{UNREADABLE}it is cut off or damaged); expected",
    ),
    "a pickle": (
        lambda path, state: path.write_bytes(pickle.dumps({"x": Evil()})),
        "holds Python objects (a pickle), which are never loaded; save network.state_dict()",
    ),
    "an object": (
        lambda path, state: torch.save({"state_dict": state, "args": Evil()}, path),
        "holds Python objects (a pickle)",
    ),
    "a tensor": (
        lambda path, state: torch.save(torch.zeros(3), path),
        "holds no weights (Tensor); expected a mapping from names to tensors",
    ),
    "numbers": (lambda path, state: torch.save({"lr": 0.1}, path), "holds no weights (dict)"),
    "too few": (
        lambda path, state: torch.save(without_first(state), path),
        "does not fit the network: 3 tensors are missing (first: conv1.0.weight); expected",
    ),
    "too many": (
        lambda path, state: torch.save({**state, "extra.bias": torch.zeros(2)}, path),
        "does not fit the network: 1 tensors are unknown (first: extra.bias); expected",
    ),
    "another shape": (
        lambda path, state: torch.save({**state, "conv1.0.weight": torch.zeros(9, 3, 3, 3)}, path),
        "does not fit the network: 1 tensors have another shape (first: conv1.0.weight, "
        "(9, 3, 3, 3) instead of (24, 3, 3, 3))",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_checkpoint_gets_one_sentence(case, checkpoint, tmp_path):
    write, message = BAD[case]
    path = tmp_path / "bad.pth"
    write(path, checkpoint[1].state_dict())
    with pytest.raises(DataError) as caught:
        built(model=SMALL, weights=str(path)).embed(pictures(1))
    assert str(caught.value).startswith(f"{path}: {message}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda whole: b"\xff" * 100, "it is not a file of torch.save or safetensors"),
        (lambda whole: b"", "it is empty"),
        (lambda whole: whole[:-20], "it is cut off or damaged"),
        (lambda whole: whole[:40], "it is cut off within its header"),
        (
            lambda whole: Path(__file__).read_bytes(),
            "it is not a file of torch.save or safetensors",
        ),
    ],
)
def test_a_bad_safetensors_file_gets_one_sentence(tmp_path, needed, damage, reason):
    needed("safetensors", "pip install 'imprint-bench[safetensors]'")
    from safetensors.torch import save

    path = tmp_path / "bad.safetensors"
    path.write_bytes(damage(save({"weight": torch.zeros(9, 9)})))
    with pytest.raises(DataError) as caught:
        built(model=SMALL, weights=str(path)).embed(pictures(1))
    assert str(caught.value).startswith(f"{path}: {UNREADABLE}{reason}); expected a whole file")


def test_a_file_of_torch_that_is_called_safetensors_is_recognized(checkpoint, tmp_path, needed):
    needed("safetensors", "pip install 'imprint-bench[safetensors]'")
    path = tmp_path / "mine.safetensors"
    path.write_bytes(checkpoint[0].read_bytes())
    with pytest.raises(DataError, match=r"it is a file of torch.save; let its name end in .pth"):
        built(model=SMALL, weights=str(path)).embed(pictures(1))


def test_a_torchscript_file_is_recognized(tmp_path):
    path = tmp_path / "net.pt"
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), path)
    with pytest.raises(DataError, match=r"net.pt: a TorchScript network; expected a checkpoint"):
        built(model=SMALL, weights=str(path)).embed(pictures(1))


def test_a_missing_checkpoint_of_the_user_is_named(tmp_path):
    with pytest.raises(DataError, match=r"mine.pth: no such file; put the checkpoint there"):
        built(model=SMALL, weights=str(tmp_path / "mine.pth"))


def test_nothing_global_changes_while_a_network_is_made():
    before = torch.get_rng_state()
    for name in ("swin_t", "mobilenet_v3_small"):
        made_hollow(lambda name=name: torchvision().models.get_model(name, weights=None))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.empty(1).device.type == "cpu"


class Computed(torch.nn.Module):
    """Has a value that no checkpoint holds, made in two steps."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)
        self.register_buffer("index", torch.empty(3).fill_(7), persistent=False)


def test_a_value_that_no_checkpoint_holds_is_computed():
    assert made_hollow(Computed).index.tolist() == [7, 7, 7]


def test_a_network_without_final_layer_is_refused():
    with pytest.raises(DataError, match="no final layer is found"):
        take_out_final_layer(torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU()))


@pytest.mark.parametrize(
    "failing",
    [
        lambda x: torch.empty(1 << 52),
        lambda x: (_ for _ in ()).throw(torch.OutOfMemoryError("CUDA out of memory")),
    ],
)
def test_memory_that_does_not_suffice_names_the_key_to_change(failing):
    forward = forward_on(failing, mean=[0, 0, 0], std=[1, 1, 1], computing=Computing())
    with pytest.raises(
        ConfigError,
        match=r"embed.batch_size: 5 images of 8 pixels do not fit into the memory of cpu; choose "
        r"a smaller embed.batch_size",
    ):
        forward(pictures(5, 8, 8))


def test_other_failures_of_a_network_are_not_called_a_lack_of_memory():
    def failing(x):
        raise RuntimeError("shapes cannot be multiplied")

    forward = forward_on(failing, mean=[0, 0, 0], std=[1, 1, 1], computing=Computing())
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        forward(pictures(5, 8, 8))


def test_normalization_is_that_of_the_formula():
    mean, std = [0.1, 0.2, 0.3], [0.5, 0.4, 0.3]
    forward = forward_on(lambda x: x, mean=mean, std=std, computing=Computing())
    images = pictures(2, 4, 4)
    expected = (images / 255 - np.array(mean)) / np.array(std)
    ours = forward(images).reshape(2, 3, 4, 4).transpose(0, 2, 3, 1)
    np.testing.assert_allclose(ours, expected, atol=math.ulp(1.0) + 1e-6)

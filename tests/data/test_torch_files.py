import io
import json
import pickle
import re
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest
import torch
from torch import nn

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.data.networks.exported_program import clean_archive
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source

SIZE = 12
MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.3, 0.4]


def small(*, flat=True):
    """Return a network (b, 3, h, w) -> (b, 6), or (b, 6, 1, 1), the same at every call."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, *([nn.Flatten()] if flat else [])).eval()


def save_script(module, path):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"`torch\.jit", DeprecationWarning)
        torch.jit.save(torch.jit.script(module), path)


def save_exported(module, path, *, batch=None, rows=2):
    shapes = None if batch is None else ({0: batch},)
    program = torch.export.export(
        module, (torch.zeros(rows, 3, SIZE, SIZE),), dynamic_shapes=shapes
    )
    torch.export.save(program, path)


def save_any_batch(module, path):
    save_exported(module, path, batch=torch.export.Dim("batch", min=1, max=64))


SAVE = {"torchscript": save_script, "exported": save_any_batch}
ENDING = {"torchscript": "pt", "exported": "pt2"}


def built(kind, path, **params):
    params = {"size": SIZE, "mean": MEAN, "std": STD} | params
    return build_foundation_model(Source("mine", kind, {"file": str(path), **params}))


def pictures(n=5, size=SIZE):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (n, size, size, 3), dtype=np.uint8)


def expected(images):
    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    x = (x - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    with torch.inference_mode():
        return small()(x).numpy()


@pytest.mark.parametrize("flat", [True, False])
@pytest.mark.parametrize("kind", SAVE)
def test_the_output_of_the_files_network_is_the_embedding(kind, flat, tmp_path):
    SAVE[kind](small(flat=flat), tmp_path / "net.pt2")
    fm = built(kind, tmp_path / "net.pt2")
    X = fm.embed(pictures())
    assert X.dtype == np.float32
    assert X.shape == (5, fm.length_for((1, 1, 3))) == (5, 6)
    np.testing.assert_allclose(X, expected(pictures()), atol=1e-5)


@pytest.mark.parametrize("kind", SAVE)
def test_the_yaml_takes_a_file_of_the_user(kind, tmp_path):
    SAVE[kind](small(), tmp_path / f"network.{ENDING[kind]}")
    overrides = [f"fm=[{kind}]", f"paths.data={tmp_path}", f"fm.{kind}.size={SIZE}"]
    (source,) = read(compose(parse(overrides))[0].raw).fms
    fm = build_foundation_model(source)
    assert fm.embed(pictures(2, 30)).shape == (2, 6)
    assert fm.preprocessing["mean"] == [0.485, 0.456, 0.406]
    assert fm.preprocessing["resize"] == SIZE
    assert fm.on_torch


@pytest.mark.parametrize("kind", SAVE)
def test_embeddings_do_not_depend_on_the_batch(kind, tmp_path):
    SAVE[kind](small(), tmp_path / "net.pt2")
    fm = built(kind, tmp_path / "net.pt2")
    images = pictures(64)
    single = np.concatenate([fm.embed(images[i : i + 1]) for i in range(64)])
    np.testing.assert_allclose(fm.embed(images), single, atol=1e-5)


@pytest.mark.parametrize("n", [1, 4, 5, 8])
def test_a_program_for_one_batch_size_gets_full_passes(n, tmp_path):
    save_exported(small(), tmp_path / "net.pt2", rows=4)
    fm = built("exported", tmp_path / "net.pt2")
    np.testing.assert_allclose(fm.embed(pictures(n)), expected(pictures(n)), atol=1e-5)


def test_a_program_for_few_images_gets_several_passes(tmp_path):
    save_exported(small(), tmp_path / "net.pt2", batch=torch.export.Dim("batch", min=2, max=3))
    fm = built("exported", tmp_path / "net.pt2")
    np.testing.assert_allclose(fm.embed(pictures(7)), expected(pictures(7)), atol=1e-5)


def test_the_shorter_side_is_resized_and_the_center_cut_out(tmp_path):
    save_script(nn.Flatten(), tmp_path / "net.pt")
    fm = built(
        "torchscript",
        tmp_path / "net.pt",
        size=2,
        resize=4,
        mean=[0.0, 0.0, 0.0],
        std=[1.0, 1.0, 1.0],
    )
    image = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(1, 4, 6, 3)
    center = image[:, 1:3, 2:4].transpose(0, 3, 1, 2).reshape(1, -1) / 255
    np.testing.assert_allclose(fm.embed(image), center, atol=1e-6)


def test_the_identity_has_all_that_happens_to_an_image(tmp_path):
    save_script(small(), tmp_path / "net.pt")
    path = tmp_path / "net.pt"
    changed = [
        {"size": 13},
        {"resize": 20},
        {"interpolation": "bicubic"},
        {"mean": [0.1, 0.1, 0.1]},
        {"std": [0.1, 0.1, 0.1]},
    ]
    found = {built("torchscript", path, **params).fingerprint for params in ({}, *changed)}
    assert len(found) == 6
    again = built("torchscript", path, weight_decay=0.5, resize=SIZE)
    assert again.fingerprint == built("torchscript", path).fingerprint


class Pair(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)), x.mean((2, 3))


class Whole(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)).int()


class Maps(nn.Module):
    def forward(self, x):
        return x * 2


OUTPUTS = [
    (Pair, "the network's output is tuple; expected one tensor of fractions"),
    (Whole, "the network's output is torch.int32; expected one tensor of fractions"),
    (Maps, "the network's output for two images has shape (2, 3, 12, 12); expected (2, length)"),
]


@pytest.mark.parametrize(("module", "message"), OUTPUTS)
@pytest.mark.parametrize("kind", SAVE)
def test_an_output_that_is_no_embedding_is_refused(kind, module, message, tmp_path):
    path = tmp_path / "net.pt2"
    SAVE[kind](module(), path)
    with pytest.raises(DataError, match=f"^{re.escape(f'{path}: {message}')}"):
        built(kind, path).length_for((1, 1, 3))


@pytest.mark.parametrize("kind", SAVE)
def test_a_size_that_does_not_fit_is_refused(kind, tmp_path):
    path = tmp_path / "net.pt2"
    SAVE[kind](nn.Sequential(nn.Flatten(), nn.Linear(3 * SIZE * SIZE, 2)), path)
    with pytest.raises(
        DataError, match=r"net.pt2: the network cannot take float32 of shape \(2, 3, 13, 13\) \("
    ):
        built(kind, path, size=13).length_for((1, 1, 3))


def test_a_program_of_two_inputs_is_refused(tmp_path):
    class Two(nn.Module):
        def forward(self, x, y):
            return x.mean((2, 3)) + y

    program = torch.export.export(Two(), (torch.zeros(2, 3, SIZE, SIZE), torch.zeros(2, 3)))
    torch.export.save(program, tmp_path / "net.pt2")
    with pytest.raises(DataError, match=r"net.pt2: .* \(it has 2 inputs; expected one, of shape"):
        built("exported", tmp_path / "net.pt2").length_for((1, 1, 3))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"mean": [0.5]}, "fm of kind exported: mean has 1 values; expected 3, for red, green"),
        ({"std": [1.0, 0.0, 1.0]}, "fm of kind exported: std [1.0, 0.0, 1.0]; expected numbers"),
        ({"resize": 8}, "fm of kind exported: resize 8 is less than size 12, so that no center"),
        ({"size": 0}, "fm.mine.size: expected an int of at least 1, got 0."),
        ({"interpolation": "bicubik"}, "fm.mine.interpolation: expected one of bilinear, bicubic"),
    ],
)
def test_a_wrong_parameter_is_named(params, message, tmp_path):
    save_any_batch(small(), tmp_path / "net.pt2")
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        built("exported", tmp_path / "net.pt2", **params)


def compressed(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/code/a.py", b" " * (1 << 26) + b"  ")


@pytest.mark.parametrize(
    ("write", "reason"),
    [
        (lambda path: path.write_text("hello"), "File is not a zip file"),
        (lambda path: torch.save({"a": torch.zeros(2)}, path), "no "),
        (compressed, ""),
    ],
)
@pytest.mark.parametrize("kind", SAVE)
def test_a_file_that_is_no_such_network_gets_one_sentence(kind, write, reason, tmp_path):
    path = tmp_path / "net.pt2"
    write(path)
    noun = {"torchscript": "a TorchScript network", "exported": "an exported program"}[kind]
    with pytest.raises(
        DataError, match=rf"^{re.escape(f'{path}: not {noun} ({reason}')}"
    ) as caught:
        built(kind, path).length_for((1, 1, 3))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", SAVE)
def test_a_missing_or_truncated_file_is_named(kind, tmp_path):
    path = tmp_path / "net.pt2"
    with pytest.raises(DataError, match=r"net.pt2: no such file; put a file there that torch\."):
        built(kind, path)
    SAVE[kind](small(), path)
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(DataError, match=r"net.pt2: not an? "):
        built(kind, path).length_for((1, 1, 3))


class Writes(nn.Module):
    def forward(self, x):
        return x.mean((2, 3)) + torch.ops.aten.from_file("secret", False, 3)


def test_a_script_that_touches_files_is_not_run(tmp_path):
    save_script(Writes(), tmp_path / "net.pt")
    with pytest.raises(DataError, match=r"net.pt: the network reads or writes files \(.*\), so it"):
        built("torchscript", tmp_path / "net.pt")


def test_loading_a_script_warns_of_nothing(tmp_path):
    save_script(small(), tmp_path / "net.pt")
    program = (
        "import numpy as np\n"
        "from imprint_bench.data.foundation_model import build_foundation_model\n"
        "from imprint_bench.params import Source\n"
        "fm = build_foundation_model(Source('a', 'torchscript', {'file': 'net.pt', 'size': 12}))"
        "\nassert fm.embed(np.zeros((1, 9, 9, 1), np.uint8)).shape == (1, 6)\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, cwd=tmp_path)


def altered(path, name, change):
    """Rewrite one member of an archive: `change` maps bytes to bytes."""
    copy = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w", zipfile.ZIP_STORED) as new:
        assert any(member.endswith(name) for member in old.namelist())
        for member in old.namelist():
            content = old.read(member)
            new.writestr(member, change(content) if member.endswith(name) else content)
    path.write_bytes(copy.getvalue())


def replacing(old, new):
    def change(content):
        assert old in content
        return content.replace(old, new)

    return change


ATTACKS = {
    "a function of torch": (
        "models/model.json",
        replacing(b"torch.ops.aten.relu.default", b"torch.os.system"),
        "target 'torch.os.system'",
    ),
    "an operator that opens files": (
        "models/model.json",
        replacing(b"torch.ops.aten.relu.default", b"torch.ops.aten.from_file.default"),
        "target 'torch.ops.aten.from_file.default'",
    ),
    "a size that is code": (
        "models/model.json",
        lambda content: re.sub(rb"Symbol\('s\d+'", b"__import__('os'", content, count=1),
        "expr_str \"__import__('os'",
    ),
    "a name that is code": (
        "models/model.json",
        replacing(b'"input"', b'"input=__import__(0)"'),
        "name 'input=__import__(0)'",
    ),
    "pickled weights": (
        "model_weights_config.json",
        replacing(b'"use_pickle": false', b'"use_pickle": true'),
        "use_pickle",
    ),
    "an object as argument": (
        "models/model.json",
        replacing(b'"as_bool": false', b'"as_operator": "torch.os.system"'),
        "as_operator",
    ),
}


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_exported_program_that_is_more_than_data_is_refused(attack, tmp_path):
    name, change, what = ATTACKS[attack]
    path = tmp_path / "net.pt2"
    save_any_batch(small(), path)
    altered(path, name, change)
    message = f"{path}: holds more than tensors and arithmetic ({what}"
    with pytest.raises(DataError, match=f"^{re.escape(message)}"):
        built("exported", path).length_for((1, 1, 3))


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was executed",))


def test_code_and_pickles_beside_the_program_are_left_behind(tmp_path):
    path = tmp_path / "net.pt2"
    save_any_batch(small(), path)
    altered(path, "sample_inputs/model.pt", lambda _: pickle.dumps(Evil()))
    altered(path, "model.json", replacing(b'"guards_code": []', b'"guards_code": ["1/0 (x)"]'))
    np.testing.assert_allclose(
        built("exported", path).embed(pictures()), expected(pictures()), atol=1e-5
    )
    with zipfile.ZipFile(clean_archive(path)) as archive:
        assert archive.read("network/data/sample_inputs/model.pt") == b""
        assert json.loads(archive.read("network/models/model.json"))["guards_code"] == []


def test_compiled_code_in_a_program_is_refused(tmp_path):
    path = tmp_path / "net.pt2"
    save_any_batch(small(), path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("net/data/aotinductor/model/a.so", b"\x7fELF")
    with pytest.raises(DataError, match=r"\(member data/aotinductor/model/a.so\), which is never"):
        built("exported", path).length_for((1, 1, 3))


def test_a_real_network_goes_through_the_check(tmp_path):
    from imprint_bench.data.networks.vision import torchvision

    with torch.random.fork_rng(devices=[]):
        model = torchvision().models.mobilenet_v3_small(weights=None).eval()
    model.classifier = nn.Identity()
    path = tmp_path / "net.pt2"
    batch = torch.export.Dim("batch", min=1, max=64)
    program = torch.export.export(model, (torch.zeros(2, 3, 32, 32),), dynamic_shapes=({0: batch},))
    torch.export.save(program, path)
    assert built("exported", path, size=32).embed(pictures(3, 32)).shape == (3, 576)

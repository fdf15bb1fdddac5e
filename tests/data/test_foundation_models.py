import builtins
import re

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from imprint_bench.data.dataset import build_dataset
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.data.networks.resizing import squared
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source


def built(kind, **params):
    return build_foundation_model(Source("mine", kind, params))


@pytest.fixture(scope="module")
def network_file(litert_network):
    return str(litert_network)


@pytest.fixture(scope="module")
def mnist(shared_data):
    return build_dataset(Source("mnist", "idx", {"folder": str(shared_data / "MNIST" / "raw")}))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [3, 8, 21])
def test_resizing_is_within_one_grey_level_of_pillows_bilinear_filter(size, channels):
    images = np.random.default_rng(0).integers(0, 256, (40, 8, 8, channels), dtype=np.uint8)
    for ours, image in zip(squared(images, size), images, strict=True):
        rgb = Image.fromarray(image.squeeze()).convert("RGB")
        theirs = np.asarray(rgb.resize((size, size), Image.Resampling.BILINEAR))
        np.testing.assert_allclose(ours.astype(int), theirs.astype(int), atol=1)


def test_pixels_are_the_image_divided_by_256_exactly():
    dataset = build_dataset(Source("digits", "digits", {}))
    X = built("pixels").embed(dataset.images("train", 0, dataset.size("train")))
    ink = X.astype(np.float64) * 256 / 15
    assert X.dtype == np.float32
    assert X.shape == (1347, 64)
    np.testing.assert_array_equal(ink, np.round(ink))
    known = {row.tobytes() for row in load_digits().data}
    assert all(row.tobytes() in known for row in ink)


def test_pixels_count_their_values_beforehand():
    assert built("pixels").length_for((4, 5, 3)) == 60


@pytest.mark.parametrize("width", [4, 16])
def test_random_conv_equals_the_layers_written_out(width):
    image = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), dtype=np.uint8)
    rng = torch.Generator().manual_seed(3)
    x = torch.from_numpy(image).permute(0, 3, 1, 2) / 127.5 - 1
    for inputs, outputs in ((3, width), (width, 2 * width), (2 * width, 4 * width)):
        layer = torch.nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        weight = torch.randn(outputs, inputs, 3, 3, generator=rng) * (2 / (9 * inputs)) ** 0.5
        layer.weight.data = weight
        x = torch.relu(layer(x))
        x = torch.nn.AvgPool2d(1)(x) if outputs == 4 * width else torch.nn.MaxPool2d(2)(x)
    expected = x.flatten(1).detach().numpy()
    fm = built("random_conv", weights_seed=3, width=width, input_size=8)
    np.testing.assert_allclose(fm.embed(image), expected, rtol=1e-5, atol=1e-6)
    assert fm.length_for((8, 8, 3)) == expected.shape[1]


def test_random_conv_does_not_depend_on_batch_threads_or_the_global_seed():
    images = np.random.default_rng(0).integers(0, 256, (70, 8, 8, 1), dtype=np.uint8)
    whole = built("random_conv").embed(images)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        again = built("random_conv")
        parts = [again.embed(images[i : i + 9]) for i in range(0, 70, 9)]
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_fingerprint_changes_with_weights_and_preprocessing_and_with_nothing_else():
    first = built("random_conv").fingerprint
    assert first == built("random_conv", weight_decay=0.5).fingerprint
    others = {
        built("random_conv", weights_seed=1).fingerprint,
        built("random_conv", width=8).fingerprint,
        built("random_conv", input_size=16).fingerprint,
        built("pixels").fingerprint,
    }
    assert len(others | {first}) == 5


def test_images_of_another_kind_are_refused():
    with pytest.raises(ValueError, match=r"float64 of shape \(2, 8, 8, 1\); expected uint8"):
        built("pixels").embed(np.zeros((2, 8, 8, 1)))


def test_litert_embeddings_do_not_depend_on_the_batch(network_file, mnist):
    fm = built("litert", file=network_file)
    images = mnist.images("test", 0, 40)
    X = fm.embed(images)
    assert X.shape == (40, fm.length_for(mnist.shape)) == (40, 256)
    assert X.dtype == np.float32
    np.testing.assert_array_equal(fm.embed(images[33:35]), X[33:35])


def test_litert_embeddings_are_the_dequantized_output(network_file, mnist):
    from ai_edge_litert.interpreter import Interpreter

    image = mnist.images("test", 5, 6)
    interpreter = Interpreter(network_file, num_threads=1)
    interpreter.allocate_tensors()
    input_, output = interpreter.get_input_details()[0], interpreter.get_output_details()[0]
    rgb = Image.fromarray(image[0, ..., 0]).convert("RGB")
    ready = np.asarray(rgb.resize((128, 128), Image.Resampling.BILINEAR))[None]
    interpreter.set_tensor(input_["index"], ready)
    interpreter.invoke()
    scale, zero_point = output["quantization"]
    expected = (interpreter.get_tensor(output["index"]).ravel() - float(zero_point)) * scale
    X = built("litert", file=network_file).embed(image)
    np.testing.assert_allclose(X[0], expected, rtol=1e-6)


def test_class_means_of_a_litert_network_recognize_digits(network_file, mnist):
    fm = built("litert", file=network_file)
    X, y = fm.embed(mnist.images("train", 0, 400)), mnist.labels("train")[:400]
    queries, targets = fm.embed(mnist.images("test", 0, 200)), mnist.labels("test")[:200]
    X, queries = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (X, queries))
    means = np.stack([X[y == c].mean(axis=0) for c in range(10)])
    means /= np.linalg.norm(means, axis=1, keepdims=True)
    accuracy = ((queries @ means.T).argmax(axis=1) == targets).mean()
    assert 0.65 < accuracy < 0.9  # 0.801 on all of MNIST


def test_a_file_that_is_no_litert_network_is_refused(tmp_path):
    path = tmp_path / "net.tflite"
    with pytest.raises(DataError, match=r"net.tflite: no such file; put the network there"):
        built("litert", file=str(path))
    path.write_bytes(b"PK\x03\x04 a zip")
    with pytest.raises(DataError, match=r"net.tflite: not a LiteRT network"):
        built("litert", file=str(path))


def test_a_truncated_litert_network_is_refused(tmp_path, network_file):
    from pathlib import Path

    path = tmp_path / "net.tflite"
    path.write_bytes(Path(network_file).read_bytes()[:3000])
    fm = built("litert", file=str(path))
    with pytest.raises(DataError, match=r"net.tflite: LiteRT cannot use it"):
        fm.length_for((8, 8, 1))


def test_a_missing_extra_names_the_command_that_installs_it(tmp_path, monkeypatch):
    path = tmp_path / "net.tflite"
    path.write_bytes(bytes(4) + b"TFL3")
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("ai_edge_litert"):
            raise ImportError("No module named 'ai_edge_litert'")
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=re.escape("pip install ai-edge-litert")):
        built("litert", file=str(path)).embed(np.zeros((1, 8, 8, 1), np.uint8))


@pytest.mark.parametrize(
    ("kind", "params", "message"),
    [
        ("random_conv", {"seed": 1}, "fm.mine.seed: no such parameter; fm.mine takes weights_seed"),
        ("random_conv", {"width": 0}, "fm.mine.width: expected an int of at least 1, got 0."),
        ("litert", {}, "fm.mine.file: missing; fm.mine cannot do without it."),
        ("pixel", {}, "fm.mine: unknown foundation model 'pixel'; known: "),
    ],
)
def test_a_wrong_parameter_is_named_with_its_place(kind, params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        built(kind, **params)

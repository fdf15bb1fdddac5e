"""A network that was trained here, kept in a file, as a foundation model."""

import json
import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from imprint_bench.data.dataset import SPLITS, build_dataset
from imprint_bench.data.embeddings.creation import create
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.data.foundation_models.trained import Fitted
from imprint_bench.data.networks.resizing import squared
from imprint_bench.errors import DataError
from imprint_bench.fixed.network_file import load_network, read_network_file, write_network_file
from imprint_bench.fixed.networks import build_network
from imprint_bench.params import Source

DIGITS = Source("digits", "digits", {})
PARAMS = {"hidden": [12]}


def network_of(shape=(8, 8, 1), d=5, seed=1):
    """Return a small network whose batch normalization has seen images."""
    network = build_network("mlp", shape, d, params=PARAMS, seed=seed)
    torch.manual_seed(seed)
    network(torch.randn(32, shape[2], *shape[:2]))
    return network.eval()


def written(path, network=None, **changes):
    facts = {"kind": "mlp", "params": PARAMS, "shape": (8, 8, 1), "d": 5, "mean": [0.3],
             "std": [0.4], "classes": list(range(10)), "remark": {"accuracy": 0.9}}  # fmt: skip
    write_network_file(path, network=network or network_of(), **(facts | changes))
    return path


def model(path):
    return build_foundation_model(Source("mine", "trained", {"file": str(path)}))


def raises(kind, message):
    return pytest.raises(kind, match=re.escape(message))


@pytest.fixture
def path(tmp_path):
    return written(tmp_path / "net.pt")


# The embedding


def test_the_embedding_of_digits_is_what_the_network_gives(path, tmp_path):
    settings = EmbedSettings(device="cpu", batch_size=100)
    entry = create(
        tmp_path / "cache", Source("mine", "trained", {"file": str(path)}), DIGITS, settings
    )
    dataset, network = build_dataset(DIGITS), network_of()
    for split in SPLITS:
        images = dataset.images(split, 0, dataset.size(split))
        x = (torch.from_numpy(images).permute(0, 3, 1, 2) / 255 - 0.3) / 0.4
        with torch.no_grad():
            expected = network(x).numpy()
        np.testing.assert_allclose(entry.X(split), expected, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(entry.y(split), dataset.labels(split))
        assert entry.X(split).std(axis=0).min() > 0.01


def test_the_embedding_of_color_is_what_the_network_gives(tmp_path):
    network = network_of((6, 4, 3), 7)
    mean, std = [0.1, 0.2, 0.3], [0.4, 0.5, 0.6]
    file = written(tmp_path / "net.pt", network, shape=(6, 4, 3), d=7, mean=mean, std=std)
    images = np.random.default_rng(0).integers(0, 256, (9, 6, 4, 3), dtype=np.uint8)
    x = (torch.from_numpy(images / np.float32(255)) - torch.tensor(mean)) / torch.tensor(std)
    with torch.no_grad():
        expected = network(x.permute(0, 3, 1, 2)).numpy()
    X = model(file).embed(images)
    np.testing.assert_allclose(X, expected, rtol=1e-4, atol=1e-5)
    assert X.shape[1] == model(file).length_for((1, 2, 1)) == 7


def test_a_network_comes_back_as_it_was_and_knows_its_training(path):
    network, kept = network_of(), load_network(path)
    assert not kept.training
    for (name, tensor), (other, same) in zip(
        network.state_dict().items(), kept.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(tensor, same)
    facts = read_network_file(path)
    assert (facts.kind, facts.params, facts.shape, facts.d) == ("mlp", PARAMS, (8, 8, 1), 5)
    assert (facts.mean, facts.std, facts.classes) == ((0.3,), (0.4,), list(range(10)))
    assert facts.remark == {"accuracy": 0.9}


def test_writing_changes_neither_the_network_nor_its_mode(tmp_path):
    network = network_of().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    written(tmp_path / "new folder" / "net.pt", network)
    assert network.training
    assert all(torch.equal(t, before[n]) for n, t in network.state_dict().items())
    assert [p.name for p in (tmp_path / "new folder").iterdir()] == ["net.pt"]


def test_torch_reads_the_file_without_running_anything_in_it(path):
    content = torch.load(path, weights_only=True)
    assert json.loads(content["metadata"])["kind"] == "mlp"
    network = build_network("mlp", (8, 8, 1), 5, params=PARAMS)
    network.load_state_dict(content["state_dict"])


# Images of another kind


@pytest.mark.parametrize("channels", [1, 3])
def test_square_color_images_are_resized_as_all_others_are(channels):
    images = np.random.default_rng(0).integers(0, 256, (20, 9, 7, channels), dtype=np.uint8)
    np.testing.assert_array_equal(Fitted(5, 5, grey=False)(images), squared(images, 5))


def test_resized_grey_images_are_within_one_level_of_pillows(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (20, 9, 7, 1), dtype=np.uint8)
    for size in ((8, 16), (3, 2), (9, 14)):
        ours = Fitted(*size, grey=True)(images)
        assert ours.shape == (20, *size, 3)
        for one, image in zip(ours, images, strict=True):
            theirs = Image.fromarray(image[..., 0]).resize(size[::-1], Image.Resampling.BILINEAR)
            assert (one == one[..., :1]).all()
            np.testing.assert_allclose(one[..., 0].astype(int), np.asarray(theirs, int), atol=1)


def test_color_becomes_grey_within_one_level_of_pillows():
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
    ours = Fitted(6, 4, grey=True)(images)[..., 0].astype(int)
    theirs = [np.asarray(Image.fromarray(image).convert("L"), int) for image in images]
    np.testing.assert_allclose(ours, theirs, atol=1)
    white = np.full((1, 6, 4, 3), 255, np.uint8)
    assert (Fitted(6, 4, grey=True)(white) == 255).all()


def test_images_of_several_sizes_are_embedded_as_each_alone(path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((8, 8), (5, 9), (30, 2))]
    fm = model(path)
    X = fm.embed(images)
    for row, image in zip(X, images, strict=True):
        np.testing.assert_allclose(fm.embed(image[None])[0], row, rtol=1e-5, atol=1e-6)


# Identity


def test_the_identity_is_that_of_the_weights_and_of_the_preprocessing(path, tmp_path):
    first = model(path).fingerprint
    same = [
        written(tmp_path / "same.pt"),
        written(tmp_path / "remarked.pt", remark={"seconds": 3}, classes=None),
    ]
    assert {model(file).fingerprint for file in same} == {first}
    others = [
        written(tmp_path / "a.pt", network_of(seed=2)),
        written(tmp_path / "b.pt", mean=[0.31]),
        written(tmp_path / "c.pt", std=[0.41]),
        written(tmp_path / "d.pt", network_of((4, 16, 1)), shape=(4, 16, 1)),
        written(tmp_path / "e.pt", params=PARAMS | {"batch_norm": True}),
    ]
    assert len({first, *(model(file).fingerprint for file in others)}) == 6


# What is refused


def saved(content):
    return lambda path: torch.save(content, path)


def metadata(**changes):
    """Return what writes another value into the metadata, or removes it where that is None."""

    def change(path):
        content = torch.load(path, weights_only=True)
        facts = json.loads(content["metadata"]) | changes
        content["metadata"] = json.dumps({k: v for k, v in facts.items() if v != "gone"})
        path.unlink()
        torch.save(content, path)

    return change


def cut(path):
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) * 2 // 3])


def other_weights(path):
    content = torch.load(path, weights_only=True)
    content["state_dict"]["1.weight"][3, 3] += 1
    path.unlink()
    torch.save(content, path)


class Harmful:
    def __reduce__(self):
        return print, ("harm",)


DAMAGES = [
    (cut, "no network file (it is cut off); expected a whole file that a training run"),
    (lambda p: p.write_bytes(b""), "no network file (it is empty)"),
    (lambda p: p.write_text("<html>"), "(it is a web page or another text in angle brackets)"),
    (saved(Harmful()), "(it holds Python objects, which are never loaded)"),
    (saved(nn.Linear(2, 2).state_dict()), "no network file, it lacks metadata"),
    (saved(torch.zeros(2)), "no network file, it lacks metadata"),
    (
        saved({"imprint_bench network": 2}),
        "a network file of format 2; this version reads format 1",
    ),
    (saved({"imprint_bench network": 1}), "no network file, it lacks weights"),
    (saved({"imprint_bench network": 1, "state_dict": {}}), "its metadata are wrong"),
    (metadata(d="gone"), "its metadata are wrong (expected kind, params, shape, d, mean, std, "),
    (metadata(d=0), "its metadata are wrong (d: expected an int of at least 1, got 0)"),
    (metadata(shape=[8, 8]), "its metadata are wrong (shape (8, 8); expected height, width and"),
    (metadata(shape=[8, 8, 2]), "(shape (8, 8, 2); expected height, width and 1 or 3 channels)"),
    (metadata(mean=[0.1, 0.2, 0.3]), "(mean has 3 values; expected 1, one per channel)"),
    (metadata(std=[0.0]), "(std: expected a list of float of at least 1e-12, got [0.0])"),
]


@pytest.mark.parametrize(("damage", "message"), DAMAGES, ids=[d[1] for d in DAMAGES])
def test_a_file_that_is_no_network_file_is_refused_before_anything_is_embedded(
    path, damage, message
):
    damage(path)
    with raises(DataError, message) as caught:
        model(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (other_weights, "its weights are damaged; copy the file again"),
        (metadata(kind="mpl"), "its network cannot be built (network: unknown network 'mpl'"),
        (
            metadata(params={"hiden": [3]}),
            "its network cannot be built (network.mlp.hiden: no such",
        ),
        (metadata(params={"hidden": [3]}), "does not fit the network: "),
        (metadata(d=6), "does not fit the network: "),
    ],
)
def test_weights_that_do_not_fit_are_refused_when_they_are_loaded(path, damage, message):
    damage(path)
    with raises(DataError, message) as caught:
        model(path).embed(np.zeros((1, 8, 8, 1), np.uint8))
    assert str(caught.value).startswith(f"{path}: ")


def test_a_missing_file_is_named(tmp_path):
    with raises(DataError, f"{tmp_path}/net.pt: no such file; give the network file that a train"):
        model(tmp_path / "net.pt")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": [0.1, 0.2]}, "mean has 2 values; expected 1, one per channel"),
        ({"shape": (8, 8, 4)}, "shape (8, 8, 4); expected height, width and 1 or 3 channels"),
        ({"std": [0]}, "std [0.0]; expected numbers above 0"),
        ({"remark": {"a": object()}}, "expected values of JSON in params, classes, remark"),
    ],
)
def test_what_cannot_be_read_again_is_not_written(tmp_path, changes, message):
    with raises(ValueError, message):
        written(tmp_path / "net.pt", **changes)
    assert not (tmp_path / "net.pt").exists()

"""Pairs of images: two of another dataset side by side."""

import re
from collections import Counter

import numpy as np
import pytest
from layouts import write_mnist
from sklearn.datasets import load_digits

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.dataset import SPLITS, build_dataset
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source


def paired(**params):
    return build_dataset(Source("mine", "pairs", {"of": {"digits": {}}, **params}))


def whole(dataset, split):
    return dataset.images(split, 0, dataset.size(split))


def raises(kind, message):
    return pytest.raises(kind, match=re.escape(message))


def refused(message):
    """Expect a sentence that starts with the place of the dataset called mine."""
    return pytest.raises(ConfigError, match=f"^{re.escape(f'dataset.mine.pairs{message}')}")


@pytest.fixture(scope="module")
def digit_pairs():
    """Return the dataset of that name as its YAML has it."""
    (source,) = read(compose(parse(["dataset=[digit_pairs]"]))[0].raw).datasets
    return build_dataset(source)


def test_digit_pairs_has_a_hundred_classes_of_a_hundred_and_thirty_pairs(digit_pairs):
    for split, n in (("train", 100), ("test", 30)):
        assert np.bincount(digit_pairs.labels(split)).tolist() == [n] * 100
        images = whole(digit_pairs, split)
        assert images.shape == (100 * n, 8, 16, 1)
        assert images.dtype == np.uint8
        assert len(np.unique(images, axis=0)) == 100 * n  # no pair is drawn twice


def test_both_halves_are_digits_that_the_label_names_and_no_digit_is_in_both_splits(digit_pairs):
    bunch = load_digits()
    label_of = {
        image.astype(np.uint8).tobytes(): label
        for image, label in zip(bunch.images, bunch.target, strict=True)
    }
    used = {}
    for split in SPLITS:
        ink, labels = whole(digit_pairs, split)[..., 0] // 15, digit_pairs.labels(split)
        left, right = ([np.ascontiguousarray(i).tobytes() for i in half]
                       for half in (ink[:, :, :8], ink[:, :, 8:]))  # fmt: skip
        assert [10 * label_of[a] + label_of[b] for a, b in zip(left, right, strict=True)] == (
            labels.tolist()
        )
        used[split] = {*left, *right}
    assert not used["train"] & used["test"]
    assert len(used["train"]) > 1300  # of 1347: the draw goes through all of them
    assert len(used["test"]) > 440  # of 450


def test_a_pair_is_two_images_of_the_dataset_as_they_are(digit_pairs):
    single = build_dataset(Source("digits", "digits", {}))
    known = {image.tobytes() for image in whole(single, "test")}
    for pair in digit_pairs.images("test", 0, 50):
        assert {pair[:, :8].tobytes(), pair[:, 8:].tobytes()} <= known


def test_a_part_of_the_pairs_is_a_part_of_the_whole(digit_pairs):
    images = whole(digit_pairs, "test")
    for start, stop in ((0, 1), (29, 31), (2999, 3000), (7, 7)):
        np.testing.assert_array_equal(digit_pairs.images("test", start, stop), images[start:stop])


def test_the_seed_settles_the_pairs():
    first, same, other = (paired(n_train=3, n_test=2, split_seed=seed) for seed in (4, 4, 5))
    assert first.fingerprint == same.fingerprint != other.fingerprint
    for split in SPLITS:
        np.testing.assert_array_equal(whole(first, split), whole(same, split))
        assert (whole(first, split) != whole(other, split)).any()


def test_the_fingerprint_is_that_of_the_images_and_pairs():
    others = ({}, {"n_train": 4}, {"shrink": 2}, {"of": {"digits": {"split_seed": 1}}})
    assert len({paired(**{"n_train": 3, "n_test": 2, **p}).fingerprint for p in others}) == 4


def test_mnist_pairs_may_be_shrunk_to_means_of_pixels(tmp_path):
    write_mnist(tmp_path, rows={"train": 30, "test": 20})
    arguments = ["dataset=[mnist_pairs]", f"paths.data={tmp_path}"]
    small = ["dataset.mnist_pairs.pairs.n_train=4", "dataset.mnist_pairs.pairs.n_test=3"]
    made = []
    for shrink in (1, 4):
        more = [*small, f"dataset.mnist_pairs.pairs.shrink={shrink}"]
        (source,) = read(compose(parse([*arguments, *more]))[0].raw).datasets
        made.append(build_dataset(source))
    full, shrunk = (whole(dataset, "train") for dataset in made)
    assert full.shape == (400, 28, 56, 1)
    assert shrunk.shape == (400, 7, 14, 1)
    assert made[1].shape == (7, 14, 1)
    means = full.astype(float).reshape(400, 7, 4, 14, 4).mean(axis=(2, 4))
    np.testing.assert_array_equal(shrunk[..., 0], np.floor(means + 0.5))


def test_the_real_mnist_gives_pairs_of_its_training_and_of_its_test_images(shared_data):
    folder = str(shared_data / "MNIST" / "raw")
    dataset = paired(of={"idx": {"folder": folder}}, n_train=10, n_test=5)
    single = build_dataset(Source("mnist", "idx", {"folder": folder}))
    for split, n in (("train", 10), ("test", 5)):
        known = Counter(
            (image.tobytes(), label)
            for image, label in zip(whole(single, split), single.labels(split), strict=True)
        )
        for pair, label in zip(whole(dataset, split), dataset.labels(split), strict=True):
            assert (np.ascontiguousarray(pair[:, :28]).tobytes(), label // 10) in known
            assert (np.ascontiguousarray(pair[:, 28:]).tobytes(), label % 10) in known
        assert dataset.size(split) == 100 * n


def test_classes_of_pairs_are_called_after_both(tmp_path):
    file = tmp_path / "two.npz"
    rng = np.random.default_rng(0)
    images = {f"{s}_images": rng.integers(0, 256, (4, 3, 2, 3), np.uint8) for s in SPLITS}
    np.savez(file, **images, train_labels=[0, 0, 1, 1], test_labels=[0, 1, 1, 0])
    dataset = paired(of={"npz": {"file": str(file)}}, n_train=2, n_test=4)
    assert dataset.shape == (3, 4, 3)
    assert dataset.labels("test").tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    assert list(dataset.class_names()) == []  # an npz file names none
    classes = ("cats", "dogs")
    for split in SPLITS:
        for label, name in enumerate(classes):
            folder = tmp_path / "photos" / split / name
            folder.mkdir(parents=True)
            _save(folder / "1.png", images[f"{split}_images"][label])
    named = paired(of={"image_folder": {"folder": str(tmp_path / "photos")}}, n_train=1, n_test=1)
    assert named.class_names() == ["cats cats", "cats dogs", "dogs cats", "dogs dogs"]


def _save(path, image):
    from PIL import Image

    Image.fromarray(image).save(path)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"n_train": 10**6}, ".n_train: 1000000; "),
        (
            {"n_test": 10**4},
            ".n_test: 10000; 44 images of class 0 and 44 of class 0 make 1936",
        ),
        ({"shrink": 3}, ".shrink: 3 does not divide images of 8 x 8 pixels; expected a"),
        ({"n_train": 0}, ".n_train: expected an int of at least 1, got 0"),
        ({"of": {}}, ".of: expected one dataset, {kind: {parameters}}, got 0 of them (none)"),
        (
            {"of": {"digits": {}, "npz": {}}},
            ".of: expected one dataset, {kind: {parameters}}, got 2 of them (digits, npz).",
        ),
        ({"of": {"digit": {}}}, ".of: unknown dataset 'digit'; known: "),
        ({"of": {"digits": 3}}, ".of.digits: expected a mapping of its parameters, got 3"),
        ({"of": {"digits": {"tests": 1}}}, ".of.digits.tests: no such parameter; pairs.of."),
        ({"of": {"digits": {"test_size": 0.001}}}, ".of.digits.test_size: 0.001 leaves class 0"),
    ],
)
def test_wrong_parameters_of_pairs_are_named(params, message):
    with refused(message):
        dataset = paired(**params)
        for split in SPLITS:
            dataset.labels(split)
        dataset.images("train", 0, 1)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        ([0, 2, 2, 0], [0, 2, 2, 0], "no train image of class 1; pairs need images of the same"),
        ([0, 1, 1, 0], [0, 0, 0, 0], "no test image of class 1; pairs need images of the same"),
        ([0, 1, 1, 0], [0, 1, 2, 0], "another class; pairs need images of the same classes 0 to 1"),
    ],
)
def test_pairs_need_every_class_in_both_splits(tmp_path, train, test, message):
    images = {f"{s}_images": np.zeros((4, 2, 2), np.uint8) for s in SPLITS}
    np.savez(tmp_path / "a.npz", **images, train_labels=train, test_labels=test)
    dataset = paired(of={"npz": {"file": str(tmp_path / "a.npz")}}, n_train=1, n_test=1)
    with raises(DataError, message):
        dataset.labels("train")


def test_pairs_need_images_of_one_size(tmp_path):
    for split in SPLITS:
        for name, size in (("a", 2), ("b", 3)):
            (tmp_path / split / name).mkdir(parents=True)
            _save(tmp_path / split / name / "1.png", np.full((size, size), len(split), np.uint8))
    dataset = paired(of={"image_folder": {"folder": str(tmp_path)}}, n_train=1, n_test=1)
    for start in (1, 3):  # of two sizes; both of another size than the first image
        with raises(DataError, "images of several sizes; pairs need images of one size"):
            dataset.images("train", start, start + 1)

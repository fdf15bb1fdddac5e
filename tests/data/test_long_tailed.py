"""Long tails: exact counts, labels that follow their images, and what is refused."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import write_svhn

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.dataset import SPLITS, build_dataset
from imprint_bench.data.datasets.long_tailed import long_tailed_counts
from imprint_bench.data.fetching.downloads import MissingFilesError
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source

SVHN = [4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659]  # training images by class


def with_tail(of, **params):
    return build_dataset(Source("mine", "long_tailed", {"of": of, **params}))


def digits_with_tail(**params):
    return with_tail({"digits": {}}, **params)


def raises(kind, message):
    return pytest.raises(kind, match=re.escape(message))


def refused(message):
    """Expect a sentence that starts with the place of the dataset called mine."""
    return pytest.raises(ConfigError, match=f"^{re.escape(f'dataset.mine.long_tailed{message}')}")


def whole(dataset, split):
    return dataset.images(split, 0, dataset.size(split))


@pytest.fixture(scope="module")
def labeled(tmp_path_factory):
    """Return a function that writes an npz dataset whose pixel values are the row and label."""

    def of(counts, labels=None):
        rng = np.random.default_rng(0)
        names = range(len(counts)) if labels is None else labels
        y = rng.permutation(np.repeat(list(names), counts))
        images = np.zeros((len(y), 1, 3, 1), np.uint8)
        images[:, 0, 0, 0] = y
        images[:, 0, 1, 0], images[:, 0, 2, 0] = np.divmod(np.arange(len(y)), 256)
        test = np.repeat(list(names), 2)
        path = tmp_path_factory.mktemp("labeled") / "labeled.npz"
        np.savez(
            path,
            train_images=images,
            train_labels=y,
            test_images=np.full((len(test), 1, 3, 1), 7, np.uint8),
            test_labels=test,
        )
        return {"npz": {"file": str(path)}}

    return of


# Counts


@pytest.mark.parametrize(
    ("n_classes", "rho", "n_max", "total", "ends"),
    [
        (10, 0.005, 5000, 11_203, (5000, 25)),  # CIFAR-10
        (10, 0.01, 5000, 12_406, (5000, 50)),
        (10, 0.02, 5000, 13_996, (5000, 100)),
        (100, 0.005, 500, 9_502, (500, 2)),  # CIFAR-100
        (100, 0.01, 500, 10_847, (500, 5)),
        (100, 0.02, 500, 12_608, (500, 10)),
        (10, 0.005, 500, 1_117, (500, 2)),  # STL-10
        (10, 0.01, 500, 1_236, (500, 5)),
        (10, 0.02, 500, 1_394, (500, 10)),
    ],
)
def test_the_counts_are_those_of_the_specification(n_classes, rho, n_max, total, ends):
    counts = long_tailed_counts(n_classes, rho=rho, n_max=n_max)
    assert sum(counts) == total
    assert (counts[0], counts[-1]) == ends


def test_the_counts_of_cifar_and_svhn_are_the_published_ones_class_by_class():
    assert long_tailed_counts(10, rho=0.01, n_max=5000) == [
        5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50,
    ]  # fmt: skip
    assert long_tailed_counts(10, rho=0.01, n_max=sum(SVHN) / 10) == [
        7325, 4391, 2632, 1578, 946, 567, 340, 203, 122, 73,
    ]  # fmt: skip


@given(n_classes=st.integers(2, 200), rho=st.floats(1e-4, 1), n_max=st.floats(1, 10_000))
def test_counts_never_rise_and_span_the_share(n_classes, rho, n_max):
    counts = long_tailed_counts(n_classes, rho=rho, n_max=n_max)
    assert counts == sorted(counts, reverse=True)
    assert counts[0] == int(n_max)
    assert counts[-1] == int(n_max * rho)


@pytest.mark.parametrize(
    ("name", "rho", "n_max"),
    [
        (f"{name}_lt_{text}", rho, n_max)
        for name, n_max in (("cifar10", 5000), ("cifar100", 500), ("svhn", 7325.7), ("stl10", 500))
        for text, rho in (("005", 0.005), ("01", 0.01), ("02", 0.02))
    ],
)
def test_every_name_has_the_share_that_it_says_and_the_first_count_of_the_paper(name, rho, n_max):
    (source,) = read(compose(parse([f"dataset=[{name}]"]))[0].raw).datasets
    assert (source.kind, source.params["rho"], source.params["n_max"]) == (
        "long_tailed", rho, n_max,
    )  # fmt: skip


def test_cifar10_has_the_published_counts_and_its_test_images_in_full(shared_data):
    arguments = ["dataset=[cifar10_lt_01,cifar10]", f"paths.data={shared_data}"]
    tail, full = map(build_dataset, read(compose(parse(arguments))[0].raw).datasets)
    assert np.bincount(tail.labels("train")).tolist() == long_tailed_counts(
        10, rho=0.01, n_max=5000
    )
    np.testing.assert_array_equal(tail.labels("test"), full.labels("test"))
    np.testing.assert_array_equal(tail.images("test", 90, 120), full.images("test", 90, 120))
    assert tail.remark() == ""
    assert tail.shape == (32, 32, 3)


# Labels follow images


def test_a_class_that_is_too_small_keeps_all_it_has_and_every_label_follows_its_image(labeled):
    of = labeled([4948 // 50, *(n // 50 for n in SVHN[1:])])  # SVHN at a fiftieth of its size
    dataset = with_tail(of, rho=0.1, n_max=146)
    asked = long_tailed_counts(10, rho=0.1, n_max=146)
    labels, images = dataset.labels("train"), whole(dataset, "train")
    assert np.bincount(labels).tolist() == [98, *asked[1:]]
    np.testing.assert_array_equal(images[:, 0, 0, 0], labels)
    assert dataset.remark() == (
        "The long tail has fewer training images than asked for: 98 of 146 (class 0)."
    )


def test_svhn_is_clipped_to_what_its_files_have(tmp_path):
    write_svhn(tmp_path)  # two training images of each class
    arguments = ["dataset=[svhn_lt_02]", f"paths.data={tmp_path}"]
    (source,) = read(compose(parse(arguments))[0].raw).datasets
    dataset = build_dataset(source)
    full = build_dataset(Source("svhn", "svhn", {"root": str(tmp_path)}))
    for split in SPLITS:
        np.testing.assert_array_equal(dataset.labels(split), full.labels(split))
        np.testing.assert_array_equal(whole(dataset, split), whole(full, split))
    assert dataset.remark() == (
        "The long tail has fewer training images than asked for: 2 of 7,325 (class 0), 2 of 4,743 "
        "(class 1), 2 of 3,071 (class 2) and 7 more classes."
    )


def test_the_images_that_stay_keep_their_order_and_none_is_there_twice(labeled):
    dataset = with_tail(labeled([40, 30, 20]), rho=0.1, n_max=30)
    images = whole(dataset, "train").astype(int)
    rows = images[:, 0, 1, 0] * 256 + images[:, 0, 2, 0]
    assert (np.diff(rows) > 0).all()
    assert np.bincount(images[:, 0, 0, 0]).tolist() == [30, 9, 3]


def test_a_part_of_the_images_is_a_part_of_the_whole():
    dataset = digits_with_tail(rho=0.1)
    images, n = whole(dataset, "train"), dataset.size("train")
    for start, stop in ((0, 1), (5, 33), (n - 1, n), (8, 8)):
        np.testing.assert_array_equal(dataset.images("train", start, stop), images[start:stop])


def test_images_of_several_sizes_are_thinned_too(tmp_path):
    from PIL import Image

    for split in SPLITS:
        for name in ("a", "b"):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for i in range(6):
                image = np.full((2 + i, 3), 10 * i + len(split), np.uint8)
                Image.fromarray(image).save(folder / f"{name}{i}.png")
    dataset = with_tail({"image_folder": {"folder": str(tmp_path)}}, rho=0.5)
    assert np.bincount(dataset.labels("train")).tolist() == [6, 3]
    assert list(dataset.class_names()) == ["a", "b"]
    for image in whole(dataset, "train"):
        assert (image == 10 * (len(image) - 2) + len("train")).all()


# What stays


def test_a_smaller_share_keeps_a_part_of_what_a_larger_one_keeps():
    kept = [
        {image.tobytes() for image in whole(digits_with_tail(rho=rho), "train")}
        for rho in (0.02, 0.1, 1.0)
    ]
    assert kept[0] < kept[1] < kept[2]


def test_the_seed_settles_which_images_stay():
    first, same, other = (digits_with_tail(rho=0.1, draw_seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == same.fingerprint != other.fingerprint
    np.testing.assert_array_equal(whole(first, "train"), whole(same, "train"))
    assert np.bincount(first.labels("train")).tolist() == (
        np.bincount(other.labels("train")).tolist()
    )
    assert {i.tobytes() for i in whole(first, "train")} != {
        i.tobytes() for i in whole(other, "train")
    }
    assert digits_with_tail(rho=0.2).fingerprint != first.fingerprint


def test_the_first_count_is_the_mean_of_all_classes_unless_it_is_given(labeled):
    dataset = digits_with_tail(rho=0.1)
    there = np.bincount(build_dataset(Source("digits", "digits", {})).labels("train"))
    assert there.sum() == 1347
    expected = np.minimum([int(134.7 * 0.1 ** (k / 9)) for k in range(10)], there)
    np.testing.assert_array_equal(np.bincount(dataset.labels("train")), expected)
    even = with_tail(labeled([5, 5, 5]), rho=1.0)
    assert np.bincount(even.labels("train")).tolist() == [5, 5, 5]


def test_classes_may_be_ordered_by_their_sizes(labeled):
    of = labeled([10, 40, 20, 20])
    by_label = with_tail(of, rho=0.1, n_max=40)
    by_count = with_tail(of, rho=0.1, n_max=40, order="count")
    assert long_tailed_counts(4, rho=0.1, n_max=40) == [40, 18, 8, 4]
    assert np.bincount(by_label.labels("train")).tolist() == [10, 18, 8, 4]
    assert np.bincount(by_count.labels("train")).tolist() == [4, 40, 18, 8]
    assert by_count.remark() == ""
    np.testing.assert_array_equal(whole(by_count, "train")[:, 0, 0, 0], by_count.labels("train"))


def test_labels_with_gaps_are_counted_by_their_rank(labeled):
    dataset = with_tail(labeled([8, 8, 8], labels=(3, 50, 7)), rho=0.25)
    classes, counts = np.unique(dataset.labels("train"), return_counts=True)
    assert dict(zip(classes.tolist(), counts.tolist(), strict=True)) == {3: 8, 7: 4, 50: 2}


# What is refused


@pytest.mark.parametrize("rho", [0, -0.1, 1.5])
def test_a_share_outside_its_range_is_refused(rho):
    with refused(f".rho: {rho}; expected a number above 0, at most 1."):
        digits_with_tail(rho=rho)


@pytest.mark.parametrize("n_max", [49, 134.7, 500, 1000])
def test_a_share_that_empties_a_class_is_refused_with_the_smallest_that_does_not(labeled, n_max):
    of = labeled([10] * 5)
    with pytest.raises(ConfigError) as caught:
        with_tail(of, rho=0.5 / n_max, n_max=n_max).labels("train")
    text = str(caught.value)
    assert text.startswith(
        f"dataset.mine.long_tailed.rho: {0.5 / n_max} leaves class 4 without a training image, as "
        f"{int(n_max)} of the first of 5 classes stay; expected at least "
    )
    least = float(text.rpartition("at least ")[2].rstrip("."))
    assert with_tail(of, rho=least, n_max=n_max).labels("train").max() == 4
    with raises(ConfigError, "leaves class 4"):
        with_tail(of, rho=least * 0.97, n_max=n_max).labels("train")


def test_the_class_that_is_emptied_is_named_by_its_label(labeled):
    of = labeled([4, 9, 7], labels=(2, 5, 8))
    with raises(ConfigError, "leaves class 2 without a training image, as 9 of the first of 3"):
        with_tail(of, rho=0.1, n_max=9, order="count").labels("train")


def test_one_class_has_no_tail(labeled):
    with raises(DataError, "1 class; a long tail needs two or more"):
        with_tail(labeled([5]), rho=0.5).labels("train")


def test_missing_files_of_the_dataset_can_be_fetched_as_ever(tmp_path):
    with pytest.raises(MissingFilesError) as caught:
        with_tail({"svhn": {"root": str(tmp_path)}}, rho=0.1)
    assert len(caught.value.downloads) == 2


def test_a_wrong_dataset_is_named_with_its_place():
    with refused(".of: unknown dataset 'svnh'; known: "):
        with_tail({"svnh": {"root": "."}}, rho=0.1)


def test_what_a_dataset_within_refuses_is_named_with_the_whole_place():
    with refused(".of.digits.test_size: 2; expected a number between"):
        with_tail({"digits": {"test_size": 2}}, rho=0.1)
    sparse = with_tail({"digits": {"test_size": 0.001}}, rho=0.1)
    pairs = {"pairs": {"of": {"digits": {}}, "shrink": 3}}
    deep = with_tail({"long_tailed": {"of": pairs, "rho": 1.0}}, rho=0.1)
    for look in (lambda: sparse.labels("train"), lambda: sparse.fingerprint, sparse.remark):
        with refused(".of.digits.test_size: 0.001 leaves class 0 of"):
            look()
    for look in (lambda: deep.shape, lambda: deep.images("train", 0, 1)):
        with refused(".of.long_tailed.of.pairs.shrink: 3 does not divide"):
            look()


def test_a_name_that_is_the_kind_stands_in_the_place_once():
    params = {"of": {"digits": {}}, "rho": 1e-9}
    dataset = build_dataset(Source("long_tailed", "long_tailed", params))
    with pytest.raises(ConfigError, match=r"^dataset\.long_tailed\.rho: 1e-09 leaves class"):
        dataset.labels("train")

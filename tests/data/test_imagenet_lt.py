"""ImageNet-LT: the images that lists name."""

import re

import numpy as np
import pytest
from layouts import WNIDS, write_imagenet_lt
from PIL import Image

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.dataset import SPLITS, build_dataset
from imprint_bench.errors import DataError, ImageError


def built(data):
    arguments = ["dataset=[imagenet_lt]", f"paths.data={data}"]
    (source,) = read(compose(parse(arguments))[0].raw).datasets
    return build_dataset(source)


def raises(kind, message):
    return pytest.raises(kind, match=re.escape(message))


@pytest.fixture(params=[False, True], ids=["val in class folders", "val in one folder"])
def flat(request):
    return request.param


@pytest.fixture
def root(tmp_path):
    return write_imagenet_lt(tmp_path / "imagenet")


def changed(root, split, change):
    path = root / f"ImageNet_LT_{split}.txt"
    path.write_text(change(path.read_text()))
    return path


def test_images_are_those_of_the_lists_in_their_order(tmp_path, flat):
    root = write_imagenet_lt(tmp_path / "imagenet", flat=flat)
    dataset = built(tmp_path)
    for split in SPLITS:
        lines = (root / f"ImageNet_LT_{split}.txt").read_text().splitlines()
        names, labels = zip(*(line.split() for line in lines), strict=True)
        assert dataset.labels(split).tolist() == [int(label) for label in labels]
        images = dataset.images(split, 0, dataset.size(split))
        for image, name in zip(images, names, strict=True):
            (path,) = (root / name.partition("/")[0]).rglob(name.rpartition("/")[2])
            np.testing.assert_array_equal(image, np.asarray(Image.open(path).convert("RGB")))
    assert np.bincount(dataset.labels("train")).tolist() == [3, 2, 1]
    assert np.bincount(dataset.labels("test")).tolist() == [2, 2, 2]
    assert tuple(dataset.class_names()) == WNIDS


def test_where_the_validation_images_lie_changes_no_image(tmp_path):
    write_imagenet_lt(tmp_path / "a" / "imagenet")
    write_imagenet_lt(tmp_path / "b" / "imagenet", flat=True)
    one, other = built(tmp_path / "a"), built(tmp_path / "b")
    for image, same in zip(one.images("test", 0, 6), other.images("test", 0, 6), strict=True):
        np.testing.assert_array_equal(image, same)


def test_the_fingerprint_is_that_of_names_labels_and_sizes(tmp_path):
    root = write_imagenet_lt(tmp_path / "imagenet", flat=True)
    before = built(tmp_path).fingerprint
    write_imagenet_lt(tmp_path / "copy" / "imagenet", flat=True)
    assert built(tmp_path / "copy").fingerprint == before
    path = changed(root, "train", lambda text: text.replace(" 2\n", " 1\n", 1))
    assert built(tmp_path).fingerprint != before
    path.write_text(path.read_text().replace(" 1\n", " 2\n", 1))
    assert built(tmp_path).fingerprint == before
    image = root / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG"
    image.write_bytes(image.read_bytes() + b"\0")
    assert built(tmp_path).fingerprint != before


def test_a_list_may_have_tabs_empty_lines_and_blanks_in_paths(tmp_path, root):
    (root / "train" / WNIDS[0] / f"{WNIDS[0]}_0.JPEG").rename(
        root / "train" / WNIDS[0] / "a b.JPEG"
    )
    changed(
        root,
        "train",
        lambda text: "\n" + text.replace(f"{WNIDS[0]}_0.JPEG ", "a b.JPEG\t") + "\n \n",
    )
    dataset = built(tmp_path)
    assert np.bincount(dataset.labels("train")).tolist() == [3, 2, 1]
    assert len(dataset.images("train", 0, 6)) == 6


@pytest.mark.parametrize(
    ("split", "change", "message"),
    [
        ("train", lambda t: "", "no lines; expected a path and a label per line"),
        ("train", lambda t: t.replace(" 2", "", 1), "JPEG'; expected a path, a blank and a label"),
        ("train", lambda t: t.replace(" 2", " -2", 1), "line 1 is 'train/n01484850/n01484850_0"),
        ("train", lambda t: t.replace(" 2", " cat", 1), "expected a path, a blank and a label"),
        ("train", lambda t: "5\n" + t, "line 1 is '5'; expected a path, a blank and a label"),
        ("train", lambda t: t.replace("train/", "../", 1), "which lies outside the folder"),
        ("train", lambda t: t.replace("train/", "/train/", 1), "which lies outside the folder"),
        ("train", lambda t: t.replace("train/", "C:\\", 1), "which lies outside the folder"),
        ("test", lambda t: f"train/{WNIDS[0]}/{WNIDS[0]}_0.JPEG 0\n", "is a training image, too"),
    ],
)
def test_a_list_that_is_none_is_refused(tmp_path, root, split, change, message):
    path = changed(root, split, change)
    with raises(DataError, message) as caught:
        built(tmp_path).labels(split)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_list_that_is_no_text_is_refused(tmp_path, root):
    (root / "ImageNet_LT_train.txt").write_bytes(b"\xff\xfe\0")
    with raises(DataError, "ImageNet_LT_train.txt: cannot be read as text (UnicodeDecodeError)"):
        built(tmp_path).labels("train")


def test_what_is_missing_is_named(tmp_path, root):
    with raises(DataError, f"{tmp_path}/a/imagenet: no such folder; put the images there, or"):
        built(tmp_path / "a")
    (root / "ImageNet_LT_test.txt").rename(root / "list.txt")
    with raises(DataError, f"{root}/ImageNet_LT_test.txt: no such file; put the list there"):
        built(tmp_path)
    (root / "list.txt").rename(root / "ImageNet_LT_test.txt")
    (root / "val").rename(root / "validation")
    with raises(
        DataError, "no such file (nor in a folder of its class); ImageNet_LT_test.txt names"
    ):
        built(tmp_path).labels("test")


def test_one_image_that_is_missing_is_named_and_is_no_matter_of_the_others(tmp_path, root):
    dataset = built(tmp_path)
    assert dataset.size("train") == 6
    path = root / "train" / WNIDS[1] / f"{WNIDS[1]}_0.JPEG"
    path.unlink()
    with raises(ImageError, f"{path}: cannot be read (No such file or directory)"):
        dataset.images("train", 0, 6)
    assert len(dataset.images("train", 0, 1)) == 1
    assert len(dataset.fingerprint) == 64


def test_labels_that_share_a_folder_have_no_names(tmp_path, root):
    changed(root, "train", lambda text: text.replace("_0.JPEG 0", "_0.JPEG 3"))
    assert tuple(built(tmp_path).class_names()) == ()

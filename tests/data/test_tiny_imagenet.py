"""ImageNet-200 in the folders of Tiny ImageNet's archive."""

import re
import shlex
import subprocess
import sys
import zipfile

import numpy as np
import pytest
from layouts import WNIDS, write_tiny_imagenet
from PIL import Image

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.dataset import SPLITS, build_dataset
from imprint_bench.data.fetching.downloads import Download, MissingFilesError, fetch
from imprint_bench.errors import DataError, ImageError
from imprint_bench.params import Source


def built(root):
    return build_dataset(Source("mine", "tiny_imagenet", {"root": str(root)}))


def raises(kind, message):
    return pytest.raises(kind, match=re.escape(message))


@pytest.fixture
def root(tmp_path):
    return write_tiny_imagenet(tmp_path / "tiny-imagenet-200")


def test_images_have_the_class_of_their_folder_or_of_the_table(root):
    dataset = built(root)
    assert dataset.labels("train").tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert dataset.labels("test").tolist() == [0, 0, 1, 1, 2, 2]
    train = [root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG" for wnid in WNIDS
             for i in range(3)]  # fmt: skip
    test = [root / "val" / "images" / f"val_{i}.JPEG" for i in (0, 3, 1, 4, 2, 5)]
    for split, paths in (("train", train), ("test", test)):
        images = dataset.images(split, 0, dataset.size(split))
        assert images.shape == (len(paths), 64, 64, 3)
        for image, path in zip(images, paths, strict=True):
            np.testing.assert_array_equal(image, np.asarray(Image.open(path).convert("RGB")))
    assert dataset.shape == (64, 64, 3)
    assert tuple(dataset.class_names()) == WNIDS


def test_a_part_of_the_images_is_a_part_of_the_whole(root):
    dataset = built(root)
    images = dataset.images("test", 0, 6)
    np.testing.assert_array_equal(dataset.images("test", 2, 5), images[2:5])
    assert dataset.images("test", 3, 3).shape == (0, 64, 64, 3)
    with raises(DataError, "images 5 to 7 of test: got 1; expected 2"):
        dataset.images("test", 5, 7)


def test_the_fingerprint_is_that_of_the_content_not_of_the_place(root, tmp_path):
    copy = write_tiny_imagenet(tmp_path / "copy" / "tiny-imagenet-200")
    assert built(copy).fingerprint == built(root).fingerprint
    table = copy / "val" / "val_annotations.txt"
    table.write_text(
        table.read_text().replace(f"val_0.JPEG\t{WNIDS[0]}", f"val_0.JPEG\t{WNIDS[1]}")
    )
    assert built(copy).fingerprint != built(root).fingerprint
    (copy / "test" / "images" / "test_0.JPEG").unlink()
    assert len(built(copy).fingerprint) == 64


def missing(data):
    (source,) = read(
        compose(parse(["dataset=[imagenet_200]", f"paths.data={data}"]))[0].raw
    ).datasets
    with pytest.raises(MissingFilesError) as caught:
        build_dataset(source)
    return caught.value


def test_what_is_missing_is_named_with_a_command_that_unpacks_it(root, tmp_path):
    data = tmp_path / "no data"
    error = missing(data)
    assert str(error).startswith(f"{data}/tiny-imagenet-200/train: no such folder; fetch it with: ")
    (download,) = error.downloads
    assert download.path == data / "tiny-imagenet-200.zip"
    assert re.fullmatch("md5:[0-9a-f]{32}", download.checksum)
    archive = data / "tiny-imagenet-200.zip"
    data.mkdir()
    packed(root, archive)
    unpacking = shlex.split(download.command.partition("&& ")[2])
    subprocess.run([sys.executable, *unpacking[1:]], check=True)
    assert built(data / "tiny-imagenet-200").fingerprint == built(root).fingerprint


def packed(root, archive):
    with zipfile.ZipFile(archive, "w") as content:
        for path in sorted(root.rglob("*")):
            content.write(path, path.relative_to(root.parent))


def test_what_was_fetched_is_found(root, tmp_path):
    data = tmp_path / "data"
    (download,) = missing(data).downloads
    packed(root, tmp_path / "shelf.zip")
    fetch([Download((tmp_path / "shelf.zip").as_uri(), download.path, unpack=True)])
    assert built(data / "tiny-imagenet-200").fingerprint == built(root).fingerprint


def test_a_part_that_is_missing_is_named(root):
    (root / "val" / "val_annotations.txt").unlink()
    with raises(MissingFilesError, f"{root}/val/val_annotations.txt: no such file; fetch it"):
        built(root)
    mine = root.rename(root.with_name("mine"))
    with raises(DataError, f"{mine}/val/val_annotations.txt: no such file; expected the folder"):
        built(mine)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.replace("n01440764", "n01440765", 1), "class 'n01440765', which has no train"),
        (lambda t: t.replace("\t", " "), "line 1 gives 'val_5.JPEG n01484850"),
        (lambda t: t.partition("\n")[2], "no class for val_5.JPEG and 0 more; expected a line per"),
        (lambda t: t.replace("val_5", "val_7"), "no class for val_5.JPEG and 0 more"),
        (lambda t: t + "val_9.JPEG\tn01440764\n", "no image for val_9.JPEG and 0 more; expected"),
        (lambda t: "", "no class for val_0.JPEG and 5 more"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(root, change, message):
    table = root / "val" / "val_annotations.txt"
    table.write_text(change(table.read_text()))
    with raises(DataError, message) as caught:
        built(root).labels("test")
    assert str(caught.value).startswith(f"{table}: ")
    assert "\n" not in str(caught.value)


def test_a_table_that_is_no_text_is_refused(root):
    (root / "val" / "val_annotations.txt").write_bytes(b"\xff\xfe\0")
    with raises(DataError, "val_annotations.txt: cannot be read as text (UnicodeDecodeError)"):
        built(root).labels("test")


def test_a_class_without_images_is_refused(root):
    for path in (root / "train" / WNIDS[1] / "images").iterdir():
        path.unlink()
    with raises(DataError, f"{root}/train/{WNIDS[1]}/images: a class without images (*.JPEG)"):
        built(root).labels("train")


def test_one_image_that_cannot_be_read_is_named(root):
    dataset = built(root)
    assert dataset.size("test") == 6
    path = root / "val" / "images" / "val_3.JPEG"
    path.write_bytes(b"<html>")
    with raises(ImageError, f"{path}: the image cannot be decoded"):
        dataset.images("test", 0, 2)
    assert len(dataset.images("test", 2, 6)) == 4
    for split in SPLITS:
        assert dataset.labels(split).dtype == np.int64

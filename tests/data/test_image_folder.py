import os
import re

import numpy as np
import pytest
from PIL import Image

from imprint_bench.data.dataset import SPLITS, build_dataset
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.data.reading import image_digests, image_files
from imprint_bench.errors import ConfigError, DataError, ImageError
from imprint_bench.params import Source

ENDINGS = ["png", "jpg", "JPEG", "webp", "bmp", "gif", "TIF", "tiff", "ppm"]


def built(folder, **params):
    return build_dataset(Source("mine", "image_folder", {"folder": str(folder), **params}))


def raises_data_error(message, kind=DataError):
    return pytest.raises(kind, match=re.escape(message))


def write_image(path, seed, size=(4, 5, 3)):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8)
    Image.fromarray(pixels.squeeze()).save(path)
    return path


@pytest.fixture
def folder(tmp_path):
    """Make two classes of images of several sizes and formats, some in folders of their own."""
    seed = 0
    for split, n in (("train", 5), ("test", 3)):
        for name in ("dog", "cat"):
            for i in range(n):
                deeper = "more/deep" if i == 2 else ""
                ending = ENDINGS[seed % len(ENDINGS)]
                path = tmp_path / "pets" / split / name / deeper / f"{i}.{ending}"
                write_image(path, seed, (4 + i % 2, 5, 3))
                seed += 1
    return tmp_path / "pets"


def test_files_classes_and_pixels_are_those_of_torchvisions_image_folder(folder):
    torchvision()
    from torchvision.datasets import ImageFolder

    for path in folder.rglob("*.gif"):  # torchvision's list of endings lacks it
        path.rename(path.with_suffix(".png"))
    dataset = built(folder)
    for split in SPLITS:
        theirs = ImageFolder(str(folder / split))
        assert list(dataset.class_names()) == theirs.classes
        ours = dataset.images(split, 0, dataset.size(split))
        rows = sorted((y, x.tolist()) for x, y in zip(ours, dataset.labels(split), strict=True))
        assert rows == sorted((y, np.asarray(image).tolist()) for image, y in theirs)


def test_a_part_of_the_images_is_a_part_of_the_whole(folder):
    dataset = built(folder)
    whole = dataset.images("train", 0, 10)
    assert len({image.shape for image in whole}) == 2
    for ours, same in zip(dataset.images("train", 3, 8), whole[3:8], strict=True):
        np.testing.assert_array_equal(ours, same)
    assert dataset.shape == whole[0].shape
    assert dataset.images("train", 2, 2).shape == (0, *dataset.shape)
    with raises_data_error("images 8 to 12 of train: got 2; expected 4."):
        dataset.images("train", 8, 12)


def test_a_validation_split_stands_in_for_test_by_one_key(folder):
    for name in ("cat", "dog"):
        write_image(folder / "val" / name / "0.png", seed=99)
    dataset = built(folder, test_split="val")
    assert dataset.labels("test").tolist() == [0, 1]
    assert dataset.fingerprint != built(folder).fingerprint
    with raises_data_error("dataset.mine.image_folder.test_split: 'train' is train", ConfigError):
        built(folder, test_split="train")


def test_classes_that_are_whole_numbers_are_numbered_by_value(tmp_path):
    for split in SPLITS:
        for i in (10, 9, 0):
            write_image(tmp_path / split / str(i) / "a.png", seed=len(split) + i)
    assert built(tmp_path).class_names() == ("0", "9", "10")


def test_channels_are_those_of_the_first_training_image_or_of_the_parameter(tmp_path):
    for split in SPLITS:
        write_image(tmp_path / split / "a" / "0.png", seed=len(split), size=(4, 5))
        write_image(tmp_path / split / "b" / "0.png", seed=len(split) + 1)
    with raises_data_error("set dataset.NAME.channels=3", ImageError):
        built(tmp_path).images("test", 0, 2)
    grey, color = built(tmp_path), built(tmp_path, channels=3)
    assert (grey.shape, color.shape) == ((4, 5, 1), (4, 5, 3))
    assert color.images("test", 0, 2).shape == (2, 4, 5, 3)
    assert grey.fingerprint != color.fingerprint


def test_what_is_hidden_or_no_image_by_its_ending_stops_nobody(folder):
    before = built(folder)
    labels, fingerprint = before.labels("train"), before.fingerprint
    (folder / "train" / "cat" / "notes.txt").write_text("x")
    (folder / "train" / "cat" / ".hidden.png").write_bytes(b"x")
    (folder / "train" / ".cache").mkdir()
    (folder / "train" / "readme.md").write_text("x")
    after = built(folder)
    np.testing.assert_array_equal(after.labels("train"), labels)
    assert after.fingerprint == fingerprint


def test_the_fingerprint_is_that_of_names_and_content(folder, tmp_path):
    first = built(folder).fingerprint
    moved = folder.rename(tmp_path / "elsewhere")
    for path in moved.rglob("0.*"):
        os.utime(path, (1, 1))
    assert built(moved).fingerprint == first
    path = next((moved / "test" / "cat").glob("1.*"))
    renamed = path.rename(path.with_stem("renamed"))
    other = built(moved).fingerprint
    assert other != first
    renamed.write_bytes(renamed.read_bytes() + b"x")
    assert built(moved).fingerprint not in (first, other)


def test_above_the_limit_sizes_and_times_stand_for_the_content(folder, monkeypatch):
    monkeypatch.setattr(image_digests, "HASHED", 100)
    first = built(folder).fingerprint
    assert built(folder).fingerprint == first
    path = next((folder / "test" / "cat").glob("1.*"))
    os.utime(path, (1, 1))
    assert built(folder).fingerprint != first


def test_an_unchanged_folder_is_listed_once(folder, monkeypatch):
    built(folder).labels("train")
    monkeypatch.setattr(image_files, "_walk", None)  # it would raise a TypeError
    assert built(folder).size("train") == 10


def test_an_image_that_was_added_is_found(folder):
    assert built(folder).size("train") == 10
    os.utime(folder / "train" / "cat", (1, 1))  # whatever the resolution of the clock
    write_image(folder / "train" / "cat" / "new.png", seed=50)
    assert built(folder).size("train") == 11


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"text", "(no known image format, it starts with 74 65 78 74)"), (b"", "zero bytes")],
)
def test_a_file_that_is_no_image_is_named(folder, content, message):
    path = folder / "test" / "cat" / "a.png"
    path.write_bytes(content)
    with raises_data_error(f"{path}: ", ImageError) as caught:
        built(folder).images("test", 0, 7)
    assert message in str(caught.value)


def test_an_image_that_vanished_is_named(folder):
    dataset = built(folder)
    assert dataset.size("test") == 6
    path = next((folder / "test" / "cat").glob("0.*"))
    path.unlink()
    with raises_data_error(f"{path}: cannot be read (No such file or directory)", ImageError):
        dataset.images("test", 0, 6)


def test_a_missing_folder_or_split_is_named_with_what_is_there(folder, tmp_path):
    with raises_data_error(
        f"{tmp_path}/nowhere: no such folder; put the images there as train/CLASS/FILE"
    ):
        built(tmp_path / "nowhere")
    with raises_data_error(
        f"{folder}: no folder 'tests'; there are test, train, to be chosen with train_split and "
        "test_split. Did you mean 'test'?"
    ):
        built(folder, test_split="tests")
    with raises_data_error(
        f"{folder}/train: no folder 'train'; its folders are classes (cat, dog), so move them into"
    ):
        built(folder / "train")


def without_classes(folder):
    (folder / "train").rename(folder / "gone")
    (folder / "train").mkdir()


def one_class(folder):
    (folder / "train" / "dog").rename(folder / "gone")


def beside(folder):
    write_image(folder / "train" / "z.png", seed=70)
    write_image(folder / "train" / "y.png", seed=71)


def an_empty_class(folder):
    (folder / "train" / "bird").mkdir()
    (folder / "train" / "bird" / "notes.txt").write_text("x")


def only_in_test(folder):
    write_image(folder / "test" / "bird" / "0.png", seed=72)


def only_in_train(folder):
    write_image(folder / "train" / "dogs" / "0.png", seed=73)


def in_a_circle(folder):
    (folder / "train" / "cat" / "again").symlink_to(folder / "train" / "cat")


def to_the_split(folder):
    (folder / "train" / "cat" / "more" / "again").symlink_to("../..")


def to_all(folder):
    (folder / "train" / "cat" / "again").symlink_to(folder.parent)


def by_two_links(folder):
    (folder.parent / "out").mkdir()
    (folder / "train" / "cat" / "out").symlink_to(folder.parent / "out")
    (folder.parent / "out" / "back").symlink_to(folder / "train" / "cat")


def by_a_class(folder):
    elsewhere = (folder / "train" / "dog").rename(folder.parent / "dogs")
    (folder / "train" / "dog").symlink_to(elsewhere)
    (elsewhere / "up").symlink_to(folder.parent)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (without_classes, "train: no class folders; expected a folder per class, at least two."),
        (one_class, "train: only one class folder, cat; expected a folder per class, at least two"),
        (beside, "train: 2 images lie beside the class folders (first: y.png); move each into"),
        (an_empty_class, "train/bird: a class without images (png, jpg, jpeg, webp, bmp, gif, "),
        (only_in_test, "test: classes that train lacks (bird); expected the same classes in both."),
        (only_in_train, "train: classes that test lacks (dogs); expected the same classes in both."
                        " Did you mean 'dog'?"),
        (in_a_circle, "train/cat/again: a link to a folder above it; remove the link."),
        (to_the_split, "train/cat/more/again: a link to a folder above it; remove the link."),
        (to_all, "train/cat/again: a link to a folder above it; remove the link."),
        (by_two_links, "train/cat/out/back: a link to a folder above it; remove the link."),
        (by_a_class, "train/dog/up: a link to a folder above it; remove the link."),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_dataset_is_refused_in_one_sentence(folder, change, message):
    change(folder)
    with raises_data_error(message):
        built(folder).labels("train")


def test_a_link_to_no_file_is_one_image_that_cannot_be_read(folder, monkeypatch):
    link = folder / "train" / "cat" / "z.png"
    link.symlink_to(folder / "nowhere.png")
    monkeypatch.chdir(folder)
    dataset = built(".")
    assert dataset.size("train") == 11
    before = dataset.fingerprint
    with raises_data_error(
        f"{link}: a link to a file that is not there; mend or remove it.", ImageError
    ):
        dataset.images("train", 0, 11)
    assert len(dataset.images("train", 6, 11)) == 5
    write_image(folder / "nowhere.png", seed=90)
    assert built(".").fingerprint != before


def test_a_link_to_itself_is_one_image_that_cannot_be_read(folder):
    link = folder / "train" / "cat" / "z.png"
    link.symlink_to(link)
    assert built(folder).size("train") == 11
    with raises_data_error(f"{link}: cannot be read (Too many levels", ImageError):
        built(folder).images("train", 0, 11)


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    class Refusing:
        def __enter__(self):
            raise PermissionError(13, "Permission denied")

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(image_files.os, "scandir", lambda _: Refusing())
    with raises_data_error(f"{folder}/train: cannot be listed (Permission denied); make it a fold"):
        built(folder).labels("train")


def test_what_is_not_read_for_its_ending_is_counted_with_an_example(folder):
    assert built(folder).remark() == ""
    (folder / "train" / "cat" / ".hidden.avif").write_bytes(b"x")
    (folder / "train" / "readme.md").write_text("x")
    assert built(folder).remark() == ""
    image = folder / "train" / "dog" / "more" / "y.avif"
    image.write_bytes(b"x")
    assert built(folder).remark() == (
        f"1 file with another ending ({image}) is not read; image files end in png, jpg, jpeg, "
        "webp, bmp, gif, tif, tiff, ppm, pgm."
    )
    (folder / "test" / "cat" / "notes").write_text("x")
    assert (
        built(folder)
        .remark()
        .startswith(
            f"2 files with other endings (first: {image}) are not read; image files end in png, "
        )
    )


def test_the_remarks_of_the_parts_are_those_of_the_whole(folder):
    (folder / "test" / "cat" / "notes").write_text("x")
    parts = {"mine": {"image_folder": {"folder": str(folder)}}, "digits": {"digits": None}}
    both = build_dataset(Source("both", "concatenation", {"parts": parts}))
    assert both.remark() == built(folder).remark() != ""


def test_a_file_where_a_folder_is_expected_and_an_empty_path_are_said(folder, tmp_path):
    (tmp_path / "afile").write_text("x")
    (folder / "val").write_text("x")
    with raises_data_error(f"{tmp_path}/afile: a file, where a folder is expected; put the images"):
        built(tmp_path / "afile")
    with raises_data_error(f"{tmp_path}/afile/b: no such folder, as {tmp_path}/afile is a file an"):
        built(tmp_path / "afile" / "b")
    with raises_data_error(f"{folder}/val: a file, where a folder is expected; put the images the"):
        built(folder, test_split="val")
    with raises_data_error("dataset.mine.image_folder.folder: an empty path; exp", ConfigError):
        built("")


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
@pytest.mark.parametrize("place", ["train/dog", "test/cat"])
def test_one_image_under_two_names_is_refused(folder, link, place):
    image = write_image(folder / "train" / "cat" / "a.png", seed=80)
    link(image, folder / place / "b.png")
    with raises_data_error("the same file as") as caught:
        built(folder).labels("test")
    assert str(image) in str(caught.value)
    assert f"{place}/b.png" in str(caught.value)


def test_classes_that_are_links_to_folders_are_followed(folder, tmp_path):
    (folder / "train" / "dog").rename(tmp_path / "elsewhere")
    (folder / "train" / "dog").symlink_to(tmp_path / "elsewhere")
    assert built(folder).labels("train").tolist() == [0] * 5 + [1] * 5

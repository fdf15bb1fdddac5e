"""Every published dataset by the name of its YAML file, on small files in its real format."""

import bz2
import gzip
import json
import os
import pickle
import re
import shutil
import tarfile
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from layouts import (
    PUBLISHED_ROWS,
    WNIDS,
    published,
    python_2_pickle,
    write_cifar_binary,
    write_cifar_parquet,
    write_cifar_pickles,
    write_imagenet,
    write_mnist,
    write_mnist_m,
    write_stl10,
    write_svhn,
    write_usps,
)
from scipy.io import savemat

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.data.dataset import SPLITS, ImageDataset, build_dataset
from imprint_bench.data.datasets.image_parquet import image_parquet
from imprint_bench.data.fetching.downloads import Download, MissingFilesError, fetch
from imprint_bench.data.networks.vision import torchvision
from imprint_bench.data.reading.array_pickle import load_arrays
from imprint_bench.errors import ConfigError, DataError, ImageError
from imprint_bench.params import Source

# Of ../shared/data, when the kind of cifar10.yaml was image_parquet.
REAL_CIFAR10 = "d92ca4b34f266b373e094c1020007405ecbc138f0eae4086840c97a6c2892bff"


def write_combi_digits(root):
    for write in (write_mnist, write_mnist_m, write_svhn, write_usps):
        write(root)


WRITERS = {
    "mnist": write_mnist,
    "fashion_mnist": lambda root: write_mnist(root, "FashionMNIST"),
    "cifar10": write_cifar_pickles,
    "cifar100": lambda root: write_cifar_pickles(root, 100),
    "svhn": write_svhn,
    "usps": write_usps,
    "stl10": write_stl10,
    "mnist_m": write_mnist_m,
    "imagenet": lambda root: write_imagenet(root / "imagenet"),
    "combi_digits": write_combi_digits,
}
PARTS = ("mnist", "mnist_m", "svhn", "usps")  # of combi_digits


@cache
def composed(name: str, *overrides: str) -> str:
    """Return the kind and parameters of a YAML file, composed as the command does it, as JSON."""
    arguments = (f"dataset=[{name}]", "paths.data=DATA_FOLDER", *overrides)
    (source,) = read(compose(parse(arguments))[0].raw).datasets
    assert source.name == name
    return json.dumps([source.kind, dict(source.params)])


def named(name: str, root: Path, *overrides: str) -> ImageDataset:
    """Return the dataset of that name in the folder `root`."""
    kind, params = json.loads(composed(name, *overrides).replace("DATA_FOLDER", str(root)))
    return build_dataset(Source(name, kind, params))


@pytest.fixture(params=WRITERS)
def name(request):
    return request.param


@pytest.fixture
def written(name, tmp_path):
    WRITERS[name](tmp_path)
    return named(name, tmp_path)


def whole(dataset, split):
    return list(dataset.images(split, 0, dataset.size(split)))


def raises(kind, message):
    return pytest.raises(kind, match=re.escape(message))


def of_torchvision(name, root, split):
    """Return images (a list of (h, w, c)) and labels as torchvision reads them."""
    datasets, train = torchvision().datasets, split == "train"
    if name in ("mnist", "fashion_mnist"):
        kind = datasets.MNIST if name == "mnist" else datasets.FashionMNIST
        theirs = kind(root, train=train)
    elif name.startswith("cifar"):
        kind = datasets.CIFAR10 if name == "cifar10" else datasets.CIFAR100
        unchecked = type(kind.__name__, (kind,), {"_check_integrity": lambda _: True})
        unchecked._load_meta = lambda _: None
        theirs = unchecked(root, train=train)
    elif name == "svhn":
        unchecked = type("SVHN", (datasets.SVHN,), {"_check_integrity": lambda _: True})
        theirs = unchecked(root / "SVHN", split=split)
    elif name == "usps":
        theirs = datasets.USPS(root / "USPS", train=train)
    elif name == "stl10":
        unchecked = type("STL10", (datasets.STL10,), {"_check_integrity": lambda _: True})
        theirs = unchecked(root, split=split)
    else:
        theirs = datasets.ImageFolder(root / "imagenet" / ("train" if train else "val"))
    images = [np.asarray(image) for image, _ in theirs]
    return [i if i.ndim == 3 else i[..., None] for i in images], [label for _, label in theirs]


@pytest.mark.filterwarnings("ignore:numpy.core:DeprecationWarning")  # pickles of old NumPy
def test_a_named_dataset_is_what_torchvision_reads_from_the_same_files(name, written, tmp_path):
    for split in SPLITS:
        if name == "mnist_m":  # torchvision does not have it
            images, labels = published(split, (28, 28, 3))
        elif name == "combi_digits":
            images, labels = [], []
            for part in PARTS:
                own = (
                    published(split, (28, 28, 3))
                    if part == "mnist_m"
                    else of_torchvision(part, tmp_path, split)
                )
                images += [np.repeat(i, 3, axis=2) if i.shape[2] == 1 else i for i in own[0]]
                labels += list(own[1])
        else:
            images, labels = of_torchvision(name, tmp_path, split)
        assert written.labels(split).tolist() == list(labels)
        ours = whole(written, split)
        assert len(ours) == len(images)
        for one, other in zip(ours, images, strict=True):
            np.testing.assert_array_equal(one, other)


def test_a_part_of_the_images_is_a_part_of_the_whole(written):
    for split in SPLITS:
        images, n = whole(written, split), written.size(split)
        for start, stop in ((0, 1), (1, n - 1), (n - 1, n), (n // 2, n // 2)):
            part = written.images(split, start, stop)
            assert len(part) == stop - start
            for one, other in zip(part, images[start:stop], strict=True):
                np.testing.assert_array_equal(one, other)
    assert whole(written, "train")[0].shape == written.shape
    with raises(DataError, f"images 0 to {n + 1} of test: got {n}; expected {n + 1}"):
        written.images("test", 0, n + 1)


def test_the_fingerprint_is_that_of_the_content_not_of_the_place(name, written, tmp_path):
    WRITERS[name](tmp_path / "copy")
    assert named(name, tmp_path / "copy").fingerprint == written.fingerprint
    before = written.fingerprint
    for path in sorted((tmp_path / "copy").rglob("*")):
        if not path.is_file():
            continue
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(content + b"\0")  # another size; none of the files is read here
        assert named(name, tmp_path / "copy").fingerprint != before, path
        path.unlink()
        path.write_bytes(content)


FIRST_MISSING = {
    "mnist": (
        "MNIST/raw/train-images-idx3-ubyte: no such file (nor with .gz)",
        "train-images-idx3-ubyte.gz https://ossci-datasets.s3.amazonaws.com/mnist/train-images",
        4,
    ),
    "fashion_mnist": ("FashionMNIST/raw/train-images-idx3-ubyte: no such file", "fashion-mnist", 4),
    "cifar10": ("cifar-10-batches-py: no such folder", "/cifar-10-python.tar.gz", 1),
    "cifar100": ("cifar-100-python: no such folder", "/cifar-100-python.tar.gz", 1),
    "svhn": ("SVHN/train_32x32.mat: no such file", "housenumbers/train_32x32.mat", 2),
    "usps": ("USPS/usps.bz2: no such file", "multiclass/usps.bz2", 2),
    "stl10": ("stl10_binary/train_X.bin: no such file", "/stl10_binary.tar.gz", 1),
    "mnist_m": (
        "MNISTM/processed/mnist_m_train.pt: no such file",
        "https://github.com/liyxi/mnist-m/releases/download/data/mnist_m_train.pt.tar.gz",
        2,
    ),
    "combi_digits": ("MNIST/raw/train-images-idx3-ubyte", "There are 3 more parts of which", 10),
}


@pytest.mark.parametrize("name", FIRST_MISSING)
def test_what_is_missing_is_named_with_its_folder_and_a_command_and_can_be_fetched(name, tmp_path):
    first, part, n_downloads = FIRST_MISSING[name]
    with raises(MissingFilesError, f"{tmp_path}/{first}") as caught:
        named(name, tmp_path)
    text, downloads = str(caught.value), caught.value.downloads
    assert part in text
    assert f"; fetch it with: curl -L -o {tmp_path}/" in text
    assert "or set paths.data=FOLDER to the folder that has it." in text
    assert "\n" not in text
    assert len(downloads) == len({d.path for d in downloads}) == n_downloads
    for download in downloads:
        assert re.fullmatch("md5:[0-9a-f]{32}", download.checksum)
        assert download.url.endswith(download.path.name)
        assert download.unpack == download.path.name.endswith(".tar.gz")
        assert download.path.is_relative_to(tmp_path)


@pytest.mark.parametrize("kind", ["cifar", "imagenet", "mnist_m", "stl10", "svhn", "usps"])
def test_an_empty_path_is_not_taken_for_the_folder_that_the_command_runs_in(kind):
    with pytest.raises(ConfigError, match=rf"^dataset.mine.{kind}.root: an empty path; expected"):
        build_dataset(Source("mine", kind, {"root": ""}))


def test_a_file_in_the_place_of_the_folder_is_named(tmp_path):
    (tmp_path / "afile").write_text("x")
    for name in ("mnist", "cifar10", "svhn"):
        with pytest.raises(MissingFilesError) as caught:
            named(name, tmp_path / "afile")
        assert f", as {tmp_path}/afile is a file and no folder; fetch it with: " in str(
            caught.value
        )


def test_only_what_is_missing_is_to_be_fetched(tmp_path):
    write_combi_digits(tmp_path)
    (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").unlink()
    (tmp_path / "USPS/usps.t.bz2").unlink()
    (tmp_path / "MNISTM/processed/mnist_m_test.pt").unlink()
    with raises(MissingFilesError, "There are 2 more parts") as caught:
        named("combi_digits", tmp_path)
    assert [str(d.path.relative_to(tmp_path)) for d in caught.value.downloads] == [
        "MNIST/raw/t10k-labels-idx1-ubyte.gz",
        "MNISTM/processed/mnist_m_test.pt.tar.gz",
        "USPS/usps.t.bz2",
    ]


@pytest.mark.parametrize("name", ["mnist", "cifar10", "svhn", "usps", "stl10", "mnist_m"])
def test_what_was_fetched_is_found(name, tmp_path):
    """Fetch the files of one folder, packed as they are published, into another."""
    data, source = tmp_path / "data", tmp_path / "source"
    with pytest.raises(MissingFilesError) as caught:
        named(name, data)
    WRITERS[name](source)
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    wanted = []
    for download in caught.value.downloads:
        packed = shelf / download.path.name
        folder = source / download.path.parent.relative_to(data)
        if download.unpack:
            with tarfile.open(packed, "w:gz") as archive:
                inside = packed.name.removesuffix(".tar.gz")
                for path in [folder / inside] if inside.endswith(".pt") else folder.iterdir():
                    archive.add(path, path.name)
        elif packed.suffix == ".gz":
            packed.write_bytes(gzip.compress((folder / packed.stem).read_bytes()))
        else:
            shutil.copy(folder / packed.name, packed)
        wanted.append(Download(packed.as_uri(), download.path, unpack=download.unpack))
    fetch(wanted)
    assert named(name, data).fingerprint == named(name, source).fingerprint


def test_idx_files_elsewhere_are_not_to_be_downloaded(tmp_path):
    override = f"dataset.mnist.idx.folder={tmp_path}/mine"
    with raises(DataError, f"{tmp_path}/mine/train-images-idx3-ubyte: no such file") as caught:
        named("mnist", tmp_path, override)
    assert not isinstance(caught.value, MissingFilesError)
    assert "put the four IDX files there" in str(caught.value)


@pytest.mark.parametrize("n_classes", [10, 100])
@pytest.mark.parametrize("write", [write_cifar_pickles, write_cifar_binary, write_cifar_parquet])
def test_every_layout_of_cifar_gives_the_same_images_and_labels(tmp_path, write, n_classes):
    write(tmp_path, n_classes)
    dataset = named(f"cifar{n_classes}", tmp_path)
    for split in SPLITS:
        images, labels = published(split, (32, 32, 3), n_classes)
        np.testing.assert_array_equal(whole(dataset, split), images)
        assert dataset.labels(split).tolist() == labels.tolist()


def test_cifar_prefers_the_folder_of_torchvision_then_the_binary_one(tmp_path):
    write_cifar_parquet(tmp_path)
    write_cifar_binary(tmp_path)
    assert named("cifar10", tmp_path).where.endswith("cifar-10-batches-bin")
    write_cifar_pickles(tmp_path)
    assert named("cifar10", tmp_path).where.endswith("cifar-10-batches-py")


def test_an_incomplete_folder_of_cifar_is_named_with_the_file_that_it_lacks(tmp_path):
    (write_cifar_pickles(tmp_path) / "data_batch_4").unlink()
    with raises(MissingFilesError, f"{tmp_path}/cifar-10-batches-py/data_batch_4: no such file"):
        named("cifar10", tmp_path)


@pytest.mark.parametrize("image", ["image", "img"])
def test_cifar_in_parquet_is_the_image_parquet_of_the_same_folder(tmp_path, image):
    folder = str(write_cifar_parquet(tmp_path, image=image))
    same = image_parquet(folder=folder, image_column=image, label_column="label")
    assert named("cifar10", tmp_path).fingerprint == same.fingerprint


def test_the_real_cifar10_keeps_the_fingerprint_under_which_it_was_embedded(shared_data):
    dataset = named("cifar10", shared_data)
    assert dataset.fingerprint == REAL_CIFAR10
    assert dataset.size("train") == 50_000


@pytest.mark.parametrize(
    ("name", "write", "folders"),
    [
        ("svhn", write_svhn, ["SVHN", ""]),
        ("usps", write_usps, ["USPS", ""]),
        ("mnist_m", write_mnist_m, ["MNISTM/processed", "MNISTM", ""]),
    ],
)
def test_files_may_lie_in_a_folder_of_their_own_or_not(tmp_path, name, write, folders):
    for i, folder in enumerate(folders):
        write(tmp_path / str(i), folder)
        assert named(name, tmp_path / str(i)).size("train") == PUBLISHED_ROWS["train"]


# Damaged files


def edited(change):
    def edit(path):
        content = path.read_bytes()
        path.unlink()
        path.write_bytes(change(content))

    return edit


def filled(content):
    return edited(lambda _: content)


cut = edited(lambda content: content[: len(content) * 2 // 3])


def saved_mat(**arrays):
    return lambda path: savemat(path, arrays)


def saved_pt(content):
    return lambda path: torch.save(content, path)


def pickled(content):
    return lambda path: path.write_bytes(pickle.dumps(content))


def lines(*texts):
    return filled(bz2.compress("\n".join(texts).encode()))


X, Y = np.zeros((32, 32, 3, 4), np.uint8), np.ones((4, 1), np.uint8)
ROW = np.zeros((2, 3072), np.uint8)
PAIRS = " ".join(f"{i}:0.5" for i in range(1, 257))
PT = torch.zeros((4, 28, 28, 3), dtype=torch.uint8)
CIFAR, STL, M = "cifar-10-batches-py/test_batch", "stl10_binary", "MNISTM/processed/mnist_m_test.pt"


class Harmful:
    def __reduce__(self):
        return os.system, ("touch harm",)


DAMAGES = [
    ("mnist", "MNIST/raw/t10k-images-idx3-ubyte", cut, "its header promises (10, 28, 28)"),
    ("cifar10", CIFAR, cut, "no whole pickle of plain arrays ("),
    ("cifar10", CIFAR, pickled([1]), "no whole pickle of plain arrays (it holds a list, not a"),
    ("cifar10", CIFAR, pickled({"data": ROW[:, 1:], "labels": [1, 2]}), "no bytes in rows of 3072"),
    ("cifar10", CIFAR, pickled({"labels": [1, 2]}), "its data are no bytes in rows of 3072"),
    ("cifar10", CIFAR, pickled({"data": ROW, "labels": [1]}), "1 labels for 2 images"),
    ("cifar10", CIFAR, pickled({"data": ROW, "labels": [1, 10]}), "label 10 in row 1; expected 0"),
    ("cifar10", CIFAR, pickled({"data": ROW, "labels": [1, "cat"]}), "no list of whole numbers"),
    ("cifar10", CIFAR, pickled({"data": ROW}), "its labels are no list of whole numbers"),
    ("cifar10", CIFAR, pickled({"data": ROW * 1.0}), "an array of type 'f8', not of whole numbers"),
    ("cifar10", CIFAR, pickled({"data": Harmful()}), "system, which is never called"),
    ("cifar100", "cifar-100-python/test", cut, "no whole pickle of plain arrays ("),
    ("svhn", "SVHN/test_32x32.mat", cut, "no whole MATLAB file ("),
    ("svhn", "SVHN/test_32x32.mat", filled(b""), "no whole MATLAB file ("),
    ("svhn", "SVHN/test_32x32.mat", filled(b"<html>" * 99), "no whole MATLAB file ("),
    ("svhn", "SVHN/test_32x32.mat", saved_mat(X=X), "no y; expected whole numbers (n, 1)"),
    ("svhn", "SVHN/test_32x32.mat", saved_mat(X=X[0], y=Y), "X is uint8 of shape (32, 3, 4)"),
    ("svhn", "SVHN/test_32x32.mat", saved_mat(X=X, y=Y[1:]), "3 labels for 4 images"),
    ("svhn", "SVHN/test_32x32.mat", saved_mat(X=X, y=Y * 11), "label 11 in row 0; expected 1 to"),
    ("svhn", "SVHN/test_32x32.mat", saved_mat(X=X, y=Y * 0), "label 0 in row 0; expected 1 to 10"),
    ("usps", "USPS/usps.t.bz2", cut, "no whole bz2 file ("),
    ("usps", "USPS/usps.t.bz2", filled(b"<html>"), "no whole bz2 file ("),
    ("usps", "USPS/usps.t.bz2", lines(f"1 {PAIRS} 257:0.5"), "line 1 starts '1 1:0.5"),
    ("usps", "USPS/usps.t.bz2", lines("1 0:0.5"), "indices from 1 to 256"),
    ("usps", "USPS/usps.t.bz2", lines("1 1:0.5", "2 1:x"), "line 2 starts '2 1:x'; expected a"),
    ("usps", "USPS/usps.t.bz2", lines("1 1:1.5"), "line 1 has values outside -1 to 1"),
    ("usps", "USPS/usps.t.bz2", lines("1 1:1e99"), "line 1 has values outside -1 to 1"),
    ("usps", "USPS/usps.t.bz2", lines(f"{10**30} 1:1"), "line 1 starts '1000000000"),
    ("usps", "USPS/usps.t.bz2", lines("1 1:nan"), "line 1 has values outside -1 to 1"),
    ("usps", "USPS/usps.t.bz2", lines("1 1:1", "11 1:1"), "label 11 in row 1; expected 1 to 10"),
    ("usps", "USPS/usps.t.bz2", lines(""), "labels of test: no rows; expected at least one"),
    ("stl10", f"{STL}/test_X.bin", cut, "bytes, no multiple of 27648, which is an image"),
    ("stl10", f"{STL}/test_X.bin", filled(b""), "0 bytes, no multiple of 27648"),
    (
        "stl10",
        f"{STL}/test_y.bin",
        edited(lambda c: c[1:]),
        "9 labels for 10 images; expected one label",
    ),
    (
        "stl10",
        f"{STL}/test_y.bin",
        edited(lambda c: b"\x0b" + c[1:]),
        "label 11 in row 0; expected 1 to",
    ),
    (
        "stl10",
        f"{STL}/test_y.bin",
        edited(lambda c: b"\0" + c[1:]),
        "label 0 in row 0; expected 1 to 10",
    ),
    ("mnist_m", M, cut, "no whole file of torch tensors (it is cut off); fetch it again."),
    ("mnist_m", M, filled(b""), "no whole file of torch tensors (it is empty); fetch it again."),
    ("mnist_m", M, filled(b"text"), "(it is not a file of torch.save or safetensors); fetch it"),
    ("mnist_m", M, filled(b"\n<!DOCTYPE html>"), "(it is a web page or another text in angle br"),
    ("mnist_m", M, saved_pt((PT, Harmful())), "(it holds Python objects, which are never loaded)"),
    ("mnist_m", M, saved_pt(PT), "holds torch.uint8 of shape (4, 28, 28, 3); expected images"),
    ("mnist_m", M, saved_pt((PT[..., 0], torch.ones(4))), "of shape (4, 28, 28); expected uint8"),
    ("mnist_m", M, saved_pt((PT, torch.ones(4))), "labels are torch.float32 of shape (4,)"),
    ("mnist_m", M, saved_pt((PT, torch.arange(4) + 7)), "label 10 in row 3; expected 0 to 9"),
    ("mnist_m", M, saved_pt((PT, torch.arange(3))), "3 labels for 4 images"),
    ("combi_digits", "SVHN/test_32x32.mat", cut, "SVHN/test_32x32.mat: no whole MATLAB file ("),
]


@pytest.mark.parametrize(
    ("name", "file", "damage", "message"), DAMAGES, ids=[f"{d[0]}: {d[3]}" for d in DAMAGES]
)
def test_a_damaged_file_is_named(tmp_path, monkeypatch, name, file, damage, message):
    monkeypatch.chdir(tmp_path)
    WRITERS[name](tmp_path)
    dataset = named(name, tmp_path)
    dataset.labels("test")  # in memory, and forgotten when the file changes
    damage(tmp_path / file)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        dataset.labels("test")
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "harm").exists()


# Pickles of arrays


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_are_read_from_the_pickles_of_every_python(tmp_path, protocol):
    rows = np.arange(12, dtype=np.uint8).reshape(3, 4)
    content = {
        "data": rows,
        "by column": np.asfortranarray(rows),
        "numbers": np.arange(3),
        "labels": [1, 2, 3],
    }
    (tmp_path / "p").write_bytes(pickle.dumps(content, protocol))
    loaded = load_arrays(tmp_path / "p")
    assert list(loaded) == list(content)
    for name, value in content.items():
        np.testing.assert_array_equal(loaded[name], value)


def test_the_pickle_of_python_2_is_one_that_numpy_reads(tmp_path):
    rows = published("test", (32, 32, 3))[0].reshape(10, -1)
    content = python_2_pickle(rows, "labels", [0, 255, 70_000])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = pickle.loads(content, encoding="latin1")
    (tmp_path / "p").write_bytes(content)
    ours = load_arrays(tmp_path / "p")
    np.testing.assert_array_equal(ours.pop("data"), theirs.pop("data"))
    np.testing.assert_array_equal(theirs.pop("labels"), [0, 255, 70_000])
    assert ours == theirs | {"labels": [0, 255, 70_000]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"cos\nsystem\n(S'touch harm'\ntR.", "asks for os.system, which is never called"),
        (b"cbuiltins\neval\n(S'1'\ntR.", "asks for builtins.eval, which is never called"),
        (b"cnumpy\nload\n(S'x'\ntR.", "asks for numpy.load, which is never called"),
        (b"cnumpy.core._internal\n_reconstruct\n.", "which is never called"),
        (pickle.dumps({"a": np.array([{}])}), "an array of type 'O8', not of whole numbers"),
        (pickle.dumps({"a": np.array([1.0])}), "an array of type 'f8'"),
        (pickle.dumps({"a": np.array([1], ">i8")}), "an array with bytes in the order '>'"),
        (pickle.dumps({"a": np.zeros(9, "u1")}).replace(b"K\t\x85", b"K\x08\x85"), "reshape"),
        (b"\x80\x02}(U\x01acnumpy.core.multiarray\n_reconstruct\n)Ru.", "without values"),
        (b"", "Ran out of input"),
    ],
)
def test_a_pickle_that_asks_for_more_than_plain_arrays_is_refused(
    tmp_path, monkeypatch, content, message
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        load_arrays(tmp_path / "p")
    assert str(caught.value).startswith(f"{tmp_path}/p: no whole pickle of plain arrays (")
    assert not (tmp_path / "harm").exists()


# What cannot be put as a damage of one file


def test_a_matlab_file_that_promises_more_than_it_holds_is_refused_before_it_is_read(tmp_path):
    path = write_svhn(tmp_path) / "test_32x32.mat"
    savemat(path, {"X": X, "y": Y})
    content = bytearray(path.read_bytes())
    at = content.index(np.array([32, 32, 3, 4], np.int32).tobytes())
    content[at + 12 : at + 16] = np.array([2_000_000_000], np.int32).tobytes()
    path.write_bytes(content)
    with raises(DataError, "its header promises 6144000000004 values, more than the file can"):
        named("svhn", tmp_path).labels("test")


def test_usps_cannot_expand_without_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("imprint_bench.data.datasets.usps.MOST_BYTES", 1000)
    write_usps(tmp_path)
    with raises(DataError, "usps.bz2: unpacks to more than 1000 bytes; fetch it again"):
        named("usps", tmp_path).labels("train")


# Several in one


def test_combi_digits_tells_which_rows_are_of_which_source(tmp_path):
    write_combi_digits(tmp_path)
    dataset = named("combi_digits", tmp_path)
    n = PUBLISHED_ROWS["test"]
    rows = dataset.parts("test")
    assert rows == {part: range(i * n, (i + 1) * n) for i, part in enumerate(PARTS)}
    for part in PARTS:
        own, first = named(part, tmp_path), rows[part][0]
        for image, other in zip(
            dataset.images("test", first, first + n), whole(own, "test"), strict=True
        ):
            np.testing.assert_array_equal(image, np.broadcast_to(other, image.shape))
    assert named("mnist", tmp_path).parts is None


def test_images_of_parts_of_one_size_are_one_array_and_those_of_several_are_a_list(tmp_path):
    write_combi_digits(tmp_path)
    dataset = named("combi_digits", tmp_path)
    assert dataset.shape == (28, 28, 3)
    assert dataset.images("test", 5, 15).shape == (10, 28, 28, 3)  # mnist and mnist_m
    mixed = dataset.images("test", 15, 35)
    assert [image.shape for image in mixed[::5]] == [(s, s, 3) for s in (28, 32, 32, 16)]


AT_PARTS = "dataset.mine.concatenation.parts"


def combined(**parts):
    return build_dataset(Source("mine", "concatenation", {"parts": parts}))


def test_parts_must_have_the_same_classes(tmp_path):
    folder = write_mnist(tmp_path)
    write_usps(tmp_path)
    labels = folder / "train-labels-idx1-ubyte"
    edited(lambda content: content[:8] + content[8:].replace(b"\7", b"\6"))(labels)
    parts = {"usps": {"usps": {"root": str(tmp_path)}}, "m": {"idx": {"folder": str(folder)}}}
    with raises(DataError, f"{AT_PARTS}.m: no training image of class 7, which another"):
        combined(**parts).labels("train")
    assert combined(**parts).size("test") == 2 * PUBLISHED_ROWS["test"]


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({}, ": no parts; expected at least one dataset"),
        ({"a": {"idx": {}, "usps": {}}}, ".a: expected {kind: {parameters}}"),
        ({"a": "mnist"}, ".a: expected {kind: {parameters}}, got 'mnist'"),
        ({"a": {"usp": {"root": "x"}}}, ".a: unknown dataset 'usp'; known"),
        ({"a": {"usps": {"rot": "x"}}}, ".a.usps.rot: no such parameter"),
        ({"a": {"usps": None}}, ".a.usps.root: missing"),
        ({"a": {"usps": 3}}, ".a.usps: expected a mapping of its parameters, got 3"),
        ({"a": {"usps": {"root": ""}}}, ".a.usps.root: an empty path; expected"),
        ({"digits": {"digits": {"test_size": 2}}}, ".digits.digits.test_size: 2; exp"),
    ],
)
def test_wrong_parts_are_named_with_their_place(parts, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(AT_PARTS + message)}"):
        combined(**parts)


def test_classes_of_a_part_can_follow_those_of_the_parts_before(tmp_path):
    folder = write_mnist(tmp_path)
    parts = {"digits": {"digits": {}}, "mnist": {"idx": {"folder": str(folder)}}}
    shared = combined(**parts)
    own = build_dataset(Source("mine", "concatenation", {"parts": parts, "labels": "offset"}))
    for split in ("train", "test"):
        n = len(shared.parts(split)["digits"])
        labels = shared.labels(split)
        expected = np.concatenate([labels[:n], labels[n:] + 10])
        np.testing.assert_array_equal(own.labels(split), expected)
    assert own.fingerprint != shared.fingerprint
    assert build_dataset(
        Source("mine", "concatenation", {"parts": parts, "labels": "shared"})
    ).fingerprint == shared.fingerprint  # fmt: skip


def test_classes_that_follow_others_must_be_trained(tmp_path):
    folder = write_mnist(tmp_path)
    edited(lambda content: content[:8] + content[8:].replace(b"\x09", b"\6"))(
        folder / "train-labels-idx1-ubyte"
    )
    parts = {"mnist": {"idx": {"folder": str(folder)}}, "digits": {"digits": {}}}
    own = build_dataset(Source("mine", "concatenation", {"parts": parts, "labels": "offset"}))
    with raises(DataError, f"{AT_PARTS}.mnist: no training image of class 9, which is in"):
        own.labels("test")


# ImageNet


def test_imagenet_reads_only_the_classes_in_use_and_keeps_their_labels(tmp_path):
    write_imagenet(tmp_path / "imagenet")
    full = named("imagenet", tmp_path)
    part = named("imagenet", tmp_path, "dataset.imagenet.classes=[2,0]")
    assert part.labels("train").tolist() == [0, 0, 0, 2, 2, 2]
    assert part.labels("test").tolist() == [0, 0, 2, 2]
    wanted = [image for image, label in zip(whole(full, "train"), full.labels("train"), strict=True)
              if label != 1]  # fmt: skip
    for one, other in zip(whole(part, "train"), wanted, strict=True):
        np.testing.assert_array_equal(one, other)
    assert tuple(part.class_names()) == WNIDS
    assert part.fingerprint != full.fingerprint
    before, full_before = part.fingerprint, full.fingerprint
    (tmp_path / "imagenet/train" / WNIDS[1] / "more.JPEG").write_bytes(b"of a class not in use")
    assert named("imagenet", tmp_path, "dataset.imagenet.classes=[2,0]").fingerprint == before
    assert named("imagenet", tmp_path).fingerprint != full_before


def test_fewer_than_a_thousand_classes_are_said_once(tmp_path, caplog):
    write_imagenet(tmp_path / "imagenet")
    for _ in range(2):
        named("imagenet", tmp_path).labels("train")
    assert [record.message for record in caplog.records] == [
        f"{tmp_path}/imagenet: 3 classes instead of 1000, so that labels are not those of ImageNet."
    ]


def test_imagenet_is_grey_and_color_of_several_sizes_all_in_three_channels(tmp_path):
    write_imagenet(tmp_path / "imagenet")
    dataset = named("imagenet", tmp_path)
    assert [i.shape for i in dataset.images("train", 0, 3)] == [
        (20, 30, 3), (21, 29, 3), (22, 28, 3),
    ]  # fmt: skip
    assert dataset.shape == (20, 30, 3)


def test_a_class_list_that_does_not_fit_is_refused(tmp_path):
    write_imagenet(tmp_path / "imagenet")
    for classes, message in (
        ("[]", "dataset.imagenet.classes: an empty list; expected labels, or null for all"),
        ("[1,1000]", "dataset.imagenet.classes[1]: 1000; expected a label from 0 to 999"),
        ("[-1]", "dataset.imagenet.classes[0]: -1; expected a label from 0 to 999"),
    ):
        with raises(ConfigError, message):
            named("imagenet", tmp_path, f"dataset.imagenet.classes={classes}")
    dataset = named("imagenet", tmp_path, "dataset.imagenet.classes=[3]")
    with raises(ConfigError, f"dataset.imagenet.classes: no class 3; {tmp_path}/imagenet has cl"):
        dataset.labels("train")


def test_imagenet_that_is_not_there_says_where_it_comes_from(tmp_path):
    root = tmp_path / "imagenet"
    with raises(DataError, f"{root}/train: no such folder; get ILSVRC2012_img_train.tar and") as e:
        named("imagenet", tmp_path)
    assert not isinstance(e.value, MissingFilesError)
    assert f"torchvision.datasets.ImageNet('{root}', split='train')" in str(e.value)
    (root / "train").mkdir(parents=True)
    for name in ("ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"):
        (root / name).touch()
    with raises(DataError, f"{root}/val: no such folder; ILSVRC2012_img_val.tar is there, unpack"):
        named("imagenet", tmp_path)


def test_folders_that_are_not_imagenets_are_refused(tmp_path):
    root = write_imagenet(tmp_path / "imagenet")
    (root / "val" / "cats").mkdir()
    with raises(DataError, f"{root}/val: a folder 'cats'; expected one folder per class"):
        named("imagenet", tmp_path).labels("train")
    (root / "val" / "cats").rename(root / "val" / "n09999999")
    with raises(DataError, "n09999999 is in one of train and val only; expected the same classes"):
        named("imagenet", tmp_path).labels("train")
    (root / "train" / "n09999999").mkdir()
    with raises(DataError, f"{root}/train/n09999999: a class without images (*.JPEG)"):
        named("imagenet", tmp_path).labels("train")
    assert named("imagenet", tmp_path, "dataset.imagenet.classes=[0]").size("test") == 2


def to_nothing(path):
    path.unlink()
    path.symlink_to(path.with_name("nowhere"))


@pytest.mark.parametrize("damage", [cut, filled(b""), filled(b"<html>"), Path.unlink, to_nothing])
def test_one_image_that_cannot_be_read_is_named_and_is_no_matter_of_the_others(tmp_path, damage):
    path = write_imagenet(tmp_path / "imagenet") / "val" / WNIDS[1] / f"{WNIDS[1]}_0.JPEG"
    dataset = named("imagenet", tmp_path)
    assert dataset.size("test") == 6
    damage(path)
    with raises(ImageError, f"{path}: "):
        dataset.images("test", 2, 3)
    assert len(dataset.fingerprint) == 64
    assert len(dataset.images("test", 0, 2)) == 2


def test_every_dataset_that_has_a_name_in_torchvision_or_the_paper_is_exercised():
    conf = Path(__file__).parents[2] / "conf" / "dataset"
    kinds = {
        p.stem: next(iter(yaml.safe_load(p.read_text()).values())) for p in conf.glob("*.yaml")
    }
    assert set(WRITERS) <= set(kinds)
    assert set(kinds) - set(WRITERS) <= {
        "digits", "imagenet32", "npz", "precomputed", "image_folder", "image_parquet",
        # in tests of their own
        "digit_pairs", "mnist_pairs", "mnist_lt", "mnist_lt_005", "mnist_lt_02", "cifar10_small",
        "imagenet_200", "imagenet_lt",
        *(f"{n}_lt_{rho}" for n in ("cifar10", "cifar100", "svhn", "stl10")
          for rho in ("005", "01", "02")),
    }  # fmt: skip

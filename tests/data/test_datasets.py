import gzip
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from layouts import ROWS, pictures, write_idx, write_idx_folder
from sklearn.datasets import load_digits

from imprint_bench.data.dataset import SPLITS, build_dataset, checked_labels
from imprint_bench.data.reading import npz_rows
from imprint_bench.data.reading.files import existing, npz_header
from imprint_bench.durable import sha256_of
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source


def built(kind, **params):
    return build_dataset(Source("mine", kind, {k: _plain(v) for k, v in params.items()}))


def _plain(value):
    return value if isinstance(value, int | float) else str(value)


def whole(dataset, split):
    return dataset.images(split, 0, dataset.size(split))


def raises_data_error(message):
    return pytest.raises(DataError, match=re.escape(message))


@pytest.fixture(params=["idx", "idx.gz", "image_parquet", "npz"])
def layout(request, tmp_path):
    """Return a dataset per layout, and its number of channels."""
    if request.param.startswith("idx"):
        folder = write_idx_folder(tmp_path / "raw", request.param[3:])
        return built("idx", folder=folder), 1
    if request.param == "npz":
        return built("npz", file=request.getfixturevalue("npz_file")), 3
    return built("image_parquet", folder=request.getfixturevalue("parquet_folder")), 3


def test_every_layout_gives_back_what_was_written(layout):
    dataset, channels = layout
    for split in SPLITS:
        images, labels = pictures(split, channels)
        np.testing.assert_array_equal(whole(dataset, split), images)
        np.testing.assert_array_equal(dataset.labels(split), labels)
        assert dataset.labels(split).dtype == np.int64
        assert dataset.size(split) == ROWS[split]
    assert dataset.shape == images.shape[1:]


def test_a_part_of_the_images_is_a_part_of_the_whole(layout):
    dataset, _ = layout
    np.testing.assert_array_equal(dataset.images("train", 5, 23), whole(dataset, "train")[5:23])
    np.testing.assert_array_equal(dataset.images("train", 29, 30), whole(dataset, "train")[29:])


def test_an_unknown_split_and_rows_beyond_the_end_are_refused(layout):
    dataset, _ = layout
    with pytest.raises(ValueError, match="split 'val'"):
        dataset.labels("val")
    with pytest.raises(DataError, match="images 10 to 13 of test"):
        dataset.images("test", 10, 13)


def test_the_fingerprint_is_that_of_the_content_not_of_the_place(tmp_path, idx_folder):
    first = built("idx", folder=idx_folder).fingerprint
    assert first == built("idx", folder=write_idx_folder(tmp_path / "copy")).fingerprint
    assert first == built("idx", folder=write_idx_folder(tmp_path / "zip", ".gz")).fingerprint
    labels = idx_folder / "t10k-labels-idx1-ubyte"
    content = bytearray(labels.read_bytes())
    content[-1] ^= 1
    labels.unlink()
    labels.write_bytes(content)
    assert first != built("idx", folder=idx_folder).fingerprint


def test_digits_are_scikit_learns_times_fifteen_each_in_one_split():
    dataset, bunch = built("digits"), load_digits()
    images = np.concatenate([whole(dataset, split) for split in SPLITS])[..., 0]
    labels = np.concatenate([dataset.labels(split) for split in SPLITS])
    ours = sorted(
        (int(y), *(x // 15).ravel().tolist()) for x, y in zip(images, labels, strict=True)
    )
    theirs = sorted(
        (int(y), *x.ravel().astype(int).tolist())
        for x, y in zip(bunch.images, bunch.target, strict=True)
    )
    assert ours == theirs


def test_digits_are_split_class_by_class_and_the_seed_settles_how():
    dataset = built("digits", test_size=0.2, split_seed=1)
    wanted = [round(0.2 * n) for n in np.bincount(load_digits().target)]
    assert np.bincount(dataset.labels("test")).tolist() == wanted
    same = built("digits", test_size=0.2, split_seed=1)
    other = built("digits", test_size=0.2, split_seed=2)
    assert dataset.fingerprint == same.fingerprint != other.fingerprint


@pytest.mark.parametrize("test_size", [0.0, 1.0, 0.001])
def test_digits_keep_every_class_in_both_splits(test_size):
    with pytest.raises(ConfigError, match=rf"^dataset.mine.digits.test_size: {test_size}"):
        built("digits", test_size=test_size).labels("train")


def test_a_missing_idx_file_is_named_with_how_to_get_it(tmp_path, idx_folder):
    (idx_folder / "t10k-images-idx3-ubyte").unlink()
    with raises_data_error(
        f"{idx_folder}/t10k-images-idx3-ubyte: no such file (nor with .gz); fetch it with: "
        f"curl -L -o {idx_folder}/t10k-images-idx3-ubyte.gz https://"
    ):
        built("idx", folder=idx_folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with nothing; expected 00 00 08 03"),
        (b"\x89PNG\r\n", "starts with 89 50 4e 47; expected 00 00 08 03"),
        (bytes([0, 0, 8, 3, 0, 0]), "it ends within its header"),
        (bytes([0, 0, 8, 3]) + struct.pack(">3I", 30, 6, 6) + bytes(99), "has 99 bytes of values"),
    ],
)
def test_a_damaged_idx_file_is_named(idx_folder, content, message):
    (idx_folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte: .*{message}"):
        built("idx", folder=idx_folder).labels("train")


@pytest.mark.parametrize(("cut", "message"), [(slice(-30), "ended before"), (None, "fewer values")])
def test_a_damaged_gzipped_idx_file_is_named(tmp_path, cut, message):
    folder = write_idx_folder(tmp_path / "raw", ".gz")
    path = folder / "train-images-idx3-ubyte.gz"
    content = path.read_bytes()
    path.write_bytes(content[cut] if cut else gzip.compress(gzip.decompress(content)[:-9]))
    with pytest.raises(DataError, match=f"train-images-idx3-ubyte.gz: damaged, .*{message}"):
        built("idx", folder=folder).images("train", 0, 3)


def test_a_gzipped_file_cannot_expand_beyond_what_its_header_promises(tmp_path):
    folder = write_idx_folder(tmp_path / "raw", ".gz")
    path = folder / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + bytes(5_000_000)))
    with raises_data_error("it has more values than its header promises, (30, 6, 6)"):
        built("idx", folder=folder).images("train", 0, 3)


def test_idx_labels_and_images_of_different_number_are_refused(idx_folder):
    write_idx(idx_folder / "train-labels-idx1-ubyte", np.zeros(29))
    with raises_data_error(
        "29 labels for 30 images in train-images-idx3-ubyte; expected one label per"
    ):
        built("idx", folder=idx_folder).labels("train")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_labels": np.zeros(29, int)}, "29 train_labels for 30 train_images; expected one"),
        ({"train_labels": np.zeros((30, 4), int)}, "shape (30, 4); expected one label per row"),
        (
            {"train_labels": np.array(["a"] * 30)},
            "such as 'a'; expected whole numbers, for instance nu",
        ),
        ({"train_labels": np.array([{}] * 30)}, "holds Python objects (a pickle), which are never"),
        ({"train_images": np.zeros((30, 6, 6, 6), np.uint8)}, "is uint8 of shape (30, 6, 6, 6)"),
        ({"train_images": np.zeros((30, 6, 6))}, "is float64 of shape (30, 6, 6)"),
        ({"train_labels": None}, "no array 'train_labels'; it holds"),
    ],
)
def test_an_npz_file_with_wrong_arrays_is_refused(npz_file, changed, message):
    with np.load(npz_file) as archive:
        arrays = {name: archive[name] for name in archive.files} | changed
    np.savez(npz_file, **{name: a for name, a in arrays.items() if a is not None})
    with raises_data_error(message):
        built("npz", file=npz_file).labels("train")


def test_a_validation_split_of_an_npz_file_stands_in_for_test_by_one_key(npz_file):
    images, labels = pictures("train", channels=3)
    with np.load(npz_file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(npz_file, **arrays | {"val_images": images[:9], "val_labels": labels[:9, None]})
    dataset = built("npz", file=npz_file, test_split="val")
    np.testing.assert_array_equal(whole(dataset, "test"), images[:9])
    np.testing.assert_array_equal(dataset.labels("test"), labels[:9])
    plain = built("npz", file=npz_file, test_split="test")
    assert plain.fingerprint == sha256_of(npz_file) != dataset.fingerprint
    with raises_data_error("no array 'vall_images'; it holds ") as caught:
        built("npz", file=npz_file, train_split="vall").images("train", 0, 1)
    assert "Did you mean 'val_images'?" in str(caught.value)
    with pytest.raises(ConfigError, match=r"^dataset.mine.npz.test_split: 'val' is train_sp"):
        built("npz", file=npz_file, train_split="val", test_split="val")


@pytest.mark.parametrize(
    ("params", "key"),
    [({}, "test_split=val"), ({"train_split": "vall", "test_split": "train"}, "train_split=val")],
)
def test_another_split_of_an_npz_file_is_offered_where_one_is_missing(tmp_path, params, key):
    images, labels = pictures("train", channels=3)
    arrays = {
        f"{s}_{k}": a for s in ("train", "val") for k, a in (("images", images), ("labels", labels))
    }
    np.savez(tmp_path / "a.npz", **arrays)
    split = key.partition("_")[0]
    with raises_data_error(
        f"{tmp_path}/a.npz: no array '{params.get(f'{split}_split', split)}_images'; it holds "
        f"train_images, train_labels, val_images, val_labels, so set dataset.NAME.{key}."
    ):
        built("npz", file=tmp_path / "a.npz", **params).labels(split)


@pytest.mark.parametrize(
    ("wanted", "names", "near"),
    [
        ("test_labels", ["train_labels", "test_label"], "test_label"),
        ("vall_images", ["val_labels", "train_images", "val_images"], "val_images"),
        ("test_labels", ["train_labels", "train_images", "test_images"], None),
        ("test_images", ["TestImages", "test-images"], "test-images"),
    ],
)
def test_the_nearest_array_is_of_the_same_split_or_the_same_kind(tmp_path, wanted, names, near):
    np.savez(tmp_path / "a.npz", **dict.fromkeys(names, np.zeros(3)))
    with raises_data_error(f"no array {wanted!r}; it holds ") as caught:
        npz_header(tmp_path / "a.npz", wanted)
    assert str(caught.value).partition(f"{names[-1]}.")[2] == (
        "" if near is None else f" Did you mean {near!r}?"
    )


@pytest.mark.parametrize("grey", SPLITS)
def test_grey_and_color_in_one_npz_file_are_refused_by_their_headers(npz_file, grey):
    with np.load(npz_file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(npz_file, **arrays | {f"{grey}_images": arrays[f"{grey}_images"][..., 0]})
    kinds = {split: "grey" if split == grey else "in color" for split in SPLITS}
    with raises_data_error(
        f"{npz_file}: train_images are {kinds['train']}, test_images {kinds['test']}; expected as "
    ):
        _ = built("npz", file=npz_file).shape


def test_something_else_in_the_place_of_a_file_is_said(tmp_path):
    (tmp_path / "afile").write_text("x")
    (tmp_path / "link.npz").symlink_to(tmp_path / "gone.npz")
    for path, message in {
        tmp_path: "a folder, where a file is expected; put an npz file",
        tmp_path / "afile" / "a.npz": f"no such file, as {tmp_path}/afile is a file and no folder",
        tmp_path / "link.npz": "no such file, but a link to one that is not there; put",
    }.items():
        with raises_data_error(f"{path}: {message}"):
            built("npz", file=path)
    with raises_data_error("train-images-idx3-ubyte: no such file (nor with .gz), as "):
        built("idx", folder=tmp_path / "afile")
    with raises_data_error("'.': this folder, or an empty path; give another."):
        existing(Path(), remedy="give another")
    for kind, key in {"npz": "file", "idx": "folder"}.items():
        with pytest.raises(ConfigError, match=f"^dataset.mine.{kind}.{key}: an empty path; exp"):
            built(kind, **{key: ""})


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("grey", [True, False])
def test_images_that_are_too_many_for_the_memory_are_read_as_they_are_needed(
    tmp_path, monkeypatch, save, grey
):
    monkeypatch.setattr(npz_rows, "WHOLE", 100)
    monkeypatch.setattr(npz_rows, "npz_array", None)  # it would raise a TypeError
    images, labels = pictures("train", 1 if grey else 3)
    held = images[..., 0] if grey else images
    save(tmp_path / "a.npz", train_images=held, train_labels=labels)
    dataset = built("npz", file=tmp_path / "a.npz")
    for start, stop in ((0, 7), (7, 20), (22, 30), (3, 5), (5, 5), (28, 30)):
        ours = dataset.images("train", start, stop)
        np.testing.assert_array_equal(ours, images[start:stop])
        assert ours.flags.writeable
    with raises_data_error("images 28 to 33 of train: got 2; expected 5."):
        dataset.images("train", 28, 33)


def test_images_that_lie_column_by_column_are_read_too(tmp_path, monkeypatch):
    monkeypatch.setattr(npz_rows, "WHOLE", 100)
    images, labels = pictures("train", 3)
    np.savez(tmp_path / "a.npz", train_images=np.asfortranarray(images), train_labels=labels)
    dataset = built("npz", file=tmp_path / "a.npz")
    np.testing.assert_array_equal(dataset.images("train", 4, 9), images[4:9])


@pytest.mark.parametrize("whole", [1, 1 << 30])
def test_a_damaged_image_array_is_refused_where_it_is_read(npz_file, monkeypatch, whole):
    monkeypatch.setattr(npz_rows, "WHOLE", whole)
    content = bytearray(npz_file.read_bytes())
    content[300:600] = bytes(300)  # within the compressed training images
    npz_file.write_bytes(content)
    with pytest.raises(DataError, match=r"med.npz: array train_images cannot be read \("):
        built("npz", file=npz_file).images("train", 0, 30)


def test_a_damaged_npz_file_is_refused(npz_file):
    content = npz_file.read_bytes()
    for damaged in (content[:-50], b"", b"no zip"):
        npz_file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"med.npz: array .*cannot be read"):
            built("npz", file=npz_file).labels("train")
    npz_file.unlink()
    with raises_data_error(f"{npz_file}: no such file; put an npz file in MedMNIST's layout there"):
        built("npz", file=npz_file)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, -1], "here: -1 in row 1; expected whole numbers from 0 on."),
        ([0.5], "here: float64 such as 0.5; expected whole numbers from 0 on."),
        ([], "here: no rows; expected at least one."),
    ],
)
def test_labels_must_be_whole_numbers(labels, message):
    with raises_data_error(message):
        checked_labels(np.array(labels), at="here")


def test_labels_may_have_gaps(npz_file):
    with np.load(npz_file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    np.savez(npz_file, **arrays | {"train_labels": np.array([0, 1, 5] * 10, np.uint8)})
    assert built("npz", file=npz_file).labels("train").tolist() == [0, 1, 5] * 10


def test_a_dataset_without_images_says_what_it_goes_with():
    with raises_data_error("use it with a foundation model of kind precomputed"):
        built("precomputed").labels("train")


def test_a_wrong_parameter_is_named_with_its_place():
    with pytest.raises(ConfigError, match=r"^dataset.mine.idx.file: no such parameter; dataset"):
        built("idx", file="x")
    with pytest.raises(
        ConfigError, match=r"^dataset.mine: unknown dataset 'digit'.*Did you mean 'digits'"
    ):
        built("digit")


@pytest.mark.parametrize(
    ("kind", "params", "shape", "sizes", "label"),
    [
        ("idx", {"folder": "MNIST/raw"}, (28, 28, 1), (60000, 10000), 5),
        ("idx", {"folder": "FashionMNIST/raw"}, (28, 28, 1), (60000, 10000), 9),
        ("image_parquet", {"folder": "cifar10"}, (32, 32, 3), (50000, 10000), None),
        ("npz", {"file": "imagenet32/imagenet32_100.npz"}, (32, 32, 3), (6000, 2000), None),
    ],
)
def test_the_real_datasets_are_read(shared_data, kind, params, shape, sizes, label):
    dataset = built(kind, **{name: shared_data / value for name, value in params.items()})
    assert dataset.shape == shape
    assert tuple(dataset.size(split) for split in SPLITS) == sizes
    assert dataset.images("test", 4990, 5010).std() > 30 if sizes[1] > 5010 else True
    assert label is None or dataset.labels("train")[0] == label  # known from the datasets' pages
    assert np.bincount(dataset.labels("test")).min() >= 20

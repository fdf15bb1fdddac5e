import io
import json
import os
import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import pictures, png, write_shard
from PIL import Image

from imprint_bench.data.dataset import SPLITS, build_dataset, digest
from imprint_bench.durable import sha256_of
from imprint_bench.errors import ConfigError, DataError, ImageError
from imprint_bench.params import Source


def built(folder, **params):
    return build_dataset(Source("mine", "image_parquet", {"folder": str(folder), **params}))


def raises_data_error(message, kind=DataError):
    return pytest.raises(kind, match=re.escape(message))


def write_split(path, labels, *, seed=0, names=None, column=None):
    """Write 6 x 6 pictures with labels, and Hugging Face's metadata if there are names."""
    rng = np.random.default_rng(seed)
    blobs = [png(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)) for _ in range(len(labels))]
    images = pa.array([{"bytes": b, "path": "x.png"} for b in blobs])
    table = pa.table({"image": images, column or "label": labels})
    if names is not None:
        features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
        content = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": content})
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def both_splits(folder, train, test, **options):
    write_split(folder / "train.parquet", train, seed=1, **options)
    write_split(folder / "test.parquet", test, seed=2, **options)
    return folder


def test_images_of_several_sizes_and_formats_are_read(tmp_path):
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (h, w, 3), dtype=np.uint8) for h, w in ((4, 5), (9, 2), (4, 5))]
    for split in SPLITS:
        write_shard(tmp_path / f"{split}-0.parquet", [png(i) for i in images], [0, 1, 2])
    dataset = built(tmp_path)
    assert dataset.shape == (4, 5, 3)
    for ours, written in zip(dataset.images("test", 0, 3), images, strict=True):
        np.testing.assert_array_equal(ours, written)
    assert dataset.images("test", 0, 1).shape == (1, 4, 5, 3)
    assert dataset.images("test", 1, 1).shape == (0, 4, 5, 3)


def test_a_part_that_spans_row_groups_and_shards_is_read_in_order(parquet_folder):
    images, _ = pictures("train", channels=3)
    np.testing.assert_array_equal(built(parquet_folder).images("train", 5, 25), images[5:25])


@pytest.mark.parametrize(
    "files",
    [
        ["train.parquet", "test.parquet"],
        ["train-0.parquet", "test-0.parquet"],
        ["data/train-00000-of-00001.parquet", "data/test-00000-of-00001.parquet"],
        ["data/train-00000-of-00001-89abcdef.parquet", "data/test.parquet"],
    ],
)
def test_shards_are_found_under_the_names_that_are_in_use(tmp_path, files):
    for file, labels in zip(files, ([0, 1, 2], [2, 1]), strict=True):
        write_split(tmp_path / file, labels, seed=len(labels))
    dataset = built(tmp_path)
    assert dataset.labels("train").tolist() == [0, 1, 2]
    assert dataset.labels("test").tolist() == [2, 1]


def test_a_validation_split_stands_in_for_test_by_one_key(tmp_path):
    both_splits(tmp_path, [0, 1], [1, 1])
    write_split(tmp_path / "validation.parquet", [0, 0, 1], seed=3)
    dataset = built(tmp_path, test_split="validation")
    assert dataset.labels("test").tolist() == [0, 0, 1]
    assert dataset.fingerprint != built(tmp_path).fingerprint
    with raises_data_error(
        "dataset.mine.image_parquet.test_split: 'train' is train_split, too; expected another",
        ConfigError,
    ):
        built(tmp_path, test_split="train")


def test_missing_shards_are_named(tmp_path, parquet_folder):
    with raises_data_error(
        "there are test, train, to be chosen with train_split and test_split. D"
    ):
        built(parquet_folder, test_split="tests")
    (parquet_folder / "train-00001-of-00002.parquet").unlink()
    with raises_data_error("1 of 2 shards train-*.parquet; fetch the others"):
        built(parquet_folder)
    with raises_data_error(
        f"{tmp_path}/nowhere/train-*.parquet: no such file (nor train.parquet, nor in data/); "
        "put the parquet shards"
    ):
        built(tmp_path / "nowhere")


def test_one_file_and_shards_of_a_split_are_ambiguous(tmp_path):
    both_splits(tmp_path, [0, 1], [0, 1])
    write_split(tmp_path / "train-0.parquet", [0, 1])
    with raises_data_error("train.parquet: stands beside train-0.parquet; expected either one"):
        built(tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("train.parquet", "data/train-00000-of-00001.parquet"),
        ("train.parquet", "data/train.parquet"),
        ("train-0.parquet", "data/train.parquet"),
        ("train-0.parquet", "data/train-0.parquet"),
    ],
)
def test_a_split_in_the_folder_and_in_its_folder_data_is_ambiguous(tmp_path, one, other):
    write_split(tmp_path / "test.parquet", [0, 1])
    write_split(tmp_path / one, [0, 1], seed=1)
    write_split(tmp_path / other, [0, 1], seed=2)
    with raises_data_error(f"{tmp_path}/{one}: stands beside {other}; expected either one file or"):
        built(tmp_path)


def test_a_file_where_a_folder_is_expected_and_the_reverse_are_said(tmp_path):
    both_splits(tmp_path, [0, 1], [0, 1])
    with raises_data_error(
        f"{tmp_path}/train.parquet: a file; give the folder that holds it, {tmp_path}."
    ):
        built(tmp_path / "train.parquet")
    (tmp_path / "afile").write_text("x")
    with raises_data_error(f"{tmp_path}/afile: a file, where a folder is expected; give the fold"):
        built(tmp_path / "afile")
    with raises_data_error("dataset.mine.image_parquet.folder: an empty path; exp", ConfigError):
        built("")
    for name in ("train.parquet", "train-0.parquet"):
        (tmp_path / "train.parquet").unlink(missing_ok=True)
        (tmp_path / name).mkdir()
        with raises_data_error(f"{tmp_path}/{name}: a folder, where a file is expected; move the"):
            built(tmp_path)
        (tmp_path / name).rmdir()


@pytest.mark.parametrize("link", [os.symlink, os.link], ids=["symbolic", "hard"])
@pytest.mark.parametrize("name", ["train-1.parquet", "test-0.parquet"])
def test_one_shard_under_two_names_is_refused(tmp_path, link, name):
    write_split(tmp_path / "train-0.parquet", [0, 1])
    write_split(tmp_path / "test-1.parquet", [0, 1], seed=1)
    link(tmp_path / "train-0.parquet", tmp_path / name)
    with raises_data_error(f"{name}: the same file as train-0.parquet, reached by two names"):
        built(tmp_path)


def test_a_copy_of_a_training_shard_as_test_is_refused(tmp_path):
    for split in SPLITS:
        write_split(tmp_path / f"{split}.parquet", [0, 1])
    with raises_data_error("test.parquet: a copy of train.parquet, the same images twice"):
        built(tmp_path).fingerprint  # noqa: B018 - reading it is what is tested


def test_parameters_at_their_defaults_leave_the_fingerprint_as_it_always_was(parquet_folder):
    def hashes(split):
        return [sha256_of(path) for path in sorted(parquet_folder.glob(f"{split}-*"))]

    plain = digest(shards={s: hashes(s) for s in SPLITS}, columns=["image", "label"])
    assert built(parquet_folder).fingerprint == plain
    assert built(parquet_folder, train_split="train", channels=None).fingerprint == plain
    others = {
        built(parquet_folder, channels=3).fingerprint,
        built(parquet_folder, class_names=["a", "b", "c"]).fingerprint,
        built(parquet_folder, class_names=["a", "c", "b"]).fingerprint,
    }
    assert len(others | {plain}) == 4


NAMES = ["cat", "dog", "axolotl"]
CODED = pa.array(["dog", "cat", "axolotl", "dog"]).dictionary_encode()


@pytest.mark.parametrize(
    "labels",
    [
        pa.array(["dog", "cat", "axolotl", "dog"]),
        pa.array(["dog", "cat", "axolotl", "dog"], pa.large_string()),
        CODED,
        pa.array([1, 0, 2, 1]),
        pa.array([1, 0, 2, 1], pa.uint8()).dictionary_encode(),
    ],
    ids=["names", "long names", "coded names", "numbers", "coded numbers"],
)
@pytest.mark.parametrize("source", ["metadata", "parameter"])
def test_names_are_numbered_in_the_order_of_the_list(tmp_path, labels, source):
    both_splits(tmp_path, labels, labels, names=NAMES if source == "metadata" else None)
    dataset = built(tmp_path, **({"class_names": NAMES} if source == "parameter" else {}))
    assert dataset.labels("train").tolist() == [1, 0, 2, 1]
    assert list(dataset.class_names()) == NAMES


def test_class_names_that_are_digits_may_be_given_as_numbers(tmp_path):
    both_splits(tmp_path, pa.array(["1", "0", "2"]), pa.array(["2", "1"]))
    dataset = built(tmp_path, class_names=[0, 1, 2])
    assert dataset.labels("train").tolist() == [1, 0, 2]
    assert list(dataset.class_names()) == ["0", "1", "2"]
    assert dataset.fingerprint == built(tmp_path, class_names=["0", "1", "2"]).fingerprint
    with pytest.raises(ConfigError, match=r"class_names: expected a list of str or a list of int"):
        built(tmp_path, class_names=[0, 1.5])


def test_class_names_are_known_from_one_split_or_not_at_all(tmp_path, parquet_folder):
    write_split(tmp_path / "train.parquet", [0, 1], names=["a", "b"])
    write_split(tmp_path / "test.parquet", pa.array(["b", "a"]), seed=1)
    dataset = built(tmp_path)
    assert dataset.labels("test").tolist() == [1, 0]
    assert list(dataset.class_names()) == ["a", "b"]
    assert list(built(parquet_folder).class_names()) == []


@pytest.mark.parametrize(
    ("labels", "params", "message"),
    [
        (["cat"] * 4, {}, "names of classes such as 'cat', which nothing numbers; list them in "
         "dataset.NAME.class_names in the order of their numbers (found: cat)."),
        (["cat", "dgo"], {"class_names": NAMES}, "'dgo' in row 1 is none of the 3 classes cat, dog,"
         " axolotl; mend the label or the list. Did you mean 'dog'?"),
        ([0, 3], {"class_names": NAMES}, "3 in row 1; expected whole numbers from 0 to 2, as "),
        ([0, -1], {}, "-1 in row 1, as in test sets without labels; choose a labeled split"),
        ([0, -2], {}, "-2 in row 1; expected whole numbers from 0 on."),
        ([0, None], {}, "1 rows without a label; expected one label per row."),
        ([0.5, 1.0], {}, "double such as 0.5; expected whole numbers from 0 on, or names of class"),
        ([True, False], {}, "bool such as True; expected whole numbers from 0 on"),
        ([[1], [0]], {}, "such as [1]; expected whole numbers from 0 on"),
    ],
)  # fmt: skip
def test_labels_that_are_of_no_use_are_refused(tmp_path, labels, params, message):
    both_splits(tmp_path, [0, 1], labels)
    with raises_data_error(f"{tmp_path}/test.parquet, column 'label': ") as caught:
        built(tmp_path, **params).labels("test")
    assert message in str(caught.value)


def test_class_names_that_contradict_each_other_are_refused(tmp_path):
    write_split(tmp_path / "train.parquet", [0, 1], names=["a", "b"])
    write_split(tmp_path / "test.parquet", [0, 1], names=["b", "a"], seed=1)
    with raises_data_error("test.parquet: other class names in column 'label' than in"):
        built(tmp_path).labels("train")
    with raises_data_error("class_names[2]: 'a' stands there twice; remove one.", ConfigError):
        built(tmp_path, class_names=["a", "b", "a"])


@pytest.mark.parametrize(
    "metadata", [b"{", b"[]", b'{"info": {"features": {"label": {"names": 3}}}}', b'{"info": null}']
)
def test_metadata_without_class_names_are_no_obstacle(tmp_path, metadata):
    both_splits(tmp_path, [0, 1], [1, 0])
    table = pq.read_table(tmp_path / "train.parquet")
    table = table.replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, tmp_path / "train.parquet")
    assert built(tmp_path).labels("train").tolist() == [0, 1]


def with_test_images(folder, *blobs):
    path = folder / "test-00000-of-00001.parquet"
    write_shard(path, [png(np.zeros((6, 6, 3), np.uint8)), *blobs], [0] * (1 + len(blobs)))
    return path


@pytest.mark.parametrize(
    ("blob", "message"),
    [
        (png(np.zeros((6, 6), np.uint16)), "an image with 16 bits per channel; save it with 8"),
        (None, "no image bytes; expected an encoded image"),
        (b"<script>", "the image cannot be decoded (no known image format, it starts with 3c"),
        (png(pictures("train", 3)[0][0])[:80], "the image cannot be decoded ("),
    ],
)
def test_an_unsuitable_image_is_named_with_its_file_and_row(parquet_folder, blob, message):
    path = with_test_images(parquet_folder, blob)
    dataset = built(parquet_folder)
    assert dataset.images("test", 0, 1).shape == (1, 6, 6, 3)
    with raises_data_error(f"{path}, row 1: {message}", ImageError):
        dataset.images("test", 0, 2)


def test_the_row_that_is_named_is_that_of_its_own_file(parquet_folder):
    path = parquet_folder / "train-00001-of-00002.parquet"
    images, labels = pictures("train", channels=3)
    blobs = [png(image) for image in images[16:]]
    blobs[9] = blobs[9][:40]
    write_shard(path, blobs, labels[16:])
    with raises_data_error(f"{path}, row 9: ", ImageError):
        built(parquet_folder).images("train", 10, 30)


def test_the_first_training_image_settles_the_channels_unless_a_parameter_does(tmp_path):
    grey, color = np.full((6, 6), 7, np.uint8), np.full((6, 6, 3), 9, np.uint8)
    for first, second, name in ((color, grey, "a"), (grey, color, "b")):
        (tmp_path / name).mkdir()
        for split in SPLITS:
            write_shard(tmp_path / name / f"{split}-0.parquet", [png(first), png(second)], [0, 1])
    assert (built(tmp_path / "a").images("test", 1, 2) == 7).all()
    with raises_data_error("row 1: an image in color (RGB) where grey is expected", ImageError):
        built(tmp_path / "b").images("test", 1, 2)
    dataset = built(tmp_path / "b", channels=3)
    assert dataset.shape == (6, 6, 3)
    assert dataset.images("test", 0, 2)[:, 0, 0].tolist() == [[7] * 3, [9] * 3]
    with raises_data_error("row 0: an image in color; set dataset.NAME.channels=3 instead of 1"):
        built(tmp_path / "a", channels=1).images("test", 0, 1)


def test_a_damaged_first_training_image_does_not_hide_the_others(tmp_path):
    blobs = [b"", png(np.full((4, 5), 7, np.uint8))]
    for split in SPLITS:
        write_shard(tmp_path / f"{split}-0.parquet", blobs, [0, 1])
    dataset = built(tmp_path)
    assert dataset.shape == (4, 5, 1)
    assert (dataset.images("train", 1, 2) == 7).all()


def test_a_parquet_file_that_is_none_and_an_unknown_column_are_refused(parquet_folder):
    with raises_data_error("no column 'lable'; it holds image, label. Did you mean 'label'?"):
        built(parquet_folder, label_column="lable").labels("train")
    with raises_data_error("column 'label' is int64; expected encoded images"):
        built(parquet_folder, image_column="label").images("train", 0, 1)
    path = parquet_folder / "test-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:200])
    with raises_data_error(f"{path}: not a whole parquet file ("):
        built(parquet_folder).labels("test")


def test_plain_bytes_are_images_too(tmp_path):
    blob = io.BytesIO()
    Image.new("RGB", (3, 2), (1, 2, 3)).save(blob, "PNG")
    for split, labels in (("train", [0, 1]), ("test", [1])):
        table = pa.table({"image": pa.array([blob.getvalue()] * len(labels)), "label": labels})
        pq.write_table(table, tmp_path / f"{split}.parquet")
    assert built(tmp_path).images("test", 0, 1).tolist() == [[[[1, 2, 3]] * 3] * 2]

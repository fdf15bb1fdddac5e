import builtins
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from layouts import ROWS

from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.durable import sha256_of
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import Source


def opened(file, **params):
    fm = build_foundation_model(Source("mine", "precomputed", {"file": str(file), **params}))
    return fm.arrays_for("words")


def raises_data_error(message, kind=DataError):
    return pytest.raises(kind, match=re.escape(message))


@pytest.fixture
def arrays():
    """Return embeddings (n, 4) and labels of three splits."""
    rng = np.random.default_rng(0)
    rows = {**ROWS, "val": 9}
    return {
        split: (rng.normal(size=(n, 4)).astype(np.float32), np.arange(n) % 3)
        for split, n in rows.items()
    }


def named(arrays):
    """Return the arrays by the names that they have in an npz or safetensors file."""
    return {
        f"{split}_{what}": array
        for split, pair in arrays.items()
        for what, array in zip(("embeddings", "labels"), pair, strict=True)
    }


def save_tensors(path, arrays):
    from safetensors.torch import save_file

    tensors = {k: a if torch.is_tensor(a) else torch.from_numpy(a) for k, a in arrays.items()}
    save_file(tensors, path)
    return path


def as_lists(X, kind=None):
    return pa.array(list(X), kind or pa.list_(pa.float32()))


MIXED = np.random.default_rng(1).permutation(51)


def stacked(arrays):
    """Return embeddings, labels and names of the splits of all rows, split by split."""
    X, y = (np.concatenate([arrays[s][i] for s in arrays]) for i in (0, 1))
    return X, y, np.concatenate([[s] * len(arrays[s][1]) for s in arrays])


def save_table(path, arrays, *, order=slice(None), **more):
    """Write all splits into one file, with their rows in the given order."""
    X, y, splits = (a[order] for a in stacked(arrays))
    columns = {"embedding": as_lists(X), "label": y, "split": splits}
    pq.write_table(pa.table(columns | more), path, row_group_size=10)
    return path


@pytest.fixture(params=["npz", "safetensors", "parquet", "{split}.parquet"])
def file(request, tmp_path, arrays, needed):
    """Return a file of each format with the arrays."""
    path = tmp_path / f"words-{request.param}"
    if request.param == "npz":
        path = tmp_path / "words.npz"
        np.savez(path, **named(arrays))
    elif request.param == "safetensors":
        needed("safetensors", "pip install 'imprint-bench[safetensors]'")
        path = save_tensors(tmp_path / "words.safetensors", named(arrays))
    elif request.param == "parquet":
        path = save_table(tmp_path / "words.parquet", arrays)
    else:
        for split, (X, y) in arrays.items():
            table = pa.table({"embedding": as_lists(X), "label": y})
            pq.write_table(table, tmp_path / f"words-{split}.parquet")
    return path


def test_every_format_gives_the_arrays_back(file, arrays):
    ours = opened(file)
    assert ours.length == 4
    for split in SPLITS:
        X, y = arrays[split]
        np.testing.assert_array_equal(ours.embeddings(split), X)
        np.testing.assert_array_equal(ours.labels(split), y)
        assert ours.embeddings(split).dtype == np.float32
        assert ours.labels(split).dtype == np.int64


def test_a_validation_split_stands_in_for_test_by_one_key(file, arrays):
    ours = opened(file, test_split="val")
    np.testing.assert_array_equal(ours.embeddings("test"), arrays["val"][0])
    np.testing.assert_array_equal(ours.labels("test"), arrays["val"][1])
    assert ours.fingerprint != opened(file).fingerprint
    with raises_data_error("precomputed.test_split: 'train' is train_split, too", ConfigError):
        opened(file, test_split="train")


def test_a_missing_split_is_named_with_the_nearest(file):
    with pytest.raises(DataError, match=r"tset.*(Did you mean 'test|no such file; write it with)"):
        opened(file, test_split="tset").check()


def test_the_fingerprint_of_one_file_is_the_hash_of_its_content(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **named(arrays))
    assert opened(tmp_path / "a.npz").fingerprint == sha256_of(tmp_path / "a.npz")


def test_the_name_of_the_dataset_is_put_into_the_file_name(tmp_path, arrays):
    np.savez(tmp_path / "words.npz", **named(arrays))
    assert opened(tmp_path / "{dataset}.npz").length == 4


@pytest.mark.parametrize("ending", ["npz", "safetensors", "parquet"])
def test_a_missing_file_is_named_with_how_to_write_it(tmp_path, ending):
    with raises_data_error(f"{tmp_path}/no.{ending}: no such file; write it with "):
        opened(tmp_path / f"no.{ending}")


def test_an_unknown_ending_or_a_column_of_an_npz_file_is_refused(tmp_path):
    with raises_data_error("x.npy: unknown ending '.npy'; expected .npz, .saf", ConfigError):
        opened(tmp_path / "x.npy")
    with raises_data_error("but only parquet files have columns; leave them", ConfigError):
        opened(tmp_path / "x.npz", label_column="y")


def test_an_empty_path_and_a_folder_are_said(tmp_path):
    with raises_data_error("precomputed.file: an empty path; expected that of a file", ConfigError):
        opened("")
    (tmp_path / "x.npz").mkdir()
    with raises_data_error(f"{tmp_path}/x.npz: a folder, where a file is expected; write it with "):
        opened(tmp_path / "x.npz")


def test_a_damaged_file_is_refused(file):
    path = Path(str(file).replace("{split}", "test"))
    content = path.read_bytes()
    for damaged in (content[:-40], content[:30], b""):
        path.write_bytes(damaged)
        with raises_data_error(f"{path}: "):
            opened(file).embeddings("test")


WRONG = [
    ("train_labels", np.zeros(29, int), "29 train_labels for 30 train_embeddings; expected one"),
    ("test_embeddings", np.zeros((12, 5)), "train_embeddings have 4 values per row, test_embeddin"),
    ("train_embeddings", np.zeros(30), "train_embeddings is float64 of shape (30,); expected num"),
    ("train_embeddings", np.zeros((30, 0)), "train_embeddings is float64 of shape (30, 0); expec"),
    ("train_embeddings", np.zeros((30, 4), bool), "of shape (30, 4); expected numbers of shape"),
    ("test_labels", np.full(12, 0.5), "such as 0.5; expected whole numbers from 0 on."),
    ("test_labels", np.full(12, -1), "test_labels: -1 in row 0; expected whole numbers from 0"),
    ("test_labels", None, "'test_labels'; it holds test_embeddings, train_embeddings, train_"),
]  # fmt: skip


@pytest.mark.parametrize("ending", ["npz", "safetensors"])
@pytest.mark.parametrize(("name", "array", "message"), WRONG)
def test_arrays_that_do_not_fit_are_refused(tmp_path, needed, arrays, ending, name, array, message):
    del arrays["val"]
    contents = {k: a for k, a in sorted((named(arrays) | {name: array}).items()) if a is not None}
    file = tmp_path / f"words.{ending}"
    if ending == "npz":
        np.savez(file, **contents)
    else:
        needed("safetensors", "pip install 'imprint-bench[safetensors]'")
        save_tensors(file, contents)
    with raises_data_error(message):
        _ = [opened(file).labels(split) for split in SPLITS]


def test_labels_that_are_text_are_refused_with_the_remedy(tmp_path, arrays):
    np.savez(tmp_path / "a.npz", **named(arrays) | {"train_labels": np.array(["cat"] * 30)})
    with raises_data_error("such as 'cat'; expected whole numbers, for instance numpy.unique("):
        opened(tmp_path / "a.npz").labels("train")
    save_table(tmp_path / "a.parquet", arrays, label=["cat"] * 51)
    with raises_data_error("'cat', which nothing numbers; number the classes, for instance with"):
        opened(tmp_path / "a.parquet").labels("train")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_tensors_of_every_precision_are_read_as_float32(tmp_path, needed, arrays, dtype):
    needed("safetensors", "pip install 'imprint-bench[safetensors]'")
    tensors = {k: torch.from_numpy(a) for k, a in named(arrays).items()}
    for split in SPLITS:
        tensors[f"{split}_embeddings"] = tensors[f"{split}_embeddings"].to(dtype)
    X = opened(save_tensors(tmp_path / "a.safetensors", tensors)).embeddings("train")
    assert X.dtype == np.float32
    np.testing.assert_array_equal(X, tensors["train_embeddings"].float().numpy())


def test_a_missing_safetensors_package_is_named_with_its_command(tmp_path, monkeypatch):
    (tmp_path / "a.safetensors").write_bytes(b"x")
    plain = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("safetensors"):
            raise ImportError("No module named 'safetensors'")
        return plain(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with raises_data_error("pip install 'imprint-bench[safetensors]'", ConfigError):
        opened(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "kind",
    [pa.list_(pa.float32()), pa.list_(pa.float64()), pa.large_list(pa.float32()),
     pa.list_(pa.float32(), 4), pa.list_(pa.float64(), 4)],
    ids=str,
)  # fmt: skip
def test_rows_of_a_split_keep_their_order_among_those_of_others(tmp_path, arrays, kind):
    X, y, splits = (a[MIXED] for a in stacked(arrays))
    lists = as_lists(X, kind)
    ours = opened(save_table(tmp_path / "a.parquet", arrays, order=MIXED, embedding=lists))
    np.testing.assert_array_equal(ours.embeddings("test"), X[splits == "test"])
    np.testing.assert_array_equal(ours.labels("train"), y[splits == "train"])


def test_float16_lists_dictionaries_and_other_columns_are_read(tmp_path, arrays):
    X, _, splits = (a[MIXED] for a in stacked(arrays))
    X = X.astype(np.float16)
    file = save_table(
        tmp_path / "a.parquet",
        arrays,
        order=MIXED,
        vector=as_lists(X, pa.list_(pa.float16())),
        y=np.arange(51),
        split=pa.array(splits).dictionary_encode(),
    )
    ours = opened(file, embedding_column="vector", label_column="y")
    np.testing.assert_array_equal(ours.embeddings("test"), X[splits == "test"])
    np.testing.assert_array_equal(ours.labels("test"), np.flatnonzero(splits == "test"))
    assert ours.fingerprint != opened(file).fingerprint


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"embedding": ["a"] * 51}, "column 'embedding' is string; expected lists of numbers"),
        ({"embedding": [["a"]] * 51}, "expected lists of numbers, each the embedding of a row."),
        ({"embedding": [[1.0, 2.0]] * 50 + [[1.0]]}, "one of 1 values in row "),
        ({"embedding": [[1.0, 2.0]] * 50 + [None]}, "none in row "),
        ({"label": [None] * 51}, "split train: 17 rows without a label"),
        ({"split": ["train"] * 51}, "no rows with split 'test'; there are train."),
    ],
)  # fmt: skip
def test_columns_that_do_not_fit_are_refused(tmp_path, arrays, columns, message):
    table = {"split": ["train", "test", "test"] * 17, "label": [0] * 51} | columns
    file = save_table(tmp_path / "a.parquet", arrays, **table)
    with raises_data_error(message):
        _ = [(opened(file).embeddings(split), opened(file).labels(split)) for split in SPLITS]


def test_a_missing_column_is_named_with_the_nearest(tmp_path, arrays):
    file = save_table(tmp_path / "a.parquet", arrays)
    with raises_data_error("no column 'embeddings'; it holds embedding, label, split. Did you mea"):
        opened(file, embedding_column="embeddings")
    pq.write_table(pq.read_table(file).drop_columns(["split"]), file)
    with raises_data_error("no column 'split'; it holds embedding, label."):
        opened(file)

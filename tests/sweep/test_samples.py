import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from layouts import pictures, png, write_idx_folder, write_shard

from imprint_bench.data.dataset import build_dataset
from imprint_bench.params import Source
from imprint_bench.sweep.samples import EACH, runs, samples


def of(config, **datasets):
    """Return the samples of datasets, each `kind: {parameters}`."""
    return samples(config(dataset=datasets).datasets)


def npz(path, labels, size=4):
    images = np.arange(len(labels), dtype=np.uint8)[:, None, None] * np.ones((size, size), np.uint8)
    arrays = {f"{s}_images": images for s in ("train", "test")}
    np.savez(path, **arrays, **{f"{s}_labels": np.asarray(labels) for s in ("train", "test")})
    return {"npz": {"file": str(path)}}


def test_every_class_is_shown_by_its_first_training_images(config):
    found = of(config, digits={"digits": {}})
    dataset = build_dataset(Source("digits", "digits", {}))
    y = dataset.labels("train")
    assert found.groupby("label")["row"].agg(list).to_dict() == {
        c: np.flatnonzero(y == c)[:EACH].tolist() for c in range(10)
    }
    for row, image in zip(found["row"], found["image"], strict=True):
        np.testing.assert_array_equal(image, dataset.images("train", row, row + 1)[0])
    assert set(found["n_classes"]) == {10}
    assert found[["source", "name", "problem"]].isna().all(axis=None)


def test_of_many_classes_ten_are_shown_evenly_spread(config, tmp_path):
    labels = np.repeat(np.arange(91), 2)
    found = of(config, many=npz(tmp_path / "many.npz", labels))
    assert sorted(set(found["label"])) == [0, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    assert found["row"].tolist() == np.flatnonzero(labels % 10 == 0).tolist()
    assert set(found["n_classes"]) == {91}


def test_a_joined_dataset_is_shown_by_source_with_one_class(config, tmp_path):
    parts = {
        "first": npz(tmp_path / "a.npz", [2, 1, 1, 2] * 8),
        "second": npz(tmp_path / "b.npz", [1, 2, 1, 2], size=6),
    }
    found = of(config, both={"concatenation": {"parts": parts}})
    assert set(found["label"]) == {1}
    rows = found.groupby("source", sort=False)["row"].agg(list)
    assert rows["first"] == np.flatnonzero(np.array([2, 1, 1, 2] * 8) == 1)[:EACH].tolist()
    assert rows["second"] == [32, 34]
    assert [image.shape for image in found["image"]] == [(4, 4, 3)] * EACH + [(6, 6, 3)] * 2
    assert found["image"].iloc[-1].max() == 2


def test_sources_with_classes_of_their_own_show_the_first_of_each(config, tmp_path):
    parts = {
        "first": npz(tmp_path / "a.npz", [2, 1] * 4),
        "second": npz(tmp_path / "b.npz", [3, 1]),
    }
    found = of(config, own={"concatenation": {"parts": parts, "labels": "offset"}})
    labels = found.groupby("source", sort=False)["label"].agg(set)
    assert labels.to_dict() == {"first": {1}, "second": {4}}  # 3 classes before it, from 0 to 2


def test_images_of_different_sizes_keep_theirs(config, tmp_path):
    sizes = [(3, 4), (7, 2), (5, 5), (3, 4)]
    for split in ("train", "test"):
        blobs = [png(np.full(size, i, np.uint8)) for i, size in enumerate(sizes)]
        write_shard(tmp_path / f"{split}-00000-of-00001.parquet", blobs, [0, 1, 0, 1])
    found = of(config, mixed={"image_parquet": {"folder": str(tmp_path)}}).sort_values("row")
    assert [image.shape for image in found["image"]] == [(*size, 1) for size in sizes]
    assert [int(image.max()) for image in found["image"]] == [0, 1, 2, 3]


def test_classes_have_their_names(config, tmp_path):
    names = {"names": ["cat", "dog", "fox"], "_type": "ClassLabel"}
    metadata = {"huggingface": json.dumps({"info": {"features": {"label": names}}})}
    for split in ("train", "test"):
        images, labels = pictures(split)
        columns = {"image": [{"bytes": png(i), "path": None} for i in images], "label": labels}
        table = pa.table(columns).replace_schema_metadata(metadata)
        pq.write_table(table, tmp_path / f"{split}.parquet")
    found = of(config, pets={"image_parquet": {"folder": str(tmp_path)}})
    assert found.drop_duplicates("label")["name"].tolist() == ["cat", "dog", "fox"]


def test_files_that_are_gone_are_told_and_the_other_datasets_are_shown(config, tmp_path):
    folder = write_idx_folder(tmp_path / "here")
    found = of(
        config,
        gone={"npz": {"file": str(tmp_path / "gone.npz")}},
        none={"precomputed": {}},
        here={"idx": {"folder": str(folder)}},
    ).set_index("dataset")
    assert "gone.npz: no such file" in found.loc["gone", "problem"]
    assert found.loc["none", "problem"] == "precomputed embeddings come without images."
    assert found.loc[["gone", "none"], "image"].isna().all()
    assert found.loc["here", "image"].notna().all()


def broken(folder, rows):
    for split in ("train", "test"):
        images, labels = pictures(split)
        blobs = [png(image) for image in images]
        for row in rows if split == "train" else ():
            blobs[row] = b"no image"
        write_shard(folder / f"{split}-00000-of-00001.parquet", blobs, labels)
    return {"image_parquet": {"folder": str(folder), "channels": 1}}


def test_a_broken_image_is_left_out(config, tmp_path):
    found = of(config, some=broken(tmp_path, [4, 5]))
    assert sorted(found["row"]) == [row for row in range(30) if row not in (4, 5)]
    assert found["problem"].isna().all()


def test_a_dataset_of_broken_images_is_told(config, tmp_path):
    found = of(config, bad=broken(tmp_path, range(30)))
    assert found["image"].isna().all()
    assert "row 0" in found["problem"][0]


@pytest.mark.parametrize("rows", [[7], [5, 0, 9], list(range(0, 400, 40)), [0, 17, 34, 52]])
def test_runs_hold_all_rows_and_few_others(rows):
    found = runs(rows)
    held = [row for run in found for row in run]
    assert held == sorted(set(held))
    assert set(rows) <= set(held)
    assert len(held) <= 18 * len(rows)
    assert all(run.start in rows and run.stop - 1 in rows for run in found)

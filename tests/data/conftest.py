"""Small datasets in the layouts that users have, made anew for every test."""

import numpy as np
import pytest
from layouts import ROWS, pictures, png, write_idx_folder, write_shard


@pytest.fixture
def idx_folder(tmp_path):
    return write_idx_folder(tmp_path / "MNIST" / "raw")


@pytest.fixture
def parquet_folder(tmp_path):
    folder = tmp_path / "parquet"
    folder.mkdir()
    images, labels = pictures("train", channels=3)
    blobs = [png(image) for image in images]
    write_shard(folder / "train-00000-of-00002.parquet", blobs[:16], labels[:16])
    write_shard(folder / "train-00001-of-00002.parquet", blobs[16:], labels[16:])
    images, labels = pictures("test", channels=3)
    write_shard(folder / "test-00000-of-00001.parquet", [png(i) for i in images], labels)
    return folder


@pytest.fixture
def npz_file(tmp_path):
    arrays = {}
    for split in ROWS:
        images, labels = pictures(split, channels=3)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels[:, None]}
    np.savez_compressed(tmp_path / "med.npz", **arrays, val_labels=np.array(["ignored"]))
    return tmp_path / "med.npz"


@pytest.fixture
def arrays_file(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {}
    for split, n in ROWS.items():
        arrays |= {f"{split}_embeddings": rng.random((n, 4)), f"{split}_labels": np.arange(n) % 3}
    np.savez(tmp_path / "words.npz", **arrays)
    return tmp_path / "words.npz"

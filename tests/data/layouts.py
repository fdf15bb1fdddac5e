"""Writers of small datasets in the layouts that users have."""

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

ROWS = {"train": 30, "test": 12}


def pictures(split: str, channels: int = 1, size: int = 6) -> tuple[np.ndarray, np.ndarray]:
    """Return random images (n, size, size, channels) and labels 0, 1, 2, 0, 1, ..."""
    rng = np.random.default_rng(len(split))
    n = ROWS[split]
    return rng.integers(0, 256, (n, size, size, channels), dtype=np.uint8), np.arange(n) % 3


def write_idx(path: Path, values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    content = header + values.astype(np.uint8).tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


def write_idx_folder(folder: Path, ending: str = "") -> Path:
    folder.mkdir(parents=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = pictures(split)
        write_idx(folder / f"{prefix}-images-idx3-ubyte{ending}", images[..., 0])
        write_idx(folder / f"{prefix}-labels-idx1-ubyte{ending}", labels)
    return folder


def png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image.squeeze()).save(file, "PNG")
    return file.getvalue()


def write_shard(path: Path, blobs: list, labels: object, rows_per_group: int = 7) -> None:
    images = pa.array([{"bytes": b, "path": None} for b in blobs])
    pq.write_table(
        pa.table({"image": images, "label": pa.array(labels)}), path, row_group_size=rows_per_group
    )

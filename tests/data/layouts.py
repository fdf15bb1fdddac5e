"""Writers of small datasets in the layouts that users have."""

import bz2
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


# Published datasets, in the formats of their authors: ten classes, all of them in both splits.
PUBLISHED_ROWS = {"train": 20, "test": 10}
WNIDS = ("n01440764", "n01443537", "n01484850")


def published(
    split: str, shape: tuple[int, ...], n_classes: int = 10, rows: dict[str, int] = PUBLISHED_ROWS
) -> tuple[np.ndarray, np.ndarray]:
    """Return random images (n, *shape) and labels that go through the classes."""
    rng = np.random.default_rng([len(split), *shape])
    n = rows[split]
    return rng.integers(0, 256, (n, *shape), np.uint8), np.arange(n) * 7 % n_classes


def by_channel(images: np.ndarray) -> np.ndarray:
    """Return images (n, h, w, c) as rows of all red, all green and all blue values."""
    return images.transpose(0, 3, 1, 2).reshape(len(images), -1)


def python_2_pickle(rows: np.ndarray, key: str, labels: list[int]) -> bytes:
    """Return {"batch_label": ..., key: labels, "data": rows} as Python 2 and its NumPy wrote it."""

    def text(value: bytes) -> bytes:
        return b"T" + struct.pack("<i", len(value)) + value

    def number(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    dtype = b"cnumpy\ndtype\n" + text(b"u1") + number(0) + number(1) + b"\x87R"
    dtype += b"(" + number(3) + text(b"|") + b"NNN" + number(-1) * 2 + number(0) + b"tb"
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + number(0) + b"\x85"
    array += text(b"b") + b"\x87R"
    shape = b"".join(map(number, rows.shape)) + b"\x86"
    array += b"(" + number(1) + shape + dtype + b"\x89" + text(rows.tobytes()) + b"tb"
    listed = b"](" + b"".join(map(number, labels)) + b"e"
    named = text(b"batch_label") + text(b"batch 1 of 1") + text(key.encode()) + listed
    return b"\x80\x02}(" + named + text(b"data") + array + b"u."


def write_cifar_pickles(root: Path, n_classes: int = 10) -> Path:
    ten = n_classes == 10
    folder = root / ("cifar-10-batches-py" if ten else "cifar-100-python")
    folder.mkdir(parents=True)
    key = "labels" if ten else "fine_labels"
    train = [f"data_batch_{i}" for i in range(1, 6)] if ten else ["train"]
    for split, names in (("train", train), ("test", ["test_batch"] if ten else ["test"])):
        images, labels = published(split, (32, 32, 3), n_classes)
        for name, rows in zip(
            names, np.array_split(np.arange(len(images)), len(names)), strict=True
        ):
            content = python_2_pickle(by_channel(images[rows]), key, labels[rows].tolist())
            (folder / name).write_bytes(content)
    return folder


def write_cifar_binary(root: Path, n_classes: int = 10) -> Path:
    ten = n_classes == 10
    folder = root / ("cifar-10-batches-bin" if ten else "cifar-100-binary")
    folder.mkdir(parents=True)
    train = [f"data_batch_{i}.bin" for i in range(1, 6)] if ten else ["train.bin"]
    for split, names in (("train", train), ("test", ["test_batch.bin"] if ten else ["test.bin"])):
        images, labels = published(split, (32, 32, 3), n_classes)
        columns = [labels] if ten else [labels // 5, labels]  # coarse and fine
        rows = np.column_stack([*columns, by_channel(images)]).astype(np.uint8)
        for name, part in zip(names, np.array_split(rows, len(names)), strict=True):
            (folder / name).write_bytes(part.tobytes())
    return folder


def write_cifar_parquet(root: Path, n_classes: int = 10, image: str = "img") -> Path:
    folder = root / f"cifar{n_classes}"
    folder.mkdir(parents=True)
    for split in PUBLISHED_ROWS:
        images, labels = published(split, (32, 32, 3), n_classes)
        structs = pa.array([{"bytes": png(i), "path": None} for i in images])
        columns = {"label": labels} if n_classes == 10 else {"fine_label": labels}
        coarse = {} if n_classes == 10 else {"coarse_label": labels // 5}
        table = pa.table({image: structs, **columns, **coarse})
        pq.write_table(table, folder / f"{split}-00000-of-00001.parquet")
    return folder


def write_mnist(root: Path, family: str = "MNIST", rows: dict[str, int] = PUBLISHED_ROWS) -> Path:
    folder = root / family / "raw"
    folder.mkdir(parents=True)
    for split, prefix in (("train", "train"), ("test", "t10k")):
        images, labels = published(split, (28, 28), rows=rows)
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images)
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", labels)
    return folder


def write_svhn(root: Path, folder: str = "SVHN") -> Path:
    from scipy.io import savemat

    (root / folder).mkdir(parents=True, exist_ok=True)
    for split in PUBLISHED_ROWS:
        images, labels = published(split, (32, 32, 3))
        y = np.where(labels == 0, 10, labels).astype(np.uint8)[:, None]
        path = root / folder / f"{split}_32x32.mat"
        savemat(path, {"X": np.moveaxis(images, 0, 3), "y": y}, do_compression=True)
        # Its first 116 bytes are a text with the second of writing: two files would differ.
        path.write_bytes(b"MATLAB 5.0 MAT-file".ljust(116) + path.read_bytes()[116:])
    return root / folder


def write_usps(root: Path, folder: str = "USPS") -> Path:
    (root / folder).mkdir(parents=True, exist_ok=True)
    for split, name in (("train", "usps.bz2"), ("test", "usps.t.bz2")):
        images, labels = published(split, (16, 16))
        values = np.round(images.reshape(len(images), -1) / 127.5 - 1, 6)
        lines = (
            f"{label + 1} " + " ".join(f"{i}:{v:g}" for i, v in enumerate(row, 1)) + " \n"
            for label, row in zip(labels, values, strict=True)
        )
        (root / folder / name).write_bytes(bz2.compress("".join(lines).encode()))
    return root / folder


def write_stl10(root: Path) -> Path:
    folder = root / "stl10_binary"
    folder.mkdir(parents=True)
    for split in PUBLISHED_ROWS:
        images, labels = published(split, (96, 96, 3))
        by_column = np.ascontiguousarray(images.transpose(0, 3, 2, 1))
        (folder / f"{split}_X.bin").write_bytes(by_column.tobytes())
        (folder / f"{split}_y.bin").write_bytes((labels + 1).astype(np.uint8).tobytes())
    return folder


def write_mnist_m(root: Path, folder: str = "MNISTM/processed") -> Path:
    import torch

    (root / folder).mkdir(parents=True, exist_ok=True)
    for split in PUBLISHED_ROWS:
        images, labels = published(split, (28, 28, 3))
        pair = (torch.from_numpy(images), torch.from_numpy(labels))
        torch.save(pair, root / folder / f"mnist_m_{split}.pt")
    return root / folder


def write_imagenet(root: Path, wnids: tuple[str, ...] = WNIDS) -> Path:
    """Write photos of differing sizes, in JPEG; one of them is grey."""
    rng = np.random.default_rng(1)
    for folder, n in (("train", 3), ("val", 2)):
        for wnid in wnids:
            (root / folder / wnid).mkdir(parents=True)
            for i in range(n):
                size = (20 + i, 30 - i, 3) if i else (20, 30)
                image = Image.fromarray(rng.integers(0, 256, size, np.uint8))
                image.save(root / folder / wnid / f"{wnid}_{i}.JPEG", "JPEG")
    return root


def write_tiny_imagenet(root: Path, wnids: tuple[str, ...] = WNIDS) -> Path:
    """Write photos of 64 x 64 pixels in JPEG, and the table of the validation images' classes.

    The validation images go through the classes, 0, 1, 2, 0, ..., and the table is not sorted.
    """
    rng = np.random.default_rng(2)

    def write(path: Path, i: int) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        size = (64, 64, 3) if i else (64, 64)  # one in color, one grey
        Image.fromarray(rng.integers(0, 256, size, np.uint8)).save(path, "JPEG")

    for wnid in wnids:
        for i in range(3):
            write(root / "train" / wnid / "images" / f"{wnid}_{i}.JPEG", i)
        (root / "train" / wnid / f"{wnid}_boxes.txt").write_text(f"{wnid}_0.JPEG\t0\t0\t63\t63\n")
    lines = []
    for i in range(2 * len(wnids)):
        write(root / "val" / "images" / f"val_{i}.JPEG", i)
        lines.insert(0, f"val_{i}.JPEG\t{wnids[i % len(wnids)]}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    write(root / "test" / "images" / "test_0.JPEG", 1)
    return root


def write_imagenet_lt(root: Path, wnids: tuple[str, ...] = WNIDS, *, flat: bool = False) -> Path:
    """Write ImageNet, `flat` with the validation images in one folder, and the lists of its tail.

    The first class has three training images, the next two, the others one.
    """
    write_imagenet(root, wnids)
    train, test = [], []
    for label, wnid in enumerate(wnids):
        names = sorted(path.name for path in (root / "train" / wnid).iterdir())
        train += [f"train/{wnid}/{name} {label}" for name in names[: max(3 - label, 1)]]
        for path in sorted((root / "val" / wnid).iterdir()):
            test.append(f"val/{path.name} {label}")
            if flat:
                path.rename(root / "val" / path.name)
    for split, rows in (("train", train[::-1]), ("test", test[::-1])):
        (root / f"ImageNet_LT_{split}.txt").write_text("\n".join(rows) + "\n")
    return root

"""What the stage `data` shows: what is cached, on disk or to be downloaded, how large, how long."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imprint_bench.config import Config
from imprint_bench.data.dataset import SPLITS, ImageDataset, build_dataset
from imprint_bench.data.embeddings.cache import opened
from imprint_bench.data.embeddings.entry import entry_folder
from imprint_bench.data.embeddings.manifest import damage
from imprint_bench.data.embeddings.material import Material, build_material
from imprint_bench.data.embeddings.timing import seconds_per_image
from imprint_bench.data.embeddings.unfinished import progress_of
from imprint_bench.data.fetching.downloads import Download, MissingFilesError, remote_size
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.errors import DataError, ImprintError
from imprint_bench.params import Source
from imprint_bench.sweep.executor import workers

log = logging.getLogger(__name__)

SHOWN = 8  # labels that are missing, in a remark

HASH = re.compile("[0-9a-f]{64}")

Line = tuple[str, ...]


@dataclass(frozen=True)
class _Found:
    """A dataset or foundation model: what there is to say, and why it is not to be had."""

    text: str
    remark: str = ""
    downloads: tuple[Download, ...] = ()
    there: bool = True


def inventory(config: Config) -> list[str]:
    """Return the lines that tell, for every dataset and foundation model, what is there.

    Nothing is downloaded or written. Where images and network are on disk and the embeddings
    are not cached, one batch is embedded to estimate the time.

    Parameters
    ----------
    config : Config
    """
    datasets = {source.name: _dataset(source) for source in config.datasets}
    fms = {source.name: _foundation_model(source) for source in config.fms}
    lines = _table_of_datasets(datasets)
    lines += _table(
        ("foundation model", "state", "kind, weights"),
        [(name, _state(found), found.text) for name, found in fms.items()],
    )
    lines += _table(
        ("embeddings of", "by", "state", "values", "on disk", f"time, {_workers(config)}"),
        [
            _pair(config, fm, dataset)
            for dataset in config.datasets
            for fm in config.fms
            if datasets[dataset.name].there and fms[fm.name].there
        ],
    )
    lines += [f"{name}: {f.remark}" for name, f in (datasets | fms).items() if f.remark]
    return lines if lines[-1] else lines[:-1]


def inventory_of_datasets(sources: Sequence[Source]) -> list[str]:
    """Return the lines of `inventory` on datasets alone."""
    datasets = {source.name: _dataset(source) for source in sources}
    lines = _table_of_datasets(datasets)
    lines += [f"{name}: {found.remark}" for name, found in datasets.items() if found.remark]
    return lines if lines[-1] else lines[:-1]


def _table_of_datasets(datasets: Mapping[str, _Found]) -> list[str]:
    return _table(
        ("dataset", "state", "images (train + test), labels, size of the first"),
        [(name, _state(found), found.text) for name, found in datasets.items()],
    )


def _dataset(source: Source) -> _Found:
    at = f"dataset.{source.name}"
    try:
        if source.kind == "precomputed":
            return _Found("comes with the embeddings")
        dataset = build_dataset(source)
        labels = {split: dataset.labels(split) for split in SPLITS}
        height, width, channels = dataset.shape
    except MissingFilesError as error:
        return _Found(_bytes(_size(error.downloads)), str(error), error.downloads, there=False)
    except DataError as error:
        return _Found(f"{at}, see below", str(error), there=False)
    counts = " + ".join(f"{len(y):,}" for y in labels.values())
    classes = np.unique(labels["train"])
    text = f"{counts}, {len(classes)} labels, {height} x {width} x {channels}"
    return _Found(text, _remark(dataset, labels))


def _remark(dataset: ImageDataset, labels: dict[str, np.ndarray]) -> str:
    """Say what a user may not expect of the labels, or nothing."""
    train, test = (set(np.unique(labels[split]).tolist()) for split in SPLITS)
    gaps = sorted(set(range(max(train) + 1)) - train)
    parts = []
    if gaps:
        listed = ", ".join(map(str, gaps[:SHOWN])) + (", ..." if len(gaps) > SHOWN else "")
        parts.append(f"no training image has label {listed}")
    if test - train:
        parts.append(f"{len(test - train)} labels of test images have no training image")
    if train - test:
        parts.append(f"{len(train - test)} labels have no test image")
    sentences = [f"{'; '.join(parts)}."] if parts else []
    if dataset.remark is not None:
        sentences.append(dataset.remark())
    return " ".join(filter(None, sentences))


def _foundation_model(source: Source) -> _Found:
    try:
        model = build_foundation_model(source)
    except MissingFilesError as error:
        return _Found(_bytes(_size(error.downloads)), str(error), error.downloads, there=False)
    except ImprintError as error:
        return _Found("see below", str(error), there=False)
    file = source.params.get("file")
    place = Path(str(file)).expanduser() if file else None
    size = f", {_bytes(place.stat().st_size)}" if place is not None and place.is_file() else ""
    weights = model.weights if not HASH.fullmatch(model.weights) else model.weights[:12]
    return _Found(f"{model.kind}, {weights}{size}")


def _state(found: _Found) -> str:
    if found.there:
        return "on disk"
    return "to download" if found.downloads else "not usable"


def _pair(config: Config, fm: Source, dataset: Source) -> Line:
    try:
        material = build_material(fm, dataset, config.embed)
        rows = sum(len(material.labels(split)) for split in SPLITS)
        length = material.length
    except ImprintError as error:
        return dataset.name, fm.name, f"cannot be made: {error}", "", "", ""
    final = entry_folder(config.paths.embeddings, fm.name, dataset.name, material.fingerprint)
    size = _bytes(rows * (length * np.dtype(material.dtype).itemsize + 8))
    if final.is_dir() and damage(final, material.fingerprint, verify=config.embed.verify) is None:
        return dataset.name, fm.name, _cached(config, final), str(length), size, "-"
    done = progress_of(final, material.fingerprint)
    state = "to embed" if done is None else f"{done:.0%} embedded"
    return dataset.name, fm.name, state, str(length), size, _time(config, material, rows, done or 0)


def _cached(config: Config, folder: Path) -> str:
    gaps = opened(folder).left_out
    if not gaps:
        return "cached"
    wants = "" if config.embed.on_error == "skip" else "; set embed.on_error=skip to use it"
    return f"cached without {' and '.join(gap.partition(' that')[0] for gap in gaps)}{wants}"


def _time(config: Config, material: Material, rows: int, done: float) -> str:
    try:
        per_image = seconds_per_image(material, config.embed)
    except ImprintError as error:
        return f"cannot be embedded: {error}"
    seconds = per_image * rows * (1 - done) / workers(config.n_jobs)
    if not seconds:
        return "-"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _workers(config: Config) -> str:
    n = workers(config.n_jobs)
    return f"{n} worker{'' if n == 1 else 's'}"


def _size(downloads: Sequence[Download]) -> int | None:
    sizes = [remote_size(download) for download in downloads]
    known = [size for size in sizes if size is not None]
    return sum(known) if known and len(known) == len(sizes) else None


def _bytes(size: int | None) -> str:
    if size is None:
        return "size unknown"
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.1f} MB"


def _table(headings: Line, lines: Sequence[Line]) -> list[str]:
    """Return lines in columns, with their headings and an empty line after them."""
    if not lines:
        return []
    widths = [max(map(len, column)) for column in zip(headings, *lines, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (headings, tuple("-" * width for width in widths), *lines)
    ] + [""]

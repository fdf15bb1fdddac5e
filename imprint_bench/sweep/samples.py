"""A few training images of every dataset of a sweep, for a reader to see what it is about."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imprint_bench.data.dataset import ImageDataset, build_dataset
from imprint_bench.errors import ImageError, ImprintError
from imprint_bench.params import Source

LINES = 10  # classes shown of one dataset
EACH = 10  # images of a class, or of a source
GAP = 16  # so many images are read in vain rather than start to read anew
COLUMNS = ("dataset", "source", "label", "name", "n_classes", "row", "image", "problem")


class Line(NamedTuple):
    """Images that belong together: the rows of one class, maybe those of one source only."""

    source: str | None
    label: int
    rows: tuple[int, ...]


def samples(datasets: Sequence[Source]) -> pd.DataFrame:
    """Return the first training images of some classes of every dataset.

    A dataset that is joined from several sources gives the first class of each; any other ten
    classes, evenly spread. A broken image is left out.

    Returns
    -------
    samples : DataFrame
        A row per image: `dataset`; `source` (null: there is one); `label`, and its `name`
        (null: it has none); `n_classes` of the dataset; `row` among the training images;
        `image`, uint8 of shape (h, w, 1 or 3). A dataset without images has one row that
        says why in `problem`.
    """
    records = []
    for dataset in datasets:
        try:
            records += _samples(dataset)
        except (ImprintError, OSError) as error:
            records.append({"dataset": dataset.name, "problem": str(error)})
    frame = pd.DataFrame(records, columns=list(COLUMNS), dtype=object)
    return frame.astype(dict.fromkeys(("label", "n_classes", "row"), "Int64"))


def lines(dataset: ImageDataset) -> list[Line]:
    """Return which training images of a dataset are shown: as many lines as a montage has."""
    labels = dataset.labels("train")
    classes = np.unique(labels)
    if parts := dataset.rows_of_parts("train"):
        found = [
            Line(source, int(own.min()), _firsts(own == own.min(), rows.start))
            for source, rows in parts.items()
            for own in (labels[rows.start : rows.stop],)
        ]
    else:
        places = np.linspace(0, len(classes) - 1, min(LINES, len(classes))).round().astype(int)
        found = [Line(None, int(c), _firsts(labels == c, 0)) for c in classes[places]]
    return [line for line in found if line.rows]


def runs(rows: Sequence[int]) -> list[range]:
    """Return ranges that hold all rows, in ascending order; those near each other share one.

    Examples
    --------
    >>> runs([100, 3, 5])
    [range(3, 6), range(100, 101)]
    """
    found: list[range] = []
    for row in sorted(rows):
        if found and row <= found[-1].stop + GAP:
            found[-1] = range(found[-1].start, row + 1)
        else:
            found.append(range(row, row + 1))
    return found


def _samples(source: Source) -> list[dict[str, Any]]:
    if source.kind == "precomputed":
        raise ImprintError("precomputed embeddings come without images.")
    dataset = build_dataset(source)
    shown = lines(dataset)
    images = _read(dataset, [row for line in shown for row in line.rows])
    names = dataset.class_names() if dataset.class_names is not None else ()
    facts = {"dataset": source.name, "n_classes": len(np.unique(dataset.labels("train")))}
    return [
        facts
        | {"source": line.source, "label": line.label, "row": row, "image": images[row]}
        | {"name": names[line.label] if line.label < len(names) else None}
        for line in shown
        for row in line.rows
        if row in images
    ]


def _firsts(wanted: np.ndarray, start: int) -> tuple[int, ...]:
    """Return the numbers of the first wanted rows, counted from `start`."""
    return tuple((np.flatnonzero(wanted)[:EACH] + start).tolist())


def _read(dataset: ImageDataset, rows: Sequence[int]) -> Mapping[int, np.ndarray]:
    """Return images by row; one that is broken is not among them.

    Raises
    ------
    ImageError
        If all are broken.
    """
    wanted, found = set(rows), dict[int, np.ndarray]()
    broken: ImageError | None = None
    for run in runs(rows):
        try:
            found |= dict(zip(run, dataset.images("train", run.start, run.stop), strict=True))
        except ImageError:
            for row in wanted & set(run):
                try:
                    found[row] = dataset.images("train", row, row + 1)[0]
                except ImageError as error:
                    broken = error
    if broken is not None and not wanted & set(found):
        raise broken
    return {row: np.array(found[row]) for row in rows if row in found}

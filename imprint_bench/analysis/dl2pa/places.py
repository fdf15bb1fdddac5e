"""Instances of training runs: one by one, and what to call them."""

from collections.abc import Collection, Iterator

import pandas as pd

from imprint_bench.analysis.axes import TRAINING
from imprint_bench.analysis.labels import listed

SPELLED = {"imbalance": "rho"}  # of a column, in headings and sentences
NUMBERED = ("imbalance", "d")  # what a name has with its value: ``rho = 0.01``


def instances(cells: pd.DataFrame, *, but: Collection[str] = ()) -> Iterator[pd.DataFrame]:
    """Yield the cells of every instance, or of those that differ by some columns alone."""
    for _, own in cells.groupby(TRAINING.place(cells, but=but), dropna=False):
        yield own


def place_label(instance: pd.Series) -> str:
    """Return a label of an instance: ``cifar100 · resnet32 · long · rho = 0.01 · d = 50``."""
    columns = [column for column in TRAINING.place(instance) if column not in NUMBERED]
    return _joined(instance, [*columns, *NUMBERED])


def telling(frame: pd.DataFrame) -> list[str]:
    """Return the columns that tell places apart; rho where the names of the data do not."""
    several = [
        column
        for column in TRAINING.place(frame, but=("d",))
        if len(frame[column].drop_duplicates()) > 1
    ]
    rhos = frame[["dataset", "imbalance"]].drop_duplicates()
    named = len(rhos) == len(set(frame["dataset"]))
    return [column for column in several if not (named and column == "imbalance")]


def place_names(frame: pd.DataFrame) -> pd.Series:
    """Return the name of the place of every row, whatever its d.

    It is the dataset, with what else tells places apart: ``cifar100 · resnet32``.
    """
    columns = list(dict.fromkeys(["dataset", *telling(frame)]))
    names = [_joined(row, columns) for _, row in frame[columns].iterrows()]
    return pd.Series(names, frame.index, dtype=object)


def over(cells: pd.DataFrame) -> str:
    """Return what a sentence on some cells is over: ``, over 2 networks``, or nothing."""
    counts = {column: cells[column].nunique() for column in ("network", "recipe")}
    told = [f"{n} {column}s" for column, n in counts.items() if n > 1]
    return f", over {listed(told)}" if told else ""


def _joined(row: pd.Series, columns: Collection[str]) -> str:
    return " · ".join(
        f"{SPELLED.get(c, c)} = {row[c]:g}" if c in NUMBERED else str(row[c])
        for c in columns
        if pd.notna(row[c])
    )

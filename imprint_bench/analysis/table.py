"""What a finished table is: typed numbers, and how each column is to be read."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

# What a column holds, and hence how it is written.
TEXT, COUNT, N_SHOT, RANK, FRACTION, SECONDS, NUMBER, P = (
    "text",
    "count",
    "n_shot",
    "rank",
    "fraction",
    "seconds",
    "number",
    "p",
)


@dataclass(frozen=True)
class Column:
    """One column of a table: its name in the frame, its heading, and what it holds."""

    name: str
    heading: str
    kind: str = TEXT


@dataclass(frozen=True)
class Table:
    """A finished table.

    Attributes
    ----------
    name : str
        Name of its files.
    title, caption : str
        What it shows, and how to read it.
    columns : tuple of Column
        In the order of reading; each is a column of `frame`.
    frame : DataFrame
        Typed columns; accuracies are fractions in [0, 1].
    oracles : tuple of int
        Positions of rows that are no imprinting, for comparison only.
    data : Mapping[str, DataFrame]
        What lies behind it, beside it as CSV; the key is the end of the file's name.
    finding : str
        What it says, in one sentence, for a terminal; the caption has it, too.
    command : str
        What a user types to make it again.
    """

    name: str
    title: str
    caption: str
    columns: tuple[Column, ...]
    frame: pd.DataFrame
    oracles: tuple[int, ...] = field(default=())
    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    finding: str = ""
    command: str = ""

"""Which columns of result rows say what was tried, and on what: of imprinting, and of training.

An *instance* is what methods are compared on; a *configuration* is a method with its
parameters. Rows of training have a column `method`, rows of imprinting have none.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass

import pandas as pd

MEASURED = frozenset({"gen_seconds"})  # named like a parameter, but a result


@dataclass(frozen=True)
class Axes:
    """The columns of one kind of rows.

    Attributes
    ----------
    instance : tuple of str
        What makes an instance, as a plan knows it; a frame may lack some.
    parts : tuple of str
        What makes a configuration, in the order in which it acts. The parameters of a
        part stand in columns called like it: ``gen_k``.
    leading : str
        The part that names a configuration.
    measured : tuple of str
        What makes an instance, too, but stands in results alone: a trial without a result has
        null there. Whoever groups by it fills that first (see `dl2pa.runs`); to all others
        trials with and without results are of one instance.
    numbers : tuple of str
        Those parts that are a number and have no parameters.
    """

    instance: tuple[str, ...]
    parts: tuple[str, ...]
    leading: str
    measured: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()

    def place(self, rows: pd.DataFrame | pd.Series, *, but: Collection[str] = ()) -> list[str]:
        """Return the columns that make an instance and that rows have, but for some."""
        first, *others = self.instance
        return [c for c in (first, *self.measured, *others) if c in rows and c not in but]

    def kinds(self, rows: pd.DataFrame) -> list[str]:
        """Return the columns that name a part, but for the leading one."""
        without = {self.leading, *self.numbers}
        return [part for part in self.parts if part in rows and part not in without]

    def parameters(self, rows: pd.DataFrame) -> list[str]:
        """Return the columns of parameters, part by part, and parts that are numbers."""
        named = set(self.parts).difference(self.numbers)
        return [column for column in self.columns(rows) if column not in named]

    def columns(self, rows: pd.DataFrame) -> list[str]:
        """Return the columns that make a configuration, each part before its parameters."""
        found = []
        for part in self.parts:
            if part in rows:
                found += [part, *parameter_columns(rows, f"{part}_")]
        return [*dict.fromkeys(found)]


# Modules of `analysis` by the rows that their tables and figures are made from.
FOR_ANY = frozenset({"comparing", "montage"})
FOR_TRAINING = frozenset({"dl2pa", "trained"})

IMPRINTING = Axes(
    instance=("fm", "dataset", "mapping", "task", "n_shot"),
    parts=("gen", "norm_pre", "norm_post", "norm_inf", "agg"),
    leading="gen",
)
TRAINING = Axes(
    instance=("dataset", "network", "recipe", "d"),
    parts=("method", "head", "prototypes", "assignment", "loss", "lr"),
    leading="method",
    measured=("imbalance",),
    numbers=("lr",),
)


def axes_of(rows: pd.DataFrame) -> Axes:
    """Return the axes that rows, or a frame made from them, have."""
    return TRAINING if {"method", "network"}.intersection(rows.columns) else IMPRINTING


def read_by(function: Callable[..., object]) -> Axes | None:
    """Return the axes of the rows that a table or figure of ours is made from; None for any."""
    home, _, module = function.__module__.partition("imprint_bench.analysis.")
    if home or not module or module in FOR_ANY:
        return None
    return TRAINING if module.partition(".")[0] in FOR_TRAINING else IMPRINTING


def parameter_columns(rows: pd.DataFrame, prefix: str) -> list[str]:
    """Return the columns of parameters that start with `prefix`, k first, then by name."""
    found = [c for c in rows.columns if c.startswith(prefix) and c not in MEASURED]
    return sorted(found, key=lambda c: (c != "gen_k", c))

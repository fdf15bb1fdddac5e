"""Which columns of result rows say what was tried, and on what: of imprinting, and of training.

An *instance* is what methods are compared on; a *configuration* is a method with its
parameters. Rows of training have a column `method`, rows of imprinting have none.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pandas as pd

MEASURED = frozenset({"gen_seconds"})  # named like a parameter, but a result


@dataclass(frozen=True)
class Axes:
    """The columns of one kind of rows.

    Attributes
    ----------
    instance : tuple of str
        What makes an instance; a frame may lack some.
    parts : tuple of str
        What makes a configuration, in the order in which it acts. The parameters of a
        part stand in columns called like it: ``gen_k``.
    leading : str
        The part that names a configuration.
    """

    instance: tuple[str, ...]
    parts: tuple[str, ...]
    leading: str

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

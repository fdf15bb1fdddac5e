"""How far two methods are apart, and whether the seeds tell.

Two means are told apart where they differ by more than two standard errors of the difference,
sqrt(s1^2 / n1 + s2^2 / n2), over seeds.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imprint_bench.analysis.axes import TRAINING
from imprint_bench.analysis.cells import number
from imprint_bench.analysis.labels import listed

ERRORS = 2  # standard errors from which two means are told apart


@dataclass(frozen=True)
class Difference:
    """How far the mean of one method is above that of another at one place.

    Attributes
    ----------
    place : str
        ``3`` of ``d = 3``.
    value : float
        Difference of the two means, in [-1, 1].
    error : float
        Its standard error; NaN where a method has one seed.
    """

    place: str
    value: float
    error: float

    @property
    def verdict(self) -> int:
        """1: better, -1: worse, 0: not told apart."""
        told = abs(self.value) > (ERRORS * self.error if self.error == self.error else 0.0)
        return int(np.sign(self.value)) if told else 0


def difference(a: pd.Series, b: pd.Series, place: object) -> Difference:
    """Return how far the mean accuracy of cell `a` is above that of cell `b`."""
    parts = [cell["accuracy_std"] ** 2 / cell["n_seeds"] for cell in (a, b)]
    value = float(a["accuracy_mean"] - b["accuracy_mean"])
    return Difference(str(place), value, float(np.sqrt(sum(parts))))


def best(cells: pd.DataFrame, *, least: bool = False) -> pd.Series:
    """Return the cell with the highest mean accuracy, or the lowest; the first of equal ones."""
    return cells.sort_values("accuracy_mean", ascending=least, kind="stable").iloc[0]


def verdicts(found: Iterable[Difference], axis: str = "d") -> str:
    """Return where a method is better, where worse, and where it cannot be told.

    Several differences at one place (of several networks, or of several sets) are alike, or
    the place is mixed.

    Parameters
    ----------
    found : iterable of Difference
        Their places are numbers.
    axis : str
        What the places are values of.

    Examples
    --------
    >>> verdicts([Difference("3", 0.184, 0.01), Difference("25", 0.001, 0.01)])
    'better at d = 3 (+18.4 points); within 2 standard errors at d = 25 (+0.1)'
    """
    places: dict[str, list[Difference]] = {}
    for one in found:
        places.setdefault(one.place, []).append(one)
    names = {1: "better", -1: "worse", 0: "within 2 standard errors", None: "mixed"}
    groups: dict[str, list[str]] = {name: [] for name in names.values()}
    for place in sorted(places, key=float):
        several = places[place]
        signs = {one.verdict for one in several}
        low, high = (100 * f(one.value for one in several) for f in (min, max))
        points = f"{low:+.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:+.1f} to {high:+.1f}"
        groups[names[signs.pop() if len(signs) == 1 else None]].append(f"{place} ({points})")
    texts, unit = [], " points"
    for name, listing in groups.items():
        if listing:
            first = listing[0].replace(")", f"{unit})")
            texts.append(f"{name} at {axis} = {listed([first, *listing[1:]])}")
            unit = ""
    return "; ".join(texts)


def static_pairs(cells: pd.DataFrame) -> pd.DataFrame:
    """Return every dynamic method beside its twin that is held static, see `twins`."""
    return twins(cells, "assignment", "dynamic", "static")


def weighted_pairs(cells: pd.DataFrame) -> pd.DataFrame:
    """Return every fixed set under a loss that weights classes beside its twin without weights."""
    column = "loss_balanced"
    if column in cells:
        cells = cells.assign(**{column: cells[column].astype(str).str.lower()})
    return twins(cells, column, "true", "false")


def twins(cells: pd.DataFrame, column: str, first: str, second: str) -> pd.DataFrame:
    """Return pairs of methods on one instance that differ by one column alone.

    Parameters
    ----------
    cells : DataFrame
        See `Runs`.
    column : str
        A part with its parameters, or a parameter.
    first, second : str
        Its values; the difference is that of the first less the second.

    Returns
    -------
    pairs : DataFrame
        The columns of an instance, `n_classes`; `role`, `what`, `label` (of the first),
        `label_other`; `difference` and `error`, fractions. In the order of d.
    """
    place, named = TRAINING.place(cells), ["n_classes", "role", "what", "label"]
    both = cells[cells[column].isin([first, second])] if column in cells else cells.iloc[:0]
    own = [c for c in map(str, both) if c == column or c.startswith(f"{column}_")]
    parts = [*TRAINING.kinds(both), *TRAINING.parameters(both)]
    which, _ = number(both[[*place, *(c for c in parts if c not in own)]])
    records = []
    for _, alike in both.groupby(which):
        for _, a in alike[alike[column] == first].iterrows():
            for _, b in alike[alike[column] == second].iterrows():
                told = difference(a, b, a["d"])
                record = a[[*place, *named]].to_dict() | {"label_other": b["label"]}
                records.append(record | {"difference": told.value, "error": told.error})
    columns = [*place, *named, "label_other", "difference", "error"]
    return pd.DataFrame(records, columns=columns).sort_values("d", kind="stable")

"""How far two methods are apart, and whether the seeds tell.

Two means are told apart where they differ by more than two standard errors of the difference,
sqrt(s1^2 / n1 + s2^2 / n2), over seeds.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imprint_bench.analysis.dl2pa.axes import INSTANCE, parameter_columns
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

    Examples
    --------
    >>> verdicts([Difference("3", 0.184, 0.01), Difference("25", 0.001, 0.01)])
    'better at d = 3 (+18.4 points); within 2 standard errors at d = 25 (+0.1)'
    """
    places: dict[str, list[Difference]] = {}
    for one in found:
        places.setdefault(one.place, []).append(one)
    groups: dict[str, list[str]] = {"better": [], "worse": [], "within 2 standard errors": []}
    for place, several in places.items():
        signs = {one.verdict for one in several}
        name = {1: "better", -1: "worse"}.get(signs.pop() if len(signs) == 1 else 0, "")
        low, high = (100 * f(one.value for one in several) for f in (min, max))
        points = f"{low:+.1f}" if f"{low:.1f}" == f"{high:.1f}" else f"{low:+.1f} to {high:+.1f}"
        groups[name or "within 2 standard errors"].append(f"{place} ({points})")
    texts, unit = [], " points"
    for name, listing in groups.items():
        if listing:
            first = listing[0].replace(")", f"{unit})")
            texts.append(f"{name} at {axis} = {listed([first, *listing[1:]])}")
            unit = ""
    return "; ".join(texts)


def static_pairs(cells: pd.DataFrame) -> pd.DataFrame:
    """Return every dynamic method beside its twin that is held static, a row per instance.

    Returns
    -------
    pairs : DataFrame
        `dataset`, `imbalance`, `network`, `recipe`, `d`, `n_classes`; `role`, `what`, `label`
        (of the dynamic one), `label_static`; `difference` and `error`, fractions.
    """
    fixed = cells[cells["assignment"].notna()] if "assignment" in cells else cells.iloc[:0]
    params = [c for c in parameter_columns(fixed) if not c.startswith("assignment_")]
    place = list(INSTANCE)
    keys = [*place, "head", "prototypes", "loss", *params]
    key = (
        fixed[keys].astype(object).where(fixed[keys].notna(), "").astype(str).agg("|".join, axis=1)
    )
    records = []
    for _, twins in fixed.groupby(key, sort=False):
        for _, a in twins[twins["assignment"] == "dynamic"].iterrows():
            for _, b in twins[twins["assignment"] == "static"].iterrows():
                told = difference(a, b, a["d"])
                names = {"label": a["label"], "label_static": b["label"]}
                record = a[[*place, "n_classes", "role", "what"]].to_dict() | names
                records.append(record | {"difference": told.value, "error": told.error})
    columns = [*place, "n_classes", "role", "what", "label", "label_static", "difference", "error"]
    return pd.DataFrame(records, columns=columns).sort_values("d", kind="stable")

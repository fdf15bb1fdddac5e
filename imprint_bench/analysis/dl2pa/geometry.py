"""Numbers of sets of vectors: table 7 of DL2PA and what figures 2 and 3a show."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imprint_bench.analysis.dl2pa.published import CITATION, published_geometry
from imprint_bench.analysis.table import COUNT, NUMBER, Column, Table
from imprint_bench.errors import DataError
from imprint_bench.params import PositiveInt
from imprint_bench.seeding import stream

# `prototypes(name, c, d, *, seed=0, **params)` returns a set with `vectors`, of shape (c, d), and
# its `certificate`: `max_cosine`, `min_cosine`, `mean_cosine` and `bound`, of the largest.
Prototypes = Callable[..., Any]
AS_PUBLISHED = {"lr": 0.1, "iterations": 1000}  # of the paper's text and of its command


class Set(NamedTuple):
    """A set of vectors: its name here, that in the registry, its parameters, its row of table 7."""

    name: str
    kind: str
    params: dict[str, Any]
    row: str


HPN_SET = Set("HPN", "hpn", {}, "HPN")
SIMPLEX = Set("simplex ETF", "simplex", {}, "ETF")
PUBLISHED = Set("DL2PA as published", "gaussian_potential", AS_PUBLISHED, "DL2PA")
CONVERGED = Set("DL2PA, converged", "gaussian_potential", {}, "DL2PA")
SPREAD = Set("equidistributed", "equidistributed", {}, "DL2PA")
RANDOM = Set("random", "random", {}, "")
SETS = (HPN_SET, SIMPLEX, PUBLISHED, CONVERGED, SPREAD, RANDOM)
GAUSSIAN = "Gaussian points"
FOUND = 0.02  # from which a cosine is not the one of the paper, which has two decimals
ROUNDING = 1e-9  # by which cosines that are equal in truth may differ
COSINES = ("max_cosine", "min_cosine")
NOT_MADE = "Word2Vec (not made: it needs a table of word vectors)"
SHOWN = (
    Column("set", "set"),
    Column("d", "d", COUNT),
    Column("max_cosine", "max cos", NUMBER),
    Column("bound", "bound on max", NUMBER),
    Column("min_cosine", "min cos", NUMBER),
    Column("mean_cosine", "mean cos", NUMBER),
)
PAPERS = (
    Column("paper_max_cosine", "paper max", NUMBER),
    Column("paper_min_cosine", "paper min", NUMBER),
)
ZERO_SUM = (
    "The mean cosine of every set whose vectors sum to zero is -1/(c - 1): it says nothing about "
    "the closest pair."
)


def needed(prototypes: Prototypes | None, *, at: str) -> Prototypes:
    """Return what makes sets of vectors.

    Raises
    ------
    DataError
        If nothing does.
    """
    if prototypes is None:
        raise DataError(f"{at} needs sets of prototypes, which a report of fixed/geometry gives.")
    return prototypes


def made(prototypes: Prototypes, one: Set, c: int, d: int) -> Any:
    """Return a set of c vectors in d dimensions."""
    return prototypes(one.kind, c, d, **one.params)


def exists(one: Set, c: int, d: int) -> bool:
    """Tell whether there is such a set: the simplex needs c - 1 dimensions."""
    return one.kind != "simplex" or d >= c - 1


def mean_cosines(vectors: np.ndarray) -> np.ndarray:
    """Return the average cosine of each unit vector, of shape (c, d), to the others."""
    gram = vectors @ vectors.T
    return np.asarray((gram.sum(axis=1) - np.diag(gram)) / (len(vectors) - 1))


def closest_pair(vectors: np.ndarray) -> tuple[int, int, float]:
    """Return the two unit vectors with the largest cosine, and that cosine.

    Of pairs that are as close but for rounding, it is the first.
    """
    gram = vectors @ vectors.T
    rows, columns = np.triu_indices(len(gram), 1)
    cosines = gram[rows, columns]
    first = int(np.flatnonzero(cosines >= cosines.max() - ROUNDING)[0])
    return int(rows[first]), int(columns[first]), float(cosines.max())


def gaussian_points(c: int, d: int, *, mean: float, std: float, draw: int) -> np.ndarray:
    """Return c Gaussian points on the sphere; those of one draw differ by mean and std alone.

    Parameters
    ----------
    c, d : int
        How many points, of how many values.
    mean, std : float
        Of each value, before the points are normalized.
    draw : int
        Number of the draw.
    """
    points = mean + std * stream(draw, "dl2pa", c, d).normal(size=(c, d))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True))


def table7(
    rows: pd.DataFrame,
    prototypes: Prototypes | None = None,
    *,
    c: PositiveInt = 100,
    d: list[PositiveInt] = [100, 50],  # noqa: B006 - read only; a list is what YAML writes
) -> Table:
    """Return the largest and the smallest cosine of sets of c vectors, and the bound.

    Parameters
    ----------
    rows : DataFrame
        Not used: sets need no training.
    prototypes : callable
        Makes a set, see the module.
    c : int
    d : list of int

    Raises
    ------
    DataError
        If there is nothing that makes sets.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype Assignment",
    CVPR 2024, table 7.
    """
    frame = _cosines_beside(needed(prototypes, at="dl2pa_table7"), c, d)
    known = frame["paper_max_cosine"].notna().any()
    columns = (*SHOWN, *PAPERS) if known else SHOWN
    finding = _finding(frame)
    caption = " ".join([finding, *_remarks(c)])
    title = f"DL2PA table 7: cosines between {c} prototypes"
    data = {"_exact": frame.drop(columns="row")}
    out = frame[[column.name for column in columns]]
    return Table("dl2pa_table7", title, caption, columns, out, data=data, finding=finding)


def _cosines_beside(make: Prototypes, c: int, sizes: Sequence[int]) -> pd.DataFrame:
    """Return the cosines of every set at every d, the paper's beside; then what is not made."""
    records = [
        {"d": d, "set": one.name, "row": one.row, **_cosines(made(make, one, c, d))}
        for d in sizes
        for one in SETS
        if exists(one, c, d)
    ]
    papers = published_geometry()
    papers = papers[(papers["c"] == c) & papers["d"].isin(sizes)].drop(columns="c")
    papers = papers.rename(columns={"set": "row", **{name: f"paper_{name}" for name in COSINES}})
    frame = pd.DataFrame(records).merge(papers, on=["d", "row"], how="left")
    left = papers[papers["row"] == "Word2Vec"]
    if len(left):
        frame = pd.concat([frame, left.assign(set=NOT_MADE)], ignore_index=True)
    return frame.sort_values("d", ascending=False, kind="stable", ignore_index=True)


def _cosines(made_set: Any) -> dict[str, float]:
    """Return the cosines of a set, as its certificate has them."""
    names = (*COSINES, "mean_cosine", "bound")
    values = {name: getattr(made_set.certificate, name) for name in names}
    return {name: float("nan") if v is None else float(v) for name, v in values.items()}


def _remarks(c: int) -> list[str]:
    return [
        f"Largest, smallest and mean cosine of two of {c} unit vectors, and the best known lower "
        "bound on the largest (Rankin; linear programming for c > 2d).",
        "DL2PA as published: the Gaussian potential, t = 2, learning rate 0.1, 1,000 steps; "
        "converged: the same with a learning rate of c/2, as the methods dl2pa_static and "
        "dl2pa_dynamic have it; equidistributed: closed forms where they are optimal, else "
        "refined.",
        ZERO_SUM,
        f"Paper: {CITATION}, table 7. Its largest cosines of 0.0 for ETF and DL2PA at d = 100 come "
        "from a diagonal set to zero before the maximum (the true one is -0.0101); its HPN at "
        "d = 50, -0.05, is impossible (no 100 vectors in 50 dimensions have a largest cosine below "
        "0) and a slip of the sign; its DL2PA at d = 50 is the cross-polytope (0 and -1), which "
        "the published recipe does not reach.",
    ]


def _finding(frame: pd.DataFrame) -> str:
    """Say whether the published recipe gives the paper's cosines, and what sets reach the bound."""
    texts = []
    recipe = frame[(frame["set"] == PUBLISHED.name) & frame["paper_max_cosine"].notna()]
    for row in recipe.to_dict("records"):
        off = max(abs(row[name] - row[f"paper_{name}"]) for name in COSINES)
        verdict = "gives" if off <= FOUND else "does not give"
        texts.append(
            f"at d = {row['d']} the published recipe {verdict} the paper's cosines "
            f"({row['max_cosine']:.2f} and {row['min_cosine']:.2f}; in the paper "
            f"{row['paper_max_cosine']:.2f} and {row['paper_min_cosine']:.2f})"
        )
    reached = frame[(frame["max_cosine"] - frame["bound"]).abs() < 1e-3]
    for d, own in reached.groupby("d", sort=False):
        texts.append(f"at d = {d} the bound is reached by {', '.join(own['set'])}")
    text = "; ".join(texts) or "no set reaches the bound on the largest cosine"
    return f"{text[:1].upper()}{text[1:]}."


def distances(prototypes: Prototypes, *, c: int, d: int, draws: int) -> pd.DataFrame:
    """Return the smallest cosine distance of prototypes and of Gaussian points of mean 0.

    Returns
    -------
    frame : DataFrame
        `set`, `distance` (of Gaussian points the median over draws), `low` and `high` (the range
        over draws; null: one set).
    """
    drawn = [
        1 - closest_pair(gaussian_points(c, d, mean=0.0, std=1.0, draw=i))[2] for i in range(draws)
    ]
    records = [(GAUSSIAN, float(np.median(drawn)), min(drawn), max(drawn))]
    for one in (PUBLISHED, SPREAD):
        value = 1 - closest_pair(np.asarray(made(prototypes, one, c, d).vectors))[2]
        records.append((one.name, value, np.nan, np.nan))
    return pd.DataFrame(records, columns=["set", "distance", "low", "high"])

"""The paper's own numbers, and which of our rows each of them stands beside.

Source: Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype
Assignment", CVPR 2024, tables 1 to 9 and figure 2. The curves of figures 3 and 4 are printed
without numbers.
"""

import re
from functools import cache
from importlib import resources

import numpy as np
import pandas as pd

CITATION = (
    'Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype Assignment"'
    ", CVPR 2024"
)
# How users may call the paper's data; a long-tailed set may carry its rho at the end.
NAMES = {
    "cifar100": r"cifar_?100",
    "imagenet_200": r"(tiny_)?imagenet_?200",
    "imagenet": r"imagenet(_?1k)?",
}
LONG_TAILED = {
    "cifar100_lt": r"cifar_?100_lt",
    "cifar10_lt": r"cifar_?10_lt",
    "svhn_lt": r"svhn_lt",
    "stl10_lt": r"stl(_?10)?_lt",
    "imagenet_lt": r"imagenet_lt",
}
RHO = re.compile(r"(?<=_lt)[_-](?:rho[_-]?)?([\d.p]+)$")
SAME_RHO = 1e-9


@cache
def published(table: str) -> pd.DataFrame:
    """Return the accuracies of one of the paper's tables, in its order.

    Parameters
    ----------
    table : str
        ``table1`` to ``table6``, ``table8`` or ``table9``.

    Returns
    -------
    values : DataFrame
        `dataset`, `method` (see `roles`), `network` and `scale` (text, empty: any), `d` and `rho`
        (null: any), `accuracy_mean` and `accuracy_std` (null: not given), fractions in [0, 1].
    """
    frame = _read("tables.csv")
    frame = frame[frame["table"] == table].drop(columns="table").reset_index(drop=True)
    for column in ("accuracy_mean", "accuracy_std"):
        frame[column] = (pd.to_numeric(frame[column]) / 100).round(6)
    return frame.assign(
        d=pd.to_numeric(frame["d"]).astype("Int64"), rho=pd.to_numeric(frame["rho"])
    )


@cache
def published_geometry() -> pd.DataFrame:
    """Return table 7: `c`, `d`, `set`, and its largest and smallest cosine between two vectors."""
    frame = _read("geometry.csv")
    for column in ("c", "d", "max_cosine", "min_cosine"):
        frame[column] = pd.to_numeric(frame[column])
    return frame


@cache
def published_points(figure: str) -> pd.DataFrame:
    """Return what is read off ``figure2a`` (at mean 2) or ``figure2c``: `set`, `std`, `value`."""
    frame = _read("figures.csv")
    frame = frame[frame["figure"] == figure].drop(columns="figure").reset_index(drop=True)
    return frame.assign(std=pd.to_numeric(frame["std"]), value=pd.to_numeric(frame["value"]))


def paper_dataset(name: str) -> str:
    """Return which of the paper's data a dataset is, by its name; empty if none.

    Examples
    --------
    >>> paper_dataset("cifar100"), paper_dataset("cifar10_lt_0.01"), paper_dataset("digit_pairs")
    ('cifar100', 'cifar10_lt', '')
    """
    plain = name.lower().replace("-", "_")
    for known, pattern in NAMES.items():
        if re.fullmatch(pattern, plain):
            return known
    for known, pattern in LONG_TAILED.items():
        if re.fullmatch(pattern, family(plain)):
            return known
    return ""


def family(name: str) -> str:
    """Return the name of a long-tailed dataset without its rho.

    Examples
    --------
    >>> family("cifar10_lt_0.01"), family("mnist_lt_rho_0p02"), family("cifar10")
    ('cifar10_lt', 'mnist_lt', 'cifar10')
    """
    return RHO.sub("", name)


def rho_in(name: str) -> float:
    """Return the rho that the name of a dataset ends with; NaN if it has none.

    Examples
    --------
    >>> rho_in("cifar10_lt_0.01"), rho_in("mnist_lt_005"), rho_in("cifar100")
    (0.01, 0.005, nan)
    """
    found = RHO.search(name)
    digits = re.fullmatch(r"(?:0?[.p])?(\d+)", found[1]) if found else None
    return float(f"0.{digits[1]}") if digits else float("nan")


def beside(frame: pd.DataFrame, table: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the paper's values of rows, and those of its values that stand beside none of them.

    Parameters
    ----------
    frame : DataFrame
        `dataset`, `imbalance`, `network`, `d`, `role` and `scale` of a row each.
    table : str
        As in `published`.

    Returns
    -------
    values : DataFrame
        `paper_mean` and `paper_std`, fractions, null where the paper has none, with the index
        of `frame`.
    left : DataFrame
        Rows of `published`, of datasets that `frame` has.
    """
    own = frame["dataset"].map(paper_dataset)
    values = pd.DataFrame({"paper_mean": np.nan, "paper_std": np.nan}, index=frame.index)
    left = []
    for i, row in published(table).iterrows():
        fits = (own == row["dataset"]) & (frame["role"] == row["method"])
        if row["network"]:
            fits &= frame["network"].map(lambda n, like=row["network"]: _same_network(n, like))
        if row["scale"]:
            fits &= frame["scale"] == row["scale"]
        if pd.notna(row["d"]):
            fits &= frame["d"] == row["d"]
        if pd.notna(row["rho"]):
            fits &= (frame["imbalance"].astype(float) - row["rho"]).abs() < SAME_RHO
        fits = fits.fillna(value=False).astype(bool)
        values.loc[fits, ["paper_mean", "paper_std"]] = row["accuracy_mean"], row["accuracy_std"]
        if not fits.any() and row["dataset"] in set(own):
            left.append(i)
    return values, published(table).loc[left]


def _same_network(name: object, paper: str) -> bool:
    """Tell whether a network is the paper's by its name: ``resnet_50`` is ``resnet50``."""
    plain = str(name).lower().replace("-", "").replace("_", "")
    return plain == paper.replace("_", "")


def _read(name: str) -> pd.DataFrame:
    source = resources.files("imprint_bench.analysis.dl2pa") / "values" / name
    with source.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)

"""The paper's own values, to stand beside ours and to compare the order of methods with.

Source: Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, tables 1 to 6, A.1 to A.3 and
section A.5.
"""

from functools import cache
from importlib import resources

import pandas as pd

FMS = frozenset({"resnet18", "resnet50", "vit_b_16", "swin_b"})
DATASETS = frozenset({"mnist", "fashion_mnist", "cifar10"})
TASKS = frozenset({"all", "short", "odd", "even"})
ANY = "*"  # the best of the group
AXES = ("norm_pre", "gen", "k", "norm_post", "norm_inf", "agg", "m")


@cache
def published(table: str) -> pd.DataFrame:
    """Return the rows of one of the paper's tables, in its order.

    Parameters
    ----------
    table : str
        ``table1`` to ``table6``, ``tableA1`` to ``tableA3``, ``sectionA5``.

    Returns
    -------
    values : DataFrame
        `label`, the axes of a configuration as text (``*``: the best of the group), and
        `accuracy_mean` and `accuracy_std`, fractions in [0, 1], NaN where it has none.
    """
    frame = _read("tables.csv")
    frame = frame[frame["table"] == table].drop(columns="table").reset_index(drop=True)
    for column in ("accuracy_mean", "accuracy_std"):
        frame[column] = (pd.to_numeric(frame[column]) / 100).round(6)
    return frame


@cache
def published_runtimes() -> pd.DataFrame:
    """Return the paper's seconds of generation: `gen`, `k` and `seconds`, on 8 virtual cores."""
    frame = _read("runtimes.csv").rename(columns={"seconds_8_vcpu": "seconds"})
    return frame.assign(seconds=frame["seconds"].astype(float))


def of_the_paper(instances: pd.DataFrame) -> bool:
    """Tell whether instances are those of the paper's tables: its networks, datasets and tasks."""
    return (
        set(instances["fm"]) == FMS
        and set(instances["dataset"]) == DATASETS
        and set(instances["task"]) == TASKS
        and len(instances) == len(FMS) * len(DATASETS) * len(TASKS)
    )


def beside(methods: pd.DataFrame, table: str) -> pd.DataFrame:
    """Return the paper's values of configurations, null where it has none.

    Parameters
    ----------
    methods : DataFrame
        A row per configuration: the axes `gen`, `gen_k`, the norms, `agg`, `agg_m`.
    table : str
        As in `published`.

    Returns
    -------
    values : DataFrame
        `paper_mean` and `paper_std`, fractions, with the index of `methods`.

    Raises
    ------
    ValueError
        If a row of the paper fits two configurations, which then are not told apart as it does.
    """
    ours = _as_text(methods)
    values = pd.DataFrame({"paper_mean": float("nan"), "paper_std": float("nan")}, ours.index)
    for row in published(table).to_dict("records"):
        fits = pd.Series(data=True, index=ours.index)
        for axis in AXES:
            if row[axis] != ANY:
                fits &= ours[axis] == row[axis]
        if fits.sum() > 1:
            raise ValueError(f"{table}: the paper's row {row} fits {fits.sum()} configurations")
        values.loc[fits, ["paper_mean", "paper_std"]] = row["accuracy_mean"], row["accuracy_std"]
    return values


def _as_text(methods: pd.DataFrame) -> pd.DataFrame:
    """Return the axes of configurations as the paper's tables write them."""
    absent = pd.Series(pd.NA, methods.index)
    k = methods.get("gen_k", absent).astype("Int64").astype("string")
    k = k.fillna(methods["gen"].map({"all": "all"}).astype("string")).fillna("1")
    m = methods.get("agg_m", absent).astype("Int64").astype("string").fillna("")
    plain = methods[["norm_pre", "gen", "norm_post", "norm_inf", "agg"]].astype("string")
    return plain.assign(k=k, m=m)


def _read(name: str) -> pd.DataFrame:
    source = resources.files("imprint_bench.analysis.paper") / "values" / name
    with source.open(encoding="utf-8") as file:
        return pd.read_csv(file, dtype=str, keep_default_na=False)

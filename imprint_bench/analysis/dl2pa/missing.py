"""Sentences on training runs that are not there: which, why, and what computes them."""

import numpy as np
import pandas as pd

from imprint_bench.analysis.axes import TRAINING
from imprint_bench.analysis.cells import Cells
from imprint_bench.analysis.dl2pa.places import place_label
from imprint_bench.analysis.gaps import MISSING, NAMED, OK
from imprint_bench.errors import StoreError


def lacking(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the axes and the status of the trials without a result."""
    shown = [*TRAINING.place(rows), "method", "seed", *TRAINING.kinds(rows)]
    shown += [*TRAINING.parameters(rows), "status"]
    found = rows.loc[rows["accuracy"].isna() | (rows["status"] != OK), shown]
    return found.dropna(axis="columns", how="all").reset_index(drop=True)


def gaps(cells: Cells, instances: pd.DataFrame, labels: pd.Series) -> str:
    """Say which cells are missing."""
    at = np.argwhere(cells.missing)
    reasons = cells.reasons()
    names = [
        f"{labels[m]} on {place_label(instances.iloc[i])} ({reasons[i, m]})" for i, m in at[:NAMED]
    ]
    counts = pd.Series(reasons[cells.missing]).value_counts()
    by = ", ".join(f"{n:,} {why}" for why, n in counts.items())
    return (
        f"results: {len(at):,} of {int((~cells.absent).sum()):,} cells (method x instance) are not "
        f"complete: {by} (first: {'; '.join(names)})"
    )


def remedy(rows: pd.DataFrame) -> str:
    """Say what computes the trials that are not there, and what does without them."""
    status = rows["status"].fillna(MISSING)
    counts = status[~status.isin([OK, MISSING])].value_counts()
    told = ", ".join(f"{n:,} {why}" for why, n in counts.items())
    again = f" (trials: {told}; mode=retry_failed runs these again)" if told else ""
    return (
        f"run the sweep again to compute them{again}, or set report.allow_incomplete=true to "
        "leave them out."
    )


def refuse_twins(
    rows: pd.DataFrame, instance: np.ndarray, method: np.ndarray, labels: pd.Series
) -> None:
    """Raise StoreError where a method has two rows with one seed on an instance."""
    twins = pd.DataFrame({"i": instance, "m": method, "s": rows["seed"].to_numpy()}).duplicated()
    if twins.any():
        first = int(np.flatnonzero(twins)[0])
        raise StoreError(
            f"results: {int(twins.sum())} trials have two rows (first: {labels[method[first]]} on "
            f"{place_label(rows.iloc[first])}, seed {rows['seed'].iloc[first]}); pass rows of one "
            "version of each trial."
        )

"""Sentences on results that are not there: which, why, and what computes them."""

import numpy as np
import pandas as pd

from imprint_bench.analysis.labels import instance_labels, method_labels

NAMED = 3  # how many missing cells a message names
OK, MISSING = "ok", "missing"  # status of a result, and of a trial that the store has no row of


def left_out(mask: np.ndarray, noun: str, why: str) -> str:
    """Return the sentence that some of the things in a mask are left out."""
    return f"{mask.sum():,} of {len(mask):,} {noun}s {why} and are left out."


def gaps(
    missing: np.ndarray,
    reasons: np.ndarray,
    instances: pd.DataFrame,
    methods: pd.DataFrame,
    *,
    n_cells: int | None = None,
) -> str:
    """Say which cells are missing.

    Parameters
    ----------
    missing : ndarray of bool, shape (n_instances, n_methods)
    reasons : ndarray of str, shape (n_instances, n_methods)
        One status other than ok for each of them.
    instances, methods : DataFrame
        One row for each row and column of these.
    n_cells : int, optional
        How many cells there are; by default all of `missing`.
    """
    at = np.argwhere(missing)
    i, m = at[:NAMED].T
    names = zip(
        method_labels(methods.iloc[m]),
        instance_labels(instances.iloc[i]),
        reasons[i, m],
        strict=True,
    )
    first = "; ".join(f"{method} on {instance} ({why})" for method, instance, why in names)
    counts = pd.Series(reasons[missing]).value_counts()
    by = ", ".join(f"{n:,} {why}" for why, n in counts.items())
    n_all = n_cells or missing.size
    return (
        f"results: {len(at):,} of {n_all:,} cells (configuration x instance) are not complete: "
        f"{by} (first: {first})"
    )


def remedy(rows: pd.DataFrame) -> str:
    """Say what computes the rows that are not there, and what does without them."""
    status = rows["status"].fillna(MISSING)
    counts = status[~status.isin([OK, MISSING])].value_counts()
    told = ", ".join(f"{n:,} {why}" for why, n in counts.items())
    again = f" (trials: {told}; mode=retry_failed runs these again)" if told else ""
    return (
        f"run the sweep again to compute them{again}, or set report.allow_incomplete=true to "
        "leave out their instances."
    )

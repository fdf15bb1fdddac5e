"""Trials sorted into cells: which configuration on which instance, complete or not."""

import numpy as np
import pandas as pd

from imprint_bench.analysis.labels import instance_labels, method_labels
from imprint_bench.errors import StoreError

# n correct / n test rows: different accuracies differ by 1e-7 or more, rounding noise by 1e-15.
DECIMALS = 12


def number(frame: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the number of each row's combination of values, and the combinations in order.

    The order is that of the values, column by column, null first; it does not
    depend on the order of the rows.
    """
    key = np.zeros(len(frame), dtype=np.int64)
    for column in frame:
        codes, values = pd.factorize(frame[column])
        try:
            order = np.argsort(np.asarray(values), kind="stable")
        except TypeError:  # values of several types have no order but that of their text
            order = np.argsort(np.asarray([str(v) for v in values]), kind="stable")
        place = np.empty(len(values) + 1, dtype=np.int64)
        place[order] = np.arange(1, len(values) + 1)
        place[-1] = 0  # code -1: null
        _, key = np.unique(key * (len(values) + 1) + place[codes], return_inverse=True)
    _, first = np.unique(key, return_index=True)
    return key, frame.iloc[first].reset_index(drop=True).convert_dtypes()


class Cells:
    """Rows sorted into cells (instance, configuration).

    Attributes
    ----------
    missing : ndarray of bool, shape (n_instances, n_methods)
        Cells without an ok row for every seed of their instance.
    absent : ndarray of bool, shape (n_instances, n_methods)
        Cells that do not exist by the rules of the plan.

    Raises
    ------
    StoreError
        If two rows have the same cell and seed.
    """

    def __init__(
        self, rows: pd.DataFrame, method: np.ndarray, instance: np.ndarray, shape: tuple[int, int]
    ) -> None:
        self.shape = shape
        self.cell = instance * shape[1] + method
        self.ok = ((rows["status"] == "ok") & rows["accuracy"].notna()).to_numpy(dtype=bool)
        self.rows = rows
        seeds, _ = pd.factorize(rows["seed"])
        trial = self.cell * (seeds.max() + 1) + seeds
        self._refuse_twins(trial)
        pairs = np.unique(instance * (seeds.max() + 1) + seeds)
        wanted = np.bincount(pairs // (seeds.max() + 1), minlength=shape[0])
        done = np.bincount(self.cell[self.ok], minlength=shape[0] * shape[1]).reshape(shape)
        known = np.bincount(self.cell, minlength=shape[0] * shape[1]).reshape(shape)
        self.absent = (known == 0) & ("planned" in rows)
        self.missing = (done < wanted[:, None]) & ~self.absent

    def medians(self) -> np.ndarray:
        """Return the medians, shape (n_instances, n_methods), NaN where there is no result."""
        out = np.full(self.shape[0] * self.shape[1], np.nan)
        found = self.rows["accuracy"][self.ok].astype(float).groupby(self.cell[self.ok]).median()
        out[found.index.to_numpy()] = found.round(DECIMALS).to_numpy()
        return out.reshape(self.shape)

    def reasons(self) -> np.ndarray:
        """Return one status other than ok per cell, ``"missing"`` where there is none."""
        out = np.full(self.shape[0] * self.shape[1], "missing", dtype=object)
        out[self.cell[~self.ok]] = self.rows["status"][~self.ok].fillna("missing").to_numpy()
        return out.reshape(self.shape)

    def _refuse_twins(self, trial: np.ndarray) -> None:
        _, first, counts = np.unique(trial, return_index=True, return_counts=True)
        if (counts > 1).any():
            row = self.rows.iloc[[first[counts > 1][0]]]
            where = f"{method_labels(row)[0]} on {instance_labels(row)[0]}"
            raise StoreError(
                f"results: {(counts > 1).sum()} trials have two rows (first: {where}, "
                f"seed {row['seed'].iloc[0]}); pass rows of one version of each trial."
            )

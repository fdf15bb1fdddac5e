"""What the plans of all sweeps can do, whether they imprint or train."""

from typing import Protocol

import numpy as np
import pandas as pd


class Planned(Protocol):
    """Trials with their ids, and the combinations that are none.

    Attributes
    ----------
    ids : ndarray of shape (trials,), bytes of length 64
        `trial_id`, hexadecimal.
    dropped : DataFrame with columns reason, where, trials
    """

    ids: np.ndarray
    dropped: pd.DataFrame

    def __len__(self) -> int:
        """Return the number of trials."""

    def frame(self) -> pd.DataFrame:
        """Return one row per trial: its id and a column per axis."""

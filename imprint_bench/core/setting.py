"""What is done with one set of proxies, as plain values."""

from typing import Any, NamedTuple

import numpy as np


class Setting(NamedTuple):
    """What is done with one set of proxies: on which task, with which norms and aggregation."""

    task: str
    norm_post: str
    norm_inf: str
    agg: str
    agg_params: tuple[tuple[str, Any], ...]

    @property
    def params(self) -> dict[str, Any]:
        """The aggregation's parameters by name."""
        return dict(self.agg_params)


class TaskRows(NamedTuple):
    """A task's share of proxies and queries.

    Attributes
    ----------
    classes : ndarray of shape (C,), int
        Positions of its classes among those of the proxies, in its order.
    queries : ndarray of shape (n,), int
        Rows of the queries that belong to it, ascending.
    """

    classes: np.ndarray
    queries: np.ndarray

    def within(self, start: int, stop: int) -> np.ndarray:
        """Return which of the queries start..stop-1 belong to it, counted from `start`."""
        first, last = np.searchsorted(self.queries, [start, stop])
        return self.queries[first:last] - start

"""Tables 4 to 6 of DL2PA: training on long-tailed data, the paper's values beside."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from imprint_bench.analysis.dl2pa.claims import role_against, weighting
from imprint_bench.analysis.dl2pa.layout import finished, long, long_tailed, playing, wide
from imprint_bench.analysis.dl2pa.published import family
from imprint_bench.analysis.dl2pa.roles import DL2PA, ETF, PSC, ROLES
from imprint_bench.analysis.dl2pa.runs import Runs, runs
from imprint_bench.analysis.table import Table
from imprint_bench.errors import IncompleteError

Where = Mapping[str, Any] | None
D = 64  # of table 6
RHO = "rho: images of the rarest class over those of the most frequent."
LOADER = (
    "The paper's SVHN values are not within reach of a correct loader: its published one gives "
    "52.7, 54.3 and 55.8 % of the training images a wrong label at rho = 0.005, 0.01 and 0.02; "
    "expect far higher accuracies."
)
NO_PROJECTION = (
    "d = 50 cannot come from the paper's published long-tail network, whose features have no "
    "projection to d."
)


def table4(rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False) -> Table:
    """Return accuracy on a long-tailed dataset by rho: CIFAR-100-LT in the paper.

    Parameters
    ----------
    rows : DataFrame
        One row per trial, see `runs`.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out methods where they lack results, instead of refusing.

    Raises
    ------
    IncompleteError
        If results are missing, or there are no training runs on long-tailed data.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype Assignment",
    CVPR 2024, table 4.
    """
    view = _by_rho(_seen(rows, where, allow_incomplete))
    made = wide(view, "table4", over="imbalance")
    title = "long-tailed data by rho"
    return finished("4", title, view, made, _claims(view), RHO, NO_PROJECTION)


def table5(rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False) -> Table:
    """Return accuracy on a long-tailed dataset by d: ImageNet-LT in the paper.

    See `table4` for parameters and errors.

    References
    ----------
    Saadabadi et al., CVPR 2024, table 5.
    """
    view = _seen(rows, where, allow_incomplete)
    title = "long-tailed data by d"
    return finished("5", title, view, long(view, "table5"), _claims(view, axis="d"), RHO)


def table6(rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False) -> Table:
    """Return accuracy on long-tailed datasets by rho at d = 64, or at every d where none is 64.

    See `table4` for parameters and errors.

    References
    ----------
    Saadabadi et al., CVPR 2024, table 6.
    """
    view = _by_rho(_seen(rows, where, allow_incomplete))
    at = view.cells["d"] == D
    view = view.only(at) if at.any() else view
    made = wide(view, "table6", over="imbalance")
    remarks = (RHO, LOADER)
    title = "long-tailed datasets of few classes by rho"
    return finished("6", title, view, made, _claims(view), *remarks)


def _seen(rows: pd.DataFrame, where: Where, allow_incomplete: bool) -> Runs:
    return playing(long_tailed(runs(rows, where=where, allow_incomplete=allow_incomplete)), ROLES)


def _by_rho(view: Runs) -> Runs:
    """Return the runs whose rho is known.

    Raises
    ------
    IncompleteError
        If there are none.
    """
    kept = view.only(view.cells["imbalance"].notna())
    if kept.cells.empty:
        raise IncompleteError("results: no training run in view says its rho.")
    return kept


def _claims(view: Runs, *, axis: str = "imbalance") -> list[str]:
    """Say how DL2PA stands against PSC and ETF, and what the weights of classes do."""
    cells = view.cells.assign(family=view.cells["dataset"].map(family))
    told = [role_against(cells, DL2PA, role, axis=axis, by=("family",)) for role in (PSC, ETF)]
    return [*told, weighting(cells)]

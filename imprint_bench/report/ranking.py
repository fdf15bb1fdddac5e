"""Which configuration stands for each generator, also where several sweeps share a page.

Configurations are ranked where there is most to choose from. A *setting* is
what an instance is beside its foundation model, dataset and task: n_shot, and
the mapping without the number of its draw. The *main* instances are those of
all settings that have at least half as many configurations as the one with
most; figures over n_shot or mappings, which take a handful of configurations,
add instances but no say in the choice. A generator that is on some of the main
instances only has a rank that cannot be compared with those of the others: it
comes after them.

The seeds of an instance are those that most of its configurations have: what a
sweep with other seeds adds to some of them is left out, see `report.seeds`.
"""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from imprint_bench.analysis.axes import IMPRINTING, axes_of, parameter_columns
from imprint_bench.analysis.cells import Cells, number
from imprint_bench.analysis.frames import (
    average_ranks,
    best_of_groups,
    method_columns,
    without_fm_parameters,
)
from imprint_bench.analysis.labels import (
    DEFAULT_MAPPINGS,
    ORACLES,
    generator_labels,
    method_labels,
)
from imprint_bench.report.seeds import common_seeds

DRAW = re.compile(r"(-\d+)-\d+$")  # of the mapping `d_in_1`: d, and which draw


@dataclass(frozen=True)
class Ranking:
    """The best configuration of every generator, and its accuracy on every instance.

    Attributes
    ----------
    best : DataFrame, one row per generator with its parameters
        Those on all main instances, best first, then the others. The axes of
        the configuration; `label`, `generator` (both spelled); `everywhere`
        (on all main instances); `average_rank` among the configurations there
        (where it is not everywhere: among all, on the instances that it is on),
        `accuracy_mean` and `accuracy_std` (sample) in [0, 1] over the
        `n_instances` that the rank is of; `oracle`; `noun`, what it is called. A method
        that trains stands for itself.
    instances : DataFrame, one row per instance
        The axes of an instance; `fm`, `dataset`, `task` (of training: network, dataset,
        dimension); `setting` and `variant` (spelled: without and with the
        draw of a mapping); `main`.
    accuracy : ndarray of shape (n_instances, n_generators), float64 in [0, 1]
        Medians over the seeds of the instance, see the module; NaN where a
        trial of the cell has no result.
    n_reduced, n_own : int
        How many of these cells have further seeds, which were left out; and
        how many lack a seed of their instance, and are medians over their own.
    """

    best: pd.DataFrame
    instances: pd.DataFrame
    accuracy: np.ndarray
    n_reduced: int = 0
    n_own: int = 0


def ranking(rows: pd.DataFrame) -> Ranking | None:
    """Return the best configuration of every generator; None where no row has a result.

    A generator is judged by those of its configurations that are on most of
    the main instances, as planned: a trial that failed takes no configuration
    out. Where all are complete, that is what the table `best_configurations`
    says. Instances with a gap are left out, as by ``allow_incomplete``, unless
    more than half have one; then those configurations are on an instance that
    have results there.

    Parameters
    ----------
    rows : DataFrame
        One row per trial, see `analysis.frames`. Status and gaps of any kind.
    """
    if rows.empty or not ((rows["status"] == "ok") & rows["accuracy"].notna()).any():
        return None
    rows = without_fm_parameters(rows.reset_index(drop=True))
    method, methods = number(rows[method_columns(rows)])
    axes = axes_of(rows)
    instance, instances = number(rows[[c for c in axes.instance if c in rows]])
    instances = _with_settings(instances) if axes is IMPRINTING else _of_training(instances)
    shape = (len(instances), len(methods))
    cells = Cells(rows, method, instance, shape)
    counts, own = common_seeds(cells.cell, instance, pd.factorize(rows["seed"], sort=True)[0])
    planned = _marked(cells.cell, shape)
    reduced, odd = _marked(cells.cell[~counts], shape), _marked(cells.cell[own], shape)
    if not counts.all():
        cells = Cells(rows[counts], method[counts], instance[counts], shape)
    accuracy = np.where(_marked(cells.cell[~cells.ok], shape), np.nan, cells.medians())
    main = _main(planned, instances["setting"])
    gen = [axes.leading, *parameter_columns(methods, f"{axes.leading}_")]
    if axes is not IMPRINTING:  # a method has no choice of norms or aggregation to be judged by
        gen = method_columns(methods)
    group, _ = number(methods[gen])
    summary = methods.join(_judged(accuracy, planned, main, group), how="inner")
    best = best_of_groups(summary, gen).sort_values("everywhere", ascending=False, kind="stable")
    best = best.assign(
        label=method_labels(best),
        generator=generator_labels(best) if axes is IMPRINTING else method_labels(best),
        oracle=best[axes.leading].isin(ORACLES).to_numpy(dtype=bool),
        noun="generator" if axes is IMPRINTING else "method",
    )
    shown = accuracy[:, best.index]
    n_reduced, n_own = (
        int((which[:, best.index] & ~np.isnan(shown)).sum()) for which in (reduced, odd)
    )
    return Ranking(best, instances.assign(main=main), shown, n_reduced, n_own)


def _marked(cell: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return True for the cells with these numbers."""
    out = np.zeros(shape[0] * shape[1], dtype=bool)
    out[cell] = True
    return out.reshape(shape)


def _with_settings(instances: pd.DataFrame) -> pd.DataFrame:
    """Add `setting` and `variant`, as a reader would call them."""
    nothing = pd.Series(pd.NA, index=instances.index, dtype="object")
    mapping = instances.get("mapping", nothing).astype("object")
    mapping = mapping.where(~mapping.isin(DEFAULT_MAPPINGS), pd.NA)
    shots = ["all rows" if pd.isna(n) else f"{n:g}-shot" for n in instances.get("n_shot", nothing)]
    names = {"variant": mapping, "setting": mapping.str.replace(DRAW, r"\1", regex=True)}
    return instances.assign(
        **{
            column: [s if pd.isna(m) else f"{m}, {s}" for m, s in zip(values, shots, strict=True)]
            for column, values in names.items()
        }
    )


def _of_training(instances: pd.DataFrame) -> pd.DataFrame:
    """Add what the page filters by, so that a network is a model and a dimension a task."""
    return instances.assign(
        fm=instances["network"],
        task=[f"d = {d}" for d in instances["d"]],
        setting=instances["recipe"],
        variant=instances["recipe"],
    )


def _main(planned: np.ndarray, setting: pd.Series) -> np.ndarray:
    """Return which instances are the main ones, see the module."""
    codes, _ = pd.factorize(setting)
    n = np.array([planned[codes == c].any(axis=0).sum() for c in range(codes.max() + 1)])
    return (2 * n >= n.max())[codes]


def _judged(
    accuracy: np.ndarray, planned: np.ndarray, main: np.ndarray, group: np.ndarray
) -> pd.DataFrame:
    """Return rank and accuracy of the configurations that may stand for their generators.

    Those on all main instances are ranked among each other; a generator that
    has none is judged by those on most of its instances, among all.
    """
    chosen, everywhere = _chosen(planned, main, group)
    whole = ~np.isnan(accuracy[np.ix_(main, chosen & everywhere)]).any(axis=1)
    if 2 * whole.sum() < len(whole):  # half of a study: what has results counts, not the plan
        chosen, everywhere = _chosen(~np.isnan(accuracy), main, group)
        whole[:] = True
    first, second = np.flatnonzero(chosen & everywhere), np.flatnonzero(chosen & ~everywhere)
    parts = []
    if len(first):
        table = pd.DataFrame(accuracy[np.ix_(main, first)][whole], columns=first)
        parts.append(_measured(table).assign(everywhere=True))
    if len(second):
        among = pd.DataFrame(accuracy[:, chosen], columns=np.flatnonzero(chosen))
        parts.append(_measured(among).loc[second].assign(everywhere=False))
    return pd.concat(parts).dropna(subset="average_rank")


def _chosen(
    there: np.ndarray, main: np.ndarray, group: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which configurations are as widespread as any of their group, and which everywhere."""
    on_main, on_any = (pd.Series(there[which].sum(axis=0)) for which in (main, main | True))
    coverage = on_main.where(on_main.groupby(group).transform("max") > 0, on_any)
    chosen = coverage == coverage.groupby(group).transform("max")
    return chosen.to_numpy(), on_main.to_numpy() == main.sum()


def _measured(table: pd.DataFrame) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "average_rank": average_ranks(table),
            "accuracy_mean": table.mean(),
            "accuracy_std": table.std(ddof=1),
            "n_instances": table.notna().sum(),
        }
    )

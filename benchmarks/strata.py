"""A stratified sample of trials, and what it says about all of them."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from imprint_bench.core.scoring import Setting
from imprint_bench.sweep.plan import Group, Plan


class Stratum(NamedTuple):
    """What the cost of one trial of the reference path depends on most."""

    fm: str
    dataset: str
    mapping: str
    task: str
    n_shot: int  # 0 where all rows are taken
    gen: str
    k: int
    quantile: bool
    agg: str
    metric: str


def stratum_of(group: Group, setting: Setting) -> Stratum:
    """Return the stratum of a trial; seeds, scalings, m and weightings share one."""
    return Stratum(
        fm=group.fm,
        dataset=group.dataset,
        mapping=group.mapping,
        task=setting.task,
        n_shot=group.n_shot or 0,
        gen=group.gen,
        k=dict(group.gen_params).get("k", 0),
        quantile=setting.norm_post == "quantile",
        agg=setting.agg,
        metric=setting.params.get("metric", ""),
    )


def strata_of(plan: Plan) -> list[Stratum]:
    """Return the stratum of every trial of a plan."""
    pairs = zip(plan.group_of.tolist(), plan.setting_of.tolist(), strict=True)
    return [stratum_of(plan.groups[i], plan.settings[j]) for i, j in pairs]


def sample(strata: Sequence[Stratum], *, each: int, seed: int = 0) -> np.ndarray:
    """Return the places of some trials of every stratum.

    Parameters
    ----------
    strata : sequence of Stratum
        Of all trials.
    each : int
        Trials wanted of every stratum; one with fewer gives all.
    seed : int
        Draws them.

    Returns
    -------
    ndarray of int, ascending
    """
    rng = np.random.default_rng(seed)
    places = defaultdict(list)
    for i, stratum in enumerate(strata):
        places[stratum].append(i)
    drawn = [rng.permutation(members)[:each] for members in places.values()]
    return np.sort(np.concatenate(drawn))


def whole_seconds(
    strata: Sequence[Stratum], chosen: np.ndarray, seconds: np.ndarray
) -> dict[Stratum, float]:
    """Return what all trials of each stratum take, from the mean of its chosen ones.

    Parameters
    ----------
    strata : sequence of Stratum
        Of all trials.
    chosen : ndarray of int
        Places of the trials that were measured, at least one per stratum.
    seconds : ndarray of float
        What each of them took.
    """
    total, measured = Counter(strata), defaultdict(list)
    for i, took in zip(chosen.tolist(), seconds.tolist(), strict=True):
        measured[strata[i]].append(took)
    return {s: n * float(np.mean(measured[s])) for s, n in total.items()}

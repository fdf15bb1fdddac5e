"""From the trials that a plan lacks to units of work."""

from collections.abc import Mapping

import numpy as np

from imprint_bench.core.generator import GENERATORS
from imprint_bench.sweep.bank import Unit
from imprint_bench.sweep.plan import Plan, UnitKey


def units(
    plan: Plan, chosen: np.ndarray, fingerprints: Mapping[tuple[str, str], str]
) -> list[Unit]:
    """Return the units of work that compute the chosen trials, the longest first.

    Parameters
    ----------
    plan : Plan
    chosen : ndarray of shape (trials,), bool
    fingerprints : mapping from (fm, dataset) to the fingerprint of the embeddings
    """
    number = {key: i for i, key in enumerate(dict.fromkeys(plan.unit_of_group))}
    unit_of_group = np.array([number[key] for key in plan.unit_of_group], dtype=np.int64)
    trials = np.flatnonzero(chosen)
    of_trial = unit_of_group[plan.group_of[trials]]
    order = np.argsort(of_trial, kind="stable")
    starts = np.searchsorted(of_trial[order], np.arange(len(number) + 1))
    made = [
        _unit(plan, key, trials[order[starts[i] : starts[i + 1]]], fingerprints)
        for key, i in number.items()
        if starts[i] < starts[i + 1]
    ]
    return sorted(made, key=weight, reverse=True)


def weight(unit: Unit) -> float:
    """Return a rough measure of a unit's work, to start long ones first."""
    ks = {dict(group.gen_params).get("k", 1) for _, group, _ in unit.trials}
    every_row = GENERATORS[unit.key.gen].every_row
    return len(unit.trials) + (1e6 if every_row else 1e3 * sum(ks))


def _unit(
    plan: Plan, key: UnitKey, trials: np.ndarray, fingerprints: Mapping[tuple[str, str], str]
) -> Unit:
    place = (key.dataset, key.mapping)
    listed = [
        (
            plan.ids[i].decode(),
            plan.groups[plan.group_of[i]],
            plan.settings[plan.setting_of[i]],
        )
        for i in trials
    ]
    used = {setting.task for _, _, setting in listed}
    return Unit(
        key=key,
        label_map=plan.labels[place].label_map,
        tasks={name: task for name, task in plan.tasks[place].items() if name in used},
        trials=listed,
        fingerprint=fingerprints[key.fm, key.dataset],
    )

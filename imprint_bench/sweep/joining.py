"""Plans of several sweeps as one: what they share is computed once, and so is what both ask for."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from imprint_bench.core.setting import Setting
from imprint_bench.sweep.plan import Group, Plan, UnitKey


def fits(plan: Plan, others: Sequence[Plan]) -> bool:
    """Tell whether a plan has a unit of work in common with others, and calls alike what is.

    Parameters
    ----------
    plan : Plan
    others : sequence of Plan
        What they call alike is alike.
    """
    units = set(plan.unit_of_group)
    common = any(not units.isdisjoint(other.unit_of_group) for other in others)
    return common and all(_agree(plan, other) for other in others)


def joined(plans: Sequence[Plan]) -> Plan:
    """Return the plan of all trials of some plans, each trial once.

    Parameters
    ----------
    plans : sequence of Plan
        Names of data, mappings and tasks stand for the same in all of them; see `fits`.
    """
    if len(plans) == 1:
        return plans[0]
    units: dict[Group, UnitKey] = {}
    settings: dict[Setting, int] = {}
    for plan in plans:
        units |= zip(plan.groups, plan.unit_of_group, strict=True)
        for setting in plan.settings:
            settings.setdefault(setting, len(settings))
    numbers = {group: i for i, group in enumerate(units)}
    group_of = [np.array([numbers[g] for g in p.groups])[p.group_of] for p in plans]
    setting_of = [np.array([settings[s] for s in p.settings])[p.setting_of] for p in plans]
    ids = np.concatenate([plan.ids for plan in plans])
    first = np.sort(np.unique(ids, return_index=True)[1])
    places = {place for plan in plans for place in plan.tasks}
    return Plan(
        groups=list(units),
        settings=list(settings),
        group_of=np.concatenate(group_of)[first].astype(np.int32),
        setting_of=np.concatenate(setting_of)[first].astype(np.int32),
        ids=ids[first],
        unit_of_group=list(units.values()),
        dropped=pd.concat([plan.dropped for plan in plans], ignore_index=True),
        fingerprints={k: v for plan in plans for k, v in plan.fingerprints.items()},
        labels={k: v for plan in plans for k, v in plan.labels.items()},
        tasks={
            place: {k: v for plan in plans for k, v in plan.tasks.get(place, {}).items()}
            for place in places
        },
    )


def _agree(one: Plan, other: Plan) -> bool:
    """Tell whether data, mappings and tasks that are named alike are alike."""
    same_data = all(
        other.fingerprints.get(pair, fingerprint) == fingerprint
        for pair, fingerprint in one.fingerprints.items()
    )
    both = set(one.labels) & set(other.labels)
    same_labels = all(one.labels[p].label_map == other.labels[p].label_map for p in both)
    same_tasks = all(
        other.tasks[place].get(name, task) == task
        for place in both
        for name, task in one.tasks[place].items()
    )
    return same_data and same_labels and same_tasks

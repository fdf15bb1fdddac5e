"""The plan: every trial of a sweep with its id, and what was dropped and why, as data.

A trial is a pair: a *group* says which proxies (data, seed, generator), a
*setting* says what is done with them (task, norms, aggregation). Both are few;
the plan holds them once and a pair of indices per trial, so that 500,000
trials are small.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imprint_bench.core.aggregation import AGGREGATIONS
from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.scoring import Setting
from imprint_bench.data.tasks import MappedLabels, Task
from imprint_bench.params import without_defaults
from imprint_bench.plugins import code_of


class Group(NamedTuple):
    """Which proxies: the part of a trial that says what is imprinted."""

    fm: str
    dataset: str
    mapping: str
    n_shot: int | None
    seed: int
    norm_pre: str
    gen: str
    gen_params: tuple[tuple[str, Any], ...]


class UnitKey(NamedTuple):
    """Groups with equal keys are one unit of work: they share rows, and proxies of several k.

    The seed is None where neither the generator nor the choice of rows depends on it;
    `norm_pre` is None where the proxies are the rows, which L2-normalized rank alike.
    """

    fm: str
    dataset: str
    mapping: str
    n_shot: int | None
    norm_pre: str | None
    gen: str
    other_params: tuple[tuple[str, Any], ...]
    seed: int | None


@dataclass
class Plan:
    """Trials in the order of their units, and the combinations that are none.

    Attributes
    ----------
    groups, settings : list
        The distinct ones.
    group_of, setting_of : ndarray of shape (trials,), int32
        Indices into them.
    ids : ndarray of shape (trials,), bytes of length 64
        `trial_id`, hexadecimal.
    unit_of_group : list of UnitKey
    dropped : DataFrame with columns reason, where, trials
    fingerprints : mapping from (fm, dataset) to the fingerprint of the embeddings
    labels : mapping from (dataset, mapping) to MappedLabels
    tasks : mapping from (dataset, mapping) to {name: Task}
    """

    groups: list[Group]
    settings: list[Setting]
    group_of: np.ndarray
    setting_of: np.ndarray
    ids: np.ndarray
    unit_of_group: list[UnitKey]
    dropped: pd.DataFrame
    fingerprints: Mapping[tuple[str, str], str]
    labels: Mapping[tuple[str, str], MappedLabels]
    tasks: Mapping[tuple[str, str], Mapping[str, Task]]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, trials: np.ndarray) -> "Plan":
        """Return the plan of some trials, given by their numbers; maybe of none."""
        groups, group_of = np.unique(self.group_of[trials], return_inverse=True)
        return replace(
            self,
            groups=[self.groups[i] for i in groups],
            group_of=group_of.astype(np.int32),
            setting_of=self.setting_of[trials],
            ids=self.ids[trials],
            unit_of_group=[self.unit_of_group[i] for i in groups],
        )

    def frame(self) -> pd.DataFrame:
        """Return one row per trial: its id and a column per axis."""
        groups = pd.DataFrame([group_columns(g) for g in self.groups])
        settings = pd.DataFrame([setting_columns(s) for s in self.settings])
        parts = [groups.iloc[self.group_of], settings.iloc[self.setting_of]]
        frame = pd.concat([part.reset_index(drop=True) for part in parts], axis=1)
        frame.insert(0, "trial_id", self.ids.astype(str))
        return frame


def group_columns(group: Group) -> dict[str, Any]:
    """Return the columns of a result row that a group determines."""
    columns = group._asdict()
    return columns | {f"gen_{name}": value for name, value in columns.pop("gen_params")}


def setting_columns(setting: Setting) -> dict[str, Any]:
    """Return the columns of a result row that a setting determines."""
    columns = setting._asdict()
    return columns | {f"agg_{name}": value for name, value in columns.pop("agg_params")}


def canonical_trial(group: Group, setting: Setting, *, fingerprint: str, task: Task) -> str:
    """Return the text whose SHA-256 is the trial's id.

    Parameters live under their method and only where they differ from their
    default, so that a new one renames no trial that does not use it.
    """
    return canonical_text(group_json(group, fingerprint), setting_json(setting, task))


def canonical_text(of_group: str, of_setting: str) -> str:
    """Join the two parts of a canonical trial."""
    return f'{{"proxies":{of_group},"use":{of_setting}}}'


def group_json(group: Group, fingerprint: str) -> str:
    """Return the part of a canonical trial that a group determines."""
    generator = GENERATORS[group.gen]
    content = group._asdict() | {
        "data": fingerprint,
        "gen": {group.gen: without_defaults(generator.function, dict(group.gen_params))},
    }
    del content["gen_params"]
    if generator.version > 1:
        content["gen_version"] = generator.version
    if code := code_of(generator.function):
        content["gen_code"] = code
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def setting_json(setting: Setting, task: Task) -> str:
    """Return the part of a canonical trial that a setting determines."""
    function = AGGREGATIONS[setting.agg].function
    content = {
        "agg": {setting.agg: without_defaults(function, setting.params)},
        "norm_inf": setting.norm_inf,
        "norm_post": setting.norm_post,
        "task": {task.name: task.classes},
    }
    if code := code_of(function):
        content["agg_code"] = code
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def unit_key(group: Group) -> UnitKey:
    """Return the unit of work to which a group belongs."""
    generator = GENERATORS[group.gen]
    depends = generator.seeded or group.n_shot is not None
    return UnitKey(
        group.fm,
        group.dataset,
        group.mapping,
        group.n_shot,
        None if generator.every_row else group.norm_pre,
        group.gen,
        tuple((name, value) for name, value in group.gen_params if name != "k"),
        group.seed if depends else None,
    )

"""The plan: every trial of a sweep with its id, and what was dropped and why, as data.

A trial is a pair: a *group* says which proxies (data, seed, generator), a
*setting* says what is done with them (task, norms, aggregation). Both are few;
the plan holds them once and a pair of indices per trial, so that 500,000
trials are small.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imprint_bench.config import FROM_FM, Config, Method
from imprint_bench.core.aggregation import AGGREGATIONS
from imprint_bench.core.generator import GENERATORS, Generator
from imprint_bench.core.scoring import Setting
from imprint_bench.data.embeddings import Description
from imprint_bench.data.tasks import MAPPINGS, MappedLabels, Task, mapped, resolve_task
from imprint_bench.errors import ConfigError
from imprint_bench.params import without_defaults


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

    The seed is None where neither the generator nor the choice of rows depends on it.
    """

    fm: str
    dataset: str
    mapping: str
    n_shot: int | None
    norm_pre: str
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
    labels: Mapping[tuple[str, str], MappedLabels]
    tasks: Mapping[tuple[str, str], Mapping[str, Task]]

    def __len__(self) -> int:
        return len(self.ids)

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


def make_plan(config: Config, descriptions: Sequence[Description]) -> Plan:
    """Enumerate the trials of a sweep.

    Parameters
    ----------
    config : Config
    descriptions : sequence of Description
        One for each pair of foundation model and dataset.

    Raises
    ------
    ConfigError
        If no trial is left, or a number of neighbors is too large for every task.
    DataError
        If a class of a task has no training rows.
    """
    planner = _Planner(config)
    for material in descriptions:
        for source in config.mappings:
            function = MAPPINGS[source.kind]
            for labels in mapped(function, source.params, material.labels, name=source.name):
                planner.add(material, labels)
    return planner.finish()


def canonical_trial(group: Group, setting: Setting, *, fingerprint: str, task: Task) -> str:
    """Return the text whose SHA-256 is the trial's id.

    Parameters live under their method and only where they differ from their
    default, so that a new one renames no trial that does not use it.
    """
    return _canonical(_group_json(group, fingerprint), _setting_json(setting, task))


def _canonical(group_json: str, setting_json: str) -> str:
    return f'{{"proxies":{group_json},"use":{setting_json}}}'


def _group_json(group: Group, fingerprint: str) -> str:
    generator = GENERATORS[group.gen]
    content = group._asdict() | {
        "data": fingerprint,
        "gen": {group.gen: without_defaults(generator.function, dict(group.gen_params))},
    }
    del content["gen_params"]
    if generator.version > 1:
        content["gen_version"] = generator.version
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


def _setting_json(setting: Setting, task: Task) -> str:
    function = AGGREGATIONS[setting.agg].function
    content = {
        "agg": {setting.agg: without_defaults(function, setting.params)},
        "norm_inf": setting.norm_inf,
        "norm_post": setting.norm_post,
        "task": {task.name: task.classes},
    }
    return json.dumps(content, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class _Uses:
    """The settings that one group can take: indices, their texts, and what was dropped."""

    indices: list[int]
    texts: list[str]
    dropped: Counter[tuple[str, str]]


@dataclass
class _Planner:
    """Collects trials while it walks through the grid."""

    config: Config
    groups: list[Group] = field(default_factory=list)
    unit_of_group: list[UnitKey] = field(default_factory=list)
    settings: dict[Setting, int] = field(default_factory=dict)
    group_of: list[int] = field(default_factory=list)
    setting_of: list[int] = field(default_factory=list)
    ids: list[bytes] = field(default_factory=list)
    dropped: Counter[tuple[str, str]] = field(default_factory=Counter)
    labels: dict[tuple[str, str], MappedLabels] = field(default_factory=dict)
    tasks: dict[tuple[str, str], dict[str, Task]] = field(default_factory=dict)
    most_proxies: int = 0
    used_m: set[int] = field(default_factory=set)

    def add(self, material: Description, labels: MappedLabels) -> None:
        """Add every trial on one dataset as one foundation model embeds it."""
        place = (material.dataset, labels.name)
        tasks = {
            name: resolve_task(name, classes, labels, dataset=material.dataset)
            for name, classes in self.config.tasks.items()
        }
        self.labels[place], self.tasks[place] = labels, tasks
        cache: dict[tuple, _Uses] = {}
        for group in self._groups(material, labels):
            params, generator = dict(group.gen_params), GENERATORS[group.gen]
            sizes = {
                name: _proxies(generator, params, task, labels.train_counts, group.n_shot)
                for name, task in tasks.items()
            }
            key = (group.norm_pre, *sizes.values())
            if key not in cache:
                cache[key] = self._uses(group.norm_pre, tasks, sizes)
            uses = cache[key]
            if group.n_shot is not None and params.get("k", 0) > group.n_shot:
                where = f"gen={group.gen} k={params['k']} n_shot={group.n_shot}"
                self.dropped["k is larger than n_shot", where] += len(uses.indices)
                continue
            self._add_trials(group, uses, material.fingerprint)

    def _groups(self, material: Description, labels: MappedLabels) -> Iterator[Group]:
        config = self.config
        for n_shot in config.n_shots:
            for norm_pre in config.norms.pre:
                for method in config.gens:
                    for params in _resolved(method, material.weight_decay):
                        for seed in config.seeds:
                            yield Group(
                                material.fm, material.dataset, labels.name, n_shot,
                                seed, norm_pre, method.name, params,
                            )  # fmt: skip

    def _uses(self, norm_pre: str, tasks: Mapping[str, Task], sizes: Mapping[str, int]) -> _Uses:
        """Return what can be done with proxies of which a task has `sizes`."""
        uses = _Uses([], [], Counter())
        for setting in self._settings(norm_pre, tasks, uses.dropped):
            m, size = setting.params.get("m", 0), sizes[setting.task]
            self.most_proxies = max(self.most_proxies, size)
            if m > size:
                where = f"agg={setting.agg} m={m} task={setting.task} ({size} proxies)"
                uses.dropped["m is larger than the number of proxies of the task", where] += 1
                continue
            self.used_m.add(m)
            uses.indices.append(self.settings.setdefault(setting, len(self.settings)))
            uses.texts.append(_setting_json(setting, tasks[setting.task]))
        return uses

    def _settings(
        self, norm_pre: str, tasks: Mapping[str, Task], dropped: Counter[tuple[str, str]]
    ) -> Iterator[Setting]:
        infs = self.config.norms.inf if norm_pre == "none" else (norm_pre,)
        aggs = [(a.name, _items(p)) for a in self.config.aggs for p in a.grid]
        n_uses = len(tasks) * len(self.config.norms.post) * len(aggs)
        for inf in self.config.norms.inf:
            if inf not in infs:
                where = f"norm pre={norm_pre} inf={inf}"
                dropped[f"norm_pre {norm_pre} implies norm_inf {norm_pre}", where] += n_uses
        for task in tasks:
            for post in self.config.norms.post:
                for inf in infs:
                    for agg, params in aggs:
                        yield Setting(task, post, inf, agg, params)

    def _add_trials(self, group: Group, uses: _Uses, fingerprint: str) -> None:
        group_json = _group_json(group, fingerprint)
        self.group_of.extend([len(self.groups)] * len(uses.indices))
        self.setting_of.extend(uses.indices)
        self.ids.extend(
            hashlib.sha256(_canonical(group_json, text).encode()).hexdigest().encode()
            for text in uses.texts
        )
        self.dropped.update(uses.dropped)
        self.groups.append(group)
        self.unit_of_group.append(unit_key(group))

    def finish(self) -> Plan:
        """Return the plan, after checking that it holds what was asked for."""
        for agg in self.config.aggs:
            for m in sorted({p["m"] for p in agg.grid if "m" in p}):
                if m not in self.used_m and self.most_proxies:
                    raise ConfigError(
                        f"agg.{agg.name}.m: {m} is larger than the number of proxies of every "
                        f"task; choose m <= {self.most_proxies}."
                    )
        dropped = pd.DataFrame(
            [(reason, where, n) for (reason, where), n in self.dropped.items()],
            columns=["reason", "where", "trials"],
        )
        if not self.ids:
            reasons = "; ".join(sorted(set(dropped["reason"]))) or "the grid is empty"
            raise ConfigError(f"{self.config.name}: no trial is left to run ({reasons}).")
        return Plan(
            groups=self.groups,
            settings=list(self.settings),
            group_of=np.array(self.group_of, dtype=np.int32),
            setting_of=np.array(self.setting_of, dtype=np.int32),
            ids=np.array(self.ids, dtype="S64"),
            unit_of_group=self.unit_of_group,
            dropped=dropped,
            labels=self.labels,
            tasks=self.tasks,
        )


def unit_key(group: Group) -> UnitKey:
    """Return the unit of work to which a group belongs."""
    depends = GENERATORS[group.gen].seeded or group.n_shot is not None
    return UnitKey(
        group.fm,
        group.dataset,
        group.mapping,
        group.n_shot,
        group.norm_pre,
        group.gen,
        tuple((name, value) for name, value in group.gen_params if name != "k"),
        group.seed if depends else None,
    )


def _proxies(
    generator: Generator,
    params: Mapping[str, Any],
    task: Task,
    rows: Mapping[int, int],
    n_shot: int | None,
) -> int:
    """Return the number of proxies of a task."""
    sizes = (rows[c] if n_shot is None else min(rows[c], n_shot) for c in task.classes)
    return sum(generator.count(n, params) for n in sizes)


def _resolved(method: Method, weight_decay: float) -> Iterator[tuple[tuple[str, Any], ...]]:
    """Yield the parameters of a generator with the weight decay of the FM in its place."""
    for params in method.grid:
        filled = {n: weight_decay if v == FROM_FM else v for n, v in params.items()}
        yield _items(filled)


def _items(params: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))

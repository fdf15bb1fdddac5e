"""Enumerates the trials of a sweep, and the combinations that are none, with the reason."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.config import FROM_FM, Config, Method
from imprint_bench.core.generator import GENERATORS, Generator
from imprint_bench.core.scoring import Setting
from imprint_bench.data.embeddings.description import Description
from imprint_bench.data.tasks import MAPPINGS, MappedLabels, Task, mapped, resolve_task
from imprint_bench.errors import ConfigError
from imprint_bench.sweep.plan import (
    Group,
    Plan,
    UnitKey,
    canonical_text,
    group_json,
    setting_json,
    unit_key,
)


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
    fingerprints: dict[tuple[str, str], str] = field(default_factory=dict)
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
        self.fingerprints[material.fm, material.dataset] = material.fingerprint
        cache: dict[tuple, _Uses] = {}
        counts = labels.train_counts
        seen: set[Group] = set()
        for group in self._groups(material, labels):
            params, generator = dict(group.gen_params), GENERATORS[group.gen]
            sizes = {
                name: _proxies(generator, params, task, counts, group.n_shot)
                for name, task in tasks.items()
            }
            key = (group.norm_pre, *sizes.values())
            if key not in cache:
                cache[key] = self._uses(group.norm_pre, tasks, sizes)
            uses = cache[key]
            n_trials = len(uses.indices) + uses.dropped.total()
            if group.n_shot is not None and params.get("k", 0) > group.n_shot:
                where = f"gen={group.gen} k={params['k']} n_shot={group.n_shot}"
                self.dropped["k is larger than n_shot", where] += n_trials
            elif group in seen:  # weight_decay: [fm, 1e-4], and the FM has 1e-4
                where = f"gen={group.gen} " + " ".join(f"{n}={v}" for n, v in params.items())
                self.dropped["another combination comes to the same", where] += n_trials
            else:
                seen.add(group)
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
            uses.texts.append(setting_json(setting, tasks[setting.task]))
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
        of_group = group_json(group, fingerprint)
        self.group_of.extend([len(self.groups)] * len(uses.indices))
        self.setting_of.extend(uses.indices)
        self.ids.extend(
            hashlib.sha256(canonical_text(of_group, text).encode()).hexdigest().encode()
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
            fingerprints=self.fingerprints,
            labels=self.labels,
            tasks=self.tasks,
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

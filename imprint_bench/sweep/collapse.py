"""Neural collapse of the evaluation instances of a plan, from cached embeddings.

The values are kept in ``<paths.results>/collapse``, a file per entry of the cache, so
that a second report costs nothing.
"""

import json
import logging
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from imprint_bench.config import Config
from imprint_bench.core.neural_collapse import nc1, nc1_as_published
from imprint_bench.core.normalization import l2_normalize
from imprint_bench.core.sampling import map_labels
from imprint_bench.data.dataset import digest
from imprint_bench.data.embeddings.cache import Embeddings, find
from imprint_bench.data.embeddings.manifest import sealed
from imprint_bench.data.tasks import LabelMap
from imprint_bench.durable import remove_unfinished, write_bytes
from imprint_bench.errors import CacheError, DataError
from imprint_bench.sweep.executor import Failure, each
from imprint_bench.sweep.plan import Plan

VERSION = 1  # of how a value is computed; a kept value of another version is not used
KEYS = ("fm", "dataset", "mapping", "task")
MEASURES = ("nc1", "nc1_as_published")
ROWS = 4096  # embeddings normalized at a time

Values = dict[str, tuple[float, float]]  # by key of classes: NC1, and as the published code has it

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Classes:
    """Classes of a task after a mapping: the original label of each that takes part, and its new.

    Attributes
    ----------
    new : tuple of (original, new)
        In ascending order.
    """

    new: tuple[tuple[int, int], ...]

    @property
    def key(self) -> str:
        """SHA-256 (hexadecimal) of what the values depend on beside the embeddings."""
        return digest(version=VERSION, norm="l2", classes=self.new)


def collapse_of(config: Config, plan: Plan) -> pd.DataFrame:
    """Return the neural collapse of every instance of a plan, whatever its n_shot.

    It is that of all training rows of the classes of the task, L2-normalized first.

    Parameters
    ----------
    config : Config
        Says where the embeddings are, and how many processes compute.
    plan : Plan

    Returns
    -------
    collapse : DataFrame
        Columns `fm`, `dataset`, `mapping`, `task`, `nc1` and `nc1_as_published`; null where
        the embeddings are not cached, or cannot be read (the log says why).

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, equation 1.
    """
    instances = _instances(plan)
    folder = config.paths.results / "collapse"
    remove_unfinished(folder)
    wanted: dict[tuple[str, str], dict[str, Classes]] = {}
    for (fm, dataset, _, _), classes in instances.items():
        wanted.setdefault((fm, dataset), {})[classes.key] = classes
    known: dict[str, Values] = {}
    work = []
    for pair, of_pair in wanted.items():
        fingerprint = plan.fingerprints[pair]
        known[fingerprint] = _kept(folder / f"{fingerprint}.json")
        lacking = tuple(c for key, c in of_pair.items() if key not in known[fingerprint])
        entry = _cached(config, *pair, fingerprint) if lacking else None
        if entry is not None:
            work.append(_Work(entry, lacking))
    for fingerprint, values in _computed(work, n_jobs=config.n_jobs):
        known[fingerprint] |= values
        _keep(folder / f"{fingerprint}.json", known[fingerprint])
    nothing = (float("nan"),) * 2
    found = [known[plan.fingerprints[i[:2]]].get(c.key, nothing) for i, c in instances.items()]
    records = [(*i, *values) for i, values in zip(instances, found, strict=True)]
    return pd.DataFrame(records, columns=[*KEYS, *MEASURES])


@dataclass(frozen=True)
class _Work:
    """An entry of the cache, and the classes whose collapse is wanted; sent to a process."""

    entry: Embeddings
    wanted: tuple[Classes, ...]


def _instances(plan: Plan) -> dict[tuple[str, str, str, str], Classes]:
    """Return the instances that have trials, each with the classes that take part."""
    data = [(group.fm, group.dataset, group.mapping) for group in plan.groups]
    places, tasks = list(dict.fromkeys(data)), list(dict.fromkeys(s.task for s in plan.settings))
    number = {place: i for i, place in enumerate(places)}
    of_group = np.array([number[place] for place in data], dtype=np.int64)
    of_setting = np.array([tasks.index(s.task) for s in plan.settings], dtype=np.int64)
    found: dict[tuple[str, str, str, str], Classes] = {}
    pairs = of_group[plan.group_of] * len(tasks) + of_setting[plan.setting_of]
    for pair in np.unique(pairs).tolist():
        (fm, dataset, mapping), task = places[pair // len(tasks)], tasks[pair % len(tasks)]
        chosen = set(plan.tasks[dataset, mapping][task].classes)
        label_map = plan.labels[dataset, mapping].label_map
        found[fm, dataset, mapping, task] = _classes(label_map, chosen)
    return found


def _classes(label_map: LabelMap, chosen: set[int]) -> Classes:
    pairs = {c: c for c in chosen} if label_map is None else label_map
    return Classes(tuple(sorted((int(a), int(b)) for a, b in pairs.items() if b in chosen)))


def _cached(config: Config, fm: str, dataset: str, fingerprint: str) -> Embeddings | None:
    """Return the entry if it is there and whole, and has what the plan is for."""
    model = next(source for source in config.fms if source.name == fm)
    data = next(source for source in config.datasets if source.name == dataset)
    try:
        entry = find(config.paths.embeddings, model, data, replace(config.embed, force=False))
    except (CacheError, DataError) as error:
        log.warning("NC1 of %s/%s: %s", dataset, fm, error)
        return None
    return entry if entry is not None and entry.fingerprint == fingerprint else None


def _computed(work: list[_Work], *, n_jobs: int) -> list[tuple[str, Values]]:
    """Return the values of every entry by its fingerprint; what fails is told and left out."""
    done = []
    n = sum(len(item.wanted) for item in work)
    bar = tqdm(total=n, unit="instance", desc="NC1", disable=None, dynamic_ncols=True, leave=False)
    with bar, closing(each(_values, work, n_jobs=n_jobs)) as results:
        for item, values in results:
            if isinstance(values, Failure):
                entry = item.entry
                log.warning("NC1 of %s/%s: %s", entry.dataset, entry.fm, values.reason)
            else:
                done.append((item.entry.fingerprint, values))
            bar.update(len(item.wanted))
    return done


def _values(work: _Work) -> Values:
    """Return the collapse of each of the wanted classes."""
    labels = np.array(work.entry.y("train"))
    kept = np.flatnonzero(np.isin(labels, [a for c in work.wanted for a, _ in c.new]))
    labels = labels[kept]
    Z = in_span_of_means(work.entry.X("train"), labels, rows=kept)
    found = {}
    for classes in work.wanted:
        y = map_labels(labels, dict(classes.new))
        inside = y >= 0
        X = Z if inside.all() else Z[inside]
        found[classes.key] = (nc1(X, y[inside]), nc1_as_published(X, y[inside]))
    return found


def in_span_of_means(X: np.ndarray, y: np.ndarray, *, rows: np.ndarray) -> np.ndarray:
    """Return L2-normalized embeddings as coordinates in the span of their class means.

    NC1 of these classes, or of any classes joined from them, stays as it is: the means of
    joined classes lie in that span, and what is orthogonal to all means does not count. Ten
    classes of 1,024 values become ten values per row.

    Parameters
    ----------
    X : ndarray of shape (N, l)
        Embeddings, maybe a memory map: 4,096 of the rows are held at a time.
    y : ndarray of shape (n,)
        Class of each of the rows, none negative.
    rows : ndarray of shape (n,), int
        Which rows of `X`.

    Returns
    -------
    ndarray of shape (n, min(C, l)), float64
    """
    classes, place, counts = np.unique(y, return_inverse=True, return_counts=True)
    slices = [slice(i, i + ROWS) for i in range(0, len(rows), ROWS)]

    def normalized(part: slice) -> np.ndarray:
        return l2_normalize(X[rows[part]].astype(np.float64))

    if len(classes) >= X.shape[1]:
        return np.concatenate([normalized(part) for part in slices])
    sums = np.zeros((len(classes), X.shape[1]))
    for part in slices:
        members = np.equal.outer(np.arange(len(classes)), place[part])
        sums += members.astype(np.float64) @ normalized(part)
    axes, _ = np.linalg.qr((sums / counts[:, None]).T)
    return np.concatenate([normalized(part) @ axes for part in slices])


def _kept(path: Path) -> Values:
    """Return the values that a file has; none where it is not there, or damaged."""
    try:
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        values: Mapping[str, Any] = content["values"]
        if content != sealed({"values": values}):
            return {}
        return {key: (float(a), float(b)) for key, (a, b) in values.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _keep(path: Path, values: Values) -> None:
    content = sealed({"values": {key: list(pair) for key, pair in values.items()}})
    write_bytes(path, json.dumps(content, sort_keys=True).encode())

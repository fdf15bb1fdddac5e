"""The plan of a sweep that trains: every run with its id, and what was dropped and why."""

import hashlib
import itertools
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from imprint_bench.data.dataset import build_dataset
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.fixed.core.prototype_set import check_prototypes
from imprint_bench.fixed.networks import NETWORKS, build_network
from imprint_bench.fixed.prototype_cache import cached_prototypes
from imprint_bench.params import Source, without_defaults
from imprint_bench.plugins import code_of
from imprint_bench.training.config import TrainingConfig
from imprint_bench.training.method import TrainingMethod
from imprint_bench.training.mixing import mixture_of
from imprint_bench.training.preparation import check_channels
from imprint_bench.training.recipe import Recipe

VERSION = 2  # of the trainer; raised when its results change
SHOWN = 10  # classes in a message


class TrainingTrial(NamedTuple):
    """One network to be trained."""

    dataset: str
    network: str
    recipe: str
    d: int
    method: TrainingMethod
    seed: int

    def columns(self) -> dict[str, Any]:
        """Return the axes of a result row."""
        place = {name: getattr(self, name) for name in ("dataset", "network", "recipe", "d")}
        return place | self.method.columns() | {"seed": self.seed}


@dataclass(frozen=True)
class Material:
    """What planning must know of a dataset.

    Attributes
    ----------
    classes : ndarray of shape (c,), int64
        Labels that have training rows, ascending; the head has them in this order.
    counts : ndarray of shape (c,), int64
        Training rows of each.
    n_test : int
    shape : tuple of int
        Height, width and channels of an image.
    fingerprint : str
    parts : Mapping[str, range]
        Training rows of each part of a concatenation; empty for others.
    """

    classes: np.ndarray
    counts: np.ndarray
    n_test: int
    shape: tuple[int, int, int]
    fingerprint: str
    parts: Mapping[str, range] = field(default_factory=dict)


@dataclass
class TrainingPlan:
    """Runs, and the combinations that are none.

    Attributes
    ----------
    trials : list of TrainingTrial
    ids : ndarray of shape (trials,), bytes of length 64
        `trial_id`, hexadecimal.
    dropped : DataFrame with columns reason, where, trials
    materials : mapping from a dataset's name to Material
    """

    trials: list[TrainingTrial]
    ids: np.ndarray
    dropped: pd.DataFrame
    materials: Mapping[str, Material]

    def __len__(self) -> int:
        return len(self.ids)

    def part(self, chosen: Sequence[int] | np.ndarray) -> "TrainingPlan":
        """Return the plan of some runs, given by their numbers; maybe of none."""
        return replace(self, trials=[self.trials[i] for i in chosen], ids=self.ids[chosen])

    def frame(self) -> pd.DataFrame:
        """Return one row per run: its id and a column per axis."""
        frame = pd.DataFrame([trial.columns() for trial in self.trials]).convert_dtypes()
        frame.insert(0, "trial_id", self.ids.astype(str))
        return frame


def make_training_plan(config: TrainingConfig) -> TrainingPlan:
    """Enumerate the runs of a sweep, seeds first, so that an early look shows every method.

    Raises
    ------
    ConfigError
        If none is left, or a batch is larger than a dataset.
    DataError
        If a dataset is missing or of no use for training.
    """
    materials = {source.name: material_of(source) for source in config.datasets}
    dropped: Counter[tuple[str, str]] = Counter()
    trials, ids, seen = [], [], set()
    places = itertools.product(config.datasets, config.networks, config.recipes.items())
    for dataset, network, (name, recipe) in places:
        material = materials[dataset.name]
        size = recipe.image_size
        shape = material.shape if size is None else (size, size, 3)
        at = f"recipe.{name}"
        steps_of(recipe, material, at=at, dataset=dataset.name)  # or it refuses
        check_channels(recipe, shape[2], at=at, dataset=dataset.name)
        for d, method in itertools.product(config.dims, config.methods):
            at_once = recipe.batch_size // recipe.accumulate
            reason = _network_refusal(network, shape, d, at_once) or _refusal(method, material, d)
            if reason is not None:
                where = f"dataset={dataset.name} network={network.name} d={d} method={method.name}"
                dropped[reason, where] += len(config.seeds)
                continue
            for seed in config.seeds:
                trial = TrainingTrial(dataset.name, network.name, name, d, method, seed)
                trial_id = id_of(trial, network, recipe, material.fingerprint)
                if trial_id in seen:
                    where = f"method={method.name} d={d} seed={seed}"
                    dropped["another combination comes to the same", where] += 1
                    continue
                seen.add(trial_id)
                trials.append(trial)
                ids.append(trial_id)
    frame = pd.DataFrame(
        [(reason, where, n) for (reason, where), n in dropped.items()],
        columns=["reason", "where", "trials"],
    )
    if not ids:
        reasons = "; ".join(sorted(set(frame["reason"]))) or "the grid is empty"
        raise ConfigError(f"{config.name}: no trial is left to run ({reasons}).")
    order = np.argsort([config.seeds.index(trial.seed) for trial in trials], kind="stable")
    made = TrainingPlan(trials, np.array(ids, dtype="S64"), frame, materials)
    return made.part(order)


def material_of(source: Source) -> Material:
    """Return what planning must know of a dataset.

    Raises
    ------
    DataError
        If it has fewer than two classes, or test rows of a class without training rows.
    """
    dataset = build_dataset(source)
    classes, counts = np.unique(dataset.labels("train"), return_counts=True)
    test = dataset.labels("test")
    unseen = np.setdiff1d(test, classes)
    if len(classes) < 2:
        raise DataError(
            f"dataset.{source.name}: {len(classes)} class; training needs at least two."
        )
    if len(unseen):
        listed = ", ".join(map(str, unseen[:SHOWN]))
        raise DataError(
            f"dataset.{source.name}: test rows of classes without training rows ({listed}); every "
            "class that is tested needs some."
        )
    parts = dataset.rows_of_parts("train")
    return Material(classes, counts, len(test), dataset.shape, dataset.fingerprint, parts)


def steps_of(recipe: Recipe, material: Material, *, at: str, dataset: str) -> int:
    """Return the number of batches of an epoch.

    Raises
    ------
    ConfigError
        If a batch has more rows than a dataset, or shares are not those of its parts.
    """
    if recipe.shares is not None:
        shares = mixture_of(material.parts, recipe.shares, dataset=dataset, at=f"{at}.shares")
        return shares.steps(recipe.batch_size)
    n_train = int(material.counts.sum())
    if recipe.batch_size > n_train:
        raise ConfigError(
            f"{at}.batch_size: {recipe.batch_size} is more than the {n_train} training rows of "
            f"{dataset}; expected at most so many."
        )
    return n_train // recipe.batch_size


def id_of(trial: TrainingTrial, network: Source, recipe: Recipe, fingerprint: str) -> str:
    """Return the id of a run: what settles its result, whatever its parts are called."""
    function = NETWORKS[network.kind]
    content = {
        "training": VERSION,
        "data": fingerprint,
        "network": {network.kind: without_defaults(function, network.params)},
        "recipe": recipe.canonical(),
        "d": trial.d,
        "method": trial.method.canonical(),
        "seed": trial.seed,
    }
    if code := code_of(function):
        content["network_code"] = code
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _refusal(method: TrainingMethod, material: Material, d: int) -> str | None:
    """Say why there are no such prototypes; None where there are."""
    if method.prototypes is None or method.first is not None:
        return None
    try:
        chosen, c = method.prototypes, len(material.classes)
        check_prototypes(chosen.kind, c, d)
        if chosen.params.get("file") is not None:  # its length tells what there is
            cached_prototypes(None, chosen.kind, c, d, params=chosen.params)
    except ConfigError as error:
        return str(error).rstrip(".")
    return None


def _network_refusal(
    network: Source, shape: tuple[int, int, int], d: int, at_once: int
) -> str | None:
    """Say why there is no such network, or none for so many images at once; None if there is."""
    import torch

    height, width, channels = shape
    with torch.device("meta"):  # no weights are drawn, and nothing is computed
        try:
            made = build_network(network.kind, shape, d, params=network.params)
        except ConfigError as error:
            return str(error).rstrip(".")
        if at_once > 1:
            return None
        try:
            made.train()(torch.empty(1, channels, height, width))
        except ValueError:  # of batch normalization, which needs two values
            return (
                f"{network.name} has batch normalization, which needs two images or more; expected "
                "a batch_size of at least twice accumulate"
            )
    return None

"""Label mappings and tasks: which classes take part, under which labels."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, NamedTuple

import numpy as np

from imprint_bench.core.sampling import d_in_1, map_labels
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.params import AtLeast, PositiveInt
from imprint_bench.registry import Registry
from imprint_bench.seeding import stream

SHOWN = 20  # classes in a message

LabelMap = Mapping[int, int] | None
MappingFunction = Callable[..., dict[str, LabelMap]]

# ``(classes of the dataset, *, <parameters>) -> {suffix of the name: {original: label}}``
MAPPINGS: Registry[MappingFunction] = Registry("mapping")


@MAPPINGS.register("identity")
def identity(classes: Sequence[int]) -> dict[str, LabelMap]:
    """Keep every label."""
    return {"": None}


@MAPPINGS.register("rename")
def rename(classes: Sequence[int], *, labels: dict) -> dict[str, LabelMap]:
    """Rename original labels as listed and drop every class that is not.

    Parameters
    ----------
    labels : dict from original to new label
    """
    for original, label in labels.items():
        if not (isinstance(original, int) and isinstance(label, int)) or label < 0:
            raise ConfigError(
                f"mapping.rename.labels: {original!r}: {label!r}; expected a label of the "
                "dataset: a whole number from 0 on."
            )
    unknown = sorted(set(labels) - set(classes))
    if unknown:
        raise ConfigError(
            f"mapping.rename.labels: {unknown[0]} is no class of the dataset; expected some of "
            f"{_some(classes)}."
        )
    return {"": dict(labels)}


@MAPPINGS.register("d_in_1")
def several_in_one(
    classes: Sequence[int],
    *,
    d: list[int],
    among: list[int] | None = None,
    draws: PositiveInt = 10,
    n_labels: PositiveInt = 10,
    shuffle_seed: Annotated[int, AtLeast(0)] = 0,
) -> dict[str, LabelMap]:
    """Join d random original classes under each of `n_labels` labels, `draws` times for each d.

    A draw shuffles the classes; the first d of them become label 0, the next d label 1, ...

    Parameters
    ----------
    d : list of int
        Original classes per label.
    among : list of int, optional
        Original classes to choose from, such as 100 of ImageNet's 1,000; all if left out.
    draws : int
        Mappings per d.
    n_labels : int
    shuffle_seed : int
        Of the shuffles; each draw has a stream of its own.
    """
    at = "mapping.d_in_1"
    if not d or min(d) < 1:
        raise ConfigError(f"{at}.d: {d}; expected a list of whole numbers from 1 on.")
    if among is not None:
        unknown = sorted(set(among) - set(classes))
        if unknown or len(set(among)) < len(among):
            wrong = (
                f"{unknown[0]} is no class of the dataset" if unknown else "a class stands twice"
            )
            raise ConfigError(f"{at}.among: {wrong}; expected some of {_some(classes)}, each once.")
        classes = among
    most = max(d)
    if most * n_labels > len(classes):
        raise ConfigError(
            f"{at}.d: {most} x {n_labels} labels need {most * n_labels} classes, but there are "
            f"{len(classes)}; choose d <= {len(classes) // n_labels}."
        )
    return {
        f"-{n}-{draw}": d_in_1(
            classes, d=n, n_labels=n_labels, rng=stream(shuffle_seed, "d_in_1", n, draw)
        )
        for n in d
        for draw in range(draws)
    }


class Task(NamedTuple):
    """Classes that take part, in the order in which they are imprinted."""

    name: str
    classes: tuple[int, ...]


class MappedLabels(NamedTuple):
    """Labels of a dataset after a mapping, and the rows per class.

    Attributes
    ----------
    name : str
        Of the mapping.
    label_map : mapping or None
    train, test : ndarray of shape (n,), int64
        -1 where the mapping drops the row.
    """

    name: str
    label_map: LabelMap
    train: np.ndarray
    test: np.ndarray

    @property
    def train_counts(self) -> dict[int, int]:
        """Training rows of each class."""
        return _counts(self.train)

    @property
    def test_counts(self) -> dict[int, int]:
        """Test rows of each class."""
        return _counts(self.test)


def mapped(
    function: MappingFunction, params: Mapping, labels: Mapping[str, np.ndarray], *, name: str
) -> list[MappedLabels]:
    """Apply a mapping, which may stand for several, to the labels of both splits."""
    train, test = labels["train"], labels["test"]
    maps = function(np.unique(train[train >= 0]).tolist(), **params)
    return [
        MappedLabels(name + suffix, m, map_labels(train, m), map_labels(test, m))
        for suffix, m in maps.items()
    ]


def resolve_task(
    name: str, classes: Sequence[int] | str, labels: MappedLabels, *, dataset: str
) -> Task:
    """Return the task on a dataset, after checking that every class has rows.

    Parameters
    ----------
    name : str
    classes : sequence of int, or "all"
        "all" takes every class that has training rows, in ascending order.
    labels : MappedLabels
    dataset : str
        For messages.

    Raises
    ------
    DataError
        If a class has no training rows, or the task no test rows.
    """
    train, test = labels.train_counts, labels.test_counts
    chosen = tuple(sorted(train)) if classes == "all" else tuple(int(c) for c in classes)
    where = f"task {name} on {dataset}" + ("" if labels.name == "identity" else f"/{labels.name}")
    for c in chosen:
        if not train.get(c):
            raise DataError(
                f"{where}: class {c} has no training rows; classes with rows: {_some(train)}."
            )
    unseen = sorted(set(test) - set(train)) if classes == "all" else []
    if unseen:
        raise DataError(
            f"{where}: {sum(test[c] for c in unseen)} test rows are of classes without training "
            f"rows ({_some(unseen)}); drop these with mapping=[rename], or choose a task that "
            "lists its classes."
        )
    if len(chosen) < 2:
        raise DataError(f"{where}: {len(chosen)} class; a task needs at least two.")
    if not any(test.get(c) for c in chosen):
        raise DataError(f"{where}: no test row belongs to classes {list(chosen)}.")
    return Task(name, chosen)


def _some(classes: Iterable[int]) -> str:
    """Return the first classes, in ascending order."""
    ordered = sorted(classes)
    return ", ".join(map(str, ordered[:SHOWN])) + (", ..." if len(ordered) > SHOWN else "")


def _counts(labels: np.ndarray) -> dict[int, int]:
    classes, counts = np.unique(labels[labels >= 0], return_counts=True)
    return dict(zip(classes.tolist(), counts.tolist(), strict=True))

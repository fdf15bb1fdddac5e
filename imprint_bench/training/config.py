"""The configuration of a sweep that trains: from a plain mapping to frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Annotated, Any, get_type_hints

from imprint_bench.checks import check_keys, named, values_of
from imprint_bench.data.dataset import DATASETS
from imprint_bench.data.embeddings.settings import DEVICE
from imprint_bench.data.networks.computing import resolved
from imprint_bench.errors import ConfigError
from imprint_bench.fixed.networks import NETWORKS
from imprint_bench.params import AtLeast, PositiveInt, Source, check_value
from imprint_bench.settings import SETTINGS, Settings, read_settings
from imprint_bench.sources import read_sources
from imprint_bench.training.method import TrainingMethod, read_methods
from imprint_bench.training.recipe import Recipe, read_recipe

OWN = ("dataset", "network", "recipe", "d", "method", "train")
# Groups of every configuration, from which nothing is chosen where nothing is imprinted.
OF_IMPRINTING = ("fm", "mapping", "task", "gen", "agg", "norm")
IGNORED = ("embed", "n_shot")  # they are in conf/config.yaml, whatever the sweep


@dataclass(frozen=True)
class TrainSettings:
    """How networks are trained; nothing of it changes a result, but `device` by rounding.

    Attributes
    ----------
    device : str
        "auto" (the first accelerator, else the CPU), "cpu", "cuda", "cuda:N" or "mps".
    threads : int
        Of one run on the CPU. Other numbers of threads round sums in another order.
    checkpoint_seconds : float
        Between two checkpoints, from which an interrupted run goes on; 0 makes none.
    keep : bool
        Whether trained networks are kept, in the folder ``networks`` of the results.
    download : bool
        Whether missing files are fetched.
    """

    device: str = "auto"
    threads: PositiveInt = 1
    checkpoint_seconds: Annotated[float, AtLeast(0)] = 60.0
    keep: bool = False
    download: bool = True


@dataclass(frozen=True)
class TrainingConfig(Settings):
    """One sweep that trains, checked."""

    datasets: tuple[Source, ...]
    networks: tuple[Source, ...]
    recipes: Mapping[str, Recipe]
    dims: tuple[int, ...]
    methods: tuple[TrainingMethod, ...]
    train: TrainSettings


def read_training(raw: Mapping[str, Any]) -> TrainingConfig:
    """Check a plain configuration and return it as a `TrainingConfig`.

    Parameters
    ----------
    raw : Mapping[str, Any]
        What Hydra composed, as plain dicts, lists and scalars.

    Raises
    ------
    ConfigError
        For the first wrong path, with its value and what would be right.
    """
    check_keys(raw, (*SETTINGS, *OWN, *OF_IMPRINTING, *IGNORED), at="")
    for group in OF_IMPRINTING:
        if raw.get(group):
            chosen = ", ".join(map(str, raw[group]))
            raise ConfigError(
                f"{group}: a sweep that trains has none, got {chosen}; leave {group} out and start "
                "from +sweep=fixed/quickstart or +training=default, or leave method out to imprint."
            )
    if raw.get("n_shot", ["all"]) != ["all"]:
        raise ConfigError(
            f"n_shot: a sweep that trains takes all rows, got {raw['n_shot']!r}; leave it out."
        )
    settings = read_settings(raw)
    recipes = named(raw, "recipe")
    if not recipes:
        raise ConfigError("recipe: nothing chosen; choose at least one with recipe=[NAME].")
    return TrainingConfig(
        **settings,
        datasets=read_sources(raw, "dataset", DATASETS),
        networks=read_sources(raw, "network", NETWORKS),
        recipes={name: read_recipe(value, at=f"recipe.{name}") for name, value in recipes.items()},
        dims=values_of(raw, "d", PositiveInt),
        methods=read_methods(raw),
        train=_train(raw),
    )


def check_device(device: str) -> None:
    """Raise ConfigError if this machine does not have a device."""
    try:
        resolved(device)
    except ConfigError as error:
        sentence = str(error).partition(": ")[2]
        raise ConfigError(f"train.device: {sentence}") from error


def _train(raw: Mapping[str, Any]) -> TrainSettings:
    """Check the section `train`; a key that is left out has its default."""
    hints = get_type_hints(TrainSettings, include_extras=True)
    given = raw.get("train") or {}
    check_keys(given, [field.name for field in fields(TrainSettings)], at="train")
    for key, value in given.items():
        check_value(value, hints[key], at=f"train.{key}")
    settings = TrainSettings(**given)
    if not DEVICE.fullmatch(settings.device):
        raise ConfigError(
            f"train.device: unknown device {settings.device!r}; expected auto, cpu, cuda, cuda:N "
            "or mps."
        )
    return settings

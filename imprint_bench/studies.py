"""Studies of either kind, those that imprint and those that train, under one set of names.

What trains is imported only for a study that trains: it brings torch along.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias, Union

from imprint_bench import study as imprinting
from imprint_bench.conclusion import Page, conclude
from imprint_bench.config import Config, read
from imprint_bench.reporting import Launch, PartOfReport
from imprint_bench.study import Study
from imprint_bench.sweep.inventory import inventory, inventory_of_datasets

if TYPE_CHECKING:
    from imprint_bench.training.config import TrainingConfig
    from imprint_bench.training_study import TrainingStudy

AnyConfig: TypeAlias = Union[Config, "TrainingConfig"]
AnyStudy: TypeAlias = Union[Study, "TrainingStudy"]


@dataclass(frozen=True)
class Computed:
    """A study after the stages before its report."""

    study: AnyStudy
    part: PartOfReport


def trains(raw: Mapping[str, Any]) -> bool:
    """Tell whether a plain configuration is of a sweep that trains."""
    return bool(raw.get("method")) or "train" in raw


def read_any(raw: Mapping[str, Any]) -> AnyConfig:
    """Check a plain configuration and return it; its keys say whether it imprints or trains.

    Raises
    ------
    ConfigError
        For the first wrong path.
    """
    if not trains(raw):
        return read(raw)
    from imprint_bench.training.config import read_training

    return read_training(raw)


def prepare(config: AnyConfig, launch: Launch) -> AnyStudy:
    """Check and plan a study."""
    if isinstance(config, Config):
        return imprinting.prepare(config, launch)
    from imprint_bench.training_study import prepare_training

    return prepare_training(config, launch)


def together(studies: Sequence[AnyStudy]) -> list[list[AnyStudy]]:
    """Return the studies in groups, each to be computed as one plan; one that trains is alone."""
    groups: list[list[AnyStudy]] = []
    for group in imprinting.together([s for s in studies if isinstance(s, Study)]):
        groups.append([*group])
    return groups + [[study] for study in studies if not isinstance(study, Study)]


def compute(studies: Sequence[AnyStudy]) -> list[Computed]:
    """Carry out the stages before the report, of studies that `together` has put in one group."""
    imprint = [study for study in studies if isinstance(study, Study)]
    found = [
        Computed(done.study, imprinting.part_of_report(done))
        for done in (imprinting.compute(imprint) if imprint else ())
    ]
    for study in studies:
        if not isinstance(study, Study):
            from imprint_bench.training_study import compute_training

            found.append(Computed(study, compute_training(study)))
    return found


def finish(computed: Computed) -> None:
    """Make the report of a study, if it asks for one; see `conclusion.conclude`."""
    study = computed.study
    conclude(Page(study.config, study.launch, study.views), {"": computed.part})


def carry_out(config: AnyConfig, launch: Launch) -> None:
    """Carry out the stages of a study that its configuration names.

    Raises
    ------
    ImprintError
        For the first mistake, before anything is computed where it can be known then.
    """
    (computed,) = compute([prepare(config, launch)])
    finish(computed)


def data_of(configs: Sequence[AnyConfig]) -> Iterator[str]:
    """Yield lines on the datasets and foundation models of some sweeps, each once."""
    datasets = {source.name: source for config in configs for source in config.datasets}
    imprint = [config for config in configs if isinstance(config, Config)]
    if not imprint:
        yield from inventory_of_datasets([*datasets.values()])
        return
    fms = {source.name: source for config in imprint for source in config.fms}
    whole = replace(imprint[0], fms=tuple(fms.values()), datasets=tuple(datasets.values()))
    yield from inventory(whole)

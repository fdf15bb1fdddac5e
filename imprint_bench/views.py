"""Which tables and figures a report shows, with which parameters, and of which sweeps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pandas as pd

from imprint_bench.analysis.axes import IMPRINTING, axes_of, read_by
from imprint_bench.analysis.build import check_requests
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.frames import group_columns, select
from imprint_bench.analysis.tables import TABLES
from imprint_bench.config import Config
from imprint_bench.errors import ConfigError
from imprint_bench.params import takes
from imprint_bench.registry import Registry
from imprint_bench.report_sources import of_request, without_source
from imprint_bench.settings import Settings
from imprint_bench.sweep.planned import Planned

Requests = dict[str, dict[str, Any]]
P = TypeVar("P")


@dataclass(frozen=True)
class Views:
    """The tables and figures of a report: their parameters by name, and of which sweeps they are.

    Attributes
    ----------
    tables, figures : dict
        Parameters by name.
    sweeps : mapping from (group, name) to names of sweeps
        The parts of the report that a table or figure is made from; those of no entry are
        made from all.
    """

    tables: Requests
    figures: Requests
    sweeps: Mapping[tuple[str, str], tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, config: Settings) -> "Views":
        """Return what a configuration asks for, with the settings of `report` filled in.

        Raises
        ------
        ConfigError
            If there is no such table or figure, or a parameter is wrong.
        """
        given = {"alpha": config.alpha, "allow_incomplete": config.allow_incomplete}
        sweeps: dict[tuple[str, str], tuple[str, ...]] = {}

        def filled(registry: Registry[Any], requests: Mapping[str, Mapping[str, Any]]) -> Requests:
            made = {}
            for name, params in requests.items():
                at = f"{registry.noun}.{name}"
                function = registry.find(name, at=registry.noun)
                sweeps[registry.noun, name] = of_request(params, at=at)
                own = without_source(params)
                made[name] = {k: v for k, v in given.items() if takes(function, k)} | own
            check_requests(registry, made)
            return made

        return cls(filled(TABLES, config.tables), filled(FIGURES, config.figures), sweeps)

    def groups(self) -> list[tuple[str, Registry[Any], Requests]]:
        """Return tables and figures: the name of the group, its functions, what is asked for."""
        return [("table", TABLES, self.tables), ("figure", FIGURES, self.figures)]

    def check(self, plans: Mapping[str, Planned]) -> None:
        """Raise ConfigError for a table or figure of rows or axes that the plans lack.

        Parameters
        ----------
        plans : mapping from the name of a sweep to its plan
        """
        for noun, registry, requests in self.groups():
            for name, params in requests.items():
                self._check_kind(noun, name, registry, self.parts_of(noun, name, plans))
                if params.get("where") or params.get("per"):
                    chosen = self.parts_of(noun, name, plans)
                    try:
                        frame = pd.concat([plan.frame() for plan in chosen], ignore_index=True)
                        group_columns(select(frame, params.get("where")), params.get("per") or [])
                    except ConfigError as error:
                        raise ConfigError(f"{noun}.{name}.{error}") from error

    def _check_kind(
        self, noun: str, name: str, registry: Registry[Any], plans: Sequence[Planned]
    ) -> None:
        wanted = read_by(registry[name])
        for plan in plans:
            if wanted is not None and axes_of(plan.frame()) is not wanted:
                of, does = (
                    ("imprinting", "trains") if wanted is IMPRINTING else ("training", "imprints")
                )
                raise ConfigError(
                    f"{noun}.{name}: is made from rows of {of}, and this sweep {does}; choose "
                    f"others with {noun}=[NAME,NAME], or none with {noun}=[]."
                )

    def check_seeds(self, configs: Mapping[str, Settings]) -> None:
        """Raise ConfigError for a table or figure of sweeps whose seeds differ.

        A median over other seeds is another median. Where networks were trained, sweeps have
        instances of their own, and every number says of how many seeds it is.
        """
        for noun, _, requests in self.groups():
            for name in requests:
                seeds = {
                    sweep: configs[sweep].seeds
                    for sweep in self.sweeps.get((noun, name), ())
                    if isinstance(configs.get(sweep), Config)
                }
                if len({tuple(sorted(s)) for s in seeds.values()}) > 1:
                    told = ", ".join(f"{sweep} {list(s)}" for sweep, s in seeds.items())
                    raise ConfigError(
                        f"{noun}.{name}: its sweeps have different seeds ({told}); give them the "
                        "same."
                    )

    def parts_of(self, noun: str, name: str, parts: Mapping[str, P]) -> list[P]:
        """Return those parts of a report that a table or figure is made from."""
        named = [parts[sweep] for sweep in self.sweeps.get((noun, name), ()) if sweep in parts]
        return named or list(parts.values())

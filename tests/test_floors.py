"""Who may import whom: the table of the design, checked in the source."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import imprint_bench

PACKAGE = Path(imprint_bench.__file__).parent

# Parts of the package by floor; a name stands for a module or for everything below it.
GROUND = {"errors", "registry", "params", "seeding", "durable", "checks", "plugins", "run_log"}
CORE = {"core", "fixed.core"}
DATA = {"config", "execution", "settings", "sources", "data", "classifier", "head", "fixed"}
RUNNING = {"sweep", "training"}
ANALYSIS = {"analysis"}
REPORT = {"report"}
ROOF = {
    "__main__",
    "command_line",
    "composing",
    "conclusion",
    "jobs",
    "refusals",
    "report_sources",
    "reporting",
    "studies",
    "study",
    "training_study",
    "views",
    "",
}  # "" is the package itself
FLOORS = [GROUND, CORE, DATA, RUNNING, ANALYSIS, REPORT, ROOF]
# The analysis reads rows and does statistics; it knows neither data nor how rows are made.
STATISTICS = {
    "core.bayesian",
    "core.bootstrap",
    "core.statistics",
    "core.comparison",
    "core.rank_tests",
    "core.paired_tests",
    "core.trend",
}
ABOVE_GROUND = {"analysis": STATISTICS | {"sweep.store", "analysis"}}

# Libraries of a floor are those of the floors below and these; `None` is every floor.
NUMERIC = {"numpy", "scipy", "sklearn"}
LIBRARIES = {
    "numpy": None,
    "scipy": CORE | DATA | RUNNING,
    "sklearn": CORE | DATA,
    "numba": {"core.manhattan"},
    "kmedoids": {"core.generators.kmedoids"},
    "sklearn_extra": {"core.generators.kmedoids"},
    "torch": {
        "data",
        "head",
        "fixed.core.losses",
        "fixed.class_means",
        "fixed.heads",
        "fixed.network_file",
        "fixed.kept_head",
        "fixed.networks",
        "training",
    },
    "torchvision": {"data", "training"},
    "PIL": {"data", "report"},
    "simplejpeg": {"data.reading.decoding"},
    "safetensors": {"data"},
    "timm": {"data.foundation_models.timm"},
    "ai_edge_litert": {"data.foundation_models.litert"},
    "pandas": DATA | RUNNING | ANALYSIS | REPORT | {"reporting", "views"},
    "pyarrow": DATA | {"sweep.store", "sweep.parts", "sweep.compaction"},
    "joblib": {"sweep.executor", "sweep.executors"},
    "distributed": {"sweep.executors.dask_calls", "sweep.executors.dask_cluster"},
    "submitit": {"sweep.executors.slurm"},
    "threadpoolctl": {"sweep"},
    "tqdm": {"sweep", "training"},
    "matplotlib": {"analysis"},
    "jinja2": {"report"},
    "markupsafe": {"report"},
    "hydra": {"command_line", "composing", "refusals"},
    "omegaconf": {"composing", "refusals"},
    "yaml": {"refusals"},
}


def within(module: str, parts: set[str]) -> bool:
    """Tell whether `module` is one of `parts` or below one."""
    return any(module == part or (part and module.startswith(f"{part}.")) for part in parts)


def floor_of(module: str) -> int:
    for number, parts in enumerate(FLOORS):
        if within(module, parts):
            return number
    raise AssertionError(f"{module}: no floor is named for it in tests/test_floors.py")


def modules() -> dict[str, str]:
    """Return the source of every module by its name within the package."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(p for p in parts if p != "__init__")] = path.read_text()
    return found


def imported(source: str) -> Iterator[str]:
    """Yield the name of everything that a module imports, also inside functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            inside = node.module == "imprint_bench" or (node.module or "").endswith("__init__")
            yield from (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if inside
                else [str(node.module)]
            )


def upward(module: str, source: str) -> list[str]:
    """Return what a module imports although its floor may not."""
    wrong = []
    for name in imported(source):
        top, _, inner = name.partition(".")
        if top == "imprint_bench":
            inner = "" if inner == "__version__" else inner
            allowed = floor_of(inner) <= floor_of(module) or inner == ""
            if within(module, set(ABOVE_GROUND)):
                allowed = within(inner, GROUND | ABOVE_GROUND["analysis"])
        elif top in sys.stdlib_module_names:
            continue
        else:
            places = LIBRARIES.get(top, set())
            allowed = places is None or within(module, places)
        if not allowed:
            wrong.append(f"{module} imports {name}")
    return wrong


@pytest.mark.parametrize("module", modules())
def test_no_module_imports_from_a_floor_above_its_own(module):
    assert upward(module, modules()[module]) == []


PLANTED = [
    ("core.metrics", "from imprint_bench.sweep.plan import Plan"),
    ("core.metrics", "def f():\n    from imprint_bench.config import read"),
    ("core.metrics", "import torch"),
    ("params", "import scipy.stats"),
    ("params", "from imprint_bench import study"),
    ("data.reading.files", "import joblib"),
    ("sweep.bank", "import joblib"),
    ("sweep.executors.slurm", "import distributed"),
    ("sweep.run", "def f():\n    import submitit"),
    ("sweep.bank", "from imprint_bench.analysis.tables import TABLES"),
    ("sweep.store", "import matplotlib.pyplot as plt"),
    ("analysis.tables", "from imprint_bench.sweep.plan import Plan"),
    ("analysis.tables", "from imprint_bench.data.tasks import Task"),
    ("analysis.frames", "import jinja2"),
    ("report", "from imprint_bench.reporting import Launch"),
    ("config", "from omegaconf import OmegaConf"),
    ("study", "from hydra import compose"),
    ("study", "import omegaconf"),
    ("report", "import left_pad"),
]


@pytest.mark.parametrize(("module", "source"), PLANTED, ids=[f"{m}: {s}" for m, s in PLANTED])
def test_the_check_finds_a_planted_violation(module, source):
    assert len(upward(module, source)) == 1


ALLOWED = [
    ("core.metrics", "import numpy as np\nfrom imprint_bench.registry import Registry"),
    ("sweep.executor", "import joblib"),
    ("analysis.tables", "from imprint_bench.sweep.store import Store"),
    ("__main__", "from imprint_bench import __version__"),
    ("composing", "import hydra"),
]


@pytest.mark.parametrize(("module", "source"), ALLOWED)
def test_the_check_lets_pass_what_the_table_allows(module, source):
    assert upward(module, source) == []


def test_every_name_of_the_table_is_a_library_of_the_project():
    text = (PACKAGE.parent / "pyproject.toml").read_text()
    names = {
        "sklearn": "scikit-learn",
        "sklearn_extra": "scikit-learn-extra",
        "ai_edge_litert": "ai-edge-litert",
        "hydra": "hydra-core",
    }
    brought_along = {"PIL", "markupsafe", "yaml"}  # by torchvision, jinja2, omegaconf
    for library in set(LIBRARIES) - brought_along:
        assert f'"{names.get(library, library)}' in text, library

"""The YAML files fit the functions: whoever adds one to a registry adds the other."""

import numpy as np
import pytest
import yaml

from imprint_bench.analysis.build import check_requests
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.tables import TABLES
from imprint_bench.command_line import choices, conf_folder, parse
from imprint_bench.composing import compose
from imprint_bench.config import Config, read
from imprint_bench.core.aggregation import AGGREGATIONS
from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.normalization import PROXY_NORMALIZATIONS, ROW_NORMALIZATIONS
from imprint_bench.data.dataset import DATASETS
from imprint_bench.data.foundation_model import FOUNDATION_MODELS
from imprint_bench.data.tasks import MAPPINGS
from imprint_bench.errors import DataError
from imprint_bench.fixed.networks import NETWORKS
from imprint_bench.params import settable
from imprint_bench.report_sources import of_request, without_source
from imprint_bench.studies import read_any
from imprint_bench.sweep.embedding import described
from imprint_bench.sweep.executor import EXECUTORS, chosen_executor
from imprint_bench.sweep.planner import make_plan
from imprint_bench.training.recipe import _schema

CONF = conf_folder()
FUNCTIONS = {
    "gen": {name: generator.function for name, generator in GENERATORS.items()},
    "agg": {name: aggregation.function for name, aggregation in AGGREGATIONS.items()},
    "fm": dict(FOUNDATION_MODELS),
    "dataset": dict(DATASETS),
    "mapping": dict(MAPPINGS),
    "network": dict(NETWORKS),
    "table": dict(TABLES),
    "figure": dict(FIGURES),
    "executor": dict(EXECUTORS),
}
# Parameters that a YAML file leaves out: the report's own keys give alpha and allow_incomplete,
# and which rows are in view is for the sweep to say.
GIVEN_ELSEWHERE = {"table": {"alpha", "allow_incomplete"}, "figure": {"alpha", "allow_incomplete"}}
# In place of the paper's networks, and of its datasets that the tests' data lack.
FOUR_NETWORKS = "fm=[mobilenet_v1_025,mobilenet_v1_050,mobilenet_v1_075,mobilenet_v1_100]"
STAND_INS = {
    "paper/nc_imagenet": "imagenet32",
    "paper/nc_imagenet_ls": "imagenet32",
    "paper/nc_datasets": "mnist,fashion_mnist,cifar10",
    "paper/nc_datasets_ls": "mnist,fashion_mnist,cifar10",
}
PLACES = 4 * 3 * 4 * 3  # networks, datasets, tasks, seeds
CLASSES = (10, 3, 5, 5)  # of the four tasks
MS = (1, 3, 5, 20, 50)
# k-means and k-medoids with 1, 5, 20 proxies and the mean; m must not exceed the proxies.
VOTES = sum(2 * sum(m <= k * c for k in (1, 5, 20) for m in MS) + sum(m <= c for m in MS)
            for c in CLASSES) + 4 * len(MS)  # fmt: skip
SHOTS = (1, 2, 5, 10, 20, 50, 100, 200, 400, 600, 800, 1000, 60000)
TRIALS = {  # by hand, from the paper's grids
    "paper/gen": (5 * 6 + 2) * 9 * PLACES,
    "paper/agg": 4 * 3 * 3 * 6 * (8 * 4 + VOTES * 4 * 2),
    "paper/least_squares": (1 + 6) * PLACES,
    "paper/previous": 3 * 9 * 2 * PLACES,
    "paper/k": (6 * 8 + 3) * 4 * 3 * 3,
    "paper/n_shot": sum(k <= n for k in (1, 5, 20) for n in SHOTS) * 4 * 3 * 5,
    "paper/nc_imagenet": 4 * 100 * 15 * 2 * 3,
    "paper/nc_imagenet_ls": 4 * 100 * 15 * 3,
    "paper/nc_datasets": 4 * 3 * 15 * 2 * 3,
    "paper/nc_datasets_ls": 4 * 3 * 15 * 3,
}
RUNS = {  # methods x dimensions x seeds, and the simplex where there is one
    "fixed/quickstart": 3,
    "fixed/geometry": 1,
    "fixed/digit_pairs": (12 * 6 + 1) * 3,
    "fixed/updates": (1 + 5) * 3 * 3,
    "fixed/uniformity": (2 * 5 + 3) * 2 * 3,
    "fixed/mnist_lt": 3 * (6 * 2 + 2) * 3,
    "fixed/cifar10_small": (7 * 3 + 1) * 3,
    "fixed/cifar100": (13 * 7 + 1) * 3,
    "fixed/imagenet_200": (6 * 4 + 1) * 3,
    "fixed/imagenet": 2,
    "fixed/cifar100_lt": 3 * 4 * 3,
    "fixed/long_tailed": 3 * 4 * 3,
    "fixed/long_tailed_plain": 6 * 4 * 3,
    "fixed/imagenet_lt": 3 + 4,
}
# Classes, training images of each and size of what the tests' data lack.
RHOS = ("005", "01", "02")
ABSENT = {"cifar100": (100, 500, 32), "imagenet_200": (200, 500, 64), "imagenet": (1000, 1300, 224)}
ABSENT |= {f"cifar100_lt_{rho}": ABSENT["cifar100"] for rho in ("005", "01", "02")}
ABSENT |= {
    f"{of}_lt_{rho}": (10, 500, 32) for of in ("svhn", "stl10") for rho in ("005", "01", "02")
}
ABSENT |= {"imagenet_lt": ABSENT["imagenet"]}
# Their one parameter has no default that would fit anybody.
TO_BE_FILLED_IN = {("mapping", "rename")}


def composed(*overrides: str) -> Config:
    return read(compose(parse(overrides))[0].raw)


def defined(group: str) -> list[tuple[str, str, dict]]:
    """Return (file, name, what stands under the name) for every YAML file of a group."""
    found = []
    for path in sorted((CONF / group).glob("*.yaml")):
        content = yaml.safe_load(path.read_text())
        if group == "executor":  # one of them, so that its name stands beside its settings
            name, value = content.pop("name"), content
        else:
            ((name, value),) = content.items()
        found.append((path.stem, name, value or {}))
    return found


def entries(group: str) -> list[tuple[str, str, dict]]:
    """Return (file, kind, parameters) for every YAML file of a group."""
    found = []
    for file, name, value in defined(group):
        kind, params = name, value
        if name not in FUNCTIONS[group]:
            ((kind, params),) = value.items()
        found.append((file, kind, params or {}))
    return found


@pytest.mark.parametrize("group", FUNCTIONS)
def test_every_registered_function_has_a_yaml_file(group):
    assert {kind for _, kind, _ in entries(group)} == set(FUNCTIONS[group])


@pytest.mark.parametrize("group", FUNCTIONS)
def test_a_yaml_file_is_called_like_what_it_defines(group):
    for file, name, _ in defined(group):
        assert name == file


@pytest.mark.parametrize(
    ("group", "file", "kind", "params"),
    [(group, *entry) for group in FUNCTIONS for entry in entries(group)],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_yaml_file_has_every_parameter_so_that_an_override_needs_no_plus(
    group, file, kind, params
):
    wanted = set(settable(FUNCTIONS[group][kind])) - GIVEN_ELSEWHERE.get(group, set())
    assert set(without_source(params)) == wanted


def test_every_file_says_what_it_is_unless_its_name_does():
    of_training = ("network", "method", "recipe", "training")
    for group in ("fm", "dataset", "sweep", "study", "executor", *of_training):
        for path in sorted((CONF / group).rglob("*.yaml")):
            text = path.read_text().removeprefix("# @package _global_\n")
            assert text.startswith("# "), path


@pytest.mark.parametrize("group", ["fm", "dataset", "mapping", "task", "gen", "agg"])
def test_every_choice_composes_and_is_read(group):
    names = [name for name in choices([CONF], group) if (group, name) not in TO_BE_FILLED_IN]
    config = composed(f"{group}=[{','.join(names)}]")
    read_names = {
        "fm": [source.name for source in config.fms],
        "dataset": [source.name for source in config.datasets],
        "mapping": [source.name for source in config.mappings],
        "task": list(config.tasks),
        "gen": [method.name for method in config.gens],
        "agg": [method.name for method in config.aggs],
    }
    assert read_names[group] == names


@pytest.mark.parametrize(("group", "registry"), [("table", TABLES), ("figure", FIGURES)])
def test_every_table_and_figure_composes_and_is_known(group, registry):
    names = choices([CONF], group)
    requests = getattr(composed("+sweep=quickstart", f"{group}=[{','.join(names)}]"), f"{group}s")
    assert list(requests) == names
    check_requests(registry, {name: without_source(requests[name]) for name in names})


@pytest.mark.parametrize("group", ["table", "figure"])
def test_every_sweep_that_a_table_or_figure_names_is_there(group):
    known = choices([CONF], "sweep")
    for file, _, params in defined(group):
        for sweep in of_request(params, at=file):
            assert sweep in known


@pytest.mark.parametrize("name", choices([CONF], "executor"))
def test_every_executor_composes_and_its_yaml_has_the_defaults_of_its_class(name):
    config = composed(f"executor={name}")
    assert config.executor.name == name
    assert set(config.executor.settings) == set(settable(EXECUTORS[name]))
    assert chosen_executor(config) == EXECUTORS[name]()


@pytest.mark.parametrize("name", choices([CONF], "norm"))
def test_every_choice_of_norms_composes(name):
    assert composed(f"norm={name}").norms.pre


def test_the_norms_of_the_paper_are_nine_triples():
    norms = composed("norm=nine").norms
    triples = {(a, b, c) for a in norms.pre for b in norms.post for c in norms.inf}
    kept = {(a, b, c) for a, b, c in triples if a == "none" or c == a}
    assert len(kept) == 9
    assert set(norms.post) == set(PROXY_NORMALIZATIONS)
    assert set(norms.pre) == set(norms.inf) == set(ROW_NORMALIZATIONS)


IMPRINTING = [name for name in choices([CONF], "sweep") if name not in RUNS]


@pytest.mark.parametrize("sweep", IMPRINTING)
def test_every_sweep_composes_and_makes_a_plan(sweep, request, tmp_path):
    arguments = [f"+sweep={sweep}", f"paths.results={tmp_path}"]
    config = composed(*arguments)
    assert config.name == sweep
    try:
        descriptions = described(config)
    except DataError:  # it needs data that do not come with scikit-learn
        data = request.getfixturevalue("shared_data")
        other = [FOUR_NETWORKS] if sweep.startswith("paper/") else []
        other += [f"dataset=[{STAND_INS[sweep]}]"] if sweep in STAND_INS else []
        config = composed(*arguments, *other, f"paths.data={data}")
        descriptions = described(config)
    plan = make_plan(config, descriptions)

    assert len(plan) == TRIALS.get(sweep, len(plan)) > 0
    assert len(set(plan.ids.tolist())) == len(plan)
    assert list(tmp_path.iterdir()) == []


def test_every_sweep_that_trains_is_counted_by_hand():
    assert {name for name in choices([CONF], "sweep") if name.startswith("fixed/")} == set(RUNS)


@pytest.mark.parametrize("sweep", RUNS)
def test_every_sweep_that_trains_composes_and_makes_a_plan(sweep, request, tmp_path, monkeypatch):
    from imprint_bench.training import plan as planning

    known = planning.material_of

    def material_of(source):
        """Return what is known of a dataset that is not there."""
        if source.name not in ABSENT:
            return known(source)
        c, n, size = ABSENT[source.name]
        counts = np.full(c, n)
        return planning.Material(np.arange(c), counts, 10 * c, (size, size, 3), source.name)

    monkeypatch.setattr(planning, "material_of", material_of)
    arguments = [f"+sweep={sweep}", f"paths.results={tmp_path}"]
    if sweep in ("fixed/mnist_lt", "fixed/cifar10_small", "fixed/long_tailed"):
        arguments.append(f"paths.data={request.getfixturevalue('shared_data')}")
    config = read_any(compose(parse(arguments))[0].raw)
    assert config.name == sweep
    made = planning.make_training_plan(config)
    assert len(made) == RUNS[sweep]
    assert len(set(made.ids.tolist())) == len(made)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", choices([CONF], "method"))
def test_every_method_composes_and_its_file_is_called_like_it(name):
    config = read_any(compose(parse(["+sweep=fixed/quickstart", f"method=[{name}]"]))[0].raw)
    assert [method.name for method in config.methods] == [name]


@pytest.mark.parametrize("name", choices([CONF], "recipe"))
def test_every_recipe_composes_and_its_file_is_called_like_it(name):
    raw = compose(parse(["+training=default", f"recipe=[{name}]", "dataset=[digit_pairs]",
                         "network=[mlp]", "method=[etf]"]))[0].raw  # fmt: skip
    assert list(read_any(raw).recipes) == [name]
    assert set(raw["recipe"][name]) == set(settable(_schema))  # so that an override needs no plus

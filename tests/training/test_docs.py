"""What docs/fixed.md shows runs, and its tables have every parameter, key and method."""

import json
import re
from dataclasses import fields
from pathlib import Path

import pytest

from imprint_bench.command_line import choices, conf_folder
from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.fixed.core.prototype_set import PROTOTYPES
from imprint_bench.fixed.core.rules import ASSIGNMENTS
from imprint_bench.fixed.heads.head import HEADS
from imprint_bench.fixed.networks import NETWORKS
from imprint_bench.params import settable
from imprint_bench.training.augmentation import AUGMENTATIONS
from imprint_bench.training.config import TrainSettings
from imprint_bench.training.optimizers import OPTIMIZERS
from imprint_bench.training.recipe import Recipe, read_recipe
from imprint_bench.training.schedules import SCHEDULES

PAGE = (Path(__file__).parents[2] / "docs" / "fixed.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
ROWS = re.findall(r"^\| (`.*?`) \| (.*?) \|$", PAGE, flags=re.M)
REGISTRIES = (
    *(HEADS, ASSIGNMENTS, LOSSES, PROTOTYPES),
    *(OPTIMIZERS, SCHEDULES, AUGMENTATIONS, NETWORKS),
)
# A table that is passed as an array has no place in YAML.
PYTHON_ONLY = {"table"}


def test_every_block_of_python_runs():
    assert len(CODE) == 2
    for block in CODE:
        scope: dict = {}
        exec(block, scope)
    assert scope["logits"].shape == (640, 10)
    assert 0 <= scope["changed"] <= 1


@pytest.mark.parametrize("registry", REGISTRIES, ids=lambda r: r.noun)
def test_the_table_of_parameters_has_every_parameter(registry):
    for name in registry:
        wanted = set(settable(registry[name])) - PYTHON_ONLY
        told = [set(re.findall(r"`(\w+)`", text)) for names, text in ROWS if f"`{name}`" in names]
        assert not wanted or any(wanted <= names for names in told), name


def has_defaults(name, defaults):
    """Tell whether one row of `name` has every key with its default, as YAML writes it."""
    texts = (f"{text}," for names, text in ROWS if names == f"`{name}`")
    wanted = [f"`{k}` {v if isinstance(v, str) else json.dumps(v)}" for k, v in defaults.items()]
    return any(all(re.search(rf"{re.escape(w)}[ ,]", text) for w in wanted) for text in texts)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_of_a_network_has_its_default(name):
    wanted = settable(NETWORKS[name])
    assert has_defaults(name, {k: p.default for k, p in wanted.items() if p.default is not p.empty})


def test_every_key_of_a_recipe_has_its_default():
    made = read_recipe({"epochs": 1})
    chosen = {key: getattr(made, key).kind for key in ("optimizer", "schedule")}
    defaults = {field.name: getattr(made, field.name) for field in fields(Recipe)}
    del defaults["epochs"]
    assert has_defaults("recipe", defaults | chosen | {"augmentation": {}})
    assert any("`epochs`," in text for names, text in ROWS if names == "`recipe`")


def test_every_key_of_train_has_its_default():
    assert has_defaults("train", {field.name: field.default for field in fields(TrainSettings)})


def test_every_method_that_comes_with_the_package_is_listed_and_no_other():
    (table,) = re.findall(r"^\| method \|.*?\n\n", PAGE, flags=re.M | re.S)
    firsts = re.findall(r"^\| (`.*?`) \|", table, flags=re.M)
    listed = [name for names in firsts for name in re.findall(r"`(\w+)`", names)]
    assert sorted(listed) == sorted(choices([conf_folder()], "method"))


def test_every_prototype_set_is_described():
    for name in PROTOTYPES:
        assert f"`{name}`" in PAGE

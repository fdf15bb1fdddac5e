"""What docs/fixed.md shows runs, and its table of parameters is that of the functions."""

import re
from pathlib import Path

import pytest

from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.fixed.core.prototype_set import PROTOTYPES
from imprint_bench.fixed.core.rules import ASSIGNMENTS
from imprint_bench.fixed.heads.head import HEADS
from imprint_bench.params import settable
from imprint_bench.training.augmentation import AUGMENTATIONS
from imprint_bench.training.optimizers import OPTIMIZERS
from imprint_bench.training.schedules import SCHEDULES

PAGE = (Path(__file__).parents[2] / "docs" / "fixed.md").read_text(encoding="utf-8")
CODE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.S)
REGISTRIES = (
    *(HEADS, ASSIGNMENTS, LOSSES, PROTOTYPES),
    *(OPTIMIZERS, SCHEDULES, AUGMENTATIONS),
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
    rows = re.findall(r"^\| (`.*?`) \| (.*?) \|$", PAGE, flags=re.M)
    for name in registry:
        wanted = set(settable(registry[name])) - PYTHON_ONLY
        told = [set(re.findall(r"`(\w+)`", text)) for names, text in rows if f"`{name}`" in names]
        assert not wanted or any(wanted <= names for names in told), name


def test_every_prototype_set_is_described():
    for name in PROTOTYPES:
        assert f"`{name}`" in PAGE

import sys

import pytest

from imprint_bench.errors import ConfigError
from imprint_bench.registry import Registry


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Return the name of a package of two modules that register themselves in `made_here.SIZES`."""
    folder = tmp_path / "made_here"
    folder.mkdir()
    (folder / "__init__.py").write_text(
        "from imprint_bench.registry import Registry\n"
        "SIZES = Registry('size', 'made_here')\n"
        "LOADED = []\n"
    )
    for name, size in (("small", 1), ("large", 9)):
        (folder / f"{name}.py").write_text(
            f"from made_here import LOADED, SIZES\nSIZES.add({name!r}, {size})\nLOADED.append(1)\n"
        )
    monkeypatch.syspath_prepend(tmp_path)
    yield "made_here"
    for name in [n for n in sys.modules if n.startswith("made_here")]:
        del sys.modules[name]


def test_a_new_module_in_the_package_is_found_on_the_first_look_up_and_loaded_once(package):
    import made_here

    assert made_here.LOADED == []
    assert list(made_here.SIZES) == ["large", "small"]
    assert made_here.SIZES["small"] == 1
    assert made_here.SIZES.find("large", at="size") == 9
    assert len(made_here.SIZES) == 2
    assert made_here.LOADED == [1, 1]


def test_an_unknown_name_is_answered_with_the_known_ones_and_the_nearest():
    sizes = Registry[int]("size")
    sizes.add("small", 1)
    sizes.add("large", 9)

    message = r"^boxes\.size: unknown size 'smal'; known: large, small\. Did you mean 'small'\?$"
    with pytest.raises(ConfigError, match=message):
        sizes.find("smal", at="boxes.size")
    assert "smal" not in sizes
    with pytest.raises(KeyError):
        sizes["smal"]


def test_a_second_entry_of_one_name_is_a_bug():
    sizes = Registry[int]("size")
    sizes.add("small", 1)
    with pytest.raises(ValueError, match="size 'small' is registered twice"):
        sizes.add("small", 2)
    assert sizes["small"] == 1


def test_the_decorator_returns_the_function_unchanged():
    methods = Registry("method")

    def double(x):
        return 2 * x

    assert methods.register("double")(double) is double
    assert methods["double"] is double

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import pytest

from imprint_bench.errors import ConfigError
from imprint_bench.params import (
    AtLeast,
    AtMost,
    PositiveInt,
    check_params,
    check_value,
    expand,
    settable,
    short_name,
    takes,
    with_defaults,
    without_defaults,
)


def method(
    X: object,
    *,
    k: PositiveInt,
    metric: Literal["euclidean", "cosine"] = "euclidean",
    ridge: float = 0.5,
    names: list[str] = [],  # noqa: B006
    where: Mapping[str, Any] | None = None,
    fast: bool = False,
    seed: int = 0,
    rng: object = None,
) -> None: ...


def test_what_yaml_may_set_is_every_keyword_but_the_source_of_randomness():
    assert list(settable(method)) == ["k", "metric", "ridge", "names", "where", "fast"]
    assert takes(method, "seed")
    assert not takes(method, "alpha")


MISTAKES = [
    ({"k": 0}, "gen.it.k: expected an int of at least 1, got 0."),
    ({"k": -5}, "gen.it.k: expected an int of at least 1, got -5."),
    ({"k": True}, "gen.it.k: expected an int of at least 1, got True."),
    ({"k": 2.5}, "gen.it.k: expected an int of at least 1, got 2.5."),
    ({"k": 5.0}, "gen.it.k: expected an int of at least 1, got 5.0."),
    ({"k": "five"}, "gen.it.k: expected an int of at least 1, got 'five'."),
    ({"k": None}, "gen.it.k: expected an int of at least 1, got None."),
    ({"k": [5]}, "gen.it.k: expected an int of at least 1, got [5]."),
    ({}, "gen.it.k: missing; gen.it cannot do without it."),
    (
        {"k": 1, "kk": 3},
        "gen.it.kk: no such parameter; gen.it takes k, metric, ridge, names, where, fast. "
        "Did you mean 'k'?",
    ),
    ({"k": 1, "seed": 3}, "gen.it.seed: no such parameter; gen.it takes"),
    (
        {"k": 1, "metric": "euclid"},
        "gen.it.metric: expected one of euclidean, cosine, got 'euclid'. Did you mean 'euclidean'?",
    ),
    ({"k": 1, "ridge": "much"}, "gen.it.ridge: expected float, got 'much'."),
    ({"k": 1, "ridge": float("nan")}, "gen.it.ridge: expected float, got nan."),
    ({"k": 1, "ridge": float("inf")}, "gen.it.ridge: expected float, got inf."),
    ({"k": 1, "ridge": True}, "gen.it.ridge: expected float, got True."),
    ({"k": 1, "names": ["a", 3]}, "gen.it.names: expected a list of str, got ['a', 3]."),
    ({"k": 1, "names": "a"}, "gen.it.names: expected a list of str, got 'a'."),
    ({"k": 1, "where": 3}, "gen.it.where: expected a mapping or nothing, got 3."),
    ({"k": 1, "fast": "yes"}, "gen.it.fast: expected true or false, got 'yes'."),
    ({"k": 1, "fast": 1}, "gen.it.fast: expected true or false, got 1."),
]


@pytest.mark.parametrize(("params", "message"), MISTAKES, ids=[str(m[0]) for m in MISTAKES])
def test_a_bad_parameter_is_named_with_its_place_its_value_and_its_remedy(params, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}"):
        check_params(method, params, at="gen.it")


def test_good_parameters_pass():
    check_params(method, {"k": 1}, at="")
    check_params(method, {"k": 3, "ridge": 1, "where": {"gen": "mean"}, "names": ["a"]}, at="")
    check_params(method, {"k": 3, "where": None, "names": []}, at="")


def test_a_function_without_parameters_says_so():
    with pytest.raises(ConfigError, match=r"^gen\.mean\.k: no such parameter; gen\.mean takes no"):
        check_params(lambda X: X, {"k": 1}, at="gen.mean")


def test_a_spelled_out_default_is_left_out_and_filled_in_again():
    spelled = {"k": 5, "metric": "euclidean", "ridge": 0.5}

    assert without_defaults(method, spelled) == {"k": 5}
    full = with_defaults(method, {"k": 5})
    assert full == spelled | {"names": [], "where": None, "fast": False}
    assert with_defaults(method, spelled) == full


def test_a_whole_number_for_a_float_becomes_one_so_that_1_and_1_0_are_one_trial():
    assert repr(with_defaults(method, {"k": 1, "ridge": 1})["ridge"]) == "1.0"
    assert repr(with_defaults(method, {"k": 1})["k"]) == "1"


def test_expand_yields_every_combination_in_order():
    made = list(expand({"k": [1, 5], "metric": ["a", "b"], "ridge": 0.5}))

    assert [(p["k"], p["metric"]) for p in made] == [(1, "a"), (1, "b"), (5, "a"), (5, "b")]
    assert {p["ridge"] for p in made} == {0.5}
    assert list(expand({})) == [{}]


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (PositiveInt, "int"),
        (PositiveInt | Literal["all"], "int or 'all'"),
        (Literal["embed", "run"], "embed | run"),
        (str, "str"),
        (Any, "value"),
    ],
)
def test_short_name(annotation, text):
    assert short_name(annotation) == text


Share = Annotated[float, AtLeast(0), AtMost(1)]


@pytest.mark.parametrize(
    ("annotation", "ends"),
    [
        (Annotated[float, AtLeast(0)], [0, 1e9]),
        (Annotated[int, AtMost(9)], [-5, 9]),
        (Share, [0, 0.5, 1]),
        (list[Share], [[], [0, 1]]),
    ],
)
def test_the_limits_themselves_are_allowed(annotation, ends):
    def limited(*, x: annotation) -> None: ...

    for value in ends:
        check_params(limited, {"x": value}, at="")


OUTSIDE = [
    (Annotated[float, AtLeast(0)], -1e-9, "a float of at least 0, got -1e-09"),
    (Annotated[int, AtMost(9)], 10, "an int of at most 9, got 10"),
    (Share, 3, "a float from 0 to 1, got 3"),
    (Share, -0.1, "a float from 0 to 1, got -0.1"),
    (Share, "much", "a float from 0 to 1, got 'much'"),
    (Share | None, 2, "a float from 0 to 1 or nothing, got 2"),
    (list[Annotated[int, AtLeast(0)]], [-1], "a list of int of at least 0, got [-1]"),
    (tuple[PositiveInt, ...], [3, 0], "a list of int of at least 1, got [3, 0]"),
    (list[PositiveInt], 3, "a list of int of at least 1, got 3"),
    (list[PositiveInt] | None, [0], "a list of int of at least 1 or nothing, got [0]"),
    (list[PositiveInt | Literal["all"]], [0], "a list of int of at least 1 or 'all', got [0]"),
    (list[Share], [0, 2], "a list of float from 0 to 1, got [0, 2]"),
    (list[int | None], ["a"], "a list of int or nothing, got ['a']"),
    (list[Literal["a", "b"]], ["c"], "a list of a | b, got ['c']"),
    (list[str], [1], "a list of str, got [1]"),
]


@pytest.mark.parametrize(("annotation", "value", "message"), OUTSIDE, ids=[o[2] for o in OUTSIDE])
def test_what_is_outside_the_limits_is_refused_with_them(annotation, value, message):
    with pytest.raises(ConfigError, match=f"^x: expected {re.escape(message)}\\.$"):
        check_value(value, annotation, at="x")

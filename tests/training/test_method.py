import pytest

from imprint_bench.errors import ConfigError
from imprint_bench.training.method import combinations, read_methods

LEARNED = {"head": {"linear": {}}, "loss": {"cross_entropy": {}}, "lr": 0.1}
FIXED = {
    "head": {
        "fixed": {"prototypes": {"gaussian_potential": {"t": 2.0}}, "assignment": {"dynamic": {}}}
    },
    "loss": {"ipm": {}},
    "lr": 0.01,
}


def methods(**content):
    return read_methods({"method": content})


def test_a_list_anywhere_stands_for_one_method_per_value():
    content = {**LEARNED, "head": {"cosine": {"scale": [1.0, 4, "learnable"]}}, "lr": [0.1, 0.2]}
    found = methods(psc=content)
    assert [(m.name, m.head.params["scale"], m.lr) for m in found] == [
        ("psc", scale, lr) for scale in (1.0, 4.0, "learnable") for lr in (0.1, 0.2)
    ]


def test_every_combination_of_nested_lists_comes_once():
    value = {"a": [1, 2], "b": {"c": [3, 4], "d": 5}}
    found = list(combinations(value, at=""))
    assert found == [{"a": a, "b": {"c": c, "d": 5}} for a in (1, 2) for c in (3, 4)]


def test_a_row_tells_all_that_makes_a_method_and_null_where_there_is_none():
    learned, fixed = methods(learned=LEARNED, fixed=FIXED)
    row = fixed.columns()
    assert row["method"] == "fixed"
    assert (row["head"], row["prototypes"], row["assignment"], row["loss"]) == (
        "fixed", "gaussian_potential", "dynamic", "ipm",
    )  # fmt: skip
    assert (row["head_scale"], row["assignment_momentum"], row["loss_reduction"]) == (
        "1",
        0.9,
        "sum",
    )
    assert row["prototypes_t"] == 2.0
    assert row["prototypes_lr"] == "auto"  # text, since it may be a number, too
    row = learned.columns()
    assert (row["prototypes"], row["assignment"], row["head_bias"]) == (None, None, True)
    assert "head_scale" not in row


def test_what_identifies_a_method_is_neither_its_name_nor_a_default_that_is_written_out():
    (one,) = methods(a=FIXED)
    written = {
        "head": {
            "fixed": {
                "prototypes": {"gaussian_potential": {}},
                "assignment": {"dynamic": {"momentum": 0.9}},
                "scale": 1,
            }
        },
        "loss": {"ipm": {"reduction": "sum"}},
        "lr": 0.01,
    }
    (other,) = methods(b=written)
    assert one.canonical() == other.canonical()
    (third,) = methods(a={**FIXED, "lr": 0.02})
    assert third.canonical() != one.canonical()


def test_prototypes_that_are_trained_first_name_the_method_that_does():
    content = {
        "first": {"head": {"cosine": {"scale": 4}}, "loss": {"cross_entropy": {}}, "lr": 0.5},
        "head": {"fixed": {"prototypes": {"trained": {}}, "assignment": {"dynamic": {}}}},
        "loss": {"ipm": {}},
        "lr": 0.01,
    }
    (method,) = methods(reused=content)
    assert method.first is not None
    assert (method.first.head.kind, method.first.lr) == ("cosine", 0.5)
    assert method.columns()["prototypes"] == "trained"
    (other,) = methods(reused={**content, "first": {**content["first"], "lr": 0.1}})
    assert other.canonical() != method.canonical()


REFUSED = {
    "method.m.loss: missing": {"head": {"linear": {}}, "lr": 0.1},
    "method.m.optimiser: no such key": {**LEARNED, "optimiser": {}},
    "method.m.lr: expected float, got 'high'": {**LEARNED, "lr": "high"},
    "method.m.lr: expected a positive learning rate, got 0": {**LEARNED, "lr": 0},
    "method.m.head: unknown head 'lineer'": {**LEARNED, "head": {"lineer": {}}},
    "method.m.head: expected one head": {**LEARNED, "head": {"linear": {}, "cosine": {}}},
    "method.m.loss.ipm.reduction: expected one of sum, mean": {
        **LEARNED, "loss": {"ipm": {"reduction": "summ"}},
    },
    "method.m.head.fixed.prototypes: unknown prototype set 'simplx'": {
        **FIXED, "head": {"fixed": {"prototypes": {"simplx": {}}}},
    },
    "method.m.head.fixed.assignment.dynamic.momentum": {
        **FIXED,
        "head": {
            "fixed": {"prototypes": {"simplex": {}}, "assignment": {"dynamic": {"momentum": -1}}}
        },
    },
    "method.m.lr: an empty list leaves nothing to run": {**LEARNED, "lr": []},
    "method.m.first: a head, loss and lr stand there": {**LEARNED, "first": LEARNED},
    "method: nothing chosen": None,
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_wrong_method_gets_one_sentence_with_its_place(sentence):
    content = REFUSED[sentence]
    with pytest.raises(ConfigError) as refused:
        methods(**({} if content is None else {"m": content}))
    assert str(refused.value).startswith(sentence)


def test_a_number_is_the_same_scale_whether_it_is_written_with_a_point_or_not():
    one, other = (methods(m={**LEARNED, "head": {"cosine": {"scale": s}}})[0] for s in (16, 16.0))
    assert repr(one.canonical()) == repr(other.canonical())
    assert one.columns() == other.columns()


def test_an_assignment_that_is_left_out_is_the_default_one_written_out():
    left_out, null, written = (
        methods(m={**FIXED, "head": {"fixed": {"prototypes": {"simplex": {}}, **more}}})[0]
        for more in ({}, {"assignment": None}, {"assignment": {"static": {"initial": "identity"}}})
    )
    assert left_out.canonical() == null.canonical() == written.canonical()
    assert left_out.columns() == written.columns()

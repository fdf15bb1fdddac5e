"""The paper's numbers: against sums taken from the specification, and against its text."""

import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from imprint_bench.analysis.dl2pa.published import published, published_geometry, published_points

NAMES = {
    "W2V": "Word2Vec", "Ours": "DL2PA", "Ours*": "PSC's weights, dynamic",
    "Fixed W+CE": "fixed W + CE", "Goto": "Goto et al.", "Kasarla": "Kasarla et al.",
}  # fmt: skip
NETWORKS = {"R50": "resnet50", "R101": "resnet101", "R152": "resnet152", "Swin-T": "swin_t"}
DATA = {"CIFAR-10": "cifar10_lt", "SVHN": "svhn_lt", "STL": "stl10_lt"}
RHOS = (0.005, 0.01, 0.02)
NUMBER = r"-?\d*\.\d+"
Values = Iterator[tuple[tuple, float]]

# Sums of accuracies in percent, added up from the specification.
SUMS = {
    ("table1", "cifar100", "PSC"): 208.37,
    ("table1", "imagenet_200", "PSC"): 33.1,
    ("table1", "cifar100", "Word2Vec"): 185.4,
    ("table1", "imagenet_200", "Word2Vec"): 108.1,
    ("table1", "cifar100", "HPN"): 243.8,
    ("table1", "imagenet_200", "HPN"): 172.6,
    ("table1", "cifar100", "DL2PA"): 250.91,
    ("table1", "imagenet_200", "DL2PA"): 172.41,
    ("table2", "cifar100", "PSC"): 62.1,
    ("table2", "cifar100", "Word2Vec"): 57.6,
    ("table2", "cifar100", "HPN"): 65.0,
    ("table2", "cifar100", "ETF"): 65.34,
    ("table2", "cifar100", "DL2PA"): 66.22,
    ("table2", "imagenet_200", "PSC"): 33.1,
    ("table2", "imagenet_200", "Word2Vec"): 30.0,
    ("table2", "imagenet_200", "HPN"): 44.7,
    ("table2", "imagenet_200", "ETF"): 37.15,
    ("table2", "imagenet_200", "DL2PA"): 46.85,
    ("table3", "imagenet", "PSC"): 153.42,
    ("table3", "imagenet", "DNC"): 154.29,
    ("table3", "imagenet", "Goto et al."): 155.46,
    ("table3", "imagenet", "Kasarla et al."): 153.3,
    ("table3", "imagenet", "DL2PA"): 234.36,
    ("table4", "cifar100_lt", "PSC"): 129.8,
    ("table4", "cifar100_lt", "ETF"): 136.6,
    ("table4", "cifar100_lt", "DL2PA"): 273.8,
    ("table5", "imagenet_lt", "PSC"): 44.3,
    ("table5", "imagenet_lt", "ETF"): 44.7,
    ("table5", "imagenet_lt", "DL2PA"): 89.5,
    ("table6", "cifar10_lt", "PSC"): 218.7,
    ("table6", "cifar10_lt", "ETF"): 229.4,
    ("table6", "cifar10_lt", "DL2PA"): 229.8,
    ("table6", "svhn_lt", "PSC"): 130.7,
    ("table6", "svhn_lt", "ETF"): 138.3,
    ("table6", "svhn_lt", "DL2PA"): 137.6,
    ("table6", "stl10_lt", "PSC"): 109.8,
    ("table6", "stl10_lt", "ETF"): 108.6,
    ("table6", "stl10_lt", "DL2PA"): 109.3,
    ("table8", "cifar100", "PSC"): 187.66,
    ("table8", "cifar100", "PSC*"): 191.25,
    ("table8", "cifar100", "PSC's weights, dynamic"): 188.65,
    ("table8", "cifar100", "DL2PA"): 193.75,
    ("table9", "cifar100", "fixed W + CE"): 168.79,
    ("table9", "cifar100", "DL2PA"): 193.75,
}


def block(text: str, name: str) -> str:
    """Return what the specification says of a table, without its name."""
    found = re.search(rf"^{name} (.*?)(?=^[TF]\d)", text, flags=re.S | re.M)
    assert found is not None, name
    return found[1]


def rows_of(text: str, methods: str) -> list[tuple[str, list[str]]]:
    """Return the names that are methods, each with the numbers up to the next."""
    parts = re.split(rf"(?<![\w-])({methods})(?![\w*])", text)[1:]
    return [
        (NAMES.get(name, name), re.findall(rf"{NUMBER}|(?<= )-(?= |;|$)", numbers))
        for name, numbers in zip(parts[::2], parts[1::2], strict=True)
    ]


def table1(text: str) -> Values:
    places = [("cifar100", d) for d in (10, 25, 50, 100)]
    places += [("imagenet_200", d) for d in (25, 50, 100, 200)]
    for method, numbers in rows_of(text.partition("\n")[2], "PSC|Word2Vec|HPN|Ours"):
        for (dataset, d), number in zip(places, numbers, strict=True):
            if number != "-":
                yield (dataset, method, "", d, None), float(number)


def table2(text: str) -> Values:
    first, _, second = text.partition("CIFAR-100: ")[2].partition("IN-200: ")
    named = rows_of(first, "PSC|W2V|HPN|ETF|Ours")
    for dataset, c, numbers in (
        ("cifar100", 100, [number for _, (number,) in named]),
        ("imagenet_200", 200, re.findall(NUMBER, second)),
    ):
        for (method, _), number in zip(named, numbers, strict=True):
            d = c // 2 if method == "DL2PA" else c
            yield (dataset, method, "", d, None), float(number)


def table3(text: str) -> Values:
    for part in text.partition(":")[2].split(";"):
        network, _, numbers = part.strip().partition(" ")
        for method, (number,) in rows_of(numbers, "PSC|DNC|Goto|Kasarla|Ours"):
            d = 512 if method == "DL2PA" else None
            yield ("imagenet", method, NETWORKS[network], d, None), float(number)


def table4(text: str) -> Values:
    for method, d, numbers in re.findall(r"(\w+)\((\d+)\)((?: \d+\.\d)+)", text):
        for rho, number in zip(RHOS, numbers.split(), strict=True):
            yield ("cifar100_lt", NAMES.get(method, method), "", int(d), rho), float(number)


def table5(text: str) -> Values:
    for part in text.partition(":")[2].split(","):
        method, *d, number = part.split()
        size = int(d[0]) if d else None
        yield ("imagenet_lt", NAMES.get(method, method), "", size, None), float(number)


def table6(text: str) -> Values:
    for part in text.partition(":")[2].split(";"):
        name = part.split()[0]
        for method, numbers in rows_of(part, "PSC|ETF|Ours"):
            for rho, number in zip(RHOS, numbers, strict=True):
                yield (DATA[name], method, "", 64, rho), float(number)


def table8(text: str) -> Values:
    for method, numbers in rows_of(text.partition(":")[2], r"PSC\*|PSC|Ours\*|Ours"):
        for d, number in zip((16, 32, 64), numbers, strict=True):
            yield ("cifar100", method, "", d, None), float(number)


def table9(text: str) -> Values:
    for method, numbers in rows_of(text.replace("+-", " "), r"Fixed W\+CE|Ours"):
        for d, mean, std in zip((16, 32, 64), numbers[::2], numbers[1::2], strict=True):
            yield ("cifar100", method, "", d, None), float(mean)
            yield ("cifar100", method, "std", d, None), float(std)


TABLES = (table1, table2, table3, table4, table5, table6, table8, table9)


def kept(table: str) -> dict[tuple, float]:
    """Return the values of a table in percent, by what they are of."""
    found = {}
    for row in published(table).to_dict("records"):
        d, rho = (None if pd.isna(row[c]) else row[c] for c in ("d", "rho"))
        place = (row["dataset"], row["method"])
        found[*place, row["network"], d, rho] = 100 * row["accuracy_mean"]
        if pd.notna(row["accuracy_std"]):
            found[*place, "std", d, rho] = 100 * row["accuracy_std"]
    return found


@pytest.fixture(scope="module")
def specification(shared_data: Path) -> str:
    """Return section 6.1 of the specification."""
    path = shared_data.parent / "spec" / "fixed_classifiers.md"
    found = re.search(r"### 6\.1.*?\n(.*?)\n### 6\.2", path.read_text(encoding="utf-8"), re.S)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("parse", TABLES, ids=lambda f: f.__name__)
def test_every_accuracy_is_that_of_the_specification(parse, specification):
    expected = dict(parse(block(specification, f"T{parse.__name__[-1]}")))
    assert kept(parse.__name__) == pytest.approx(expected, abs=1e-9)


def test_the_cosines_are_those_of_the_specification(specification):
    text = block(specification, "T7").partition("c=100: ")[2]
    expected = [
        [100.0, float(d), NAMES.get(name, name), float(top), float(low)]
        for d, part in re.findall(r"d=(\d+) ([^;]*)", text)
        for name, top, low in re.findall(rf"(\w+) ({NUMBER})/({NUMBER})", part)
    ]
    assert published_geometry().to_numpy().tolist() == expected


def test_what_is_read_off_figure_2_is_that_of_the_specification(specification):
    text = specification[specification.index("\nF2a") :]
    stds = [float(v) for v in re.search(r"STD in \{(.*?)\}", text)[1].split(",")]
    values = [float(v) for v in re.search(r"~([\d./]+) =", text)[1].split("/")]
    a = published_points("figure2a").set_index("std")["value"]
    assert a[stds].tolist() == values
    assert a[a.index.isna()].tolist() == [float(re.search(r"Ours = (-\.\d+)", text)[1])]
    c = published_points("figure2c").set_index("std")["value"]
    told = re.findall(r"(\d?\.\d+) ~(\.\d+)", text[text.index("F2c") :])
    assert [(float(s), float(v)) for s, v in told] == list(c[c.index.notna()].items())
    assert c[c.index.isna()].tolist() == [float(re.search(r"Ours (\.\d+)", text)[1])]


def test_the_numbers_of_each_method_add_up_as_in_the_specification():
    """It needs no specification beside: whoever changes a number has to change its sum."""
    found = {
        (table, dataset, method): round(100 * own.sum(), 2)
        for table in (f.__name__ for f in TABLES)
        for (dataset, method), own in published(table).groupby(["dataset", "method"])[
            "accuracy_mean"
        ]
    }
    assert found == SUMS
    nine = published("table9").groupby("method")["accuracy_std"].sum()
    assert (100 * nine).round(2).to_dict() == {"DL2PA": 0.71, "fixed W + CE": 1.53}
    cosines = published_geometry()[["max_cosine", "min_cosine"]].sum().round(2)
    assert cosines.tolist() == [0.75, -2.35]
    points = {name: published_points(name)["value"].sum() for name in ("figure2a", "figure2c")}
    assert points == pytest.approx({"figure2a": 3.73, "figure2c": 0.00224})

"""What the pages in `results` say of their tables is what the tables say."""

import csv
import re
from pathlib import Path

import pytest

RESULTS = Path(__file__).parents[1] / "results" / "mobilenet_v1"
PAGE = (RESULTS / "README.md").read_text(encoding="utf-8")
ROW = re.compile(
    r"^\| \[[\w.]+\]\((tables/\w+\.md)\) \|.*?\| ([\d.]+) \| (none|\d+) of (\d+)", re.M
)


def test_every_link_of_the_page_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert len(links) > 20
    for link in links:
        assert (RESULTS / link).exists(), link


def test_the_page_says_of_every_ranking_how_far_the_order_of_the_paper_holds():
    found = ROW.findall(PAGE)
    assert len(found) == 10
    for path, tau, flipped, of in found:
        caption = (RESULTS / path).read_text(encoding="utf-8")
        stated = re.search(r"of the paper's is ([\d.]+) \(", caption)
        assert stated is not None
        assert stated[1] == tau, path
        lines = (RESULTS / path.replace(".md", "_flips.csv")).read_text().splitlines()
        n_flips = len(lines) - 1
        assert n_flips == (0 if flipped == "none" else int(flipped)), path
        n_rows = len((RESULTS / path.replace(".md", ".csv")).read_text().splitlines()) - 1
        assert int(of) == n_rows * (n_rows - 1) / 2, path


@pytest.mark.parametrize(
    ("table", "gen", "percent"),
    [
        ("table1", "k-means", "86.4"),
        ("table1", "mean", "82.4"),
        ("table1", "least squares", "90.7"),
    ],
)
def test_the_accuracies_of_the_first_page_are_those_of_the_table(table, gen, percent):
    with (RESULTS / "tables" / f"{table}.csv").open(encoding="utf-8") as file:
        values = [r["accuracy_mean_percent"] for r in csv.DictReader(file) if r["generator"] == gen]
    assert any(f"{float(value):.1f}" == percent for value in values)
    readme = (RESULTS.parents[1] / "README.md").read_text(encoding="utf-8")
    assert f"{percent} %" in readme
    assert f"{percent} %" in PAGE


FIXED = Path(__file__).parents[1] / "results" / "fixed"
FIXED_PAGE = re.sub(r"\s+", " ", (FIXED / "README.md").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cells() -> dict[tuple[str, str, int, float | None], tuple[float, float]]:
    """Return mean and standard deviation, in percent, by dataset, method, d and rho."""
    with (FIXED / "tables" / "methods_exact.csv").open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    for table in ("dl2pa_table1", "dl2pa_table8", "dl2pa_table4"):
        with (FIXED / "tables" / f"{table}_exact.csv").open(encoding="utf-8") as file:
            rows += csv.DictReader(file)
    return {
        (r["dataset"], r["label"], int(r["d"]), float(r["imbalance"] or 1)): (
            100 * float(r["accuracy_mean"]),
            100 * float(r["accuracy_std"]),
        )
        for r in rows
    }


def test_every_link_of_the_page_on_training_leads_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", FIXED_PAGE)
    assert len(links) > 15
    for link in links:
        assert (FIXED / link).exists(), link


PAIRS, PHOTOS = "digit_pairs", "cifar10_small"
DIFFERENCES = [  # sentence with two numbers or one, and the differences that they are
    (r"by ([\d.]+) and ([\d.]+) points at d = 3 and 5 \(DL2PA", PAIRS, (3, 5), "dl2pa"),
    (r"prototypes and loss\), ([\d.]+) at d = 10", PAIRS, (10,), "dl2pa"),
    (r"on CIFAR-10 by ([\d.]+) and ([\d.]+) points at d = 2 and 4", PHOTOS, (2, 4), "dl2pa"),
]


@pytest.mark.parametrize(("sentence", "dataset", "ds", "method"), DIFFERENCES)
def test_the_gains_of_dynamic_assignment_are_those_of_the_table(
    cells, sentence, dataset, ds, method
):
    said = re.search(sentence, FIXED_PAGE)
    assert said is not None
    for number, d in zip(said.groups(), ds, strict=True):
        dynamic, static = (cells[dataset, f"{method} {how}", d, 1.0][0]
                           for how in ("dynamic", "static"))  # fmt: skip
        assert f"{dynamic - static:.1f}" == number


ACCURACIES = [  # sentence, and what its numbers are: mean or standard deviation of a cell
    (r"([\d.]+) ± ([\d.]+) % against ([\d.]+) ± ([\d.]+) % for static assignment",
     [("mnist_lt", f"dl2pa {how} balanced=False", 4, 0.005) for how in ("dynamic", "static")]),
    (r"([\d.]+) ± ([\d.]+) and ([\d.]+) ± ([\d.]+) % at d = 5, 95",
     [(PAIRS, name, 5, 1.0) for name in ("dl2pa as published", "dl2pa dynamic")]),
]  # fmt: skip


@pytest.mark.parametrize(("sentence", "places"), ACCURACIES)
def test_the_accuracies_of_the_page_on_training_are_those_of_the_tables(cells, sentence, places):
    said = re.search(sentence, FIXED_PAGE)
    assert said is not None
    known = {(k[0].removesuffix("_005"), *k[1:]): v for k, v in cells.items()}
    expected = [f"{value:.1f}" for place in places for value in known[place]]
    assert list(said.groups()) == expected


def test_the_share_of_trainings_is_counted():
    with (FIXED / "tables" / "methods_exact.csv").open(encoding="utf-8") as file:
        n = sum(int(r["n_seeds"]) for r in csv.DictReader(file))
    assert n == 219 + 126 + 66
    said = re.search(r"from (\d+) small trainings", FIXED_PAGE)
    assert said is not None
    # beside these: five rates of updates at three d less the usual one, 13 methods at two d less
    # DL2PA's own, and the one of fixed/geometry
    assert int(said[1]) == n + 4 * 3 * 3 + (10 + 2) * 2 * 3 - 2 * 2 * 3 + 1

"""What `results/mobilenet_v1` says of its tables is what the tables say."""

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

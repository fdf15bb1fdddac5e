import csv
import json
import re

import numpy as np
import pytest
from small_sweeps import IPM, METHODS

from imprint_bench.sweep.store import read_rows

SETS = {"prototypes": {"random": {}}}
RANDOM = {"head": {"fixed": SETS}, "loss": IPM, "lr": 0.01}
SCALES = {"head": {"cosine": {"scale": [1.0, 16.0]}}, "loss": {"cross_entropy": {}}, "lr": 0.05}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return the page of a sweep of four methods at two dimensions, and its rows."""
    from small_sweeps import Sweep

    folder = tmp_path_factory.mktemp("report")
    sweep = Sweep(
        folder,
        method={"learned": METHODS["learned"], "random": RANDOM, "scaled": SCALES},
        d=[10, 99],
        table={"methods": {}, "pairwise": {}},
        figure={"accuracy_over_d": {}, "critical_difference": {}, "montage": {}},
    )
    sweep.run()
    text = (folder / "results" / "reports" / "small" / "index.html").read_text()
    return text, sweep.rows(), folder


def explored(text: str) -> dict:
    found = re.search(r'<script type="application/json" id="explore-data">(.*?)</script>', text)
    assert found is not None
    return json.loads(found[1])


def test_the_page_compares_methods_over_networks_datasets_and_dimensions(page):
    data = explored(page[0])
    assert data["noun"] == "method"
    assert data["nouns"]["fm"] == "network"
    assert data["axes"]["fm"] == ["mlp"]
    assert data["axes"]["dataset"] == ["tiny_pairs"]
    assert sorted(data["axes"]["task"]) == ["d = 10", "d = 99"]
    names = {g["name"] for g in data["generators"]}
    assert names == {"learned", "random", "scaled, scale=1", "scaled, scale=16"}
    visible = re.sub(r"<(script|style).*?</\1>|<[^>]*>", "", page[0], flags=re.S)
    assert "generator" not in visible.lower()


def test_its_accuracies_are_medians_over_seeds_of_the_rows(page):
    text, rows, _ = page
    data = explored(text)
    for generator, column in zip(data["generators"], data["accuracy"], strict=True):
        name, _, scale = generator["name"].partition(", scale=")
        own = rows[rows["method"] == name]
        own = own[own["head_scale"] == scale] if scale else own
        expected = own.groupby("d")["accuracy"].median()
        found = {
            int(data["axes"]["task"][code].removeprefix("d = ")): value
            for code, value in zip(data["codes"]["task"], column, strict=True)
        }
        assert found == pytest.approx(expected.to_dict(), abs=1e-8)


def test_the_summary_names_what_was_trained_and_the_best_method(page):
    summary = page[0].partition('<div class="summary">')[2].partition("</div>")[0]
    assert "16 trials finished on 1 dataset (tiny_pairs), 1 network (mlp) and 3 methods" in summary
    (best,) = {g["name"] for g in explored(page[0])["generators"][:1]}
    medians = page[1].groupby(["method", "head_scale", "d"], dropna=False)["accuracy"].median()
    ranks = (
        medians.groupby("d").rank(ascending=False).groupby(["method", "head_scale"], dropna=False)
    )
    method, scale = ranks.mean().idxmin()
    assert best == (method if scale != scale else f"{method}, scale={scale}")
    assert f"goes to the method {best}" in summary


def test_the_table_of_methods_holds_means_over_seeds(page):
    _, rows, folder = page
    with (folder / "results" / "reports" / "small" / "tables" / "methods.csv").open() as file:
        table = {row["label"]: row for row in csv.DictReader(file)}
    for method, label in (("learned", "learned"), ("random", "random")):
        for d in (10, 99):
            own = rows[(rows["method"] == method) & (rows["d"] == d)]["accuracy"]
            assert float(table[label][f"d{d}_percent"]) == pytest.approx(
                100 * own.mean(), abs=0.006
            )
        stds = rows[rows["method"] == method].groupby("d")["accuracy"].std(ddof=1)
        expected = 100 * np.sqrt(np.mean(stds**2))
        assert float(table[label]["spread_percent"]) == pytest.approx(expected, abs=0.006)


def test_rows_of_training_and_of_imprinting_share_a_store(page):
    from imprint_bench.config import read
    from imprint_bench.reporting import Launch
    from imprint_bench.studies import carry_out
    from imprint_bench.sweep.compaction import compact
    from imprint_bench.sweep.run import store_of

    _, rows, folder = page
    results = folder / "results"
    paths = {name: str(results / name) for name in ("embeddings", "rows", "reports")}
    raw = {
        "name": "imprint", "fm": {"pixels": {}}, "dataset": {"digits": {}},
        "mapping": {"identity": {}}, "task": {"all": {"classes": "all"}}, "n_shot": ["all"],
        "seeds": [0], "norm": {"pre": ["l2"], "post": ["l2"], "inf": ["l2"]}, "gen": {"mean": {}},
        "agg": {"max": {}}, "stages": ["embed", "run"], "mode": "missing", "n_jobs": 1,
        "report": {"alpha": 0.05, "allow_incomplete": False},
        "paths": {"data": "x", "results": str(results), **paths},
    }  # fmt: skip
    config = read(raw)
    carry_out(config, Launch("", ""))
    compact(store_of(config))
    both = read_rows(results)
    assert len(both) == len(rows) + 1
    assert both["gen"].notna().sum() == 1
    kept = both[both["method"].notna()].sort_values("trial_id", ignore_index=True)
    assert kept["accuracy"].tolist() == rows["accuracy"].tolist()
    assert [list(x) for x in kept["class_accuracy"]] == [list(x) for x in rows["class_accuracy"]]

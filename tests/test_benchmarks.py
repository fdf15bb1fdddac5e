"""The harness of `make bench`: what it counts, what it samples, and that it runs."""

import fcntl
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks.__main__ import PARTS, main
from benchmarks.fresh import fresh
from benchmarks.growth import exponent
from benchmarks.jobs import config_of
from benchmarks.page import BROWSERS, made_up_rows, open_page, views
from benchmarks.pages import machine_text
from benchmarks.report import write
from benchmarks.strata import Stratum, sample, strata_of, whole_seconds
from benchmarks.work import unique_work
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.paper.diagrams import SHOWN
from imprint_bench.analysis.table import Table
from imprint_bench.analysis.tables import TABLES
from imprint_bench.data.embeddings.description import Description
from imprint_bench.sweep.planner import make_plan

CHECKOUT = Path(__file__).parents[1]
LENGTH, TRAIN, TEST = 5, 4, 2  # values of an embedding; rows of each of three classes
TASKS = ("+task.pair.classes=[1,2]", "seeds=[0,1]")


def planned(*overrides):
    """Plan a sweep on three classes, as the tasks `all` and `pair`."""
    classes = np.arange(3)
    made_up = Description(
        fm="pixels",
        dataset="digits",
        fingerprint="f" * 64,
        labels={"train": np.repeat(classes, TRAIN), "test": np.repeat(classes, TEST)},
        length=LENGTH,
        weight_decay=1e-4,
        cached=True,
    )
    return make_plan(config_of([*TASKS, *overrides]), [made_up])


def work_of(*plans, iterations=7):
    return unique_work(plans, {("pixels", "digits"): LENGTH}, lambda _: iterations)


# --- unique work, counted by hand


def test_products_are_counted_once_for_scalings_tasks_and_seeds_that_change_nothing():
    plan = planned("gen=[mean,all,kmeans]", "gen.kmeans.k=[1,2]")
    # Every class meets all 6 test rows, since the task `all` has them.
    mean = 2 * 3 * 1 * 6  # norm_pre x classes x proxies x queries
    every = 3 * TRAIN * 6  # scaled rows, whatever norm_pre
    kmeans = 2 * 2 * 3 * (1 + 2) * 6  # seeds x norm_pre x classes x proxies of both k x queries
    assert work_of(plan)["products"] == 2 * LENGTH * (mean + every + kmeans)


def test_the_quantile_norm_has_products_of_its_own_for_every_beginning_of_a_task():
    plan = planned("gen=[mean,all,kmeans]", "gen.kmeans.k=[1,2]")
    queries = 6 + 6 + 4  # after class 0: class 1, class 2; in the pair: class 2 after class 1
    proxies = 2 * 1 + 2 * TRAIN + 2 * 2 * (1 + 2)  # each under two norm_pre; k-means has two seeds
    assert work_of(plan)["quantile products"] == 2 * LENGTH * proxies * queries


def test_k_means_counts_its_iterations_once_for_both_generators_that_cluster():
    plan = planned(
        "gen=[kmeans,k_least_squares]", "gen.kmeans.k=[1,2]", "gen.k_least_squares.k=[2]"
    )
    clusterings = 2 * 2 * 3  # seeds x norm_pre x classes, for k=2; k=1 is the mean
    one_iteration = 2 * TRAIN * 2 * LENGTH
    assert work_of(plan)["k-means iterations"] == clusterings * one_iteration * 7


def test_symmetric_products_count_half_and_once_per_class_and_norm_pre():
    plan = planned("gen=[least_squares,kmedoids]", "gen.kmedoids.k=[1,2]", "norm.post=[none]")
    work = work_of(plan)
    assert work["second moments"] == 2 * 3 * TRAIN * LENGTH**2
    assert work["k-medoids distances"] == 2 * 3 * TRAIN**2 * LENGTH
    least_squares = 2 * (3 * 6 + 2 * 4)  # proxies of each task meet its own test rows
    kmedoids = 2 * 3 * (1 + 2) * 6
    assert work["products"] == 2 * LENGTH * (least_squares + kmedoids)


def test_nested_proxies_count_for_the_largest_k_only():
    plan = planned("gen=[cov_max]", "gen.cov_max.k=[1,2,3]", "norm.post=[none]")
    assert work_of(plan) == {"products": 2 * LENGTH * (2 * 3 * 3 * 6)}


def test_metrics_without_a_shared_product_count_every_scaling():
    mnn = ("gen=[all]", "norm.post=[none,l2]", "agg=[mnn]", "agg.mnn.m=[1,3]")
    manhattan = work_of(planned(*mnn, "agg.mnn.metric=[manhattan]"))
    # proxies raw or of length 1, queries raw or of length 1
    assert manhattan == {"manhattan": 4 * 2 * LENGTH * (3 * TRAIN * 6)}

    mahalanobis = work_of(planned(*mnn, "agg.mnn.metric=[mahalanobis]"))
    whitening = sum(2 * P * LENGTH**2 + LENGTH**3 / 3 for P in (12, 8))  # `all` and `pair`
    products = sum(Q * LENGTH**2 + 2 * P * Q * LENGTH for P, Q in ((12, 6), (8, 4)))
    assert mahalanobis == {"mahalanobis": pytest.approx(2 * whitening + 4 * products)}


def test_two_sweeps_together_count_what_they_have_in_common_once():
    few = planned("gen=[mean]", "norm.post=[none]")
    assert work_of(
        few, planned("gen=[mean]", "norm.post=[l2]", "agg=[max,mnn]", "agg.mnn.m=[1]")
    ) == work_of(few)


# --- the sample of the reference path


def strata(**sizes) -> list[Stratum]:
    """Return strata that differ in their generator, in turns."""
    first = strata_of(planned("gen=[mean]"))[0]
    return [first._replace(gen=gen) for gen, n in sizes.items() for _ in range(n)]


def test_a_sample_has_trials_of_every_stratum():
    trials = strata(mean=5, fps=40, all=1)
    chosen = sample(trials, each=2)
    assert [trials[i].gen for i in chosen] == ["mean"] * 2 + ["fps"] * 2 + ["all"]
    assert len(set(chosen.tolist())) == 5


def test_a_sample_as_large_as_the_plan_is_the_plan():
    trials = strata(mean=5, fps=40)
    np.testing.assert_array_equal(sample(trials, each=45), np.arange(45))


def test_time_is_extrapolated_by_stratum_and_not_by_the_mean_of_the_sample():
    trials = strata(mean=100, all=2)
    chosen = sample(trials, each=2)
    took = np.array([10.0 if trials[i].gen == "all" else 0.5 for i in chosen])
    by_gen = {s.gen: seconds for s, seconds in whole_seconds(trials, chosen, took).items()}
    assert by_gen == {"mean": 50.0, "all": 20.0}


def test_strata_tell_apart_what_the_cost_of_a_trial_depends_on():
    plan = planned("gen=[mean,kmeans]", "gen.kmeans.k=[1,2]", "agg=[max,mnn]", "agg.mnn.m=[1]")
    # tasks x (mean, k-means of two k) x quantile or not x (max, mnn); seeds and scalings are alike
    assert len(set(strata_of(plan))) == 2 * 3 * 2 * 2


def test_the_exponent_of_a_power_law_is_found_through_its_last_points():
    x = [1, 2, 4, 8, 16]
    assert exponent(x, [9.0, 9.0, *(3.0 * v**2 for v in x[2:])]) == pytest.approx(2)


# --- processes


def allocate(mebibytes):
    return len(np.ones(mebibytes * 2**20, dtype=np.uint8))


def test_memory_is_that_of_a_new_process_whatever_this_one_had():
    ballast = np.ones(300 * 2**20, dtype=np.uint8)
    small = fresh(len, [])
    assert small.result == 0
    assert 0 < small.before_mib <= small.peak_mib < ballast.nbytes / 2**20


def test_what_a_function_raises_ends_its_process_and_is_not_hidden():
    with pytest.raises(subprocess.CalledProcessError):
        fresh(int, "no number")


# --- the page of a report

PAPER = [*(f"table{i}" for i in range(1, 7)), "tableA1", "tableA2", "tableA3"]
BUSY = """<!doctype html><script>
const busy = (ms) => { const start = performance.now(); while (performance.now() - start < ms); };
addEventListener("load", () => busy(120));
</script><section id="explore"><p id="explore-state">all</p>
<fieldset data-filter="fm"><input type="checkbox" checked></fieldset></section><script>
document.querySelector("input").addEventListener("change", () => { CHANGE });
</script>"""


def busy_page(folder: Path, change: str) -> Path:
    """Write a page whose load takes 120 ms, and which does `change` when its filter does."""
    path = folder / "busy.html"
    path.write_text(BUSY.replace("CHANGE", change))
    return path


@pytest.fixture
def chromium(needed):
    """Skip without a browser; CI must have it."""
    needed("playwright", "pip install 'imprint-bench[dev]'")
    if not any(map(shutil.which, BROWSERS)):
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell("needs Chromium: make chromium, or apt-get install chromium")


@pytest.mark.usefixtures("chromium")
def test_opening_and_filtering_last_until_scripts_are_done_and_what_they_change_is_drawn(tmp_path):
    change = 'busy(80); document.getElementById("explore-state").textContent = "none";'
    found = open_page(busy_page(tmp_path, change), repeats=2)
    assert found["load_ms"] >= 120
    assert found["redraw_ms"] >= 80
    assert found["browser"].startswith("Chromium ")


@pytest.mark.usefixtures("chromium")
def test_a_filter_that_changes_nothing_is_no_measurement(tmp_path):
    with pytest.raises(Exception, match="the filter changes nothing"):
        open_page(busy_page(tmp_path, ""), repeats=1)


def test_without_a_browser_its_columns_are_empty_and_the_readme_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    opened = open_page(tmp_path / "index.html", repeats=1)
    assert opened.keys() == {"browser", *OF_BROWSER}
    sizes = {"page_mb": 1.5, "rows": 42_444, "instances": 16, "tables": 17, "pictures": 12}
    seconds = dict.fromkeys(("views_cpu_seconds", "page_cpu_seconds", "ranking_cpu_seconds"), 2.5)
    row = {**sizes, "refused": 6, **seconds, "peak_mib": 300.0, **opened}
    write(tmp_path, {"page": [row]}, {"measured": "2020-01-01"})
    assert table(tmp_path, "page")[list(opened)].isna().all(axis=None)
    text = (tmp_path / "README.md").read_text()
    assert "It was not opened: Chromium or playwright is missing here." in text
    assert "| 42,444 | 16 | 17 | 12 | 2.5 | 2.5 | 2.5 | 300 | 1.5 | - | - |" in text


def test_made_up_rows_are_enough_for_the_tables_and_diagrams_of_the_paper():
    rows = made_up_rows(1)
    assert rows["trial_id"].is_unique
    tables = {view.name: view for view in views(TABLES, rows, ["fm0"])}
    assert all(isinstance(tables[name], Table) for name in PAPER)
    instances = rows[["fm", "task"]].drop_duplicates()
    assert len(tables["per_instance"].frame) == len(instances) == 16
    assert set(tables["per_instance_fm0"].frame["fm"]) == {"fm0"}
    figures = {view.name: view for view in views(FIGURES, rows, [])}
    assert all(figures[name].picture is not None for name in SHOWN)


# --- the command

ROWS = {
    "gemm": 2 * 2,  # dtypes x sizes
    "paths": 1,
    "generators": 4,
    "scaling": 2,
    "embedding": 1,
    "dtypes": 1,
    "store": 5,
    "page": 1,
    "kmeans": 7,  # every k and all together
    "growth": (5 + 5 + 2 + 3 + 3 + 3 + 1) * 3,  # curves x points
    "head_step": 3 + 2 * 4,  # learned heads; assignments x losses
    "matching": 1,
    "prototypes": 3,
}

OF_BROWSER = ["load_average", "load_ms", "redraw_ms"]
OF_SOME = ["mib_on_disk", "shipped", "known", *OF_BROWSER]


@pytest.fixture(scope="module")
def quick(tmp_path_factory) -> Path:
    """Return the folder that a whole run in quick mode has written: one run for all of pytest."""
    place = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:  # whose folder is inside that of all
        place = place.parent
    folder = place / "bench"
    with (place / "bench.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            quick_run(place / "bench.begun").rename(folder)
    return folder


def quick_run(folder: Path) -> Path:
    command = [sys.executable, "-m", "benchmarks", "--quick", "--to", str(folder)]
    done = subprocess.run(
        [*command, "fm=[pixels]", f"paths.results={folder / 'cache'}"],
        capture_output=True, text=True, check=False, cwd=CHECKOUT,
        env=os.environ | {"PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "error"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


def table(folder: Path, name: str) -> pd.DataFrame:
    return pd.read_csv(folder / "results" / f"{name}.csv", keep_default_na=False, na_values=[""])


def test_a_quick_run_writes_every_table_with_finite_numbers(quick, needed):
    needed("sklearn_extra", "make sklearn-extra")
    rows = ROWS | {"kmeans": 2 * ROWS["kmeans"]}
    for name, n in rows.items():
        found = table(quick, name)
        assert len(found) == n, name
        numbers = found.select_dtypes("number").drop(columns=OF_SOME, errors="ignore")
        assert np.isfinite(numbers.to_numpy(dtype=float)).all(), name
        assert (numbers[[c for c in numbers if c.endswith("seconds")]] > 0).all(axis=None), name


def test_a_quick_run_compares_every_accuracy_of_both_paths(quick):
    (row,) = table(quick, "paths").to_dict("records")
    assert row["compared"] == row["trials"] > 0
    assert row["differ"] == 0
    assert row["reference_whole_cpu_seconds"] == pytest.approx(row["reference_cpu_seconds"])
    pieces = table(quick, "work")
    assert pieces["gflop"].sum() == pytest.approx(row["unique_gflop"], rel=1e-4)


def test_clusters_and_medoids_of_a_quick_run_are_those_of_the_other_packages(quick):
    found = table(quick, "kmeans")
    assert (found["equal"] == found["of"]).all()


def test_a_quick_run_opens_the_page_where_there_is_a_browser(quick):
    (row,) = table(quick, "page").to_dict("records")
    assert row["rows"] >= 40_000
    assert 0.1 < row["page_mb"] < 5
    there = any(map(shutil.which, BROWSERS)) and find_spec("playwright") is not None
    assert (row["load_ms"] > 0) == (row["redraw_ms"] > 0) == there
    text = (quick / "README.md").read_text()
    assert ("It was not opened" in text) != there


def test_the_page_of_a_quick_run_has_the_machine_and_what_it_points_to(quick):
    text = (quick / "README.md").read_text()
    machine = table(quick, "machine")
    assert set(machine["table"]) == {*ROWS, "strata", "work"}
    assert machine["processor"][0] in text
    assert "sizes quick" in text
    for name in ("growth", "paths"):
        assert f"(results/{name}.svg)" in text
        for suffix in ("svg", "png"):
            assert (quick / "results" / f"{name}.{suffix}").stat().st_size > 0


def test_parts_that_were_measured_on_several_days_are_named_with_their_own(quick):
    machine = table(quick, "machine")
    machine.loc[machine["table"] == "gemm", ["measured", "processor"]] = ["2020-01-01", "abacus"]
    first, second = machine_text(machine).split("\n\n")
    assert first.startswith("Measured 2020-01-01 (gemm): processor abacus;")
    assert "abacus" not in second


def test_a_part_alone_leaves_the_other_tables_as_they_are(tmp_path, capsys):
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "growth.csv").write_text(
        "axis,gen,expected,x,kind,cpu_seconds,exponent\nrows,mean,1,10,proxies,0.5,0.9\n"
    )
    assert main(["--quick", "--only", "gemm", "--to", str(tmp_path)]) == 0
    assert len(table(tmp_path, "growth")) == 1
    assert len(table(tmp_path, "gemm")) == ROWS["gemm"]
    text = (tmp_path / "README.md").read_text()
    assert "## GEMM peak" in text
    assert "| rows | proxies | mean | 0.90 | 1 |" in text
    assert "## Workers" not in text
    assert capsys.readouterr().out == f"{tmp_path / 'README.md'}\n"


def test_a_sweep_of_its_own_is_compared_on_a_sample_of_every_stratum(tmp_path):
    sweep = ("+sweep=bench", "fm=[pixels]", "gen=[mean,all]", "task=[short]", "seeds=[0]")
    options = ("--quick", "--only", "paths", "--sample", "1", "--to", str(tmp_path / "out"))
    assert main([*options, *sweep, f"paths.results={tmp_path}"]) == 0
    (row,) = table(tmp_path / "out", "paths").to_dict("records")
    # generators x quantile or not x (max, mnn with two metrics)
    assert row["compared"] == row["strata"] == 2 * 2 * 3 < row["trials"]
    assert row["reference_whole_cpu_seconds"] > row["reference_cpu_seconds"]
    strata = table(tmp_path / "out", "strata")
    assert strata["trials"].sum() == row["trials"]
    expected = strata["trials"] * strata["reference_cpu_seconds_per_trial"]
    assert row["reference_whole_cpu_seconds"] == pytest.approx(expected.sum(), rel=1e-4)


def test_an_unknown_part_is_one_sentence_before_anything_is_measured(capsys):
    assert main(["--only", "gemm,scalling"]) == 2
    assert capsys.readouterr().err == (
        "--only: no part 'scalling'; there are paths, gemm, embedding, scaling, store, "
        "page, kmeans, growth, head_step, prototypes. Did you mean 'scaling'?\n"
    )


def test_a_wrong_override_is_one_sentence_before_anything_is_measured(capsys, tmp_path):
    assert main(["--quick", "--to", str(tmp_path / "none"), "+sweep=bnech"]) == 2
    assert "sweep: no choice 'bnech'" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()


def test_help_names_every_part(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    text = capsys.readouterr().out
    assert all(name in text and what in text for name, what in PARTS.items())

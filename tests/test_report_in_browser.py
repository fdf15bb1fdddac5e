"""The report page in headless Chromium: what a reader sees, clicks, filters and prints."""

import io
import os
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imprint_bench.analysis.build import build
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.table import COUNT, FRACTION, RANK, Column, Table
from imprint_bench.analysis.tables import TABLES
from imprint_bench.report import write_report

EVIL = "</script><img src=x onerror=alert(1)>"
COMMAND = "python -m imprint_bench +sweep=small"
ARGUMENTS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-sync", "--disable-background-networking", "--disable-component-update",
)  # fmt: skip
FMS, DATASETS, TASKS = ["net_a", "net_b", "net_c"], ["digits", EVIL], ["all", "odd"]
SEEDS = [0, 1, 2]
CONFIGURATIONS = [
    (gen, k, norm)
    for gen, ks in {"kmeans": [5, 20], "mean": [None], "least_squares": [None]}.items()
    for k in ks
    for norm in ("none", "l2")
]
NAMES = {"mean": "mean", "least_squares": "least squares"}
# Wider than the screen, and not inside of what scrolls by itself.
WIDE = """() => [...document.querySelectorAll("body *")].filter((e) =>
  e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".wide, pre, .choices")
).map((e) => e.outerHTML.slice(0, 80))"""


def study() -> pd.DataFrame:
    """Return 8 configurations on 12 instances with all rows, and the mean on 12 with few."""
    rng = np.random.default_rng(7)
    places = [(fm, d, t, None) for fm in FMS for d in DATASETS for t in TASKS]
    few = [(fm, d, "all", n) for fm in FMS for d in DATASETS for n in (5, 10)]
    methods = {False: CONFIGURATIONS, True: [c for c in CONFIGURATIONS if c[0] == "mean"]}
    rows = [
        (*place, *method, seed, rng.integers(500, 999) / 1000)
        for place in places + few
        for method in methods[place[3] is not None]
        for seed in SEEDS
    ]
    names = ["fm", "dataset", "task", "n_shot", "gen", "gen_k", "norm_pre", "seed", "accuracy"]
    frame = pd.DataFrame(rows, columns=names).astype({"gen_k": "Int64", "n_shot": "Int64"})
    place = (frame["fm"] == "net_a") & (frame["dataset"] == "digits") & (frame["task"] == "all")
    frame.loc[place & (frame["gen"] == "mean"), "accuracy"] = 0.65125  # a tie of two decimals
    fixed = {"mapping": "identity", "norm_post": "l2", "norm_inf": "l2", "agg": "max"}
    return frame.assign(
        **fixed,
        status="ok",
        gen_seconds=0.1,
        planned=True,
        trial_id=[str(i) for i in range(len(frame))],
    )


ROWS = study()


def best_medians(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the median accuracy of every generator's best configuration, by plain pandas.

    Index: fm, dataset, task. Columns: generators.
    """
    rows = rows[rows["n_shot"].isna()].assign(gen_k=rows["gen_k"].astype(object).fillna(""))
    wide = rows.pivot_table(
        "accuracy", ["fm", "dataset", "task"], ["gen", "gen_k", "norm_pre"], aggfunc="median"
    )
    ranks = wide.rank(axis=1, ascending=False).mean()
    best = ranks.groupby(level=[0, 1]).idxmin()
    chosen = wide[best.tolist()]
    names = [NAMES.get(gen, f"k-means {k}") for gen, k, _ in chosen.columns]
    return chosen.set_axis(names, axis=1)


def shown_table() -> Table:
    """Return a table with ties, empty cells, names and numbers to be sorted."""
    frame = pd.DataFrame(
        {
            "name": ["b", "a10", "a9", EVIL],
            "rank": [10.0, 9.0, None, 100.0],
            "share": [0.5, 0.123456, 0.1234561, None],
            "n": [1000, 20, 3, 4],
        }
    )
    columns = (
        Column("name", "name"),
        Column("rank", "rank", RANK),
        Column("share", "share", FRACTION),
        Column("n", "n", COUNT),
    )
    return Table("crafted", "Crafted", "To be sorted.", columns, frame, command="make crafted")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a page with everything on it."""
    main = ROWS[ROWS["n_shot"].isna()]
    names = ["best_configurations", "per_instance", "norms"]
    tables = build(TABLES, dict.fromkeys(names), main, command=COMMAND)
    figures = build(FIGURES, dict.fromkeys(["critical_difference"]), main, command=COMMAND)
    return write_report(
        tmp_path_factory.mktemp("report"),
        name=f"a study {EVIL} of_a_very_long_name_that_has_no_place_to_break_it_at_all",
        rows=ROWS,
        tables=[*tables, shown_table()],
        figures=figures,
        dropped=pd.DataFrame({"reason": [EVIL], "gen": [EVIL]}),
        provenance={"command": f"{COMMAND} {'x' * 300}", "configuration": "a: 1\n" * 60},
        failed=[EVIL],
    )


@pytest.fixture(scope="module")
def browser(needed: Callable[[str, str], None]) -> Iterator:
    """Start Chromium; CI must have it, others may not."""
    needed("playwright", "pip install 'imprint-bench[dev]'")
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        tell = pytest.fail if os.environ.get("CI") else pytest.skip
        tell("needs Chromium: make chromium, or apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(ARGUMENTS))
        yield browser
        browser.close()


@pytest.fixture
def opened(browser, path) -> Iterator[Callable]:
    """Return a function that opens the page at a width; no test may leave an error behind."""
    contexts, complaints = [], []

    def open_at(width: int = 1400, file: Path = path):
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}))
        page = contexts[-1].new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.on("request", lambda r: complaints.extend({r.url} - {file.as_uri()}))
        page.goto(file.as_uri())
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert [text for text in complaints if not text.startswith("data:")] == []


def texts(page, selector: str) -> list[list[str]]:
    """Return the texts of the cells of every visible row of a table."""
    return page.eval_on_selector_all(
        f"{selector} tbody tr:not([hidden])",
        "rows => rows.map((row) => [...row.cells].map((cell) => cell.textContent))",
    )


def column(page, selector: str, i: int) -> list[str]:
    return [row[i] for row in texts(page, selector)]


def live(page, table: str = "#explore-table") -> dict[str, list[str]]:
    """Return the table of generators as the page has it: numbers by name."""
    return {row[0]: row[1:5] for row in texts(page, table)}


def expected(medians: pd.DataFrame) -> dict[str, list[str]]:
    """Return what the table of generators should say of these instances."""
    ranks = medians.rank(axis=1, ascending=False).mean()
    return {
        name: [
            f"{100 * values.mean():.2f}",
            f"{100 * values.std():.2f}" if len(values) > 1 else "–",
            f"{ranks[name]:.2f}",
            f"{len(values)}",
        ]
        for name, values in medians.items()
    }


def uncheck(page, axis: str, name: str) -> None:
    page.locator(f'[data-filter="{axis}"] label', has_text=name).locator("input").uncheck()


def test_a_name_with_markup_stays_text(opened):
    page = opened()
    assert EVIL in page.inner_text("h1")
    assert page.locator("img").count() == 0
    assert page.locator("#explore label", has_text=EVIL).count() == 1


@pytest.mark.parametrize("width", [400, 1400])
def test_nothing_is_wider_than_the_screen(opened, width):
    page = opened(width)
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
    assert page.evaluate(WIDE) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_contents_stay_beside_the_text_or_are_closed_above_it(opened):
    page = opened(1400)
    page.evaluate("scrollTo(0, 2000)")
    assert page.locator("nav").bounding_box()["y"] == 0
    assert page.locator("nav a", has_text="Crafted").is_visible()
    page.set_viewport_size({"width": 400, "height": 900})
    assert not page.locator("nav a", has_text="Crafted").is_visible()
    page.evaluate("scrollTo(0, 0)")
    page.click("nav summary")
    page.click("nav a >> text=Crafted")
    assert page.evaluate("location.hash") == "#table-crafted"
    assert not page.locator("nav a", has_text="Crafted").is_visible()


RANKS, SHARES = ["9.00", "10.00", "100.00"], ["50.00", "12.35", "12.35"]
SORTED = [
    (0, "ascending", ["a9", "a10", "b"], "descending", ["b", "a10", "a9"]),
    (1, "ascending", [*RANKS, "–"], "descending", [*RANKS[::-1], "–"]),
    (2, "descending", [*SHARES, "–"], "ascending", [*SHARES[::-1], "–"]),
    (3, "ascending", ["3", "4", "20", "1,000"], "descending", ["1,000", "20", "4", "3"]),
]


@pytest.mark.parametrize(("i", "way", "first", "back", "second"), SORTED)
def test_a_column_sorts_both_ways_with_empty_cells_last(opened, i, way, first, back, second):
    page = opened()
    table = "#table-crafted table"
    head = page.locator(f"{table} th").nth(i)
    for direction, values in ((way, first), (back, second)):
        head.locator("button").focus()
        page.keyboard.press("Enter")
        assert head.get_attribute("aria-sort") == direction
        assert [v for v in column(page, table, i) if v != EVIL] == values
    assert page.locator(f"{table} th[aria-sort]").count() == 1
    rows = {tuple(row) for row in texts(page, table)}
    assert ("a10", "9.00", "12.35", "20") in rows  # cells of a row stay together


def test_equal_texts_are_sorted_by_their_exact_values(opened):
    page = opened()
    page.locator("#table-crafted th button").nth(2).click()
    assert column(page, "#table-crafted table", 0)[:3] == ["b", "a9", "a10"]


def test_generators_on_all_instances_are_what_pandas_finds(opened):
    page = opened()
    state = page.inner_text("#explore-state")
    assert state.startswith("12 of 24 instances; models: all; datasets: all; tasks: all;")
    assert state.endswith("settings: all rows.")
    assert live(page) == expected(best_medians(ROWS))
    names = column(page, "#explore-table", 0)
    assert names[-1] == "least squares"  # the oracle
    table = {(r[0], r[1]): r[2:4] for r in texts(page, "#table-best_configurations table")}
    assert live(page)["mean"][:2] == table["mean", "–"]


def test_filters_by_model_dataset_and_task_are_followed_by_numbers_and_by_other_tables(opened):
    page = opened()
    uncheck(page, "fm", "net_b")
    uncheck(page, "dataset", EVIL)
    medians = best_medians(ROWS)
    kept = medians.loc[["net_a", "net_c"]].xs("digits", level="dataset", drop_level=False)
    assert page.inner_text("#explore-state").startswith(
        "4 of 24 instances; models: net_a, net_c; datasets: digits; tasks: all;"
    )
    assert live(page) == expected(kept)
    assert len(texts(page, "#table-per_instance table")) == 4
    assert "4 of 12 rows" in page.inner_text("#table-per_instance .filtered")
    uncheck(page, "task", "odd")
    uncheck(page, "fm", "net_c")
    assert live(page) == expected(kept.loc[["net_a"]].xs("all", level="task", drop_level=False))
    for axis in ("fm", "dataset", "task"):
        page.click(f'[data-filter="{axis}"] [data-choose="all"]')
    assert live(page) == expected(medians)
    assert len(texts(page, "#table-per_instance table")) == 12
    assert page.locator("#table-per_instance .filtered").is_hidden()


def test_filters_work_by_keyboard_and_nothing_chosen_is_said(opened):
    page = opened()
    page.locator('[data-filter="fm"] input').first.focus()
    page.keyboard.press("Space")
    assert page.inner_text("#explore-state").startswith("8 of 24 instances; models: net_b, net_c;")
    page.locator('[data-filter="fm"] [data-choose="none"]').focus()
    page.keyboard.press("Enter")
    assert page.inner_text("#explore-state").startswith("0 of 24 instances; models: none;")
    assert texts(page, "#explore-table") == []
    assert page.inner_text("#explore-note") == "No result on these instances."
    assert page.locator("#explore-map table").count() == 0


def test_generators_that_are_on_other_instances_are_not_ranked_with_each_other(opened):
    page = opened()
    page.click('[data-filter="setting"] [data-choose="all"]')
    # The mean alone is on 12 of the 24 instances; all are compared on the 12 that they share.
    assert page.inner_text("#explore-state").startswith("24 of 24 instances")
    assert live(page) == expected(best_medians(ROWS))
    uncheck(page, "task", "odd")
    # Now the others are on 6 of 18, too few to be compared with it.
    told, others = live(page), page.locator("#explore-others")
    on_six = expected(best_medians(ROWS).xs("all", level="task"))
    assert told.pop("mean")[2:] == ["1.00", "18"]
    assert not told
    assert not page.locator("#explore-others-table").is_visible()
    others.locator("summary").focus()
    page.keyboard.press("Enter")
    assert page.locator("#explore-others-table").is_visible()
    assert others.locator("summary").inner_text() == "3 generators without a rank"
    without = {n: [*v[:2], "–", "6"] for n, v in on_six.items() if n != "mean"}
    assert live(page, "#explore-others-table") == without
    others.locator("th button").first.click()
    assert column(page, "#explore-others-table", 0) == ["k-means 5", "k-means 20", "least squares"]
    page.click('[data-filter="task"] [data-choose="all"]')
    assert others.is_hidden()


def shown(browser, folder: Path, rows: pd.DataFrame, **provenance: object):
    """Return a page of these rows, without tables and figures."""
    nothing = {"tables": [], "figures": [], "dropped": pd.DataFrame()}
    path = write_report(folder, name="some", rows=rows, **nothing, provenance=provenance)
    page = browser.new_context().new_page()
    page.goto(path.as_uri())
    return page


def test_generators_that_share_no_instance_are_all_shown(browser, tmp_path):
    whole = ROWS[ROWS["n_shot"].isna()]
    page = shown(browser, tmp_path, whole[(whole["gen"] == "mean") ^ (whole["fm"] == "net_a")])
    uncheck(page, "fm", "net_c")  # now each is on the four instances of one network
    assert page.inner_text("#explore-note").startswith("No instance is shared")
    assert len(live(page)) == 4
    assert {row[2] for row in live(page).values()} == {"–"}
    assert page.locator("#explore-others").is_hidden()
    page.context.close()


def test_a_generator_on_some_of_the_main_instances_is_chosen_last(browser, tmp_path):
    rows = ROWS[ROWS["n_shot"].isna()]
    five = rows["gen_k"].eq(5).fillna(False).astype(bool)
    rows = rows.assign(accuracy=rows["accuracy"].mask(five, 0.999))
    rows = rows[~five | ((rows["fm"] == "net_a") & (rows["task"] == "all"))]
    page = shown(browser, tmp_path, rows)
    groups = page.eval_on_selector_all(
        "#explore-generator optgroup",
        "(gs) => gs.map((g) => [g.label, ...[...g.children].map((o) => o.textContent)])",
    )
    chosen = page.eval_on_selector("#explore-generator", "(s) => s.selectedOptions[0].text")
    assert [group[0] for group in groups] == ["On all of these instances", "On some of them only"]
    assert groups[0][-1] == "least squares (oracle)"
    assert groups[1][1:] == ["k-means 5"]
    assert chosen == groups[0][1]
    assert list(live(page, "#explore-others-table")) == ["k-means 5"]
    assert list(live(page)) == [name.removesuffix(" (oracle)") for name in groups[0][1:]]
    page.context.close()


def heat(page) -> pd.DataFrame:
    """Return the heat map that is shown: FM by (dataset, task), whichever way it lies."""
    script = """() => [...document.querySelectorAll("#explore-map tbody td")].map((td) => {
      const style = getComputedStyle(td), numbers = (text) => text.match(/[0-9.]+/g).map(Number);
      return [td.title, td.textContent, numbers(style.backgroundColor), numbers(style.color)];
    })"""
    frame = pd.DataFrame(page.evaluate(script), columns=["title", "text", "ground", "ink"])
    parts = frame["title"].str.extract(r"^(.*?) · (.*?) · (.*): ([\d.]+) %(.*)$")
    return frame.join(parts.set_axis(["fm", "dataset", "task", "percent", "note"], axis=1))


@pytest.mark.parametrize("width", [400, 1400])
def test_the_heat_map_shows_the_medians_of_the_chosen_generator(opened, width):
    page = opened(width)
    medians = best_medians(ROWS)
    for name in ("mean", "k-means 20"):
        page.select_option("#explore-generator", label=name)
        cells = heat(page).set_index(["fm", "dataset", "task"])
        assert len(cells) == 12
        for place, value in medians[name].items():
            assert cells.loc[place, "text"] == f"{100 * value:.1f}"
            assert cells.loc[place, "percent"] == f"{100 * value:.2f}"
    assert page.locator("#explore-map thead th").count() == (3 if width == 400 else 2 + 4)


def luminance(rgb: list[float]) -> float:
    c = np.asarray(rgb[:3]) / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def test_the_heat_map_is_legible_also_in_grey(opened):
    cells = heat(opened()).assign(value=lambda f: f["percent"].astype(float))
    cells = cells.sort_values("value")
    grounds, inks = (cells[c].map(luminance).to_numpy() for c in ("ground", "ink"))
    assert (np.diff(grounds) <= 1e-9).all()  # darker, the higher
    assert grounds[0] - grounds[-1] > 0.6
    high, low = np.maximum(grounds, inks), np.minimum(grounds, inks)
    assert ((high + 0.05) / (low + 0.05) >= 4.5).all()


def test_a_heat_map_of_many_mappings_shows_their_means_and_says_of_how_many(browser, tmp_path):
    base = ROWS[(ROWS["n_shot"].isna()) & (ROWS["gen"] == "mean") & (ROWS["dataset"] == "digits")]
    rng = np.random.default_rng(5)
    drawn = [
        base.assign(mapping=f"d_in_1-{d}-{n}", accuracy=rng.integers(1, 999, len(base)) / 1000)
        for d in (1, 2)
        for n in range(20)
    ]
    rows = pd.concat(drawn, ignore_index=True)
    rows["trial_id"] = rows.index.astype(str)
    nothing = {"tables": [], "figures": [], "dropped": pd.DataFrame(), "provenance": {}}
    path = write_report(tmp_path, name="many", rows=rows, **nothing)
    medians = best_medians(rows.assign(dataset=rows["mapping"]))["mean"].reset_index()
    level = medians["dataset"].str.extract(r"d_in_1-(\d)")[0]
    wanted = medians.groupby(["fm", "task", level])["mean"].mean()
    with browser.new_context() as context:
        page = context.new_page()
        page.goto(path.as_uri())
        cells = heat(page)
        assert "mean over up to 20 instances" in page.inner_text("#explore-caption")
    assert len(cells) == len(wanted) == 12
    for cell in cells.itertuples():
        task, d = re.fullmatch(r"(\w+) · d_in_1-(\d), all rows", cell.task).groups()
        assert float(cell.percent) == pytest.approx(100 * wanted[cell.fm, task, d], abs=0.00501)
        assert cell.note == " (mean over 20 instances)"


def test_a_command_can_be_copied(opened):
    page = opened()
    part = page.locator("#table-crafted")
    assert not part.locator("pre").is_visible()
    part.locator("summary").focus()
    page.keyboard.press("Enter")
    part.locator(".again button").click()
    part.locator(".again button", has_text=re.compile("Copied|Selected")).wait_for()
    assert page.evaluate("getSelection().toString()") == "make crafted"


def test_configurations_of_sweeps_open_by_keyboard_and_are_not_printed(browser, tmp_path):
    from pypdf import PdfReader

    texts = {"paper/gen": "a: 1\n" * 60, "paper/agg": "b: 2\n" * 3}
    page = shown(browser, tmp_path, ROWS, command=COMMAND, configurations=texts)
    folded = page.locator("details.folded").first
    assert not folded.locator("pre").is_visible()
    folded.locator("summary").focus()
    page.keyboard.press("Enter")
    assert folded.locator("pre").inner_text().count("a: 1") == 60
    assert page.locator(".printed").is_hidden()
    printed = PdfReader(io.BytesIO(page.pdf(format="A4")))
    text = " ".join(" ".join(sheet.extract_text() for sheet in printed.pages).split())
    assert "Too long to print: paper/gen, paper/agg; see the page on a screen." in text
    assert "a: 1" not in text
    page.context.close()


def test_it_prints_with_its_last_table_and_its_provenance(opened):
    from pypdf import PdfReader

    content = opened().pdf(format="A4")
    pages = [page.extract_text() for page in PdfReader(io.BytesIO(content)).pages]
    text = " ".join(" ".join(pages).split())
    assert len(pages) > 2
    assert "a10 9.00 12.35 20" in text
    assert EVIL in text
    assert COMMAND in text
    assert text.count("a: 1") == 60


def test_the_page_of_a_sweep_that_trains_compares_methods_and_filters_dimensions(opened, tmp_path):
    rng = np.random.default_rng(3)
    records = [
        {
            "dataset": dataset, "network": "mlp", "recipe": "short", "d": d, "method": method,
            "head": "cosine", "head_scale": scale, "prototypes": None, "assignment": None,
            "loss": "cross_entropy", "lr": 0.1, "seed": seed,
            "accuracy": rng.integers(300, 999) / 1000,
        }
        for dataset in ("pairs", "photos")
        for d in (3, 10, 99)
        for method, scale in (("psc", "1"), ("psc", "16"), ("other", "1"))
        for seed in SEEDS
    ]  # fmt: skip
    rows = pd.DataFrame(records).assign(status="ok", planned=True)
    rows["trial_id"] = [str(i) for i in range(len(rows))]
    file = write_report(
        tmp_path, name="trained", rows=rows, tables=[], figures=[],
        dropped=pd.DataFrame({"reason": []}), provenance={"command": COMMAND},
    )  # fmt: skip
    page = opened(file=file)
    names = rows["method"].where(rows["method"] == "other", "psc, scale=" + rows["head_scale"])
    medians = rows.assign(name=names).pivot_table(
        "accuracy", ["dataset", "d"], "name", aggfunc="median"
    )
    assert live(page) == expected(medians)
    assert page.locator("#explore h3").nth(1).inner_text() == "Methods on these instances"
    uncheck(page, "task", "d = 99")
    assert live(page) == expected(medians.drop(index=99, level="d"))
    assert "dimensions: d = 3, d = 10" in page.inner_text("#explore-state")
    assert "generator" not in page.inner_text("body").lower()

"""Figures 6, 10 and A.4 and the runtime plot, on rows whose answer is known by hand."""

import io
from itertools import pairwise
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import stats

from imprint_bench.analysis.drawing import write_drawing
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.frames import rows_of_plan
from imprint_bench.analysis.panels import LETTER, style_of, thinned
from imprint_bench.analysis.paper.over_k import figure6
from imprint_bench.analysis.paper.over_n import figure10, figure_a4
from imprint_bench.analysis.paper.runtimes import runtimes
from imprint_bench.analysis.paper.view import complete
from imprint_bench.errors import ConfigError, IncompleteError

L2, NONE = ("l2", "l2", "l2"), ("none", "none", "none")
NOISE = {0: -0.01, 1: 0.0, 2: 0.03}  # by seed: the median is not the mean
FMS = {"narrow": 0.0, "wide": 0.1}
DATASETS = {"digits": 0.6, "photos": 0.4}


def trial(gen, k, *, fm="narrow", dataset="digits", seed=0, norms=L2, n_shot=None, **measured):
    """Return the row of a trial that was planned and is done."""
    return {
        "fm": fm,
        "dataset": dataset,
        "mapping": "identity",
        "task": "all",
        "n_shot": n_shot,
        "seed": seed,
        "norm_pre": norms[0],
        "gen": gen,
        "gen_k": k,
        "norm_post": norms[1],
        "norm_inf": norms[2],
        "agg": "max",
        "status": "ok",
        **measured,
    }


def frame(trials) -> pd.DataFrame:
    """Return the rows of a plan and its store: columns with nulls hold floats, as in real life."""
    rows = pd.DataFrame(trials)
    rows["trial_id"] = [f"t{i}" for i in range(len(rows))]
    measured = ["status", "accuracy", "gen_seconds", "timed_together"]
    results = [column for column in measured if column in rows]
    return rows_of_plan(rows.drop(columns=results), rows[["trial_id", *results]])


@pytest.fixture
def over_k() -> pd.DataFrame:
    """Five generators: k-means and fps with three k, and three without k."""
    levels = {
        **{("kmeans", k): 0.05 * i for i, k in enumerate((1, 5, 20))},
        **{("fps", k): -0.3 + 0.1 * i for i, k in enumerate((1, 5, 20))},
        ("mean", None): 0.01,
        ("all", None): 0.2,
        ("least_squares", None): 0.25,
    }
    return frame(
        trial(gen, k, fm=fm, dataset=dataset, seed=seed, accuracy=base + more + level + noise)
        for fm, more in FMS.items()
        for dataset, base in DATASETS.items()
        for (gen, k), level in levels.items()
        for seed, noise in NOISE.items()
    )


def shots(n, k, seed, fm) -> float:
    """Return an accuracy that k = 5 wins from n = 50 on, with another draw for every n."""
    ahead = {5: -0.1, 50: 0.05, None: 0.2}[n] if k == 5 else 0.0
    draw = (0.02, -0.01, 0.03)[seed] * {None: 0.1}.get(n, 1.0)
    return 0.5 + FMS[fm] + ahead + draw * (1 + FMS[fm])


def test_a_number_of_rows_that_every_network_lacks_is_left_out_alone(over_n):
    rows = over_n.assign(
        accuracy=over_n["accuracy"].mask(over_n["n_shot"].eq(50).fillna(value=False))
    )
    with pytest.raises(IncompleteError, match=r"of 14 cells .* are not complete"):
        figure10(rows)  # 2 networks x (1 + 2 + 2 + 2) configurations of k and n
    drawing = figure10(rows, allow_incomplete=True)
    assert drawing.picture is not None
    assert set(drawing.data[""]["n"].dropna()) == {1, 5}
    assert "1 of 4 values of n lack results" in drawing.caption
    assert "Left out: n = 50." in drawing.caption


@pytest.fixture
def over_n() -> pd.DataFrame:
    """k-means with k = 1 and 5; there are no five proxies of one row."""
    return frame(
        trial("kmeans", k, fm=fm, seed=seed, n_shot=n, accuracy=shots(n, k, seed, fm))
        for fm in FMS
        for n in (1, 5, 50, None)
        for k in (1, 5)
        if n is None or k <= n
        for seed in (0, 1, 2)
    )


@pytest.fixture
def timed() -> pd.DataFrame:
    """Seconds: 3, 30 and 300 on the first instance, twice as many on the second."""
    return frame(
        trial(gen, k, fm=fm, seed=seed, norms=norms, accuracy=0.5, timed_together=together)
        | {"gen_seconds": seconds * factor + late}
        for gen, k, norms, seconds, together in (
            ("mean", None, L2, 3.0, 1),
            ("kmeans", 5, L2, 30.0, 6),
            ("least_squares", None, NONE, 300.0, 1),
        )
        for fm, factor in (("narrow", 1), ("wide", 2))
        for seed, late in ((0, -1.0), (1, 0.0), (2, 100.0))
    )


def boxes_of(figure) -> dict[str, list]:
    """Return where the names of lines and the texts of panels are, once drawn."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    renderer = canvas.get_renderer()
    return {
        "labels": [t for axes in figure.axes for t in axes.get_xticklabels() if t.get_text()],
        "legend": [legend.get_window_extent(renderer) for legend in figure.legends],
        "axes": [axes.get_tightbbox(renderer) for axes in figure.axes if axes.get_visible()],
    }


def test_figure_6_has_the_median_over_seeds_of_every_generator_and_k(over_k):
    drawing = figure6(over_k)
    data = drawing.data[""].set_index(["fm", "dataset", "gen"])
    line = data.loc[("wide", "photos", "kmeans")]
    assert dict(zip(line["k"], line["accuracy"], strict=True)) == pytest.approx(
        {1: 0.5, 5: 0.55, 20: 0.6}
    )
    assert data.loc[("narrow", "digits", "all"), "accuracy"] == pytest.approx(0.8)
    assert pd.isna(data.loc[("narrow", "digits", "all"), "k"])
    assert drawing.finding == (
        "Averaged over the 4 instances, k-means with k = 20 is the best imprinting, 65.00 %; all "
        "training rows as proxies give 75.00 %; k-means gains 10.00 points from k = 1 to k = 20."
    )


def test_figure_6_is_a_panel_per_network_and_dataset(over_k):
    figure = figure6(over_k).picture
    assert len(figure.axes) == 4
    assert [axes.get_title() for axes in figure.axes] == ["digits", "photos", "", ""]
    assert [axes.get_ylabel() for axes in figure.axes] == ["narrow", "", "wide", ""]
    one = figure6(over_k, where={"fm": "wide", "dataset": "photos"}).picture
    assert [axes.get_title() for axes in one.axes] == ["wide\nphotos"]


def test_generators_are_told_apart_by_more_than_color(over_k):
    figure = figure6(over_k, where={"fm": "wide", "dataset": "photos"}).picture
    (axes,), (legend,) = figure.axes, figure.legends
    looks = [(line.get_marker(), line.get_linestyle(), line.get_mfc()) for line in axes.lines]
    assert len(set(looks)) == len(looks) == 5
    assert {text.get_text() for text in legend.get_texts()} == {
        "k-means", "fps", "mean", "all", "least squares",
    }  # fmt: skip
    hollow = [line for line in axes.lines if line.get_mfc() == "none"]
    assert [line.get_xdata().tolist() for line in hollow] == [[0.0], [0.0]]  # at k = 1
    (level,) = [line for line in axes.lines if line.get_linestyle() == "--"]
    assert list(level.get_ydata()) == pytest.approx([70.0, 70.0])


def test_49_styles_differ():
    assert len({style_of(i) for i in range(49)}) == 49


def test_other_norms_and_aggregations_are_not_in_figure_6(over_k):
    other = over_k.assign(norm_pre="none", accuracy=0.99)
    nearest = over_k.assign(agg="mnn", accuracy=0.99)
    data = figure6(pd.concat([over_k, other, nearest], ignore_index=True)).data[""]
    pd.testing.assert_frame_equal(data, figure6(over_k).data[""])


@pytest.mark.parametrize("where", [{"gen_k": [5, None]}, {"gen": "mean"}])
def test_one_k_draws_no_figure_6(over_k, where):
    drawing = figure6(over_k, where=where)
    assert drawing.picture is None
    assert drawing.finding.startswith("There is too little to draw: it takes a generator with two")


def test_a_missing_trial_is_named_or_its_instance_is_left_out(over_k):
    gap = (over_k["gen"] == "fps") & (over_k["fm"] == "wide") & (over_k["gen_k"] == 20)
    over_k.loc[gap & (over_k["seed"] == 1) & (over_k["dataset"] == "photos"), "status"] = "missing"
    with pytest.raises(IncompleteError, match=r"fps 20 · l2/l2/l2 · max on wide · photos · all"):
        figure6(over_k)
    drawing = figure6(over_k, allow_incomplete=True)
    places = drawing.data[""][["fm", "dataset"]].drop_duplicates().to_numpy().tolist()
    assert places == [["narrow", "digits"], ["narrow", "photos"], ["wide", "digits"]]
    assert drawing.caption.endswith(
        "1 of 4 instances lack results (report.allow_incomplete=true) and are left out."
    )
    assert [axes.get_visible() for axes in drawing.picture.axes] == [True, True, True, False]


def test_k_that_a_dataset_is_too_small_for_is_no_gap(over_k):
    small = over_k[(over_k["dataset"] == "photos") | (over_k["gen_k"].fillna(0) < 20)]
    data = figure6(small).data[""]
    assert data.groupby("dataset")["k"].max().to_dict() == {"digits": 5, "photos": 20}
    unplanned = small.drop(columns="planned")  # nothing tells that from a gap
    with pytest.raises(IncompleteError, match=r"4 of 36 cells .* are not complete: 4 missing"):
        figure6(unplanned)


def test_the_gaps_of_all_kinds_of_configurations_are_counted_and_listed_once(over_k):
    # k = 20 does not exist on digits: fps 20 exists elsewhere than fps 5 and the mean do.
    rows = over_k[(over_k["dataset"] == "photos") | (over_k["gen_k"].fillna(0) < 20)]
    gap = rows["seed"].eq(1) & rows["fm"].eq("wide") & rows["dataset"].eq("photos")
    gap &= (rows["gen"].eq("fps") & rows["gen_k"].eq(20)) | rows["gen"].eq("mean")
    failed = rows["gen"].eq("all") & rows["seed"].eq(0)
    rows = rows.assign(status=rows["status"].mask(gap, "missing").mask(failed, "failed"))
    rows["accuracy"] = rows["accuracy"].where(rows["status"] == "ok")
    # 9 configurations on 4 instances, less two with k = 20 on the two of digits
    with pytest.raises(IncompleteError, match=r"6 of 32 cells .*: 4 failed, 2 missing") as caught:
        figure6(rows)
    listed = caught.value.trials
    axes = ["fm", "dataset", "gen", "seed", "status"]
    expected = rows.loc[gap | failed, axes]
    assert sorted(map(tuple, listed[axes].to_numpy().tolist())) == sorted(
        map(tuple, expected.to_numpy().tolist())
    )
    assert len(listed) == 6


def test_instances_that_lack_every_result_do_not_stop_the_others(over_k):
    # The generator with k = 20 exists on photos only, where nothing at all is done.
    rows = over_k[(over_k["dataset"] == "photos") | (over_k["gen_k"].fillna(0) < 20)]
    rows = rows.assign(status=rows["status"].mask(rows["dataset"] == "photos", "missing"))
    drawing = figure6(rows, allow_incomplete=True)
    assert set(drawing.data[""]["dataset"]) == {"digits"}
    assert "2 of 4 instances lack results" in drawing.caption


def test_where_what_is_left_has_no_k_there_is_no_figure_6(over_k):
    on_photos = over_k["dataset"] == "photos"
    rows = over_k[on_photos | over_k["gen_k"].isna()]
    rows = rows.assign(status=rows["status"].mask(rows["dataset"] == "photos", "missing"))
    drawing = figure6(rows, allow_incomplete=True)
    assert drawing.picture is None
    assert drawing.finding.startswith("There is too little to draw: it takes a generator with two")
    assert "2 of 4 instances lack results" in drawing.finding


def test_counts_are_whole_numbers_although_a_plan_has_floats(over_k, over_n):
    assert over_n["n_shot"].dtype == over_k["gen_k"].dtype == np.float64
    view = complete(over_n)
    for frame_of in (view.rows, view.medians):
        assert [str(frame_of[c].dtype) for c in ("gen_k", "n_shot")] == ["Int64", "Int64"]
    lines = figure10(over_n).data[""].to_csv(index=False).splitlines()
    assert lines[0] == "dataset,mapping,task,k,n,n_seeds,accuracy,margin,n_fms"
    assert lines[1].startswith("digits,identity,all,1,1,3,")
    few = pd.concat([over_k, over_k.assign(n_shot=20.0)], ignore_index=True)
    titles = [axes.get_title() for axes in figure6(few).picture.axes]
    assert titles[:4] == ["digits · 20", "digits · all", "photos · 20", "photos · all"]


def test_figure_10_is_the_mean_over_seeds_of_the_mean_over_networks(over_n):
    data = figure10(over_n).data[""].set_index(["k", "n"])
    per_seed = [np.mean([shots(50, 5, seed, fm) for fm in FMS]) for seed in (0, 1, 2)]
    low, high = stats.t.interval(0.95, 2, loc=np.mean(per_seed), scale=stats.sem(per_seed))
    point = data.loc[(5, 50)]
    assert point["accuracy"] == pytest.approx(np.mean(per_seed))
    assert point["accuracy"] - point["margin"] == pytest.approx(low)
    assert point["accuracy"] + point["margin"] == pytest.approx(high)
    assert point["n_seeds"] == 3


def test_figure_a4_has_the_networks_apart(over_n):
    drawing = figure_a4(over_n)
    data = drawing.data[""].set_index(["fm", "k"])
    rows_of_all = data[data["n"].isna()]
    values = [shots(None, 1, seed, "wide") for seed in (0, 1, 2)]
    assert rows_of_all.loc[("wide", 1), "accuracy"] == pytest.approx(np.mean(values))
    assert [axes.get_ylabel() for axes in drawing.picture.axes] == ["narrow", "wide"]


def test_the_finding_says_from_which_n_on_many_proxies_are_ahead(over_n):
    assert figure10(over_n).finding == (
        "On average over the panels k-means with k = 5 is ahead of k = 1 from n = 50 on; with all "
        "rows it is 20.00 points ahead."
    )
    behind = over_n.assign(accuracy=over_n["accuracy"] - 0.3 * (over_n["gen_k"] == 5))
    assert figure10(behind).finding == (
        "On average over the panels k-means with k = 5 is ahead of k = 1 at no n; with all rows it "
        "is 10.00 points behind."
    )


def test_all_rows_have_a_place_of_their_own(over_n):
    (axes,) = figure10(over_n).picture.axes
    ticks = dict(
        zip([t.get_text() for t in axes.get_xticklabels()], axes.get_xticks(), strict=True)
    )
    assert ticks["50"] == pytest.approx(np.log10(50))
    assert ticks["all"] > ticks["50"] + 0.3


def test_a_network_that_lacks_one_n_is_left_out_of_all_panels(over_n):
    over_n = pd.concat([over_n, over_n.assign(dataset="photos")], ignore_index=True)
    assert set(figure10(over_n).data[""]["n_fms"]) == {2}
    gap = (over_n["fm"] == "wide") & (over_n["n_shot"] == 5) & (over_n["seed"] == 2)
    gap &= over_n["dataset"] == "digits"
    rows = over_n.assign(status=over_n["status"].mask(gap, "failed"))
    with pytest.raises(IncompleteError, match=r"on wide · digits · all · 5-shot \(failed\)"):
        figure10(rows)
    drawing = figure10(rows, allow_incomplete=True)
    expected = figure10(over_n[over_n["fm"] == "narrow"]).data[""]
    pd.testing.assert_frame_equal(drawing.data[""], expected)
    assert set(expected["dataset"]) == {"digits", "photos"}
    assert set(expected["n_fms"]) == {1}
    assert drawing.caption.endswith(
        "1 of 2 foundation models lack results (report.allow_incomplete=true) and are left out. "
        "Left out: wide."
    )
    by_network = figure_a4(rows, allow_incomplete=True).data[""]  # its panels stand for themselves
    places = by_network[["fm", "dataset"]].drop_duplicates().to_numpy().tolist()
    assert places == [["narrow", "digits"], ["narrow", "photos"], ["wide", "photos"]]


def test_panels_of_different_networks_are_told(over_n):
    said = "Panels average over different foundation models"
    more = over_n[over_n["fm"] == "wide"].assign(dataset="photos")
    drawing = figure10(pd.concat([over_n, more], ignore_index=True))
    assert said in drawing.caption
    assert drawing.data[""].groupby("dataset")["n_fms"].unique().map(list).to_dict() == {
        "digits": [2], "photos": [1],
    }  # fmt: skip
    assert said not in figure10(over_n).caption


def test_where_what_is_left_has_one_n_there_is_no_figure_10(over_n):
    wide = over_n["fm"] == "wide"
    rows = over_n[wide | over_n["n_shot"].isna()]
    rows = rows.assign(status=rows["status"].mask(rows["fm"] == "wide", "missing"))
    drawing = figure10(rows, allow_incomplete=True)
    assert drawing.picture is None
    assert "on two values of n_shot. 1 of 2 foundation models lack results" in drawing.finding


def test_an_average_over_panels_is_over_points_that_all_have(over_n):
    # With n = 50, photos has k = 1 only and would pull its mean down; only all rows compare.
    photos = over_n[over_n["n_shot"].isna() | over_n["gen_k"].eq(1)].assign(dataset="photos")
    photos["accuracy"] -= 0.3
    assert figure10(pd.concat([over_n, photos], ignore_index=True)).finding == (
        "On average over the panels k-means with k = 5 is ahead of k = 1 from all rows on; with "
        "all rows it is 20.00 points ahead."
    )


@pytest.mark.parametrize("where", [{"n_shot": 5}, {"n_shot": None}])
def test_one_n_draws_no_line(over_n, where):
    drawing = figure10(over_n, where=where)
    assert drawing.picture is None
    assert drawing.finding.endswith("on two values of n_shot.")


def test_two_configurations_with_one_k_are_not_averaged(over_n):
    twice = pd.concat([over_n.assign(gen_start=how) for how in ("random", "plus")])
    with pytest.raises(
        ConfigError, match=r"^kmeans: 2 values of gen_start in view .*figure\.figure10\.where="
    ):
        figure10(twice.reset_index(drop=True))
    assert figure10(twice, where={"gen_start": "plus"}).picture is not None


def test_seconds_are_medians_over_seeds(timed):
    drawing = runtimes(timed)
    data = drawing.data[""].set_index(["name", "fm"])["seconds"]
    assert data.to_dict() == {
        ("mean", "narrow"): 3, ("mean", "wide"): 6, ("k-means 5", "narrow"): 30,
        ("k-means 5", "wide"): 60, ("least squares", "narrow"): 300, ("least squares", "wide"): 600,
    }  # fmt: skip
    assert drawing.finding == (
        "The fastest is mean with 4.5 s (median over 2 instances); least squares takes 100 times "
        "as long, 450 s."
    )
    assert "Several values of k of k-means were made at once; steps they share count for each." in (
        drawing.caption
    )
    axes = drawing.picture.axes[0]
    assert axes.get_xscale() == "log"
    assert sorted(x for line in axes.lines for x in line.get_xdata()) == [3, 6, 30, 60, 300, 600]


def test_without_seconds_there_is_no_picture(timed):
    drawing = runtimes(timed.assign(gen_seconds=np.nan))
    assert drawing.picture is None
    assert drawing.finding == "There is too little to draw: no result has gen_seconds."


def test_labels_of_ticks_do_not_touch():
    ns = [1, 2, 5, 10, 20, 50, 100, 200, 400, 600, 800, 1000]
    places, labels = np.log10(ns).tolist(), [str(n) for n in ns]
    kept = [(x, t) for x, t in zip(places, thinned(places, labels, inches=2), strict=True) if t]
    assert {"1", "10", "100", "1000"} <= {text for _, text in kept}
    edges = [(x / 3 * 2 - LETTER * len(t) / 2, x / 3 * 2 + LETTER * len(t) / 2) for x, t in kept]
    assert all(right < left for (_, right), (left, _) in pairwise(edges))
    assert thinned(places, labels, inches=20) == labels


@pytest.mark.parametrize(
    ("name", "rows"), [("figure6", "over_k"), ("figure10", "over_n"), ("runtimes", "timed")]
)
def test_nothing_is_cut_off_or_overlaps_the_legend(name, rows, request):
    figure = FIGURES[name](request.getfixturevalue(rows)).picture
    boxes = boxes_of(figure)
    (legend,) = boxes["legend"]
    for box in [legend, *boxes["axes"]]:
        assert box.x0 >= -1
        assert box.y0 >= -1
        assert box.x1 <= figure.bbox.x1 + 1
        assert box.y1 <= figure.bbox.y1 + 1
    assert min(box.y0 for box in boxes["axes"]) >= legend.y1 - 1
    assert min(text.get_fontsize() for text in boxes["labels"]) >= 7


@pytest.mark.parametrize(
    ("name", "rows"),
    [("figure6", "over_k"), ("figure10", "over_n"), ("figureA4", "over_n"), ("runtimes", "timed")],
)
def test_names_with_markup_are_text_and_files_are_written(name, rows, request, tmp_path):
    evil = "_<b>$\\frac$&"
    given = request.getfixturevalue(rows).replace({"fm": {"wide": evil}})
    before = given.copy()
    drawing = FIGURES[name](given)
    paths = write_drawing(drawing, tmp_path)
    assert {path.suffix for path in paths} == {".svg", ".pdf", ".png", ".csv"}
    svg = (tmp_path / f"{name}.svg").read_text()
    text = "".join(ElementTree.parse(io.StringIO(svg)).getroot().itertext())
    assert (evil in text) == (name != "figure10")  # it names no network
    assert drawing.caption.startswith(drawing.finding)
    pd.testing.assert_frame_equal(given, before)

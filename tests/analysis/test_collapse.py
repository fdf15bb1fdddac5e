import io
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from scipy import stats

from imprint_bench.analysis.build import Refusal, build
from imprint_bench.analysis.collapse import nc1_over_d, neural_collapse
from imprint_bench.analysis.drawing import write_drawing
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.rendering import to_csv
from imprint_bench.analysis.tables import TABLES
from imprint_bench.errors import ConfigError, IncompleteError

DRAWS = (-0.3, 0.0, 0.6)  # of NC1 around its line; mean 0.1
SLOPES = {"small": 2.0, "wide": 1.0}
KEYS = ["fm", "dataset", "mapping", "task"]


@pytest.fixture
def collapse():
    """Return NC1 of two networks: slope times d, plus a draw; as published it is 10 more."""
    records = [
        (fm, "photos", f"joined-{d}-{draw}", "all", slope * d + noise, slope * d + noise + 10)
        for fm, slope in SLOPES.items()
        for d in (1, 2, 10)
        for draw, noise in enumerate(DRAWS)
    ]
    return pd.DataFrame(records, columns=[*KEYS, "nc1", "nc1_as_published"])


@pytest.fixture
def rows(collapse):
    """Return k-means with k = 1, 2 and 5 and the mean: 5 gains 0.01 d over 1, and 2 loses."""
    records = []
    for fm, dataset, mapping, task in collapse[KEYS].to_numpy().tolist():
        d = int(mapping.split("-")[1])
        for gen, k in (("mean", None), ("kmeans", 1), ("kmeans", 2), ("kmeans", 5)):
            gain = {5: 0.01 * d, 2: -0.1}.get(k, 0.0)
            for seed, noise in ((0, -0.02), (1, 0.0), (2, 0.03)):
                names = dict(zip(KEYS, (fm, dataset, mapping, task), strict=True))
                records.append(
                    names
                    | {"gen": gen, "gen_k": k, "seed": seed, "accuracy": 0.5 + gain + noise}
                    | dict.fromkeys(("norm_pre", "norm_post", "norm_inf"), "l2")
                    | {"agg": "max", "status": "ok", "n_shot": None}
                )
    return pd.DataFrame(records).astype({"gen_k": "Int64", "n_shot": "Int64"})


def test_the_table_has_mean_and_spread_of_nc1_for_every_d(rows, collapse):
    frame = neural_collapse(rows, collapse).frame
    assert frame[["fm", "d"]].to_numpy().tolist() == [
        [fm, d] for fm in ("small", "wide") for d in (1, 2, 10)
    ]
    assert frame["nc1_mean"].tolist() == pytest.approx([2.1, 4.1, 20.1, 1.1, 2.1, 10.1])
    assert frame["nc1_std"].tolist() == pytest.approx([np.std(DRAWS, ddof=1)] * 6)
    assert (frame["published_mean"] - frame["nc1_mean"]).tolist() == pytest.approx([10] * 6)
    assert set(frame["n_mappings"]) == {3}
    assert not {"joined", "task"} & set(frame)


def test_the_gain_of_k_means_is_the_best_k_less_one(rows, collapse):
    table = neural_collapse(rows, collapse)
    assert table.frame["kmeans_gain"].tolist() == pytest.approx([0.01, 0.02, 0.1] * 2)
    assert "best k in view less that with k = 1" in table.caption
    assert to_csv(table).splitlines()[1] == "small,photos,1,3,2.10,0.46,12.10,0.46,1.00"


def test_a_gain_from_missing_results_is_not_shown(rows, collapse):
    lost = (rows["mapping"] == "joined-2-1") & (rows["gen"] == "kmeans") & (rows["seed"] == 1)
    rows.loc[lost & (rows["fm"] == "wide"), "accuracy"] = np.nan
    frame = neural_collapse(rows, collapse).frame.set_index(["fm", "d"])
    assert frame["kmeans_gain"].isna().to_dict() == {
        (fm, d): (fm, d) == ("wide", 2) for fm in SLOPES for d in (1, 2, 10)
    }


@pytest.mark.parametrize("where", [{"gen": "mean"}, {"gen_k": [2, 5]}, {"gen_k": 1}])
def test_without_two_k_there_is_no_gain(rows, collapse, where):
    assert "kmeans_gain" not in neural_collapse(rows, collapse, where=where).frame


def test_a_study_without_joined_classes_is_listed_by_mapping(rows, collapse):
    names = {"joined-1-0": "identity", "joined-1-1": "rename"}
    rows, collapse = (
        frame[frame["mapping"].isin(names)].replace({"mapping": names})
        for frame in (rows, collapse)
    )
    frame = neural_collapse(rows, collapse).frame
    assert frame[["fm", "joined"]].to_numpy().tolist() == [
        [fm, mapping] for fm in ("small", "wide") for mapping in ("identity", "rename")
    ]
    assert frame["nc1_mean"].tolist() == pytest.approx([1.7, 2.0, 0.7, 1.0])
    assert "d" not in frame
    drawing = nc1_over_d(rows, collapse)
    assert drawing.picture is None
    assert "mapping=[d_in_1]" in drawing.finding


def test_the_figure_has_the_mean_over_draws_with_students_interval(rows, collapse):
    data = nc1_over_d(rows, collapse).data[""].set_index(["line", "d"])
    values = np.array(DRAWS) + 4
    low, high = stats.t.interval(0.95, df=2, loc=values.mean(), scale=stats.sem(values))
    mean, margin = data.loc[("small", 2), ["nc1", "margin"]]
    assert (mean - margin, mean + margin) == pytest.approx((low, high))


def test_the_finding_says_for_how_many_networks_nc1_rises(rows, collapse):
    rhos = [
        stats.spearmanr(line["mapping"].str.split("-").str[1].astype(int), line["nc1"]).statistic
        for _, line in collapse.groupby("fm")
    ]
    known = f"{min(rhos):.2f} to {max(rhos):.2f}" if min(rhos) < max(rhos) else f"{rhos[0]:.2f}"
    assert nc1_over_d(rows, collapse).finding == (
        f"NC1 rises with d for 2 of 2 foundation models (Spearman's rho {known} over 9 mappings)."
    )
    collapse.loc[collapse["fm"] == "small", "nc1"] *= -1
    assert nc1_over_d(rows, collapse).finding == (
        f"NC1 rises with d for 1 of 2 foundation models (Spearman's rho -{max(rhos):.2f} to "
        f"{max(rhos):.2f} over 9 mappings)."
    )
    one = nc1_over_d(rows, collapse, where={"fm": "small"}).finding
    assert one.startswith("NC1 does not rise with d for any of 1 foundation model (")
    drawing = nc1_over_d(rows, collapse)
    assert drawing.caption.startswith(drawing.finding)  # the page shows the caption


def test_lines_of_several_datasets_are_told_apart(rows, collapse):
    two = [pd.concat([frame, frame.assign(dataset="more")]) for frame in (rows, collapse)]
    drawing = nc1_over_d(*two)
    lines = ["small · more", "small · photos", "wide · more", "wide · photos"]
    assert list(dict.fromkeys(drawing.data[""]["line"])) == lines
    assert "4 of 4 combinations of foundation model and dataset" in drawing.finding


@pytest.mark.parametrize(
    ("registry", "name"), [(TABLES, "neural_collapse"), (FIGURES, "nc1_over_d")]
)
def test_missing_values_are_refused_unless_allowed(rows, collapse, registry, name):
    collapse.loc[0, "nc1"] = np.nan
    given = {"collapse": lambda: collapse}
    (refusal,) = build(registry, {name: {}}, rows, command="run it", given=given)
    assert isinstance(refusal, Refusal)
    assert "1 of 18 instances have no NC1 (first: small · photos · joined-1-0 · all)" in (
        refusal.sentence
    )
    assert refusal.command == "run it"
    allowed = {name: {"allow_incomplete": True}}
    (made,) = build(registry, allowed, rows, command="run it", given=given)
    assert "Left out: 1 of 18 instances" in made.caption
    with pytest.raises(IncompleteError, match="18 of 18"):
        registry[name](rows, collapse.assign(nc1=np.nan), allow_incomplete=True)


def test_rows_that_are_not_in_view_need_no_values(rows, collapse):
    known = collapse[collapse["fm"] == "wide"]
    assert len(neural_collapse(rows, known, where={"fm": "wide"}).frame) == 3
    with pytest.raises(ConfigError, match=r"where.fm: no row has 'wied'.*'wide'"):
        neural_collapse(rows, known, where={"fm": "wied"})


def test_lines_carry_their_names_and_differ_by_more_than_color(rows, collapse):
    figure = nc1_over_d(rows, collapse).picture
    (axes,) = figure.axes
    markers = [line.get_marker() for line in axes.lines]
    assert len(set(markers)) == len(markers) == 2
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    boxes = [text.get_window_extent(canvas.get_renderer()) for text in axes.texts]
    assert sorted(text.get_text() for text in axes.texts) == ["small", "wide"]
    assert not boxes[0].overlaps(boxes[1])
    assert max(box.x1 for box in boxes) <= figure.bbox.x1


def test_a_name_with_markup_is_text_in_the_picture(rows, collapse, tmp_path):
    evil = "<script>alert(1)</script>$\\frac$"
    both = (frame.replace({"fm": {"wide": evil}}) for frame in (rows, collapse))
    paths = write_drawing(nc1_over_d(*both), tmp_path)
    svg = next(p for p in paths if p.suffix == ".svg").read_text()
    tree = ElementTree.parse(io.StringIO(svg))
    assert not [e for e in tree.iter() if e.tag.endswith("script")]
    assert evil in "".join(tree.getroot().itertext())

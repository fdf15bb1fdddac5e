"""Tables 1 to 6, A.1 to A.3 and A.5 of the paper, on small stores whose answer is known by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import scipy.stats

from imprint_bench.analysis.build import Refusal, build
from imprint_bench.analysis.figures import FIGURES
from imprint_bench.analysis.paper.diagrams import SHOWN
from imprint_bench.analysis.paper.generation_time import TIMED
from imprint_bench.analysis.paper.ordering import compare_orders
from imprint_bench.analysis.paper.published import (
    AXES,
    beside,
    published,
    published_runtimes,
)
from imprint_bench.analysis.paper.rankings import PREVIOUS
from imprint_bench.analysis.rendering import to_csv, to_text
from imprint_bench.analysis.tables import TABLES
from imprint_bench.core.bootstrap import mean_bootstrap
from imprint_bench.errors import ConfigError, IncompleteError

PAPERS_FMS = ("resnet18", "resnet50", "vit_b_16", "swin_b")
THREE = [("a", "mnist", "all"), ("b", "mnist", "all"), ("b", "mnist", "odd")]
SPREAD = {0: -0.01, 1: 0.0, 2: 0.004}  # by seed: the median is not the mean
MAX = ("max", None, None, None)


def nearest(m: int, metric: str = "euclidean", weighting: str = "distance") -> tuple:
    return ("mnn", m, metric, weighting)


def store(methods: dict[tuple, tuple[float, ...]], instances=THREE) -> pd.DataFrame:
    """Return rows with these medians; a method is (gen, k, pre, post, inf, agg)."""
    records = [
        {
            "trial_id": f"{method}{instance}{seed}",
            "status": "ok",
            "planned": True,
            "fm": instance[0],
            "dataset": instance[1],
            "mapping": "identity",
            "task": instance[2],
            "n_shot": None,
            "seed": seed,
            "norm_pre": method[2],
            "gen": method[0],
            "norm_post": method[3],
            "norm_inf": method[4],
            "agg": method[5][0],
            "gen_k": method[1],
            "agg_m": method[5][1],
            "agg_metric": method[5][2],
            "agg_weighting": method[5][3],
            "accuracy": value + noise,
            "gen_seconds": 1.0,
        }
        for method, values in methods.items()
        for instance, value in zip(instances, values, strict=True)
        for seed, noise in SPREAD.items()
    ]
    whole = {"gen_k": "Int64", "agg_m": "Int64", "n_shot": "Int64"}
    return pd.DataFrame(records).astype(whole)


def l2(gen: str, k: int | None, agg: tuple = MAX) -> tuple:
    return (gen, k, "l2", "l2", "l2", agg)


def shown(table, *columns: str) -> list[tuple]:
    """Return columns of a table, numbers rounded to what a reader sees."""
    frame = table.frame[list(columns)]
    return [
        tuple(round(v, 4) if isinstance(v, float) else v for v in row)
        for row in frame.to_numpy(dtype=object).tolist()
    ]


# Ranks of five methods, instance by instance:      1st  2nd  3rd   mean
EARLIER = {
    ("mean", None, "l2", "l2", "l2", MAX): (0.80, 0.70, 0.60),  # 3 3 3    3
    ("mean", None, "none", "quantile", "none", MAX): (0.70, 0.60, 0.62),  # 5 5 2    4
    ("mean", None, "none", "none", "none", nearest(1)): (0.75, 0.65, 0.50),  # 4 4 5    13/3
    ("kmeans", 20, "l2", "l2", "l2", MAX): (0.90, 0.80, 0.55),  # 2 2 4    8/3
    ("least_squares", None, "none", "none", "none", MAX): (0.95, 0.95, 0.95),  # 1 1 1    1
}
NOT_EARLIER = {  # the best everywhere, but in no row of table 1
    ("kmeans", 5, "l2", "l2", "l2", MAX): (0.99, 0.99, 0.99),
    ("mean", None, "none", "none", "none", nearest(3)): (0.99, 0.99, 0.99),
    ("mean", None, "none", "none", "none", nearest(1, "cosine")): (0.99, 0.99, 0.99),
}


def test_table_1_has_five_methods_by_name_and_the_oracle_last():
    table = TABLES["table1"](store(EARLIER | NOT_EARLIER))
    assert shown(table, "name", "accuracy_mean", "accuracy_std", "average_rank") == [
        ("IMPRINT (k-means)", 0.75, 0.1803, 2.6667),
        ("Qi et al. (2018)", 0.7, 0.1, 3.0),
        ("Hosoda et al. (2024)", 0.64, 0.0529, 4.0),
        ("Janson et al. (2022)", 0.6333, 0.1258, 4.3333),
        ("Oracle", 0.95, 0.0, 1.0),
    ]
    assert table.oracles == (4,)
    assert list(PREVIOUS) == published("table1")["label"].tolist()


def test_a_mean_has_the_bootstrap_interval_of_its_instances():
    table = TABLES["table1"](store(EARLIER))
    top = table.frame.iloc[0]
    assert (top["accuracy_low"], top["accuracy_high"]) == mean_bootstrap([0.90, 0.80, 0.55])


def test_table_1_says_whether_the_order_of_the_paper_holds_and_which_pairs_flip():
    table = TABLES["table1"](store(EARLIER))
    # By mean accuracy: oracle, k-means, Qi, Hosoda 0.64, Janson 0.6333; in the paper the last two
    # the other way round: 1 of 10 pairs, so tau = (9 - 1) / 10.
    assert "is 0.80 (5 rows); 1 of 10 pairs changes: Hosoda et al. (2024) before" in table.finding
    assert "here 64.00 and 63.33, in the paper 82.90 and 86.64 %" in table.finding
    assert table.finding in table.caption
    flips = table.data["_flips"]
    assert flips[["better_here", "worse_here"]].to_numpy().tolist() == [
        ["Hosoda et al. (2024)", "Janson et al. (2022)"]
    ]
    assert table.finding[:40] in to_text(table)


# k-means: no norms has the better mean (0.85 against 0.80), l2 the better average rank.
#                                                       ranks   mean
GENERATORS = {
    l2("kmeans", 20): (0.90, 0.90, 0.60),  # 1 1 3   5/3
    ("kmeans", 20, "none", "none", "none", MAX): (0.80, 0.85, 0.90),  # 3 3 1   7/3
    l2("mean", None): (0.85, 0.70, 0.50),  # 2 4 4   10/3
    ("mean", None, "none", "none", "none", MAX): (0.60, 0.88, 0.70),  # 4 2 2   8/3
    l2("fps", 20): (0.10, 0.20, 0.30),  # 5 5 5   5
}
OTHERS = {
    l2("kmeans", 5): (0.99, 0.99, 0.99),
    l2("all", None): (0.99, 0.99, 0.99),
    l2("kmeans", 20, nearest(1)): (0.99, 0.99, 0.99),
}


def test_table_2_shows_each_generator_with_the_norms_of_the_lowest_average_rank():
    table = TABLES["table2"](store(GENERATORS | OTHERS))
    assert shown(table, "generator", "norm_pre", "accuracy_mean", "average_rank") == [
        ("k-means", "l2", 0.8, 1.6667),
        ("mean", "none", 0.7267, 2.6667),
        ("fps", "l2", 0.2, 5.0),
    ]
    assert "Ranks are over all 5 configurations in view on 3 evaluation instances" in table.caption
    assert "Not in view: kmedoids 20, cov_max 20 and random 20." in table.caption
    assert table.frame["gen_k"].tolist() == [20, pd.NA, 20]


def test_table_a1_is_table_2_with_five_proxies():
    few = {(g, 5 if k else k, *rest): v for (g, k, *rest), v in GENERATORS.items()}
    table = TABLES["tableA1"](store(few | {l2("kmeans", 20): (0.99, 0.99, 0.99)}))
    assert shown(table, "generator", "accuracy_mean") == [
        ("k-means", 0.8),
        ("mean", 0.7267),
        ("fps", 0.2),
    ]


NINE = [
    (pre, post, inf)
    for (pre, inf), post in product(
        [("none", "none"), ("none", "l2"), ("l2", "l2")], ["none", "l2", "quantile"]
    )
]
# Mean accuracy falls from triple to triple, the same on every instance.
BY_TRIPLE = {
    ("mean", None, *triple, MAX): (0.9 - i / 10, 0.89 - i / 10, 0.88 - i / 10)
    for i, triple in enumerate(NINE)
}
NO_MEAN = {("kmeans", 20, *triple, MAX): (0.99, 0.99, 0.99) for triple in NINE}


def test_table_3_has_a_row_for_each_norm_of_proxies_with_its_best_other_norms():
    table = TABLES["table3"](store(BY_TRIPLE | NO_MEAN))
    assert shown(table, "norm_pre", "norm_post", "norm_inf", "accuracy_mean", "average_rank") == [
        ("none", "none", "none", 0.89, 1.0),
        ("none", "l2", "none", 0.79, 2.0),
        ("none", "quantile", "none", 0.69, 3.0),
    ]


def test_table_4_has_the_norms_before_and_at_inference_of_l2_proxies():
    table = TABLES["table4"](store(BY_TRIPLE | NO_MEAN))
    assert shown(table, "norm_pre", "norm_post", "norm_inf", "average_rank") == [
        ("none", "l2", "none", 1.0),
        ("none", "l2", "l2", 2.0),
        ("l2", "l2", "l2", 3.0),
    ]


@pytest.mark.parametrize(("name", "gen"), [("tableA2", "mean"), ("tableA3", "k-means")])
def test_tables_a2_and_a3_have_all_nine_triples_of_one_generator(name, gen):
    table = TABLES[name](store(BY_TRIPLE | NO_MEAN))
    assert table.frame["generator"].unique().tolist() == [gen]
    rows = table.frame[["norm_pre", "norm_post", "norm_inf"]].to_numpy().tolist()
    if name == "tableA2":
        assert [tuple(row) for row in rows] == NINE
        assert table.frame["average_rank"].tolist() == list(range(1, 10))
    else:  # all equal: the mean rank for each
        assert sorted(map(tuple, rows)) == sorted(NINE)
        assert table.frame["average_rank"].tolist() == [5.0] * 9


VOTES = {
    MAX: (0.5, 0.5, 0.5),
    nearest(1): (0.5, 0.5, 0.5),
    nearest(3): (0.6, 0.6, 0.4),
    nearest(5): (0.7, 0.7, 0.7),
    nearest(20): (0.3, 0.3, 0.3),
    nearest(50): (0.2, 0.2, 0.2),
}
OTHER_VOTES = {
    nearest(5, "cosine"): (0.99, 0.99, 0.99),
    nearest(5, "euclidean", "uniform"): (0.99, 0.99, 0.99),
}


def test_table_5_ranks_max_and_votes_on_all_rows():
    of_all = {l2("all", None, agg): v for agg, v in (VOTES | OTHER_VOTES).items()}
    of_others = {l2("kmeans", 20, agg): v for agg, v in VOTES.items()}
    table = TABLES["table5"](store(of_all | of_others))
    # 3-nn: 2, 2, 4; max and 1-nn share 3.5, 3.5 and 2.5
    assert shown(table, "aggregation", "average_rank") == [
        ("mnn m=5 euclidean distance", 1.0),
        ("mnn m=3 euclidean distance", 2.6667),
        ("max", 3.1667),
        ("mnn m=1 euclidean distance", 3.1667),
        ("mnn m=20 euclidean distance", 5.0),
        ("mnn m=50 euclidean distance", 6.0),
    ]


def test_table_6_has_the_five_aggregations_that_the_paper_has():
    of_20 = {l2("kmeans", 20, agg): v for agg, v in (VOTES | OTHER_VOTES).items()}
    of_5 = {l2("kmeans", 5, agg): (0.9, 0.9, 0.9) for agg in VOTES}
    rows = store(of_20 | of_5)
    table = TABLES["table6"](rows)
    assert len(table.frame) == len(published("table6")) == 5
    assert table.frame["accuracy_mean"].round(4).max() == 0.7
    assert len(TABLES["table6"](rows, m=[1, 3, 5, 20, 50]).frame) == 6


def test_section_a5_has_the_oracles_and_the_papers_average():
    without = ("none", "none", "none", MAX)
    pool = {
        ("least_squares", None, *without): (0.9, 0.9, 0.9),
        ("k_least_squares", 20, *without): (0.8, 0.8, 0.95),
        ("k_least_squares", 5, "l2", "l2", "l2", MAX): (0.99, 0.99, 0.99),
    }
    table = TABLES["sectionA5"](store(pool))
    assert shown(table, "generator", "accuracy_mean", "average_rank") == [
        ("least squares", 0.9, 1.3333),
        ("k-least-squares", 0.85, 1.6667),
    ]
    assert table.oracles == (0, 1)
    assert published("sectionA5")["accuracy_mean"].tolist() == [0.912]


def test_the_papers_values_stand_beside_ours_where_its_networks_and_tasks_are_in_view():
    papers = list(
        product(PAPERS_FMS, ("mnist", "fashion_mnist", "cifar10"), ("all", "short", "odd", "even"))
    )
    values = tuple(np.linspace(0.5, 0.9, len(papers)))
    methods = {l2("kmeans", 20): values, l2("mean", None): tuple(v - 0.1 for v in values)}
    table = TABLES["table2"](store(methods, papers))
    assert shown(table, "paper_mean", "paper_std", "difference") == [
        (0.9104, 0.0626, -0.2104),
        (0.8684, 0.078, -0.2684),
    ]
    assert "paper %" in [column.heading for column in table.columns]
    head = to_csv(table).splitlines()[0]
    assert "paper_mean_percent,paper_std_percent,difference_percent" in head

    elsewhere = TABLES["table2"](
        store(methods, [("other", *p[1:]) for p in papers[:12]] + papers[12:])
    )
    assert "paper %" not in [column.heading for column in elsewhere.columns]
    assert "Kendall's tau" in elsewhere.finding
    fewer = TABLES["table2"](store({k: v[:47] for k, v in methods.items()}, papers[:47]))
    assert "paper %" not in [column.heading for column in fewer.columns]


def test_every_row_of_the_paper_finds_its_configuration_in_the_paper_s_grids():
    """Every published row without a star is in one of our tables, each in one row of it."""
    wanted = {"table4", "table5", "table6", "tableA2", "tableA3"}
    pools = {
        "table4": BY_TRIPLE,
        "tableA2": BY_TRIPLE,
        "tableA3": NO_MEAN,
        "table5": {l2("all", None, agg): v for agg, v in VOTES.items()},
        "table6": {l2("kmeans", 20, agg): v for agg, v in VOTES.items()},
    }
    for name in sorted(wanted):
        order = TABLES[name](store(pools[name])).finding
        assert f"({len(published(name))} rows)" in order, name


def test_a_row_of_the_paper_that_fits_two_configurations_is_refused():
    methods = pd.DataFrame(
        [
            {"gen": "mean", "norm_pre": "none", "norm_post": "l2", "norm_inf": i, "agg": "max"}
            for i in ("l2", "none")
        ]
    )
    with pytest.raises(ValueError, match="fits 2 configurations"):
        beside(methods, "table3")


def test_the_published_values_are_those_of_the_reference(shared_data):
    reference = shared_data.parent / "reference"
    ours = pd.concat(
        [
            published(name).assign(table=name)
            for name in pd.read_csv(reference / "imprint_tables.csv")["table"].unique()
        ],
        ignore_index=True,
    )
    theirs = pd.read_csv(reference / "imprint_tables.csv", dtype=str, keep_default_na=False)
    for column in ("table", "label", *AXES):
        assert ours[column].tolist() == theirs[column].tolist()
    for column in ("accuracy_mean", "accuracy_std"):
        np.testing.assert_allclose(100 * ours[column], pd.to_numeric(theirs[column]), atol=1e-9)
    seconds = pd.read_csv(reference / "imprint_runtimes.csv")
    assert published_runtimes()["seconds"].tolist() == seconds["seconds_8_vcpu"].tolist()
    assert published_runtimes()["gen"].tolist() == seconds["gen"].tolist()


def test_orders_are_compared_by_kendalls_tau_over_rows_that_both_have():
    names = ["a", "b", "c", "d", "e"]
    ours, papers = [5.0, 4.0, 3.0, 3.0, 9.0], [5.0, 3.0, 4.0, 1.0, float("nan")]
    order = compare_orders(names, ours, papers, unit="points")
    assert order.tau == pytest.approx(
        scipy.stats.kendalltau(ours[:4], papers[:4]).statistic, abs=1e-12
    )
    # b and c flip; c and d are equal here, which is no flip
    assert order.flipped.to_numpy().tolist() == [["b", "c", 4.0, 3.0, 3.0, 4.0]]
    assert "1 of 6 pairs changes: b before c (here 4.00 and 3.00" in order.sentence


def test_of_seconds_the_fewest_are_the_best():
    order = compare_orders(["a", "b"], [1.0, 2.0], [2.0, 1.0], unit="s", rising=True)
    assert order.flipped.iloc[0, :2].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("ours", "papers", "sentence"),
    [
        (
            [1.0, 2.0],
            [1.0, float("nan")],
            "Fewer than two rows have a value in the paper; a has 1.00 %.",
        ),
        ([1.0, 2.0], [3.0, 3.0], "is undefined (2 rows): no pair of rows changes its order."),
        ([1.0, 2.0], [3.0, 4.0], "is 1.00 (2 rows): no pair of rows changes its order."),
    ],
)
def test_orders_that_say_little_get_a_sentence(ours, papers, sentence):
    assert compare_orders(["a", "b"], ours, papers, unit="%").sentence.endswith(sentence)


def timed() -> pd.DataFrame:
    """Return seconds of the six configurations: seed s of instance i takes base * (i + 1) + s."""
    frames = []
    for place, (_, wanted) in enumerate(TIMED.items()):
        method = (
            wanted["gen"],
            wanted.get("gen_k"),
            *(wanted[f"norm_{w}"] for w in ("pre", "post", "inf")),
            MAX,
        )
        rows = store({method: (0.5, 0.5, 0.5)})
        number = rows.groupby(["fm", "dataset", "task"]).ngroup() + 1
        frames.append(rows.assign(gen_seconds=10.0**place * number + rows["seed"]))
    return pd.concat(frames, ignore_index=True)


def test_table_a5_has_the_mean_over_instances_of_the_median_over_seeds():
    table = TABLES["tableA5"](timed())
    # instances take 1, 2, 3 times the base, and the median seed adds 1
    assert shown(table, "generator", "mean", "median", "low", "high", "n_instances")[:2] == [
        ("mean", 3.0, 3.0, 2.0, 4.0, 3),
        ("k-means", 21.0, 21.0, 11.0, 31.0, 3),
    ]
    assert "paper's mean, s" not in [column.heading for column in table.columns]
    # In the paper least squares is faster than k-means, and k-least-squares 5 than k-means 20.
    assert set(map(tuple, table.data["_flips"][["better_here", "worse_here"]].to_numpy())) == {
        ("k-means 5", "least squares"),
        ("k-means 20", "least squares"),
        ("k-means 20", "k-least-squares 5"),
    }
    assert len(table.data["_instances"]) == 18


def test_an_instance_left_out_of_the_times_is_said_in_table_and_figure():
    rows = timed()
    gone = (rows["gen"] == "kmeans") & (rows["fm"] == "a")
    rows = rows.assign(
        accuracy=rows["accuracy"].mask(gone), status=rows["status"].mask(gone, "failed")
    )
    for made in (
        TABLES["tableA5"](rows, allow_incomplete=True),
        FIGURES["runtimes"](rows, allow_incomplete=True),
    ):
        assert "1 of 3 instances lack results" in made.caption


def test_two_configurations_that_fit_one_row_are_refused_with_what_tells_them_apart():
    one = store({("least_squares", None, "none", "none", "none", MAX): (0.9, 0.9, 0.9)})
    both = [one.assign(gen_weight_decay=w, trial_id=one["trial_id"] + str(w)) for w in (0.1, 0.01)]
    rows = pd.concat([*both, store({l2("mean", None): (0.5, 0.5, 0.5)})], ignore_index=True)
    (refusal,) = build(TABLES, {"table1": {}}, rows, command="x")
    assert "Oracle: 2 configurations in view fit (gen_weight_decay 0.01, 0.1)" in refusal.sentence
    assert refusal.title == "Table 1"


@pytest.mark.parametrize(("name", "params"), [("table5", {"m": []}), ("sectionA5", {"k": []})])
def test_an_empty_list_of_numbers_is_refused(name, params):
    with pytest.raises(ConfigError, match=r"expected at least one number, got \[\]"):
        TABLES[name](store(EARLIER), **params)


def test_table_a5_without_its_configurations_says_so():
    with pytest.raises(IncompleteError, match="none of the six configurations"):
        TABLES["tableA5"](store({l2("fps", 20): (0.5, 0.5, 0.5)}))


@pytest.mark.parametrize("name", ["table1", "table2", "tableA5"])
def test_missing_trials_are_named_one_by_one_with_the_command(name):
    rows = pd.concat([store(EARLIER), timed().assign(trial_id=lambda f: "t" + f["trial_id"])])
    rows = rows.drop_duplicates(
        [
            "fm",
            "dataset",
            "task",
            "seed",
            "gen",
            "gen_k",
            "norm_pre",
            "norm_post",
            "norm_inf",
            "agg",
            "agg_m",
        ]
    )
    gone = (rows["gen"] == "kmeans") & (rows["fm"] == "a") & (rows["gen_k"] == 20)
    rows = rows.assign(
        status=rows["status"].mask(gone, "missing"), accuracy=rows["accuracy"].mask(gone)
    )
    (refusal,) = build(TABLES, {name: {}}, rows, command="python -m imprint_bench table=[x]")
    assert isinstance(refusal, Refusal)
    assert "k-means 20 · l2/l2/l2 · max on a · mnist · all (missing)" in refusal.sentence
    assert refusal.command == "python -m imprint_bench table=[x]"
    assert refusal.missing[["fm", "task", "seed", "gen", "gen_k"]].to_numpy().tolist() == [
        ["a", "all", seed, "kmeans", 20] for seed in (0, 1, 2)
    ]
    (table,) = build(TABLES, {name: {"allow_incomplete": True}}, rows, command="x")
    assert "1 of 3 instances lack results (report.allow_incomplete=true)" in table.caption
    assert table.command == "x"
    if name == "tableA5":
        assert set(table.frame["n_instances"]) == {2}


def test_a_table_none_of_whose_rows_is_in_view_says_which_they_are():
    with pytest.raises(
        IncompleteError, match="no row in view is of max, 1-nn, 3-nn, 5-nn and 20-nn"
    ):
        TABLES["table6"](store({l2("fps", 20): (0.5, 0.5, 0.5)}))


TABLE_OF = {
    "figure2": "table1",
    "figure5": "table2",
    "figure7": "table3",
    "figure8": "table5",
    "figure9": "table6",
    "figureA1": "tableA1",
    "figureA2": "tableA2",
    "figureA3": "tableA3",
}
POOLS = {
    "table1": EARLIER,
    "table2": GENERATORS,
    "table3": BY_TRIPLE,
    "table5": {l2("all", None, agg): v for agg, v in VOTES.items()},
    "table6": {l2("kmeans", 20, agg): v for agg, v in VOTES.items()},
    "tableA1": {(g, 5 if k else k, *rest): v for (g, k, *rest), v in GENERATORS.items()},
    "tableA2": BY_TRIPLE,
    "tableA3": NO_MEAN,
}


@pytest.mark.parametrize("name", SHOWN)
def test_every_diagram_compares_the_rows_of_its_table(name):
    rows = store(POOLS[TABLE_OF[name]])
    table, drawing = TABLES[TABLE_OF[name]](rows), FIGURES[name](rows)
    groups = drawing.data["_groups"]
    np.testing.assert_allclose(
        sorted(groups["accuracy_mean"]), sorted(table.frame["accuracy_mean"]), atol=1e-12
    )
    assert drawing.picture is not None
    assert drawing.name == name
    assert len(drawing.data[""]) == 3
    n = len(groups)
    assert len(drawing.data["_pairs"]) == n * (n - 1) / 2
    assert drawing.finding


def test_the_procedure_of_a_diagram_can_be_chosen():
    rows = store(EARLIER)
    pairs = FIGURES["figure2"](rows, procedure="nemenyi").data["_pairs"]
    assert pairs["procedure"].unique().tolist() == ["nemenyi"]
    assert "p_better" in FIGURES["figure2"](rows, rope=0.01).data["_pairs"]
    with pytest.raises(ConfigError, match="procedure"):
        FIGURES["figure2"](rows, procedure="nemenji")

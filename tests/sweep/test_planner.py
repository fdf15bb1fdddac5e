import hashlib
import json
import re
from itertools import product

import numpy as np
import pytest

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.core.generator import GENERATORS, for_each_class
from imprint_bench.data.embeddings.description import Description
from imprint_bench.errors import ConfigError, DataError
from imprint_bench.sweep.plan import canonical_trial
from imprint_bench.sweep.planner import make_plan

TEN = range(10)
FOUR_TASKS = {
    "all": {"classes": "all"},
    "short": {"classes": [0, 1, 2]},
    "odd": {"classes": [1, 3, 5, 7, 9]},
    "even": {"classes": [0, 2, 4, 6, 8]},
}
NINE = {"pre": ["none", "l2"], "post": ["none", "l2", "quantile"], "inf": ["none", "l2"]}
THREE_SEEDS = [17121997, 123987, 12412312]
K = {"k": [1, 2, 3, 5, 10, 20]}


def described(rows=60, *, fm="pixels", dataset="digits", fingerprint="f" * 64, classes=TEN):
    """Describe embeddings with `rows` training rows of every class."""
    return Description(
        fm=fm,
        dataset=dataset,
        fingerprint=fingerprint,
        labels={"train": np.repeat(classes, rows), "test": np.repeat(classes, 2)},
        length=4,
        weight_decay=1e-4,
        cached=True,
    )


def counts(plan) -> dict[str, int]:
    return plan.dropped.groupby("reason")["trials"].sum().to_dict()


def hexadecimal(content: object) -> bytes:
    """Return the id by definition: SHA-256 of the canonical JSON."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest().encode()


# --- counts by hand

GENERATORS_OF_5_1 = {
    "task": FOUR_TASKS,
    "norm": NINE,
    "seeds": THREE_SEEDS,
    "gen": {"mean": {}, "all": {}}
    | dict.fromkeys(("kmeans", "kmedoids", "cov_max", "random", "fps"), K),
    "agg": {"max": {}},
}
AGGREGATIONS_OF_5_1 = {
    "task": FOUR_TASKS,
    "norm": NINE | {"post": ["none", "l2"]},
    "seeds": THREE_SEEDS,
    "gen": {
        "kmeans": {"k": [1, 5, 20]},
        "kmedoids": {"k": [1, 5, 20]},
        "mean": {},
        "all": {},
    },
    "agg": {
        "max": {},
        "mnn": {
            "m": [1, 3, 5, 20, 50],
            "metric": ["euclidean", "cosine"],
            "weighting": ["distance", "uniform"],
        },
    },
}


def test_the_grids_of_section_5_1_have_15552_trials(config):
    # 32 generators with k, 9 norm triples, 4 tasks, 3 seeds
    generators = make_plan(config(**GENERATORS_OF_5_1), [described()])
    assert len(generators) == 32 * 9 * 4 * 3 == 3456
    # of 12 norm triples, 3 have norm_pre l2 and norm_inf none
    assert counts(generators) == {"norm_pre l2 implies norm_inf l2": 32 * 3 * 4 * 3}

    # 8 generators with k, 6 norm triples, 4 tasks, 3 seeds, 1 + 5 x 2 x 2 aggregations
    aggregations = make_plan(config(**AGGREGATIONS_OF_5_1), [described()])
    too_many = int(counts(aggregations)["m is larger than the number of proxies of the task"])
    assert len(aggregations) + too_many == 8 * 6 * 4 * 3 * 21 == 12096
    # k = 1 (three generators): 10, 3, 5, 5 proxies: 2 + 3 + 2 + 2 values of m are too large
    # k = 5 (two): 50, 15, 25, 25 proxies: 0 + 2 + 1 + 1; k = 20 (60 and more) and all: none
    assert too_many == (3 * 9 + 2 * 4) * (2 * 2) * 6 * 3

    assert len(generators) + len(aggregations) + too_many == 15552
    # the same trials are in both grids for max, 8 generators and norm_post none and l2
    shared = set(generators.ids.tolist()) & set(aggregations.ids.tolist())
    assert len(shared) == 8 * 6 * 4 * 3


def test_the_dropped_table_names_the_place(config):
    plan = make_plan(config(**AGGREGATIONS_OF_5_1), [described()])
    too_many = plan.dropped[plan.dropped["reason"].str.startswith("m is larger")]

    assert list(plan.dropped.columns) == ["reason", "where", "trials"]
    where = too_many.set_index("where")["trials"]
    # kmeans and kmedoids with k = 5, 6 norm triples, 3 seeds, 2 metrics, 2 weightings
    assert where["agg=mnn m=50 task=odd (25 proxies)"] == 2 * 6 * 3 * 4
    assert not [w for w in where.index if "m=20" in w and "task=odd (25" in w]


@pytest.mark.parametrize(
    ("sweep", "trials"),
    [
        # fms, n_shot, tasks, norm triples, seeds, generators with k
        ("quickstart", 2 * 3 * 4 * 9 * 3 * (3 + 5 * 3)),
        ("mnist_mobilenet", 2 * 1 * 4 * 9 * 3 * (2 + 5 * 3)),
    ],
)
def test_the_sweeps_of_the_repository_have_the_trials_one_counts_by_hand(sweep, trials):
    swept = read(compose(parse([f"+sweep={sweep}"]))[0].raw)
    pairs = [(fm.name, d.name) for d in swept.datasets for fm in swept.fms]
    plan = make_plan(swept, [described(100, fm=fm, dataset=d) for fm, d in pairs])

    assert len(plan) == len(set(plan.ids.tolist())) == trials
    assert int(plan.dropped["trials"].sum()) == trials // 3  # 3 of 12 norm triples


def test_every_combination_is_a_trial_or_dropped_with_one_reason(config):
    swept = config(
        n_shot=[2, 10, "all"],
        gen={"kmeans": {"k": [1, 5]}, "mean": {}},
        agg={"max": {}, "mnn": {"m": [1, 7]}},
    )
    plan = make_plan(swept, [described()])

    combinations = 3 * (2 * 3 * 2) * 3 * 2 * 3 * 3  # n_shot, norms, tasks, seeds, gens, aggs
    assert len(plan) + int(plan.dropped["trials"].sum()) == combinations
    # k = 5 of 2 shots, whatever the rest
    assert counts(plan)["k is larger than n_shot"] == (2 * 3 * 2) * 3 * 2 * 3
    assert (plan.dropped["trials"] > 0).all()
    assert not plan.dropped.duplicated(["reason", "where"]).any()


def test_norm_pre_is_norm_inf_where_both_are_l2(config):
    frame = make_plan(config(norm=NINE), [described()]).frame()
    triples = set(zip(frame["norm_pre"], frame["norm_post"], frame["norm_inf"], strict=True))

    assert triples == set(product(["none"], NINE["post"], ["none", "l2"])) | set(
        product(["l2"], NINE["post"], ["l2"])
    )


def test_a_combination_that_comes_to_the_same_is_enumerated_once(config):
    gen = {"least_squares": {"weight_decay": ["fm", 1e-4, 1]}}
    plan = make_plan(config(gen=gen), [described()])

    assert sorted(plan.frame()["gen_weight_decay"].unique()) == [1e-4, 1.0]
    assert len(set(plan.ids.tolist())) == len(plan)
    assert counts(plan)["another combination comes to the same"] == len(plan) // 2 * 12 // 9


# --- ids


def test_the_id_of_a_trial_is_sha256_of_its_canonical_json(config):
    swept = config(
        seeds=[7],
        n_shot=[20],
        task={"odd": {"classes": [9, 7, 5, 3, 1]}},
        norm={"pre": ["none"], "post": ["quantile"], "inf": ["l2"]},
        gen={"kmedoids": {"k": [5]}},
        agg={"mnn": {"m": [3], "metric": ["cosine"]}},
    )
    (made,) = make_plan(swept, [described(fingerprint="ab" * 32)]).ids

    assert made == hexadecimal(
        {
            "proxies": {
                "fm": "pixels",
                "dataset": "digits",
                "data": "ab" * 32,
                "mapping": "identity",
                "n_shot": 20,
                "seed": 7,
                "norm_pre": "none",
                "gen": {"kmedoids": {"k": 5}},  # method and backend have their defaults
            },
            "use": {
                "task": {"odd": [9, 7, 5, 3, 1]},
                "norm_post": "quantile",
                "norm_inf": "l2",
                "agg": {"mnn": {"m": 3, "metric": "cosine"}},  # weighting has its default
            },
        }
    )


def test_every_id_belongs_to_its_group_and_setting(config):
    material = described()
    plan = make_plan(config(agg={"max": {}, "mnn": {"m": [1]}}), [material])
    for i in range(0, len(plan), 7):
        setting = plan.settings[plan.setting_of[i]]
        text = canonical_trial(
            plan.groups[plan.group_of[i]],
            setting,
            fingerprint=material.fingerprint,
            task=plan.tasks["digits", "identity"][setting.task],
        )
        assert plan.ids[i] == hexadecimal(json.loads(text))


def ids(config, material=None, **groups) -> set[bytes]:
    return set(make_plan(config(**groups), [material or described()]).ids.tolist())


def test_ids_do_not_depend_on_the_order_of_anything(config):
    one = ids(config, seeds=[0, 1], gen={"mean": {}, "kmeans": {"k": [1, 5]}}, norm=NINE)
    other = ids(
        config,
        seeds=[1, 0],
        gen={"kmeans": {"k": [5, 1]}, "mean": {}},
        norm={place: names[::-1] for place, names in NINE.items()},
    )
    assert one == other


def test_plans_that_overlap_share_the_ids_of_what_they_share(config):
    small = ids(config, seeds=[0], gen={"mean": {}}, agg={"max": {}})
    large = ids(
        config,
        seeds=[0, 1],
        n_shot=[5, "all"],
        gen={"mean": {}, "kmeans": {"k": [1, 5]}},
        agg={"max": {}, "mnn": {"m": [1]}},
    )
    assert small < large


def test_a_default_that_is_spelled_out_is_the_same_trial(config):
    assert ids(config, gen={"kmedoids": {"k": [5]}}) == ids(
        config, gen={"kmedoids": {"k": 5, "method": "alternate", "backend": ["imprint_bench"]}}
    )
    assert ids(config, agg={"mnn": {"m": [1]}}) == ids(
        config, agg={"mnn": {"m": 1, "metric": ["euclidean"], "weighting": "distance"}}
    )
    assert ids(config, gen={"least_squares": {"weight_decay": 1}}) == ids(
        config, gen={"least_squares": {"weight_decay": [1.0]}}
    )
    assert ids(config, gen={"least_squares": {"weight_decay": "fm"}}) == ids(
        config, gen={"least_squares": {"weight_decay": 1e-4}}
    )


def test_the_order_of_a_tasks_classes_is_part_of_the_trial(config):
    up, down = ([1, 3, 5], [5, 3, 1])
    assert not ids(config, task={"t": {"classes": up}}) & ids(config, task={"t": {"classes": down}})


def test_data_that_changed_are_other_trials(config):
    assert not ids(config) & ids(config, material=described(fingerprint="0" * 64))


def test_a_generator_of_a_new_version_makes_other_trials_of_its_own_only(config, monkeypatch):
    before_mean, before_all = ids(config, gen={"mean": {}}), ids(config, gen={"all": {}})
    newer = GENERATORS["mean"].__class__(**vars(GENERATORS["mean"]) | {"version": 2})
    monkeypatch.setitem(GENERATORS._entries, "mean", newer)

    assert not ids(config, gen={"mean": {}}) & before_mean
    assert ids(config, gen={"all": {}}) == before_all


def test_a_new_parameter_with_a_default_renames_no_trial(config, monkeypatch):
    before = ids(config, gen={"fps": {"k": [5]}})

    def farther(X, *, k: int, metric: str = "euclidean", rng): ...

    try:
        for_each_class("fps_with_a_metric", nested=True)(farther)
        made = GENERATORS["fps_with_a_metric"].__class__(
            **vars(GENERATORS["fps_with_a_metric"]) | {"name": "fps"}
        )
        monkeypatch.setitem(GENERATORS._entries, "fps", made)
        assert ids(config, gen={"fps": {"k": [5]}}) == before
        assert not ids(config, gen={"fps": {"k": [5], "metric": "cosine"}}) & before
    finally:
        del GENERATORS._entries["fps_with_a_metric"]


# --- the plan as a table


def test_the_frame_has_a_row_per_trial_and_a_column_per_axis(config):
    gen = {"mean": {}, "kmeans": {"k": [1, 5]}, "least_squares": {"weight_decay": ["fm"]}}
    plan = make_plan(config(gen=gen, agg={"max": {}, "mnn": {"m": [1, 3]}}), [described()])
    frame = plan.frame()

    assert list(frame.columns) == [
        *("trial_id", "fm", "dataset", "mapping", "n_shot", "seed", "norm_pre", "gen"),
        *("gen_k", "gen_weight_decay", "task", "norm_post", "norm_inf", "agg"),
        *("agg_m", "agg_metric", "agg_weighting"),
    ]
    assert len(frame) == len(plan)
    assert frame["trial_id"].is_unique
    assert frame["trial_id"].str.fullmatch("[0-9a-f]{64}").all()
    assert frame["trial_id"].tolist() == [i.decode() for i in plan.ids]
    assert set(frame.loc[frame["gen"] == "kmeans", "gen_k"]) == {1, 5}
    assert frame.loc[frame["gen"] == "mean", "gen_k"].isna().all()
    assert frame["agg_m"].isna().equals(frame["agg"] == "max")
    assert not frame.drop(columns="trial_id").duplicated().any()


def test_groups_that_share_their_work_are_one_unit(config):
    gen = {"kmeans": {"k": [1, 5]}, "cov_max": {"k": [1, 5]}, "mean": {}}
    plan = make_plan(config(gen=gen, seeds=[0, 1], n_shot=[5, "all"]), [described()])
    by_gen: dict[str, set] = {}
    for group, unit in zip(plan.groups, plan.unit_of_group, strict=True):
        by_gen.setdefault(group.gen, set()).add(unit)

    # 2 norm_pre x (2 seeds x 2 n_shot): both k together
    assert len(by_gen["kmeans"]) == 8
    # without a seed of its own, all rows are one unit for both seeds
    assert len(by_gen["mean"]) == len(by_gen["cov_max"]) == 2 * (2 + 1)


# --- what is refused


def test_m_that_no_task_allows_is_refused_with_the_largest_that_fits(config):
    message = "agg.mnn.m: 51 is larger than the number of proxies of every task; choose m <= 50."
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        make_plan(config(agg={"mnn": {"m": [1, 51]}}), [described()])
    assert len(make_plan(config(agg={"mnn": {"m": [1, 50]}}), [described()]))


def test_a_plan_without_trials_is_refused_with_the_reasons(config):
    message = r"^test: no trial is left to run \(k is larger than n_shot\)\.$"
    with pytest.raises(ConfigError, match=message):
        make_plan(config(gen={"kmeans": {"k": [5]}}, n_shot=[1, 2]), [described()])


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        ([0, 17], "class 17 has no training rows; classes with rows: 0, 1, 2, 3, 4, 5"),
        ([3], "1 class; a task needs at least two"),
    ],
)
def test_a_task_that_the_dataset_cannot_give_is_refused(config, classes, message):
    with pytest.raises(DataError, match=f"^task t on digits: {message}"):
        make_plan(config(task={"t": {"classes": classes}}), [described()])


def test_a_mapping_drops_the_classes_that_it_does_not_name(config):
    swept = config(
        mapping={"two": {"rename": {"labels": {3: 0, 8: 1}}}}, task={"all": {"classes": "all"}}
    )
    plan = make_plan(swept, [described()])
    assert plan.tasks["digits", "two"]["all"].classes == (0, 1)
    assert set(plan.frame()["mapping"]) == {"two"}


def test_d_in_1_is_a_mapping_per_draw_and_d(config):
    mapping = {"d_in_1": {"d": [1, 2], "draws": 3, "n_labels": 5}}
    plan = make_plan(config(mapping=mapping, task={"all": {"classes": "all"}}), [described()])
    assert set(plan.frame()["mapping"]) == {f"d_in_1-{d}-{i}" for d in (1, 2) for i in range(3)}


def test_a_class_with_fewer_rows_than_k_gives_all_it_has(config):
    agg = {"mnn": {"m": [1, 9]}}
    three = {"task": {"short": {"classes": [0, 1, 2]}}, "gen": {"kmeans": {"k": [5]}}}
    plan = make_plan(config(agg=agg, **three), [described(3)])  # 9 proxies in all
    assert set(plan.frame()["agg_m"]) == {1, 9}


def test_many_trials_are_planned_with_distinct_ids(config):
    agg = {"mnn": {"m": list(range(1, 11)), "metric": ["euclidean", "cosine"]}, "max": {}}
    swept = config(task=FOUR_TASKS, norm=NINE, seeds=list(range(10)), gen={"all": {}}, agg=agg)
    plan = make_plan(swept, [described()])

    assert len(plan) == 4 * 9 * 10 * 21
    assert len(set(plan.ids.tolist())) == len(plan)

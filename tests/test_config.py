import copy
import re
from pathlib import Path

import pytest

from imprint_bench.command_line import parse
from imprint_bench.composing import compose
from imprint_bench.config import read
from imprint_bench.errors import ConfigError
from imprint_bench.params import Source
from imprint_bench.settings import MAX_SEED


@pytest.fixture(scope="module")
def composed() -> dict:
    """Return the quickstart sweep, with every aggregation, as Hydra composes it."""
    return compose(parse(["+sweep=quickstart", "agg=[max,mnn]"]))[0].raw


def changed(raw: dict, path: str, value: object) -> dict:
    """Return a copy of `raw` with `value` at a dotted path; `...` removes it."""
    made = copy.deepcopy(raw)
    *parents, last = path.split(".")
    inner = made
    for key in parents:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return made


MISTAKES = [
    ("zzz", 3, "zzz: no such key; there are name, fm, dataset,"),
    ("n_job", 3, "n_job: no such key;", "Did you mean 'n_jobs'?"),
    ("seeds", ..., "seeds: expected a list of int, got None."),
    ("mode", ..., "mode: missing; every sweep needs it."),
    (
        "embed.forced",
        True,
        "embed.forced: no such key; there are force, verify, device, autocast, channels_last, "
        "batch_size, loaders, dtype, on_error, download.",
        "'force'?",
    ),
    (
        "embed",
        3,
        "embed: expected a mapping with force, verify, device, autocast, channels_last, "
        "batch_size, loaders, dtype, on_error, download, got 3.",
    ),
    ("embed.force", "maybe", "embed.force: expected true or false, got 'maybe'."),
    ("report.alfa", 0.1, "report.alfa: no such key; there are alpha,", "'alpha'?"),
    ("report.alpha", 2, "report.alpha: expected a number in (0, 1), got 2."),
    ("report.alpha", 0, "report.alpha: expected a number in (0, 1), got 0."),
    ("report.alpha", float("nan"), "report.alpha: expected float, got nan."),
    ("n_jobs", "two", "n_jobs: expected int, got 'two'."),
    ("n_jobs", 0, "n_jobs: expected a number of workers, or -1 for all, got 0."),
    ("n_jobs", True, "n_jobs: expected int, got True."),
    ("name", "", "name: '' cannot be a folder's name; write a name such as mine or mine/k."),
    ("name", "../../elsewhere", "name: '../../elsewhere' cannot be a folder's name;"),
    ("name", "/etc", "name: '/etc' cannot be a folder's name;"),
    ("name", "a\\b", "name: 'a\\\\b' cannot be a folder's name;"),
    ("name", 3, "name: expected str, got 3."),
    ("seeds", 3, "seeds: expected a list of int, got 3."),
    ("seeds", "0", "seeds: expected a list of int, got '0'."),
    ("seeds", [0, "a"], "seeds[1]: expected an int of at least 0, got 'a'."),
    ("seeds", [-1], "seeds[0]: expected an int of at least 0, got -1."),
    ("seeds", [2**32], f"seeds[0]: expected an int of at most {MAX_SEED}, got 4294967296."),
    ("seeds", [], "seeds: an empty list leaves nothing to run; give at least one value."),
    ("seeds", [1, 2, 1], "seeds[2]: 1 stands there twice; remove one."),
    ("n_shot", "all", "n_shot: expected a list of int or 'all', got 'all'."),
    ("n_shot", ["some"], "n_shot[0]: expected an int of at least 1 or 'all', got 'some'."),
    ("n_shot", [0], "n_shot[0]: expected an int of at least 1 or 'all', got 0."),
    ("n_shot", [5, 5], "n_shot[1]: 5 stands there twice; remove one."),
    (
        "stages",
        ["emb"],
        "stages[0]: expected one of data, embed, plan, run, report, got 'emb'.",
        "embed",
    ),
    ("stages", [], "stages: an empty list leaves nothing to run;"),
    ("mode", "again", "mode: expected one of missing, retry_failed, overwrite, plan, got 'again'."),
    ("norm.pre", ["l3"], "norm.pre[0]: unknown row normalization 'l3'; known: l2, none."),
    ("norm.inf", ["quantile"], "norm.inf[0]: unknown row normalization 'quantile';"),
    ("norm.post", ["quantil"], "norm.post[0]: unknown", "Did you mean 'quantile'?"),
    ("norm.post", "l2", "norm.post: expected a list of str, got 'l2'."),
    ("norm.mid", ["l2"], "norm.mid: no such key; there are pre, post, inf."),
    ("norm", ["l2"], "norm: expected a mapping with pre, post, inf, got ['l2']."),
    ("gen", {}, "gen: nothing chosen; choose at least one with gen=[NAME]."),
    ("gen", None, "gen: nothing chosen;"),
    ("gen", 5, "gen: expected a mapping of names, got 5."),
    ("gen.kmean", {"k": [5]}, "gen: unknown generator 'kmean';", "Did you mean 'kmeans'?"),
    ("gen.kmeans", 5, "gen.kmeans: expected a mapping of parameters, got 5."),
    ("gen.kmeans.kk", [3], "gen.kmeans.kk: no such parameter; gen.kmeans takes k.", "'k'?"),
    ("gen.kmeans.k", ["five"], "gen.kmeans.k: expected an int of at least 1, got 'five'."),
    ("gen.kmeans.k", [5, 0], "gen.kmeans.k: expected an int of at least 1, got 0."),
    ("gen.kmeans.k", True, "gen.kmeans.k: expected an int of at least 1, got True."),
    ("gen.kmeans.k", 2.5, "gen.kmeans.k: expected an int of at least 1, got 2.5."),
    ("gen.kmeans.k", [], "gen.kmeans.k: an empty list leaves nothing to run;"),
    ("gen.kmeans.k", [5, 1, 5], "gen.kmeans.k[2]: 5 stands there twice; remove one."),
    ("gen.kmeans.k", ..., "gen.kmeans.k: missing; gen.kmeans cannot do without it."),
    ("gen.mean.k", [1], "gen.mean.k: no such parameter; gen.mean takes no parameter."),
    ("gen.kmeans.seed", 3, "gen.kmeans.seed: no such parameter;"),
    ("gen.least_squares.weight_decay", ["FM"], "gen.least_squares.weight_decay: expected a float"),
    ("gen.least_squares.weight_decay", [-1], "gen.least_squares.weight_decay: expected a float of"),
    ("gen.kmedoids.method", ["pam"], "gen.kmedoids.method: expected one of alternate, fasterpam,"),
    ("agg.mn", {}, "agg: unknown aggregation 'mn'; known: max, mnn.", "Did you mean 'mnn'?"),
    ("agg.max", {"m": [1]}, "agg.max.m: no such parameter; agg.max takes no parameter."),
    ("agg.mnn.m", 0, "agg.mnn.m: expected an int of at least 1, got 0."),
    ("agg.mnn.metric", ["euclid"], "agg.mnn.metric: expected one of euclidean,", "'euclidean'?"),
    ("fm.resnet81", {}, "fm.resnet81: unknown foundation model 'resnet81'; known: "),
    ("fm.mine", {"pixel": {}}, "fm.mine: unknown foundation model 'pixel';", "'pixels'?"),
    ("fm.pixels.width", 3, "fm.pixels.width: no such parameter; fm.pixels takes weight_decay."),
    ("fm.pixels.weight_decay", -1, "fm.pixels.weight_decay: expected a float of at least 0, got"),
    ("fm.mine", {"pixels": {"width": 3}}, "fm.mine.pixels.width: no such parameter;"),
    ("fm.a/b", {"pixels": {}}, "fm.a/b: 'a/b' cannot be a folder's name; choose another name."),
    ("fm", {"..": {"pixels": {}}}, "fm...: '..' cannot be a folder's name;"),
    ("dataset.digit", {}, "dataset.digit: unknown dataset 'digit'; known:", "'digits'?"),
    ("dataset.digits.test_size", "x", "dataset.digits.test_size: expected float, got 'x'."),
    ("mapping.identiti", {}, "mapping.identiti: unknown mapping 'identiti';", "'identity'?"),
    ("mapping.rename", {"labels": None}, "mapping.rename.labels: expected a mapping, got None."),
    ("task.all.class", [0], "task.all.class: no such key; there are classes.", "'classes'?"),
    ("task.all.classes", "odd", "task.all.classes: expected a list of int, got 'odd'."),
    ("task.all.classes", [0, 0], "task.all.classes[1]: 0 stands there twice; remove one."),
    ("task.all.classes", [0, -1], "task.all.classes[1]: expected an int of at least 0, got -1."),
    ("executor", "dask", "executor: expected a mapping with a name, got 'dask'; choose one with"),
    (
        "executor",
        {"address": "x"},
        "executor: expected a mapping with a name, got {'address': 'x'}",
    ),
    ("shard", 3, "shard: expected i/N such as 1/4, got 3."),
    ("shard", "x", "shard: expected i/N such as 1/4, got 'x'."),
    ("shard", "1/0", "shard: expected i/N such as 1/4, got '1/0'."),
    ("shard", "0/4", "shard: there is no shard 0 of 4; write shard=1/4 to shard=4/4."),
    ("shard", "5/4", "shard: there is no shard 5 of 4; write shard=1/4 to shard=4/4."),
    ("paths.data", 3, "paths.data: expected str, got 3."),
    ("paths.date", "x", "paths.date: no such key; there are data, weights,", "'data'?"),
    ("table", 3, "table: expected a mapping of names, got 3."),
    ("table", {"generators": 3}, "table.generators: expected a mapping of parameters, got 3."),
]


@pytest.mark.parametrize(
    ("path", "value", "start", "near"),
    [(*m, "")[:4] for m in MISTAKES],
    ids=[f"{m[0]}={m[1]!r:.20}" for m in MISTAKES],
)
def test_a_mistake_is_named_with_its_path_its_value_and_its_remedy(
    composed, path, value, start, near
):
    with pytest.raises(ConfigError, match=f"^{re.escape(start)}") as caught:
        read(changed(composed, path, value))
    assert near in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_good_configuration_is_read_as_it_stands(composed):
    config = read(composed)

    assert config.name == "quickstart"
    assert config.fms[0] == Source("pixels", "pixels", {"weight_decay": 1e-4})
    assert config.n_shots == (20, 50, None)
    assert config.tasks["all"] == "all"
    assert config.tasks["odd"] == (1, 3, 5, 7, 9)
    assert config.norms.post == ("none", "l2", "quantile")
    assert {m.name: len(m.grid) for m in config.gens}["kmeans"] == 3
    assert {m.name: len(m.grid) for m in config.aggs} == {"max": 1, "mnn": 3}
    assert config.paths.rows == Path.cwd() / "results" / "rows"


def test_a_shard_and_an_executor_are_read(composed):
    config = read(composed)
    assert (config.executor.name, config.executor.settings, config.shard) == ("joblib", {}, None)

    dask = {"name": "dask", "address": "tcp://host:8786", "timeout": 5}
    config = read(composed | {"executor": dask, "shard": "2/4"})
    assert config.executor.name == "dask"
    assert config.executor.settings == {"address": "tcp://host:8786", "timeout": 5}
    assert (config.shard.number, config.shard.of, str(config.shard)) == (2, 4, "2/4")


def test_what_was_read_can_be_read_again(composed):
    assert read(read(composed).raw) == read(composed)


def test_reading_does_not_change_what_was_given(composed):
    before = copy.deepcopy(composed)
    read(composed)
    assert composed == before


def test_a_single_value_stands_for_a_list_of_one(composed):
    one = read(changed(composed, "gen.kmeans.k", 5))
    many = read(changed(composed, "gen.kmeans.k", [5]))
    assert one.gens == many.gens


@pytest.mark.parametrize(
    ("name", "value", "kind", "params"),
    [
        ("pixels", {}, "pixels", {}),
        ("pixels", {"weight_decay": 0.1}, "pixels", {"weight_decay": 0.1}),
        ("mine", {"pixels": {"weight_decay": 0.1}}, "pixels", {"weight_decay": 0.1}),
        ("mine", {"pixels": None}, "pixels", {}),
        ("pixels", {"random_conv": {"width": 8}}, "random_conv", {"width": 8}),
    ],
    ids=str,
)
def test_a_foundation_model_has_a_name_and_a_kind(composed, name, value, kind, params):
    config = read(changed(composed, "fm", {name: value}))
    assert config.fms == (Source(name, kind, params),)


def test_a_home_folder_is_expanded_and_a_relative_path_starts_where_the_command_is_given(
    composed, monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    paths = read(changed(composed, "paths.data", "~/data")).paths
    assert paths.data == tmp_path / "data"
    assert paths.results == tmp_path / "results"

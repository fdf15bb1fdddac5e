import re
import tracemalloc

import numpy as np
import pytest

from imprint_bench.data.embeddings.description import Description
from imprint_bench.sweep import estimate as estimating
from imprint_bench.sweep.bank import compute
from imprint_bench.sweep.estimate import Estimate, estimate
from imprint_bench.sweep.memory import peak_bytes
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.unit import units

MIB = 2**20


def described(rows: int, *, length: int = 32, cached: bool = True) -> Description:
    classes = range(10)
    labels = {"train": np.repeat(classes, rows), "test": np.repeat(classes, rows // 5)}
    return Description("pixels", "digits", "f" * 64, labels, length, 1e-4, cached)


def planned(config, material: Description):
    plan = make_plan(config, [material])
    todo = np.ones(len(plan), dtype=bool)
    return plan, todo, units(plan, todo)


def test_an_estimate_is_one_sentence_with_trials_time_memory_and_disk():
    text = str(Estimate(59.6, 5000, 1.5 * 2**30, 20 * MIB, trials=1234))
    assert text == (
        "Estimated from timed samples, for 1234 trials that the store lacks: embedding 60 s, "
        "running 83 min, 1.5 GiB of memory per worker, 20 MiB on disk."
    )
    assert "running 3.0 h" in str(Estimate(0, 10800, 0, 0, trials=1))


def test_what_the_store_has_costs_nothing(config):
    material = described(20)
    swept = config()
    plan, todo, _ = planned(swept, material)
    found = estimate([swept], plan, [material], np.zeros_like(todo))

    assert (found.trials, found.run_seconds, found.embed_seconds) == (0, 0.0, 0.0)
    assert found.disk_bytes == 0


def test_half_of_the_trials_of_many_equal_units_take_half_the_time(config, monkeypatch):
    monkeypatch.setattr(estimating, "_seconds", lambda unit, description: 1.0)
    swept = config(gen={"fps": {"k": [5]}}, seeds=list(range(8)))
    material = described(20)
    plan, todo, made = planned(swept, material)
    seeds = plan.frame()["seed"].to_numpy()

    assert estimate([swept], plan, [material], todo).run_seconds == len(made) == 16
    assert estimate([swept], plan, [material], todo & (seeds < 4)).run_seconds == 8


def test_workers_share_the_time(config, monkeypatch):
    monkeypatch.setattr(estimating, "_seconds", lambda unit, description: 1.0)
    material = described(20)
    plan, todo, _ = planned(config(), material)
    one = estimate([config(n_jobs=1)], plan, [material], todo)
    four = estimate([config(n_jobs=4)], plan, [material], todo)

    assert one.run_seconds == 4 * four.run_seconds
    assert one.worker_bytes == four.worker_bytes


def test_embeddings_that_are_to_be_made_take_time_and_disk(config):
    material = described(20, length=64, cached=False)
    plan, todo, _ = planned(config(), material)
    found = estimate([config()], plan, [material], todo)

    rows = len(material.labels["train"]) + len(material.labels["test"])
    assert found.disk_bytes > 4 * 64 * rows
    assert found.embed_seconds >= 0


def test_samples_are_as_large_as_it_takes_to_measure_them(config, monkeypatch):
    """Work of known growth is continued along it: linear, and quadratic."""
    material = described(6000, length=2)
    *_, made = planned(config(gen={"mean": {}}), material)
    sizes: list[int] = []

    def took(power: float):
        def seconds(unit, arrays) -> float:
            sizes.append(len(arrays.y("train")) // 10)
            return (sizes[-1] / 6000) ** power * 10

        return seconds

    for power in (1, 1.5, 2):
        monkeypatch.setattr(estimating, "_timed", took(power))
        assert estimating._seconds(made[0], material) == pytest.approx(10, rel=0.02)
    assert sizes[:2] == [200, 400]
    assert max(sizes) < 2000


def test_small_data_are_computed_in_full(config, monkeypatch):
    material = described(50)
    *_, made = planned(config(gen={"mean": {}}), material)
    monkeypatch.setattr(estimating, "_timed", lambda unit, arrays: float(len(arrays.y("train"))))
    assert estimating._seconds(made[0], material) == 500


def test_sampling_ends_after_its_time(config, monkeypatch):
    calls = []
    monkeypatch.setattr(estimating, "SAMPLING_SECONDS", -1.0)
    monkeypatch.setattr(estimating, "_seconds", lambda unit, d: calls.append(unit.key.gen) or 2.0)
    gen = {"mean": {}, "fps": {"k": [5]}}
    swept = config(gen=gen, n_shot=[5, 10, 20, "all"])
    material = described(20)
    plan, todo, made = planned(swept, material)
    found = estimate([swept], plan, [material], todo)

    assert sorted(calls) == ["fps", "mean"]  # one sample each
    assert 0 < found.run_seconds <= 2.0 * len(made)


@pytest.mark.parametrize(
    "gen", [{"mean": {}}, {"all": {}}, {"kmedoids": {"k": [5]}}, {"least_squares": {}}], ids=str
)
def test_memory_is_of_the_order_of_what_is_traced(config, gen):
    if "least_squares" in gen:
        gen = {"least_squares": {"weight_decay": ["fm"]}}
    material = described(400, length=64)
    *_, made = planned(config(gen=gen), material)
    arrays = estimating._Sample(material.labels, material.length, 1.0)
    compute(made[0], arrays)
    tracemalloc.start()
    try:
        compute(made[0], arrays)
        traced = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert traced / 3 < peak_bytes(made[0], material) < 3 * traced


def test_memory_of_a_large_bank_is_bounded_by_its_blocks(config):
    material = described(6000, length=512)
    *_, made = planned(config(gen={"all": {}}), material)
    rows = 4 * 512 * (60_000 + 12_000)
    # not the 12,000 x 60,000 inner products, which would be 5.8 GB
    assert rows < peak_bytes(made[0], material) < 1.5 * 2**30


def test_an_estimate_covers_the_plan_and_leaves_no_trace(config, tmp_path):
    swept = config(gen={"mean": {}, "kmeans": {"k": [1, 5]}}, n_shot=[5, "all"])
    material = described(40)
    plan, todo, _ = planned(swept, material)
    found = estimate([swept], plan, [material], todo)

    assert found.trials == len(plan)
    assert found.run_seconds > 0
    assert found.worker_bytes > 100 * MIB
    assert re.fullmatch(r"Estimated from timed samples, for \d+ trials .* on disk\.", str(found))
    assert not list(tmp_path.iterdir())

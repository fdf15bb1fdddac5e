"""Training in a job array: one array task per shard, on this machine."""

from pathlib import Path

import pandas as pd
import pytest
from small_sweeps import METHODS

from imprint_bench.errors import ConfigError, RunFailed
from imprint_bench.execution import Shard
from imprint_bench.sweep.executors import slurm
from imprint_bench.training.config import read_training
from imprint_bench.training.one_run import train_one
from imprint_bench.training.plan import make_training_plan
from imprint_bench.training.run import runs_of
from imprint_bench.training.shard import _for_shard, share, train_shard

LOCAL = {"name": "slurm", "cluster": "local", "shards": 3}
DYNAMIC = {
    "head": {"fixed": {"prototypes": {"equidistributed": {}}, "assignment": {"dynamic": {}}}},
    "loss": {"ipm": {}},
    "lr": 0.01,
}


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(slurm, "POLL", 0.1)
    monkeypatch.setattr(slurm, "LATE", 1.0)
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))


def without_times(rows):
    """Return rows without what differs, their columns by name: methods finish in any order."""
    return rows.drop(columns="train_seconds").sort_index(axis="columns")


def test_an_array_trains_the_rows_of_one_process_and_then_has_nothing_to_do(
    small, tmp_path, caplog
):
    caplog.set_level("INFO")
    methods = {**METHODS, "dynamic": DYNAMIC}
    here, array = small("here", method=methods), small("array", method=methods, executor=LOCAL)
    here.run()
    array.run()
    pd.testing.assert_frame_equal(without_times(array.rows()), without_times(here.rows()))
    assert "6 runs to compute in 3 array tasks; their logs are in" in caplog.text
    outputs = [*(tmp_path / "array" / "results" / "slurm").rglob("*_log.out")]
    said = "".join(path.read_text() for path in outputs)
    assert all(f"small: shard {i}/3." in said for i in (1, 2, 3))
    assert (tmp_path / "array/results/reports/small/index.html").is_file()

    caplog.clear()
    array.run()
    assert "array task" not in caplog.text


def test_only_shards_that_lack_runs_are_submitted(small, caplog):
    caplog.set_level("INFO")
    small("one", shard="2/3", stages=["run"]).run()
    small("one", executor=LOCAL, stages=["run"]).run()
    assert (
        "3 runs to compute in 2 array tasks" in caplog.text
    )  # four runs, of which shard 2 has one
    assert len(small("one").rows()) == 4


def test_shards_of_an_array_share_the_plan_without_gap_or_overlap(small):
    plan = make_training_plan(small(seeds=[0, 1, 2, 3]).config)
    ids = [share(plan, Shard(i + 1, 3)).ids.tolist() for i in range(3)]
    assert sorted(trial_id for part in ids for trial_id in part) == sorted(plan.ids.tolist())
    assert [len(part) for part in ids] == [3, 3, 2]


def test_an_array_task_goes_on_from_the_checkpoint_of_a_run_that_was_cut(small, monkeypatch):
    recipe = {"short": {"epochs": 4, "batch_size": 50}}
    train = {"device": "cpu", "checkpoint_seconds": 1e-9}
    whole = small("whole", recipe=recipe, train=train, seeds=[0])
    whole.run()
    cut = small("cut", recipe=recipe, train=train, seeds=[0], stages=["run"])
    plan = make_training_plan(cut.config)
    (learned, _) = runs_of(cut.config, plan, plan.ids == plan.ids)
    from imprint_bench.training import trainer

    close, closed = trainer.EpochRecord.close, []

    def dying(*args, **options):
        closed.append(1)
        if len(closed) == 3:
            raise KeyboardInterrupt
        return close(*args, **options)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.EpochRecord, "close", dying)
        with pytest.raises(KeyboardInterrupt):
            train_one(learned)
    assert [path.stem for path in (cut.config.paths.results / "checkpoints").iterdir()] == [
        learned.trial_id
    ]
    with monkeypatch.context() as patched:
        patched.setattr(
            trainer.EpochRecord, "close", lambda *a, **k: closed.append(2) or close(*a, **k)
        )
        train_shard([_for_shard(cut.config.raw, Shard(1, 2))])
    assert closed.count(2) == 2  # of four epochs
    row = cut.rows().set_index("trial_id").loc[learned.trial_id]
    expected = whole.rows().set_index("trial_id").loc[learned.trial_id]
    kept = row.index.drop("train_seconds")
    assert "epoch_loss" in kept
    pd.testing.assert_series_equal(row[kept], expected[kept])


def test_the_device_is_that_of_the_array_task_and_not_of_the_machine_that_submits(small):
    sweep = small(executor=LOCAL, train={"device": "cuda:7"})
    with pytest.raises(RunFailed, match=r"shard 1/3: train.device: .*cuda:7") as caught:
        sweep.run()
    assert str(caught.value).count("shard ") == 3
    with pytest.raises(ConfigError, match=r"^train\.device: "):
        small("here", train={"device": "cuda:7"}).run()


def test_an_array_task_neither_downloads_nor_reports(small):
    raw = small(train={"device": "cpu", "keep": True}, seeds=[0]).raw
    config = read_training(_for_shard(raw, Shard(2, 3)))
    assert (config.stages, config.shard) == (("run",), Shard(2, 3))
    assert (config.train.download, config.train.keep) == (False, True)

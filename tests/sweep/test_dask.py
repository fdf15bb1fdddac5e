"""Dask: a real scheduler and real workers on this machine, and workers that die at work."""

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info

from imprint_bench.errors import CacheError, ConfigError, RunFailed
from imprint_bench.sweep.embedding import embed
from imprint_bench.sweep.executor import EXECUTORS, Failure
from imprint_bench.sweep.executors.dask_calls import packed
from imprint_bench.sweep.splitting import Piece, attempt
from imprint_bench.sweep.store import Store, read_rows
from imprint_bench.sweep.unit import units

ROOT = Path(__file__).parents[2]
SECONDS = 60  # of patience with other processes
# A generator that kills every worker, and nobody else.
POISON = '''
import multiprocessing
import os

from imprint_bench.core.generator import for_each_class


@for_each_class("poison")
def poison(X):
    """Return the first row, to those who live."""
    if multiprocessing.parent_process() is not None:
        os.kill(os.getpid(), 9)
    return X[:1]
'''


def wait_until(happened):
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


class Cluster:
    """A scheduler and workers, each a process of its own without a nanny."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.workers: list[subprocess.Popen] = []
        file = folder / "scheduler.json"
        self.scheduler = self._start(
            "scheduler", "--scheduler-file", file, "--host", "127.0.0.1", "--port", "0",
            "--dashboard-address", "127.0.0.1:0",
        )  # fmt: skip
        wait_until(lambda: file.exists() and file.read_text().endswith("}"))
        self.address = json.loads(file.read_text())["address"]
        self.section = {"name": "dask", "address": self.address, "timeout": 10}

    def _start(self, kind, *options):
        command = [sys.executable, "-m", "dask", kind, "--no-dashboard", *map(str, options)]
        with (self.folder / f"{kind}.log").open("a") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=log, cwd=self.folder,
                env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
            )  # fmt: skip

    def add_worker(self, threads: int = 1):
        options = ("--no-nanny", "--memory-limit", "0", "--local-directory", self.folder / "local")
        worker = self._start("worker", self.address, "--nthreads", threads, *options)
        self.workers.append(worker)
        return worker

    def executor(self, **settings):
        return EXECUTORS["dask"](**{"address": self.address, "timeout": 10} | settings)

    def stop(self):
        for process in (*self.workers, self.scheduler):
            with suppress(ProcessLookupError):
                process.kill()
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Return a running scheduler with two workers; the second has two threads."""
    cluster = Cluster(tmp_path_factory.mktemp("dask"))
    try:
        cluster.add_worker()
        cluster.add_worker(threads=2)
        wait_until(lambda: cluster.executor().n_workers(1) == 2)
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def another(tmp_path):
    """Return a scheduler without workers, to be used up by one test."""
    cluster = Cluster(tmp_path)
    yield cluster
    cluster.stop()


def results(executor, function, items, **options):
    found = list(executor.each(function, items, n_jobs=2, **options))
    assert sorted(item for item, _ in found) == sorted(items)  # each item once
    return dict(found)


def n_written(sweep):
    return sum(len(pd.read_parquet(path)) for path in sweep.store.folder.iterdir())


# --- calls


def test_every_item_gives_its_result_or_its_failure(cluster):
    def picky(x):
        if x == 3:
            raise ValueError("three is out\nof the question")
        return -x

    found = results(cluster.executor(), picky, list(range(40)))
    failure = found.pop(3)
    assert failure.reason.startswith("ValueError: three is out (process ")
    assert "in picky" in failure.trace
    assert not failure.died
    assert found == {x: -x for x in range(40) if x != 3}


def test_calls_run_on_the_workers_one_at_a_time_with_one_thread_for_linear_algebra(cluster):
    def where(_):
        started = time.monotonic()
        np.ones((200, 200)) @ np.ones((200, 200))
        time.sleep(0.02)
        threads = {lib["num_threads"] for lib in threadpool_info()}
        return os.getpid(), threads, started, time.monotonic()

    found = results(cluster.executor(), where, list(range(20))).values()
    assert {pid for pid, *_ in found} == {worker.pid for worker in cluster.workers}
    assert {n for _, threads, *_ in found for n in threads} == {1}
    for pid in {pid for pid, *_ in found}:
        spans = sorted(span for p, _, *span in found if p == pid)
        assert all(a[1] <= b[0] for a, b in pairwise(spans))


def test_few_calls_are_in_flight_at_the_same_time(cluster, tmp_path):
    """With the first two held up, no more are taken than two for each worker."""
    taken = []

    def items():
        for i in range(1000):
            taken.append(i)
            yield i

    class Lazy(list):
        def __iter__(self):
            return items()

    def waits(x):
        while not (tmp_path / "go on").exists():
            time.sleep(0.01)
        return x

    found = cluster.executor().each(waits, Lazy([0]), n_jobs=1)
    first = threading.Thread(target=lambda: next(found))
    first.start()
    time.sleep(0.5)
    assert 2 <= len(taken) <= 4
    (tmp_path / "go on").touch()
    first.join()
    found.close()


def test_closing_early_takes_back_what_has_not_begun(cluster, tmp_path):
    def noted(x):
        (tmp_path / str(x)).touch()
        while x and not (tmp_path / "go on").exists():
            time.sleep(0.01)

    found = cluster.executor().each(noted, list(range(50)), n_jobs=1)
    assert next(found) == (0, None)
    found.close()
    (tmp_path / "go on").touch()
    assert results(cluster.executor(), abs, [-1, -2]) == {-1: 1, -2: 2}
    assert len(list(tmp_path.iterdir())) <= 6


def test_no_items_need_no_scheduler():
    nowhere = EXECUTORS["dask"](address="tcp://127.0.0.1:9")
    assert list(nowhere.each(abs, [], n_jobs=1)) == []


def test_a_scheduler_that_does_not_answer_is_one_sentence():
    nowhere = EXECUTORS["dask"](address="tcp://127.0.0.1:9", timeout=1)
    sentence = r"^executor\.address: no Dask scheduler answers at 'tcp://127\.0\.0\.1:9' within 1 s"
    for use in (nowhere.check, lambda: list(nowhere.each(abs, [1], n_jobs=1))):
        with pytest.raises(ConfigError, match=sentence):
            use()


def test_a_scheduler_without_workers_is_one_sentence_and_its_end_another(another):
    with pytest.raises(ConfigError, match=rf"has no worker; .* dask worker {another.address}"):
        another.executor(timeout=1).check()
    another.add_worker()
    found = another.executor().each(lambda x: time.sleep(0 if x == 0 else 600), [0, 1], n_jobs=1)
    assert next(found) == (0, None)
    another.scheduler.kill()
    sentence = f"executor: the Dask scheduler at {another.address} is gone; what was finished is"
    with pytest.raises(RunFailed, match=f"^{re.escape(sentence)}"):
        next(found)


def test_a_worker_that_cannot_open_the_embeddings_is_named(cluster):
    def far_away(_):
        raise CacheError("/far/train.npy: cannot be opened (No such file); set embed.force=true.")

    with pytest.raises(CacheError) as caught:
        list(cluster.executor().each(far_away, [0], n_jobs=1))
    pattern = (
        r"executor: the Dask worker tcp://[\d.:]+ cannot use the embeddings \(/far/train\.npy: "
        r"cannot be opened \(No such file\)\); start workers where paths\.results is a shared "
        r"folder at the same path\."
    )
    assert re.fullmatch(pattern, str(caught.value))


def test_a_worker_without_a_package_is_one_sentence(cluster):
    def needs(_):
        return None

    class Elsewhere:
        def __reduce__(self):
            return __import__, ("a_package_of_this_machine",)

    with pytest.raises(ConfigError, match=r"cannot import what it needs \(No module named 'a_pack"):
        list(cluster.executor().each(needs, [Elsewhere()], n_jobs=1))


def test_the_scheduler_is_left_as_it_was(cluster):
    from distributed import Client

    results(cluster.executor(), abs, [-1])
    with Client(cluster.address, set_as_default=False) as client:
        patience = client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.allowed_failures)
    assert patience == 3  # its own default


# --- what travels


def test_a_unit_travels_as_few_bytes_and_its_arrays_not_at_all(sweep_in, tmp_path):
    sweep = sweep_in(tmp_path)
    (embeddings,) = embed(sweep.config).values()
    n_bytes = embeddings.X("train").nbytes
    assert n_bytes > 300_000
    plan = sweep.plan()
    work = units(plan, np.ones(len(plan), dtype=bool))
    assert len(pickle.dumps(embeddings)) < 1_500  # although its arrays have been opened
    for unit in work:
        assert len(packed(attempt, (Piece(unit), embeddings))) < 3_000 + 150 * len(unit)


# --- sweeps


def test_the_rows_are_those_of_one_process_and_a_second_run_computes_nothing(
    cluster, sweep_in, whole, tmp_path
):
    sweep = sweep_in(tmp_path, executor=cluster.section)
    assert sweep.run().computed == len(whole)
    pd.testing.assert_frame_equal(sweep.rows(), whole, check_exact=True)
    again = sweep.run()
    assert (again.computed, again.found) == (0, len(whole))


def test_shards_and_workers_go_together(cluster, sweep_in, whole, tmp_path):
    for i in (1, 2):
        sweep_in(tmp_path, executor=cluster.section, shard=f"{i}/2").run()
    pd.testing.assert_frame_equal(sweep_in(tmp_path).rows(), whole, check_exact=True)


def test_workers_on_this_machine_give_the_same_rows(sweep_in, whole, tmp_path):
    sweep = sweep_in(tmp_path, executor={"name": "dask"}, n_jobs=2)
    assert sweep.run().computed == len(whole)
    pd.testing.assert_frame_equal(sweep.rows(), whole, check_exact=True)


def test_all_workers_killed_one_after_the_other_cost_no_row(
    another, sweep_in, whole, tmp_path, monkeypatch
):
    """The first dies after three parts; the second after eight, when others are only starting."""
    for _ in range(2):
        another.add_worker()
    wait_until(lambda: another.executor().n_workers(1) == 2)
    sweep = sweep_in(tmp_path / "sweep", executor=another.section)
    write, count = Store.write, []

    def deadly(store, rows):
        count.append(len(rows))
        if len(count) == 3:
            another.workers[0].send_signal(signal.SIGKILL)
        if len(count) == 8:
            another.workers[1].send_signal(signal.SIGKILL)
            another.add_worker()
        return write(store, rows)

    monkeypatch.setattr(Store, "write", deadly)
    outcome = sweep.run()
    assert (outcome.computed, outcome.failed, outcome.marked) == (len(whole), [], [])
    assert n_written(sweep) == sum(count) == len(whole)
    pd.testing.assert_frame_equal(sweep.rows(), whole, check_exact=True)
    assert another.workers[0].wait() == another.workers[1].wait() == -signal.SIGKILL


def test_a_unit_that_kills_every_worker_is_marked_after_two_and_the_others_go_on(tmp_path):
    def deadly(x):
        if x == 5:
            with (tmp_path / "deaths").open("a") as file:
                file.write("died\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return -x

    executor = EXECUTORS["dask"]()
    found = results(executor, deadly, list(range(40)))
    failure = found.pop(5)
    assert isinstance(failure, Failure)
    assert failure.died
    assert found == {x: -x for x in range(40) if x != 5}
    assert (tmp_path / "deaths").read_text().count("died") == 2

    (tmp_path / "deaths").unlink()
    found = results(executor, deadly, list(range(10)), retry=False)
    assert [x for x in found if isinstance(found[x], Failure)] == [5]  # and no neighbor of it
    assert (tmp_path / "deaths").read_text().count("died") == 1


def test_closing_early_stops_workers_on_this_machine_at_once(tmp_path):
    def noted(x):
        (tmp_path / str(os.getpid())).touch()
        time.sleep(0 if x == 0 else 600)

    found = EXECUTORS["dask"]().each(noted, list(range(10)), n_jobs=2)
    assert next(found) == (0, None)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    found.close()
    for path in tmp_path.iterdir():
        wait_until(lambda pid=int(path.name): not Path(f"/proc/{pid}").exists())


def test_the_command_goes_on_without_the_generator_that_kills_every_worker(tmp_path):
    (tmp_path / "poison.py").write_text(POISON)
    (tmp_path / "yaml" / "gen").mkdir(parents=True)
    (tmp_path / "yaml" / "gen" / "poison.yaml").write_text("poison: {}\n")
    done = subprocess.run(
        [
            sys.executable, "-m", "imprint_bench", "--config-dir", "yaml", "gen=[mean,poison]",
            "imports=[poison.py]", "executor=dask", "n_jobs=2", "stages=[run]", "norm=none",
            "seeds=[0]",
        ],
        capture_output=True, text=True, check=False, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}, timeout=2 * SECONDS,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "gen=poison" in done.stderr
    assert "its process died" in done.stderr
    for word in ("distributed", "tcp://", "Scheduler", "Nanny"):  # Dask itself says nothing
        assert word not in done.stdout + done.stderr
    rows = read_rows(tmp_path / "results")
    assert rows.groupby("gen")["status"].unique().map(list).to_dict() == {
        "mean": ["ok"],
        "poison": ["crashed"],
    }

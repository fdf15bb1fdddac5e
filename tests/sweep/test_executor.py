"""Every item gives a result or a failure, whatever the calls and their processes do."""

import os
import re
import signal
import sys
import time

import numpy as np
import pandas as pd
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from imprint_bench.command_line import check, parse
from imprint_bench.errors import ConfigError, DataError, ImprintError
from imprint_bench.sweep.executor import (
    Failure,
    chosen_executor,
    each,
    executor_of,
    strict,
    workers,
)

SERIAL_AND_PARALLEL = pytest.mark.parametrize("n_jobs", [1, 2])


def results(function, items, n_jobs):
    found = list(each(function, items, n_jobs=n_jobs))
    assert sorted(item for item, _ in found) == sorted(items)  # each item once
    return dict(found)


def is_gone(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def wait_until(happened, seconds=20):
    end = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@SERIAL_AND_PARALLEL
def test_every_item_gives_its_result(n_jobs):
    squares = results(lambda x: x * x, list(range(20)), n_jobs)
    assert squares == {x: x * x for x in range(20)}


@SERIAL_AND_PARALLEL
def test_no_items_give_no_results(n_jobs):
    assert list(each(abs, [], n_jobs=n_jobs)) == []


def test_one_job_is_this_process_and_more_are_others():
    assert results(lambda _: os.getpid(), [0], 1) == {0: os.getpid()}
    pids = results(lambda _: time.sleep(0.05) or os.getpid(), list(range(8)), 2)
    assert os.getpid() not in pids.values()
    assert len(set(pids.values())) == 2


def test_a_job_for_every_core():
    assert workers(3) == 3
    assert 1 <= workers(-1) <= os.cpu_count()


def test_processes_serve_the_next_call_too():
    first = set(results(lambda _: os.getpid(), [0, 1, 2], 2).values())
    assert set(results(lambda _: os.getpid(), [0, 1, 2], 2).values()) <= first


@SERIAL_AND_PARALLEL
def test_a_call_that_raises_is_a_failure_and_the_others_go_on(n_jobs):
    def picky(x):
        if x == 3:
            raise ValueError("three is out\nof the question")
        if x == 5:
            raise DataError("digits: five is missing; get it.")
        if x == 7:
            raise MemoryError
        return x

    found = results(picky, list(range(9)), n_jobs)
    assert {x for x in found if isinstance(found[x], Failure)} == {3, 5, 7}
    assert found[3].reason.startswith("ValueError: three is out (process ")
    assert "in picky" in found[3].trace
    assert found[3].error is None
    assert found[5].reason == str(found[5].error) == "digits: five is missing; get it."
    assert found[7].reason.startswith("MemoryError")
    assert [found[x] for x in (0, 1, 2, 4, 6, 8)] == [0, 1, 2, 4, 6, 8]


@SERIAL_AND_PARALLEL
def test_strict_raises_the_first_failure(n_jobs):
    def refuse(x):
        raise DataError("digits: torn; mend them.")

    def crash(x):
        raise ValueError("out of luck")

    assert sorted(strict(n_jobs)(abs, iter([-1, 2, -3]))) == [1, 2, 3]
    with pytest.raises(DataError, match=r"^digits: torn; mend them\.$"):
        list(strict(n_jobs)(refuse, [1, 2]))
    with pytest.raises(ImprintError, match="ValueError: out of luck"):
        list(strict(n_jobs)(crash, [1, 2]))


def test_of_2000_calls_the_two_that_kill_their_process_are_found(caplog):
    def poisoned(x):
        if x == 700:
            os.kill(os.getpid(), signal.SIGKILL)  # as when memory runs out
        if x == 1300:
            os._exit(0)
        return -x

    found = results(poisoned, list(range(2000)), 2)
    failed = {x for x in found if isinstance(found[x], Failure)}
    assert failed == {700, 1300}
    assert "its process died" in found[700].reason
    assert all(found[x] == -x for x in found if x not in failed)
    assert "2 worker processes died" in caplog.text


def test_the_only_item_cannot_kill_the_run():
    found = results(os._exit, [3], 2)
    assert isinstance(found[3], Failure)


def test_without_a_second_try_a_death_is_marked_at_once(tmp_path):
    def deadly(x):
        if x == 1:
            with (tmp_path / "deaths").open("a") as file:
                file.write("died\n")
            os._exit(1)
        return x

    found = dict(each(deadly, [0, 1, 2, 3], n_jobs=2, retry=False))
    assert found.pop(1).died
    assert found == {0: 0, 2: 2, 3: 3}
    assert (tmp_path / "deaths").read_text() == "died\n"


def test_a_call_that_dies_once_is_run_again_alone(tmp_path):
    def unlucky(x):
        if x == 1 and not (tmp_path / "died").exists():
            (tmp_path / "died").touch()
            os._exit(1)
        return x

    assert results(unlucky, [0, 1, 2, 3], 2) == {x: x for x in range(4)}


def test_a_death_does_not_disturb_the_call_of_another_process(tmp_path):
    """The long call starts before the death, ends after it, and runs once."""

    def long_or_deadly(x):
        if x == "long":
            with (tmp_path / "runs").open("a") as file:
                file.write("run\n")
            while not (tmp_path / "died").exists():
                time.sleep(0.01)
            time.sleep(0.2)
            return os.getpid()
        while not (tmp_path / "runs").exists():
            time.sleep(0.01)
        (tmp_path / "died").touch()
        return os._exit(1)

    found = results(long_or_deadly, ["long", "deadly"], 2)
    assert isinstance(found["long"], int)
    assert isinstance(found["deadly"], Failure)
    assert (tmp_path / "runs").read_text() == "run\n"


def test_a_process_that_died_while_it_had_nothing_to_do_is_replaced():
    pids = set(results(lambda _: time.sleep(0.05) or os.getpid(), [0, 1, 2, 3], 2).values())
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
        time.sleep(0.1)
    again = results(lambda _: os.getpid(), [0, 1, 2, 3], 2)
    assert not pids & set(again.values())


@SERIAL_AND_PARALLEL
def test_every_process_has_one_thread_for_linear_algebra(n_jobs):
    def threads(_):
        np.ones((300, 300)) @ np.ones((300, 300))
        return {lib["filepath"]: lib["num_threads"] for lib in threadpool_info()}

    with threadpool_limits(2):
        by_item = results(threads, [0, 1], n_jobs)
    for found in by_item.values():
        assert found
        assert set(found.values()) == {1}


def test_the_environment_of_a_process_asks_for_one_thread():
    asked = results(lambda name: os.environ.get(name), ["OMP_NUM_THREADS", "MKL_NUM_THREADS"], 2)
    assert set(asked.values()) == {"1"}


def test_an_interrupt_is_for_this_process_alone():
    def state(_):
        time.sleep(0.05)
        return os.getpid(), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, [])

    before = set(results(state, [0, 1, 2, 3], 2).values())
    assert {blocked for _, blocked in before} == {True}  # from the start, while it imports
    for pid, _ in before:
        os.kill(pid, signal.SIGINT)
    assert set(results(state, [0, 1, 2, 3], 2).values()) <= before


def test_closing_early_stops_the_processes_at_once(tmp_path):
    def noted(x):
        (tmp_path / str(os.getpid())).touch()
        time.sleep(0 if x == 0 else 600)

    found = each(noted, list(range(10)), n_jobs=2)
    assert next(found) == (0, None)
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2)
    found.close()
    pids = [int(path.name) for path in tmp_path.iterdir()]
    wait_until(lambda: all(is_gone(pid) for pid in pids))
    assert results(abs, [-1, -2], 2) == {-1: 1, -2: 2}


def test_an_error_of_the_reader_reaches_the_reader(tmp_path):
    def read():
        for item, _ in each(lambda x: time.sleep(x), [0, 600, 600], n_jobs=2):
            raise DataError(f"cannot use {item}")

    with pytest.raises(DataError, match="cannot use 0"):
        read()


def test_a_result_arrives_before_the_others_are_done(tmp_path):
    def waits(x):
        while x and not (tmp_path / "go on").exists():
            time.sleep(0.01)
        return x

    found = each(waits, [1, 0], n_jobs=2)
    assert next(found) == (0, 0)
    (tmp_path / "go on").touch()
    assert list(found) == [(1, 1)]


# --- the executor that a configuration asks for


MISTAKES = [
    ({"name": "dusk"}, "executor: unknown executor 'dusk'; known: dask, joblib, slurm. Did you"),
    ({"name": "joblib", "n": 3}, "executor.n: no such parameter; executor takes no parameter."),
    (
        {"name": "dask", "addres": "tcp://a:1"},
        "executor.addres: no such parameter; executor takes address, timeout. Did you mean 'addr",
    ),
    ({"name": "dask", "address": 8786}, "executor.address: expected str or nothing, got 8786."),
    ({"name": "dask", "address": "a:1"}, "executor.address: 'a:1' is no address; write tcp://HOST"),
    ({"name": "dask", "address": "tcp://a"}, "executor.address: 'tcp://a' is no address;"),
    ({"name": "dask", "timeout": 0}, "executor.timeout: expected an int of at least 1, got 0."),
    ({"name": "slurm", "shards": 0}, "executor.shards: expected an int of at least 1, got 0."),
    ({"name": "slurm", "shards": 1001}, "executor.shards: expected an int of at most 1000, got 1"),
    ({"name": "slurm", "cluster": "slrm"}, "executor.cluster: expected one of slurm, local, got"),
    ({"name": "slurm", "memory": 4}, "executor.memory: no such parameter; executor takes cluster,"),
]


@pytest.mark.parametrize(("section", "start"), MISTAKES, ids=[str(m[0]) for m in MISTAKES])
def test_a_wrong_setting_is_refused_with_one_sentence(config, section, start):
    with pytest.raises(ConfigError, match=f"^{re.escape(start)}") as caught:
        chosen_executor(config(executor=section))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("executor=dsk", "executor: no choice 'dsk'; there are dask, joblib, slurm. Did you mean"),
        ("executor=[joblib,dask]", "executor: expected one name, got ['joblib', 'dask']; write ex"),
        ("executor=joblib,dask", "executor=joblib,dask: several values; add -m for one job per"),
    ],
)
def test_a_wrong_choice_on_the_command_line_is_refused(override, sentence):
    with pytest.raises(ConfigError, match=f"^{re.escape(sentence)}"):
        check(parse([override]))


@pytest.mark.parametrize("address", ["tcp://10.0.0.1:8786", "tls://my-host:8786", "tcp://[::1]:1"])
def test_the_address_of_a_scheduler_is_taken_as_it_stands(config, address):
    chosen = chosen_executor(config(executor={"name": "dask", "address": address}))
    assert chosen.address == address


def test_a_configuration_gets_its_executor_with_its_workers(config):
    pids = {pid for _, pid in executor_of(config(n_jobs=1))(lambda _: os.getpid(), [0, 1])}
    assert pids == {os.getpid()}
    both = executor_of(config(n_jobs=2))(lambda _: time.sleep(0.05) or os.getpid(), [0, 1, 2, 3])
    assert len({pid for _, pid in both} - {os.getpid()}) == 2


@pytest.mark.parametrize(
    ("name", "library"), [("dask", "distributed"), ("slurm", "submitit")], ids=str
)
def test_a_package_that_is_missing_is_named_with_its_extra(config, monkeypatch, name, library):
    monkeypatch.setitem(sys.modules, library, None)
    chosen = chosen_executor(config(executor={"name": name}))
    with pytest.raises(ConfigError, match=rf"pip install 'imprint-bench\[{name}\]'\.$"):
        chosen.check()


@pytest.mark.parametrize("n_jobs", [2, 4])
def test_rows_of_every_generator_do_not_depend_on_the_number_of_workers(
    sweep_in, whole, tmp_path, n_jobs
):
    sweep = sweep_in(tmp_path, n_jobs=n_jobs)
    assert sweep.run().computed == len(whole)
    pd.testing.assert_frame_equal(sweep.rows(), whole, check_exact=True)

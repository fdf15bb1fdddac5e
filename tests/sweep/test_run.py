"""A sweep gives the same rows whole, in pieces, interrupted, damaged and side by side."""

import errno
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest

from imprint_bench.__main__ import main
from imprint_bench.config import read
from imprint_bench.core.generator import GENERATORS, for_each_class
from imprint_bench.durable import temporary_beside, write_bytes
from imprint_bench.errors import RunFailed, StoreError
from imprint_bench.reporting import Launch
from imprint_bench.studies import carry_out
from imprint_bench.sweep import compaction, splitting
from imprint_bench.sweep import run as running
from imprint_bench.sweep.compaction import compact
from imprint_bench.sweep.embedding import described, embed
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.run import run, store_of
from imprint_bench.sweep.store import Store

SMALL = {
    "gen": {
        "mean": {},
        "kmeans": {"k": [1, 5]},
        "fps": {"k": [5]},
        "least_squares": {"weight_decay": [0.1]},
    },
    "agg": {"max": {}, "mnn": {"m": [3], "metric": ["euclidean"], "weighting": ["distance"]}},
    "task": {"all": {"classes": "all"}, "odd": {"classes": [9, 7, 5, 3, 1]}},
    "n_shot": [20, "all"],
    "seeds": [0, 1],
    "norm": {"pre": ["none", "l2"], "post": ["none", "quantile"], "inf": ["l2"]},
}
COMMAND = [
    "gen=[mean,kmeans,kmedoids,fps]", "gen.kmeans.k=[1,5]", "gen.kmedoids.k=[5]", "gen.fps.k=[5]",
    "task=[all,short]", "n_shot=[20,all]", "seeds=[0,1]", "norm.post=[none,l2]",
]  # fmt: skip
TRIALS = 320  # of SMALL
FEW = {"n_shot": [20]}  # in place of that of SMALL, where a sweep is begun very often
FEW_TRIALS = 160
KILLS = 50
TIMINGS = ["gen_seconds", "timed_together"]
LAUNCH = Launch(command="python -m imprint_bench", configuration="name: test\n")

# Runs the sweep once undisturbed, then in copies of this process that are killed again and again.
KILLING = """
import json, os, random, signal, sys, time
from pathlib import Path
from imprint_bench.config import read
from imprint_bench.durable import atomic
from imprint_bench.sweep import compaction, store
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.embedding import described, embed
from imprint_bench.sweep.run import run, store_of

def sweep(folder):
    places = {name: str(folder / name) for name in ("embeddings", "rows", "reports")}
    config = read(raw | {"paths": {"data": "unused", "results": str(folder)} | places})
    descriptions = described(config)
    plan = make_plan(config, descriptions)
    run(config, plan, embed(config), store_of(config))

def started(folder):
    pid = os.fork()
    if pid:
        return pid
    sweep(folder)
    os._exit(0)

def slow_fsync(handle, fsync=os.fsync):
    time.sleep(0.003)
    fsync(handle)

def write_slowly(path, content):
    with atomic(path) as file:
        for half in content[:1000], content[1000:]:
            file.write(half)
            file.flush()
            time.sleep(0.003)

# As on a slow disk, so that kills hit while files are written.
os.fsync, store.write_bytes, compaction.write_bytes = slow_fsync, write_slowly, write_slowly
compaction.MANY = 5  # parts are joined at almost every start and end
root, raw, kills = Path(sys.argv[1]), json.loads(sys.argv[2]), int(sys.argv[3])
sweep(root / "0")  # the first time in a process takes longer
began = time.monotonic()
sweep(root / "1")
seconds = time.monotonic() - began
moments, left, folder = random.Random(7), [], 2
while kills:
    pid = started(root / str(folder))
    time.sleep(moments.expovariate(8 / seconds))  # a late one now and then: no start is in vain
    os.kill(pid, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    kills -= code == -signal.SIGKILL
    left.append(len(list((root / str(folder)).rglob(".tmp-*"))))
    folder += code == 0
    assert code in (0, -signal.SIGKILL)
assert os.waitpid(started(root / str(folder)), 0)[1] == 0
print(json.dumps(left))
"""


def at(folder, raw, **groups):
    """Return the configuration of a sweep with its results in `folder`."""
    places = {name: str(folder / name) for name in ("embeddings", "rows", "reports")}
    return read(raw | {"paths": {"data": "unused", "results": str(folder)} | places} | groups)


def sweep(config):
    """Run a sweep and return its outcome."""
    descriptions = described(config)
    plan = make_plan(config, descriptions)
    return run(config, plan, embed(config), store_of(config))


def stored(folder):
    """Return the rows below `folder` in the order of their ids, without what was timed."""
    rows = Store(folder / "rows", folder / "quarantine").read()
    rows = rows.sort_values("trial_id", ignore_index=True).sort_index(axis=1)
    return rows.drop(columns=TIMINGS)


def dead_name(name):
    """Return the name of a temporary file of a process that is gone."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    return temporary_beside(Path(name)).name.replace(f"-{os.getpid()}-", f"-{gone.pid}-")


def parts(folder):
    return sorted((folder / "rows").glob("part-*"))


def n_written(folder):
    """Return the number of rows on the disk, counting a trial as often as it was written."""
    return sum(len(pd.read_parquet(path)) for path in parts(folder))


def assert_same(folder, undisturbed):
    rows = stored(folder)
    assert rows["trial_id"].is_unique
    pd.testing.assert_frame_equal(rows, stored(undisturbed), check_exact=True)
    assert list(folder.rglob(".tmp-*")) == []


@pytest.fixture
def raw(plain):
    """Return the configuration of a small sweep, as YAML gives it."""
    return plain | SMALL


@pytest.fixture(scope="module")
def made_once():
    """Return a mapping for what the tests of this file share."""
    return {}


@pytest.fixture
def undisturbed(raw, made_once, tmp_path_factory):
    """Return the results of the small sweep, made at once by one process: not to be changed."""
    if "folder" not in made_once:
        folder = tmp_path_factory.mktemp("undisturbed")
        outcome = sweep(at(folder, raw))
        assert outcome.computed == len(stored(folder)) == TRIALS
        assert outcome.found == 0
        made_once["folder"] = folder
    return made_once["folder"]


@pytest.fixture
def few(raw, made_once, tmp_path_factory):
    """Return the configuration and the undisturbed results of the few trials."""
    if "few" not in made_once:
        folder = tmp_path_factory.mktemp("few")
        assert sweep(at(folder, raw, **FEW)).computed == FEW_TRIALS
        made_once["few"] = folder
    return raw | FEW, made_once["few"]


@pytest.fixture
def copied(undisturbed, tmp_path):
    """Return a copy of the undisturbed results, to be damaged."""
    return Path(shutil.copytree(undisturbed, tmp_path / "copy"))


def test_the_order_of_the_plan_does_not_matter(raw, undisturbed, tmp_path, monkeypatch):
    units = running.units
    monkeypatch.setattr(running, "units", lambda *args: units(*args)[::-1])
    turned = {
        "gen": {name: SMALL["gen"][name] for name in ("fps", "least_squares", "kmeans", "mean")},
        "task": dict(reversed(SMALL["task"].items())),
        "n_shot": ["all", 20],
        "seeds": [1, 0],
        "norm": {"pre": ["l2", "none"], "post": ["quantile", "none"], "inf": ["l2"]},
    }
    sweep(at(tmp_path, raw, **turned))
    assert_same(tmp_path, undisturbed)


def test_a_sweep_in_three_pieces_equals_the_whole(raw, undisturbed, tmp_path):
    for names in (["fps"], ["least_squares", "kmeans"], ["mean"]):
        sweep(at(tmp_path, raw, gen={name: SMALL["gen"][name] for name in names}))
    assert_same(tmp_path, undisturbed)
    assert sweep(at(tmp_path, raw)).computed == 0


def test_overlapping_sweeps_compute_no_trial_twice(raw, undisturbed, tmp_path):
    few = {"gen": {"kmeans": {"k": 5}, "mean": {}}, "agg": {"max": {}}, "n_shot": ["all"]}
    first = sweep(at(tmp_path, raw, **few))
    second = sweep(at(tmp_path, raw))
    assert first.computed == second.found > 0
    assert second.computed == TRIALS - first.computed
    assert n_written(tmp_path) == TRIALS
    assert_same(tmp_path, undisturbed)


def cut_in_half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path):
    path.write_bytes(b"")


def flipped(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 8
    path.write_bytes(content)


@pytest.mark.parametrize("harm", [cut_in_half, emptied, flipped])
def test_a_damaged_part_is_set_aside_and_computed_again(raw, undisturbed, copied, caplog, harm):
    damaged = parts(copied)[3]
    lost = len(pd.read_parquet(damaged))
    harm(damaged)
    outcome = sweep(at(copied, raw))
    assert (outcome.computed, outcome.found) == (lost, TRIALS - lost)
    assert_same(copied, undisturbed)
    assert [path.name for path in (copied / "quarantine").iterdir()] == [damaged.name]
    assert [message for message in caplog.messages if message.startswith(f"{damaged}: ")]


def test_a_foreign_file_is_set_aside_and_nothing_computed(raw, undisturbed, copied, caplog):
    foreign = copied / "rows" / "part-x.parquet"
    foreign.write_text("these are no rows")
    assert sweep(at(copied, raw)).computed == 0
    assert_same(copied, undisturbed)
    assert (copied / "quarantine" / "part-x.parquet").read_text() == "these are no rows"
    assert f"{foreign}: no part of the store" in caplog.text


def test_overwriting_computes_all_again_and_its_rows_count(raw, undisturbed, copied):
    wrong = Store(undisturbed / "rows", undisturbed / "quarantine").read()[:5]
    wrong = wrong.assign(accuracy=-1.0)[["trial_id", "status", "accuracy"]].to_dict("records")
    store_of(at(copied, raw)).write(wrong)
    assert (stored(copied)["accuracy"] == -1).sum() == 5
    outcome = sweep(at(copied, raw, mode="overwrite"))
    assert (outcome.computed, outcome.found) == (TRIALS, 0)
    assert n_written(copied) == TRIALS  # what does not count any more went when parts were joined
    assert_same(copied, undisturbed)


@pytest.mark.parametrize("error", [StoreError, KeyboardInterrupt])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_stop_keeps_what_was_written(raw, undisturbed, tmp_path, monkeypatch, error, n_jobs):
    write = Store.write

    def stopped(store, rows):
        if len(parts(tmp_path)) == 3:
            raise error
        return write(store, rows)

    with monkeypatch.context() as patched:
        patched.setattr(Store, "write", stopped)
        with pytest.raises(error):
            sweep(at(tmp_path, raw, n_jobs=n_jobs))
    kept = n_written(tmp_path)
    outcome = sweep(at(tmp_path, raw))
    assert (outcome.computed, outcome.found) == (TRIALS - kept, kept)
    assert_same(tmp_path, undisturbed)


def full_disk(patched, folder):
    """Let the disk be full once three parts are there."""
    fsync = os.fsync

    def full(handle):
        if len(parts(folder)) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(handle)

    patched.setattr(os, "fsync", full)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_full_disk_stops_the_run_and_a_resume_completes_it(
    raw, undisturbed, tmp_path, monkeypatch, n_jobs
):
    config = at(tmp_path, raw, n_jobs=n_jobs)
    embed(config)
    with monkeypatch.context() as patched:
        full_disk(patched, tmp_path)
        with pytest.raises(StoreError, match="no space left on the disk; free some and run again"):
            sweep(config)
    assert len(parts(tmp_path)) == 3
    assert list(tmp_path.rglob(".tmp-*")) == []
    kept = n_written(tmp_path)
    outcome = sweep(at(tmp_path, raw))
    assert (outcome.computed, outcome.found, outcome.n_marked) == (TRIALS - kept, kept, 0)
    assert_same(tmp_path, undisturbed)


def test_a_part_that_the_system_cuts_off_stops_the_run_and_a_resume_completes_it(
    raw, undisturbed, tmp_path
):
    config = at(tmp_path, raw)
    embed(config)
    sizes = sorted(path.stat().st_size for path in parts(undisturbed))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[-1] - 1, hard))
    try:
        with pytest.raises(StoreError, match="larger than files may be here"):
            sweep(config)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.rglob(".tmp-*")) == []
    kept = n_written(tmp_path) if parts(tmp_path) else 0
    assert sweep(config).computed == TRIALS - kept
    assert_same(tmp_path, undisturbed)


def test_a_place_that_cannot_be_written_is_named_before_any_trial(raw, tmp_path, monkeypatch):
    monkeypatch.setattr(splitting, "compute", None)
    (tmp_path / "rows").write_text("not a folder")
    with pytest.raises(StoreError, match="rows: a file stands where a folder is needed"):
        sweep(at(tmp_path, raw))


@pytest.fixture
def moody():
    """Register a generator that fails on 20 rows of a class."""

    @for_each_class("moody")
    def first_row(X):
        if len(X) == 20:
            raise ValueError("twenty rows are not to my taste")
        return X[:1]

    yield
    del GENERATORS._entries["moody"]


def test_a_failing_generator_costs_its_trials_and_the_exit_code(raw, tmp_path, moody):
    gens = {"mean": {}, "moody": {}}
    config = at(tmp_path, raw, gen=gens, stages=["run", "report"])
    with pytest.raises(RunFailed, match=r"^32 trials crashed or failed; ") as caught:
        carry_out(config, LAUNCH)
    assert caught.value.exit_code == 1
    page = (config.paths.reports / "test" / "index.html").read_text()
    for text in (str(caught.value), page):
        assert "16 failed: fm=pixels dataset=digits mapping=identity n_shot=20 seed=0,1" in text
        assert "twenty rows are not to my taste" in text

    rows = stored(tmp_path)
    failed = rows["status"].eq("failed")
    expected = rows["gen"].eq("moody") & rows["n_shot"].eq(20).fillna(value=False)
    assert failed.tolist() == expected.tolist()
    assert set(rows.loc[failed, "reason"]) == {"ValueError: twenty rows are not to my taste"}
    assert set(rows.loc[~failed, "status"]) == {"ok"}
    outcome = sweep(config)
    assert (outcome.computed, outcome.n_marked, outcome.failed) == (0, 32, [])


def test_the_mode_plan_is_the_stage_plan(raw, tmp_path):
    config = at(tmp_path, raw, mode="plan", stages=["run", "report"])
    assert config.stages == ("plan",)
    carry_out(config, LAUNCH)
    assert list(tmp_path.iterdir()) == []


def test_stages_run_one_by_one(raw, undisturbed, tmp_path):
    carry_out(at(tmp_path, raw, stages=["plan"]), LAUNCH)
    assert list(tmp_path.iterdir()) == []
    carry_out(at(tmp_path, raw, stages=["embed"]), LAUNCH)
    assert [path.name for path in tmp_path.iterdir()] == ["embeddings"]
    carry_out(at(tmp_path, raw, stages=["run"]), LAUNCH)
    assert not (tmp_path / "reports").exists()
    assert_same(tmp_path, undisturbed)
    before = parts(tmp_path)
    left = tmp_path / "reports" / "test" / "figures" / dead_name("rank.svg")
    write_bytes(left, b"half a figure")
    carry_out(at(tmp_path, raw, stages=["report"]), LAUNCH)
    assert not left.exists()
    assert (tmp_path / "reports" / "test" / "index.html").is_file()
    assert parts(tmp_path) == before


def test_fifty_kills_at_random_moments_change_no_row(few, tmp_path):
    raw, undisturbed = few
    done = subprocess.run(
        [sys.executable, "-c", KILLING, str(tmp_path), json.dumps(raw), str(KILLS)],
        capture_output=True, text=True, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    unfinished = json.loads(done.stdout)
    assert len(unfinished) >= KILLS
    assert any(unfinished)  # some kill hit while a file was being written
    for folder in tmp_path.iterdir():
        assert_same(folder, undisturbed)
        # Once on the disk, too: what a kill left of joined parts is removed at the next start.
        assert n_written(folder) == FEW_TRIALS
        assert len(parts(folder)) < 5
        assert not (folder / "quarantine").exists()


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """Return a function that starts the command with its results in a folder.

    What it says on standard error is collected in `said` of what is returned.
    """
    started = []

    def start(folder, *overrides):
        command = [sys.executable, "-m", "imprint_bench", *COMMAND, f"paths.results={folder}"]
        said = tmp_path_factory.mktemp("said") / "stderr"
        before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
        with said.open("w") as file:
            process = subprocess.Popen(
                [*command, *overrides],
                stdout=subprocess.DEVNULL, stderr=file, start_new_session=True,
            )  # fmt: skip
        signal.signal(signal.SIGINT, before)
        process.said = said
        started.append(process)
        return process

    yield start
    for process in started:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def ends(process):
    """Wait for a process and return its exit code and what it said on standard error."""
    process.wait(timeout=120)
    return process.returncode, process.said.read_text()


@pytest.fixture
def command(capsys):
    """Return a function that gives the command in this process; it must end well."""

    def command(folder):
        with pytest.raises(SystemExit) as ended:
            main([*COMMAND, f"paths.results={folder}", "n_jobs=1", "stages=[run]"])
        assert (ended.value.code or 0, capsys.readouterr().err) == (0, "")

    return command


@pytest.fixture
def commanded(command, made_once, tmp_path_factory):
    """Return the results of the command, undisturbed."""
    if "commanded" not in made_once:
        made_once["commanded"] = tmp_path_factory.mktemp("commanded")
        command(made_once["commanded"])
    return made_once["commanded"]


def processes():
    """Return the running processes as {process: its parent}."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, parent = stat.read_text().rpartition(")")[2].split()[:2]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "ZX":
            found[int(stat.parent.name)] = int(parent)
    return found


def wait_until(happened):
    end = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL], ids=["ctrl_c", "kill"])
def test_a_stopped_command_leaves_no_process_and_goes_on_later(
    start, command, commanded, tmp_path, how
):
    shutil.copytree(commanded / "embeddings", tmp_path / "embeddings")
    process = start(tmp_path, "n_jobs=2", "stages=[run]")
    wait_until(lambda: list(tmp_path.glob("rows/part-*")))
    workers = {pid for pid, parent in processes().items() if parent == process.pid}
    assert len(workers) >= 2
    if how == signal.SIGINT:
        os.killpg(process.pid, how)  # to all, as a terminal does
        code, said = ends(process)
        assert code == 130
        assert said == "interrupted; what was finished is stored, run again to go on.\n"
    else:
        os.kill(process.pid, how)
        assert ends(process)[0] == -how
    wait_until(lambda: not workers & set(processes()))

    kept = n_written(tmp_path)
    assert 0 < kept < len(stored(commanded))
    command(tmp_path)
    assert n_written(tmp_path) == len(stored(commanded))
    assert_same(tmp_path, commanded)


def test_two_commands_side_by_side_lose_and_double_nothing(start, commanded, tmp_path):
    both = [
        start(tmp_path, "n_jobs=1", "figure=[]"),
        start(tmp_path, "n_jobs=1", "figure=[]", "seeds=[1,0]", "task=[short,all]"),
    ]
    assert [ends(process) for process in both] == [(0, ""), (0, "")]
    assert_same(tmp_path, commanded)
    assert not (tmp_path / "quarantine").exists()


# Runs a sweep while parts are joined at every opportunity.
JOINING = """
import json, sys
from imprint_bench.config import read
from imprint_bench.sweep import compaction
from imprint_bench.sweep import embedding
from imprint_bench.sweep import run as running
from imprint_bench.sweep.planner import make_plan

compaction.MANY, running.JOIN_EVERY = 2, 2
config = read(json.loads(sys.argv[1]))
descriptions = embedding.described(config)
embeddings, store = embedding.embed(config), running.store_of(config)
running.run(config, make_plan(config, descriptions), embeddings, store)
"""


def test_two_sweeps_that_join_parts_side_by_side_lose_and_double_nothing(
    few, tmp_path, monkeypatch
):
    raw, undisturbed = few
    whole = at(tmp_path, raw)
    embed(whole)
    overlapping = at(tmp_path, raw, seeds=[1, 0], gen=dict(reversed(SMALL["gen"].items())))
    both = [
        subprocess.Popen(
            [sys.executable, "-c", JOINING, json.dumps(config.raw)],
            stderr=subprocess.PIPE, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"},
        )
        for config in (whole, overlapping)
    ]  # fmt: skip
    assert [(p.communicate(timeout=120)[1], p.returncode) for p in both] == [("", 0), ("", 0)]
    assert_same(tmp_path, undisturbed)
    assert not (tmp_path / "quarantine").exists()
    monkeypatch.setattr(compaction, "MANY", 2)
    compact(store_of(whole))
    assert n_written(tmp_path) == FEW_TRIALS
    assert sweep(whole).computed == 0

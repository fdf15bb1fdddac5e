"""A job array: one array task per shard, by submitit's local executor and by a mock of Slurm."""

import os
import signal
import stat
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from imprint_bench.config import read
from imprint_bench.errors import ConfigError, RunFailed
from imprint_bench.execution import Shard
from imprint_bench.reporting import Launch
from imprint_bench.studies import carry_out
from imprint_bench.sweep.executor import chosen_executor
from imprint_bench.sweep.executors import slurm
from imprint_bench.sweep.executors.slurm import ArrayTask
from imprint_bench.sweep.shard import compute_shard, for_shard

LAUNCH = Launch(command="python -m imprint_bench", configuration="")
ROOT = Path(__file__).parents[2]
LOCAL = {"name": "slurm", "cluster": "local", "shards": 2}
# Ends every array task but the first, before it has done anything.
DEADLY = """
import os
if os.environ.get("SUBMITIT_LOCAL_JOB_ID"):
    os.kill(os.getpid(), 9)
"""


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(slurm, "POLL", 0.1)
    monkeypatch.setattr(slurm, "LATE", 1.0)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """Let array tasks import the package of this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def test_an_array_gives_the_rows_of_one_process_and_then_has_nothing_to_do(
    sweep_in, whole, tmp_path, caplog
):
    caplog.set_level("INFO")
    sweep = sweep_in(tmp_path, executor=LOCAL)
    carry_out(sweep.config, LAUNCH)
    pd.testing.assert_frame_equal(sweep.rows(), whole, check_exact=True)
    assert f"{len(whole)} trials to compute in 2 array tasks; their logs are in" in caplog.text
    outputs = sorted((tmp_path / "slurm").rglob("*_log.out"))
    said = "".join(path.read_text() for path in outputs)
    assert len(outputs) == 2
    for shard in ("1/2", "2/2"):
        assert f"test: shard {shard}." in said
    sizes = [path.stat().st_size for path in (tmp_path / "slurm").rglob("*_submitted.pkl")]
    assert max(sizes) < 8_000  # the configuration, and nothing big

    caplog.clear()
    carry_out(sweep.config, LAUNCH)
    assert "array task" not in caplog.text


def test_only_shards_that_lack_rows_are_submitted(sweep_in, whole, tmp_path, caplog):
    caplog.set_level("INFO")
    first = sweep_in(tmp_path, shard="1/2").run()
    carry_out(sweep_in(tmp_path, executor=LOCAL).config, LAUNCH)
    lacking = len(whole) - first.computed
    assert f"{lacking} trials to compute in 1 array task;" in caplog.text
    pd.testing.assert_frame_equal(sweep_in(tmp_path).rows(), whole, check_exact=True)


def test_an_array_task_that_ends_early_is_named_with_its_log(sweep_in, tmp_path):
    plugin = tmp_path / "deadly.py"
    plugin.write_text(DEADLY)
    config = sweep_in(tmp_path, executor=LOCAL | {"shards": 1}, imports=[str(plugin)]).config
    with pytest.raises(RunFailed, match=r"shard 1/1: it ended without a result \(log: ") as caught:
        carry_out(config, LAUNCH)
    log = str(caught.value).rpartition("(log: ")[2].rstrip(")")
    assert Path(log).is_file()
    assert tmp_path in Path(log).parents


def test_an_array_task_that_cannot_start_says_why(sweep_in, tmp_path):
    config = sweep_in(tmp_path).config
    raw = for_shard(config.raw, Shard(1, 2)) | {"dataset": {"digits": {"nope": 1}}}
    assert ArrayTask(compute_shard)([raw]).startswith("dataset.digits.nope: no such parameter;")


def test_an_array_task_never_embeds_again_and_never_reports(sweep_in, tmp_path):
    config = sweep_in(tmp_path, embed={"force": True, "verify": True}).config
    raw = for_shard(config.raw, Shard(1, 2))
    assert raw["embed"] == {"force": False, "verify": False, "download": False}
    assert raw["stages"] == ["run"]
    assert raw["shard"] == "1/2"


def test_an_array_task_keeps_what_settles_the_embeddings(sweep_in, tmp_path):
    embed = {"force": True, "dtype": "float16", "autocast": "bfloat16", "on_error": "skip"}
    config = sweep_in(tmp_path, embed=embed).config
    settings = read(for_shard(config.raw, Shard(1, 2))).embed
    assert settings == replace(config.embed, force=False, download=False)


def test_an_array_task_that_is_out_of_time_is_queued_again_as_it_was():
    again = ArrayTask(compute_shard).checkpoint({"name": "test"})
    assert again.function == ArrayTask(compute_shard)
    assert again.args == ({"name": "test"},)


def test_without_slurm_the_command_is_refused_before_any_work(sweep_in, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    config = sweep_in(tmp_path, executor={"name": "slurm"}).config
    with pytest.raises(ConfigError, match=r"^executor: no Slurm on this machine \(no command sr"):
        carry_out(config, LAUNCH)
    assert not (tmp_path / "embeddings").exists()


# --- a mock of Slurm: sbatch notes its script and runs the array, srun its command

SBATCH = """#!/bin/sh
cp "$1" {folder}/script
n=$(sed -n 's/^#SBATCH --array=0-\\([0-9]*\\).*/\\1/p' "$1")
export SLURM_ARRAY_JOB_ID=7 SLURM_NTASKS=1 SLURM_PROCID=0 SLURM_LOCALID=0 SLURM_NODEID=0
export SLURM_JOB_NUM_NODES=1
for i in $(seq 0 "$n"); do
  export SLURM_JOB_ID=10$i SLURM_ARRAY_TASK_ID=$i
  (sh {folder}/script; touch {folder}/ended_$i) >> {folder}/said 2>&1 &
done
echo "Submitted batch job 7"
"""
SRUN = """#!/bin/sh
while [ "$1" != {python} ]; do shift; done
exec "$@"
"""
SACCT = """#!/bin/sh
echo "JobID|State|NodeList"
for i in 0 1; do
  if [ -e {folder}/ended_$i ]; then state=COMPLETED; else state=RUNNING; fi
  echo "7_$i|$state|here"
done
"""
SCANCEL = """#!/bin/sh
echo "$@" >> {folder}/cancelled
"""


@pytest.fixture
def mock_slurm(tmp_path, monkeypatch):
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("srun", SRUN), ("sacct", SACCT), ("scancel", SCANCEL)):
        path = folder / name
        path.write_text(text.format(folder=folder, python=sys.executable))
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def test_slurm_gets_one_array_with_the_keys_of_the_section(sweep_in, whole, tmp_path, mock_slurm):
    section = {
        "name": "slurm", "shards": 2, "at_once": 1, "partition": "short", "minutes": 30,
        "memory_gb": 1.5, "cpus": 3, "sbatch": {"account": "mine"},
    }  # fmt: skip
    sweep = sweep_in(tmp_path, executor=section)
    carry_out(sweep.config, LAUNCH)
    pd.testing.assert_frame_equal(sweep.rows(), whole, check_exact=True)
    script = (mock_slurm / "script").read_text()
    for line in (
        "array=0-1%1", "partition=short", "time=30", "mem=1536MB", "cpus-per-task=3",
        "account=mine", "job-name=imprint_bench",
    ):  # fmt: skip
        assert f"#SBATCH --{line}\n" in script


def test_the_number_of_processes_is_what_slurm_is_asked_for(sweep_in, tmp_path):
    config = sweep_in(tmp_path, executor={"name": "slurm", "shards": 500}).config
    assert chosen_executor(config).n_workers(4) == 256 * 4
    config = sweep_in(tmp_path, executor={"name": "slurm", "shards": 3, "cpus": 8}).config
    assert chosen_executor(config).n_workers(-1) == 3 * 8


def test_an_array_that_sbatch_refuses_is_one_sentence(sweep_in, tmp_path, mock_slurm):
    (mock_slurm / "sbatch").write_text("#!/bin/sh\necho 'invalid partition' >&2\nexit 1\n")
    config = sweep_in(tmp_path, executor={"name": "slurm", "shards": 2}).config
    with pytest.raises(ConfigError, match=r"^executor: sbatch refused the array \(.*partition.*"):
        carry_out(config, LAUNCH)


def test_ctrl_c_cancels_the_whole_array_and_says_so(
    sweep_in, tmp_path, mock_slurm, monkeypatch, caplog
):
    (mock_slurm / "sbatch").write_text("#!/bin/sh\necho 'Submitted batch job 7'\n")

    def interrupted(seconds):
        raise KeyboardInterrupt

    config = sweep_in(tmp_path, executor={"name": "slurm", "shards": 2}).config
    monkeypatch.setattr(slurm.time, "sleep", interrupted)
    with pytest.raises(KeyboardInterrupt):
        carry_out(config, LAUNCH)
    assert (mock_slurm / "cancelled").read_text() == "7\n"
    assert "cancelling the array tasks; what they have written is kept." in caplog.text


SUBMIT = """
import sys
from imprint_bench.__main__ import main
main(sys.argv[1:])
"""


def test_ctrl_c_leaves_no_array_task_of_this_machine(tmp_path):
    overrides = [
        "gen=[kmedoids]", "n_shot=[all]", "seeds=[0,1,2]", "n_jobs=1", "stages=[run]",
        "executor=slurm", "executor.cluster=local", "executor.shards=2",
        f"paths.results={tmp_path}",
    ]  # fmt: skip
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a terminal
    process = subprocess.Popen(
        [sys.executable, "-c", SUBMIT, *overrides],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    signal.signal(signal.SIGINT, before)
    try:
        until = time.monotonic() + 60
        while len(list((tmp_path / "slurm").rglob("*_log.out"))) < 2:
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGINT)
        said = "".join(process.communicate(timeout=60))
        assert process.returncode == 130, said
        assert "cancelling the array tasks" in said
        while members(process.pid):
            assert time.monotonic() < until
            time.sleep(0.05)
    finally:
        for pid in members(process.pid):
            os.kill(pid, signal.SIGKILL)


def members(session):
    """Return the running processes of a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, leader = path.read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(leader) == session and state not in "ZX":
            found.append(int(path.parent.name))
    return found

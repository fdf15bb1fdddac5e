import signal
import subprocess
import sys
import time

import pandas as pd
import pytest

from imprint_bench.sweep.store import read_rows

QUICK = ("+sweep=fixed/quickstart", "method=[dl2pa_dynamic]", "n_jobs=1", "figure=[]")
DATA = ("dataset.digit_pairs.pairs.n_train=20", "dataset.digit_pairs.pairs.n_test=5")


def test_a_sweep_that_trains_runs_from_the_command_line_and_is_not_run_twice(run, elsewhere):
    arguments = (*QUICK, *DATA, "recipe.quick.epochs=1", "paths.results=out")
    code, out, err = run(*arguments)
    assert (code, err) == (0, "")
    assert "1 run: 0 in the store, 1 to train." in out
    assert "dl2pa dynamic" in out
    assert (elsewhere / "out/reports/fixed/quickstart/index.html").is_file()
    code, out, _ = run(*arguments)
    assert code == 0
    assert "1 run: 1 in the store, 0 to train." in out


def test_a_plan_is_shown_and_nothing_is_written(run, elsewhere):
    code, out, _ = run("+sweep=fixed/digit_pairs", "stages=[plan]", "paths.results=out")
    assert code == 0
    assert "219 runs; 15 combinations dropped." in out
    assert "100 classes need d >= 99, got d=3" in out
    assert "for 219 runs that the store lacks" in out
    assert list(elsewhere.iterdir()) == []


REFUSED = {
    "method: no choice 'dl2pa_dynamix'": ["+sweep=fixed/quickstart", "method=[dl2pa_dynamix]"],
    "table.table2: is made from rows of imprinting, and this sweep trains": [
        "+sweep=fixed/quickstart", "table=[table2]",
    ],
    "table.methods: is made from rows of training, and this sweep imprints": [
        "+sweep=quickstart", "table=[methods]",
    ],
    "fm: a sweep that trains has none, got pixels": ["method=[etf]"],
    "fixed/quickstart: no trial is left to run (prototypes.simplex: 100 classes need d >= 99": [
        "+sweep=fixed/quickstart", "method=[etf]",
    ],
    "train.device: 'cuda:99' is not there": ["+sweep=fixed/quickstart", "train.device=cuda:99"],
}  # fmt: skip


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_mistake_gets_one_sentence_before_anything_is_trained(sentence, run, elsewhere):
    code, _, err = run(*REFUSED[sentence], "paths.results=out")
    assert code == 2
    assert err.startswith(sentence)
    assert len(err.splitlines()) == 1
    assert not (elsewhere / "out" / "rows").exists()


def test_a_run_that_is_killed_goes_on_from_its_checkpoint_to_the_same_bits(run, elsewhere):
    arguments = (*QUICK, "recipe.quick.epochs=6", "train.checkpoint_seconds=0.05")
    command = [sys.executable, "-m", "imprint_bench", *arguments, "paths.results=killed"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        checkpoints = elsewhere / "killed" / "checkpoints"
        until = time.monotonic() + 120
        while not list(checkpoints.glob("*.pt")) and time.monotonic() < until:
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.wait()
    assert len(list(checkpoints.glob("*.pt"))) == 1
    assert read_rows("killed").empty
    for results in ("killed", "whole"):
        code, _, err = run(*arguments, f"paths.results={results}")
        assert (code, err) == (0, "")
    killed, whole = (read_rows(r).drop(columns="train_seconds") for r in ("killed", "whole"))
    pd.testing.assert_frame_equal(killed, whole, check_exact=True)
    assert list(checkpoints.iterdir()) == []

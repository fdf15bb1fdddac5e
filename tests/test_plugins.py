"""A user's own module registers a method that YAML then names, in worker processes too."""

import re
import subprocess
import sys

import pytest

from imprint_bench.errors import ConfigError
from imprint_bench.plugins import load, loaded
from imprint_bench.sweep.store import Store, read_rows

MODULE = '''
import numpy as np
from imprint_bench.core.generator import for_each_class


@for_each_class("median")
def median_row(X):
    """Return the feature-wise median of the rows of one class."""
    return np.median(X, axis=0, keepdims=True)
'''


def test_a_generator_of_the_users_own_runs_in_two_workers(tmp_path):
    (tmp_path / "mine.py").write_text(MODULE)
    (tmp_path / "yaml" / "gen").mkdir(parents=True)
    (tmp_path / "yaml" / "gen" / "median.yaml").write_text("median: {}\n")
    overrides = ["gen=[mean,median]", "imports=[mine.py]", "n_jobs=2", "stages=[run]"]
    command = [sys.executable, "-m", "imprint_bench", "--config-dir", "yaml", *overrides]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=120)
    rows = Store(tmp_path / "results" / "rows", tmp_path / "quarantine").read()
    assert rows.groupby("gen").size().to_dict() == {"mean": 27, "median": 27}
    accuracy = rows.groupby("gen")["accuracy"].max()
    assert accuracy["median"] != accuracy["mean"]
    assert accuracy["median"] > 0.8


def test_a_module_is_loaded_once(tmp_path):
    count = tmp_path / "count"
    module = tmp_path / "counting.py"
    module.write_text(f"with open({str(count)!r}, 'a') as f: f.write('x')\n")
    for _ in range(2):
        load([str(module)])
    assert count.read_text() == "x"
    assert str(module) in loaded()


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("nowhere.py", None, "FileNotFoundError: no file .*nowhere.py"),
        ("broken.py", "1 / 0", "ZeroDivisionError: division by zero"),
        ("not_a_module_at_all", None, "ModuleNotFoundError: No module named"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named(tmp_path, monkeypatch, name, content, reason):
    monkeypatch.chdir(tmp_path)
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(ConfigError, match=rf"^imports\[1\]: {re.escape(repr(name))} .*{reason}"):
        load(["json", name])


def test_an_edited_file_is_not_taken_for_the_old_one(tmp_path):
    (tmp_path / "yaml" / "gen").mkdir(parents=True)
    (tmp_path / "yaml" / "gen" / "median.yaml").write_text("median: {}\n")
    overrides = ["gen=[mean,median]", "imports=[mine.py]", "n_jobs=1", "stages=[run]"]
    command = [sys.executable, "-m", "imprint_bench", "--config-dir", "yaml", *overrides]
    for edited in ("", "# edited\n"):
        (tmp_path / "mine.py").write_text(MODULE + edited)
        subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=120)
    rows = read_rows(tmp_path / "results")
    assert rows.groupby("gen").size().to_dict() == {"mean": 27, "median": 54}

"""What a user gets: imports that cost little, and a wheel that is enough."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import imprint_bench

ROOT = Path(__file__).parents[1]
HEAVY = ("torch", "torchvision", "matplotlib", "hydra", "pandas", "jinja2", "distributed")


def python(code: str, *, cwd: Path = ROOT, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def loaded_by(module: str) -> set[str]:
    """Return the libraries that importing a module brings into a fresh process."""
    code = f"import {module}\nimport sys\nprint(*{{m.split('.')[0] for m in sys.modules}})"
    return set(python(code).split())


def test_the_package_itself_imports_nothing_but_itself():
    added = loaded_by("imprint_bench") - loaded_by("sys")
    assert added == {"imprint_bench"}


@pytest.mark.parametrize(
    "module",
    [
        "imprint_bench.params, imprint_bench.registry, imprint_bench.seeding",
        "imprint_bench.core.imprinting, imprint_bench.core.scoring, imprint_bench.core.statistics",
    ],
    ids=["ground", "core"],
)
def test_the_lower_floors_load_no_heavy_library(module):
    assert not loaded_by(module) & {*HEAVY, "pyarrow", "omegaconf", "tqdm"}


def test_the_generators_load_scikit_learn_and_nothing_heavier():
    """scikit-learn imports joblib by itself; nothing of ours at this floor does."""
    code = "imprint_bench.core.generator as g, imprint_bench.core.aggregation; list(g.GENERATORS)"
    assert not loaded_by(code) & set(HEAVY)


def test_configuration_and_plan_load_no_network_library_and_no_hydra():
    loaded = loaded_by("imprint_bench.config, imprint_bench.sweep.planner")
    assert not loaded & {"torch", "torchvision", "matplotlib", "hydra", "omegaconf", "jinja2"}


def test_assignments_are_made_without_torch():
    code = "imprint_bench.fixed.core.assignment as a; a.assign([[1.0], [-1.0]], [[1.0], [-1.0]])"
    assert not loaded_by(code) & set(HEAVY)


def test_the_fixed_head_is_offered_by_the_package_and_imported_when_it_is_asked_for():
    code = "imprint_bench; imprint_bench.FixedPrototypeHead([[1.0], [-1.0]])"
    assert loaded_by(code) & set(HEAVY) == {"torch"}


def test_the_version_is_that_of_the_project():
    assert f'version = "{imprint_bench.__version__}"' in (ROOT / "pyproject.toml").read_text()


# --- the wheel


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """Build the wheel from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_has_the_code_the_yaml_files_and_the_template_and_no_tests(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    tops = {name.split("/")[0] for name in names}

    assert tops == {"imprint_bench", f"imprint_bench-{imprint_bench.__version__}.dist-info"}
    for folder in ("imprint_bench", "conf"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".yaml", ".j2"):
                inside = path.relative_to(ROOT).as_posix()
                expected = inside if folder == "imprint_bench" else f"imprint_bench/{inside}"
                assert expected in names, expected
    assert not [name for name in names if "/test" in name or "__pycache__" in name]


def test_the_installed_wheel_plans_and_runs_from_an_empty_folder(wheel, tmp_path):
    target, folder = tmp_path / "site", tmp_path / "empty"
    folder.mkdir()
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*pip, "--target", target, wheel], check=True, capture_output=True)
    where = python(
        "import imprint_bench, imprint_bench.command_line as c;"
        "print(imprint_bench.__file__, c.conf_folder())",
        cwd=folder,
        PYTHONPATH=str(target),
    )
    assert where.split() == [
        str(target / "imprint_bench" / "__init__.py"),
        str(target / "imprint_bench" / "conf"),
    ]

    def command(*arguments: str) -> subprocess.CompletedProcess:
        return subprocess.run(
            [sys.executable, "-m", "imprint_bench", "+sweep=quickstart", *arguments],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(target), "OMP_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            check=False,
        )

    small = ["fm=[pixels]", "n_shot=[20]", "gen=[mean]", "n_jobs=1"]
    planned = command("stages=[plan]", *small)
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.startswith("quickstart: 108 trials in ")
    assert not list(folder.iterdir())

    done = command(*small, "figure=[]")
    assert done.returncode == 0, done.stderr
    assert (folder / "results/reports/quickstart/index.html").is_file()


def test_a_source_archive_builds_too(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "build", "--sdist", "--no-isolation", "--outdir", tmp_path, ROOT],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(built) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"conf/config.yaml", "imprint_bench/__main__.py", "pyproject.toml"} <= names

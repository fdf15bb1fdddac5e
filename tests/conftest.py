import importlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


def absent(message: str) -> None:
    """Skip a test that lacks what `message` names; in CI that is a failure."""
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real data beside the checkout; CI must have it, others may not."""
    if not SHARED_DATA.is_dir():
        absent("needs the real data in ../shared/data, which is not there")
    return SHARED_DATA


@pytest.fixture(scope="session")
def needed() -> Callable[[str, str], None]:
    """Return a function that skips without an optional package, and fails in CI."""

    def needed(name: str, command: str) -> None:
        try:
            importlib.import_module(name)
        except (ImportError, ValueError) as error:  # ValueError: built against another numpy
            absent(f"needs {name} ({error}): {command}")

    return needed


@pytest.fixture(scope="session")
def litert_network(shared_data: Path, needed: Callable[[str, str], None]) -> Path:
    """Return the file of a pretrained network, with the package that runs it."""
    needed("ai_edge_litert", "pip install 'imprint-bench[litert]'")
    return shared_data / "litert" / "mobilenet_v1_025_embedding.tflite"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make an empty folder the current one, and return it."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs a command line in this process: exit code, stdout, stderr."""
    from imprint_bench.__main__ import main

    def of(*arguments: str) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        out, err = capsys.readouterr()
        return ended.value.code or 0, out, err

    return of

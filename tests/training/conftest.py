import pytest
from small_sweeps import Sweep


@pytest.fixture
def small(tmp_path):
    """Return a function that makes a small sweep that trains, changed as its keywords say."""

    def make(folder: str = "", **changed: object) -> Sweep:
        return Sweep(tmp_path / folder, **changed)

    return make

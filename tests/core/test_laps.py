import numpy as np
import pytest

from imprint_bench.core import laps as module
from imprint_bench.core.generator import GENERATORS, randomness
from imprint_bench.core.laps import Laps


class Clock:
    """A clock that tests advance."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch):
    found = Clock()
    monkeypatch.setattr(module, "perf_counter", found)
    return found


def test_what_is_shared_counts_for_every_k_and_a_lap_for_its_own(clock):
    laps = Laps()
    clock.now += 1  # shared
    for _ in range(2):
        with laps.lap(5):
            clock.now += 10
    with laps.lap(20):
        clock.now += 100
    clock.now += 2  # shared, too
    laps.stop()
    clock.now += 1000  # counts for none
    assert [laps.seconds(k) for k in (5, 20, 7)] == [23, 103, 3]


@pytest.mark.parametrize("name", [n for n in sorted(GENERATORS) if GENERATORS[n].many_k])
def test_every_generator_of_many_k_says_what_each_k_takes(name, clock):
    generator = GENERATORS[name]
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 4)), np.repeat([0, 1], 30)
    given = dict(randomness(generator, 0, lambda: rng))
    entered: list[int] = []

    def lap(k: int):
        entered.append(k)
        return Laps().lap(k)

    if generator.scope == "task":
        generator.many_k(X, y, ks=[1, 5, 20], weight_decay=0.1, lap=lap, **given)
    else:
        generator.many_k(X, ks=[1, 5, 20], lap=lap, **given)
    assert set(entered) == {1, 5, 20}

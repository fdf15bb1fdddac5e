"""Looking up ids gives what comparing whole texts gives, also where many begin alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imprint_bench.sweep.trial_ids import DTYPE, NONE, Index, last_of_each, missing

# Few beginnings, middles and ends, so that ids agree in their first 8 or 16 bytes or in all.
TEXTS = st.builds(
    lambda a, b, c: a * 8 + b * 8 + "0" * 40 + c * 8,
    *[st.sampled_from("01f")] * 3,
)
IDS = st.lists(TEXTS, max_size=30).map(lambda texts: np.array(texts, dtype=DTYPE))


@given(IDS, IDS)
def test_places_are_those_of_equal_texts(ids, others):
    stored = np.unique(others)
    place = Index(stored).place(ids)
    for i, id_ in zip(place, ids, strict=True):
        assert i == (stored.tolist().index(id_) if id_ in stored.tolist() else -1)
    assert missing(ids, stored).tolist() == [id_ not in stored.tolist() for id_ in ids]


@given(IDS, st.data())
def test_the_last_of_each_is_the_latest_row_and_of_equal_times_the_later_one(ids, data):
    times = data.draw(st.lists(st.integers(0, 3), min_size=len(ids), max_size=len(ids)))
    latest = {}
    for row in sorted(range(len(ids)), key=lambda row: times[row]):
        latest[ids[row]] = row
    found = last_of_each(ids, np.array(times, dtype=np.int64))
    assert found.tolist() == [latest[id_] for id_ in sorted(latest)]


@pytest.mark.parametrize("ids", [NONE, np.array(["a" * 64], dtype=DTYPE)])
def test_nothing_stored_lacks_everything(ids):
    assert missing(ids, NONE).tolist() == [True] * len(ids)
    assert missing(NONE, ids).tolist() == []

import hashlib

import numpy as np
import pytest

from imprint_bench.seeding import stream


def drawn(*names: object) -> list[int]:
    return stream(*names).integers(2**62, size=3).tolist()


def test_the_same_arguments_give_the_same_numbers_whatever_was_drawn_before():
    first = drawn(0, "fps", "mnist", 3)
    np.random.default_rng(5).normal(size=10)
    drawn(1, "random")

    assert drawn(0, "fps", "mnist", 3) == first


@pytest.mark.parametrize(
    "other",
    [
        (1, "fps", "mnist", 3),
        (0, "random", "mnist", 3),
        (0, "fps", "cifar10", 3),
        (0, "fps", "mnist", 4),
        (0, "fps", "mnist"),
        (0, "fps", "mnist3"),
        (0, "fps", 'mnist", "3'),
        (0, "fps", "mnist,3"),
    ],
    ids=str,
)
def test_every_argument_makes_another_stream(other):
    assert drawn(*other) != drawn(0, "fps", "mnist", 3)


def test_names_enter_by_their_text_and_seeds_by_their_value():
    assert drawn(0, "fps", 3) == drawn(0, "fps", "3") == drawn(np.int64(0), "fps", np.int64(3))


def test_the_stream_is_numpys_seeded_with_sha256_of_a_json_list():
    digest = hashlib.sha256(b'[7, "n_shot", "mnist", "3"]').digest()
    seed = int.from_bytes(digest[:16], "big")

    expected = np.random.default_rng(seed).permutation(100)
    np.testing.assert_array_equal(stream(7, "n_shot", "mnist", 3).permutation(100), expected)

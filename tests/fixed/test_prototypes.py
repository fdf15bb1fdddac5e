"""Prototype sets: what every one of them promises, and the refusals."""

import inspect
import subprocess
import sys

import numpy as np
import pytest

from imprint_bench.errors import ConfigError
from imprint_bench.fixed.core.prototype_set import (
    PROTOTYPES,
    NoSuchSet,
    build_prototypes,
    check_prototypes,
    sets_for,
    version_of,
)

SIZES = [(2, 1), (2, 3), (4, 3), (6, 3), (5, 2), (8, 5), (9, 3)]
TABLE = np.random.default_rng(7).normal(size=(9, 40))
QUICK = {"hpn": {"iterations": 20}, "gaussian_potential": {"iterations": 20}}
CASES = [(name, c, d) for c, d in SIZES for name in sets_for(c, d)]


def build(name, c, d, **kwargs):
    params = dict(QUICK.get(name, {}))
    if name == "word_vectors":
        params |= {"table": TABLE[:c], "pad": True}
    return build_prototypes(name, c, d, params=params, **kwargs)


@pytest.mark.parametrize(("name", "c", "d"), CASES, ids=[f"{n}-{c}x{d}" for n, c, d in CASES])
def test_every_set_has_its_shape_unit_norms_and_a_certificate_that_brute_force_confirms(name, c, d):
    made = build(name, c, d, seed=3)
    W = made.vectors
    assert (made.name, made.c, made.d, made.seed, W.shape) == (name, c, d, 3, (c, d))
    assert W.dtype == np.float64
    np.testing.assert_allclose(np.linalg.norm(W, axis=1), 1, atol=1e-6)

    cosines = [float(W[i] @ W[j]) for i in range(c) for j in range(c) if i < j]
    nearest = [max(float(W[i] @ W[j]) for j in range(c) if j != i) for i in range(c)]
    found = made.certificate
    assert found.max_cosine == pytest.approx(max(cosines), abs=1e-12)
    assert found.min_cosine == pytest.approx(min(cosines), abs=1e-12)
    assert found.mean_cosine == pytest.approx(np.mean(cosines), abs=1e-12)
    assert found.std_cosine == pytest.approx(np.std(cosines), abs=1e-7)
    assert found.mean_nearest == pytest.approx(np.mean(nearest), abs=1e-12)
    uniformity = np.log(np.mean(np.exp(-2 * (2 - 2 * np.array(cosines)))))
    assert found.uniformity == pytest.approx(uniformity, abs=1e-12)
    assert found.n_touching == sum(cosine >= max(cosines) - 1e-6 for cosine in cosines)
    assert found.bound <= found.max_cosine + 1e-12


@pytest.mark.parametrize("name", PROTOTYPES)
def test_equal_seeds_give_equal_bits_and_others_differ_only_where_there_is_randomness(name):
    c, d = next((c, d) for n, c, d in reversed(CASES) if n == name)
    first, again, other = (build(name, c, d, seed=seed).vectors for seed in (1, 1, 2))
    assert first.tobytes() == again.tobytes()
    drawn = "rng" in inspect.signature(PROTOTYPES[name]).parameters
    closed = name == "equidistributed" and c <= 2 * d
    assert np.array_equal(first, other) == (not drawn or closed)


@pytest.mark.parametrize("name", PROTOTYPES)
def test_the_vectors_are_read_only_and_the_version_is_known(name):
    c, d = next((c, d) for n, c, d in CASES if n == name)
    with pytest.raises(ValueError, match="read-only"):
        build(name, c, d).vectors[0, 0] = 2.0
    assert version_of(name) >= 1


@pytest.mark.parametrize("name", ["simplex", "d_simplex", "kasarla"])
def test_a_simplex_without_room_is_refused_with_the_sets_that_exist_there(name):
    with pytest.raises(ConfigError) as refused:
        check_prototypes(name, 100, 50, at="method.etf.prototypes")
    assert str(refused.value) == (
        f"method.etf.prototypes.{name}: 100 classes need d >= 99, got d=50; there are "
        "cross_polytope, equidistributed, gaussian_potential, hpn, orthogonal_simplices, random, "
        "word_vectors."
    )
    with pytest.raises(NoSuchSet, match="d >= 99"):
        PROTOTYPES[name](
            100, 50, **({"rng": np.random.default_rng(0)} if name == "simplex" else {})
        )


@pytest.mark.parametrize(
    ("name", "c", "d", "reason"),
    [
        ("cross_polytope", 7, 3, "7 classes need d >= 4, got d=3"),
        ("orthogonal_simplices", 7, 3, "7 classes need d >= 4, got d=3"),
        ("orthogonal_simplices", 4, 3, "4 classes need d <= 2, got d=3, where one simplex"),
        ("regular_polygon", 5, 3, "a polygon lies in d=2, got d=3"),
        ("orthogonal", 5, 4, "5 orthogonal classes need d >= 5, got d=4"),
        ("random", 1, 4, "c=1 classes; expected at least 2"),
        ("equidistributed", 5, 0, "d=0 dimensions; expected at least 1"),
        ("equidistributed", 3, 1, "c=3 classes in d=1, where there are two directions only"),
        ("hpnn", 5, 4, "unknown prototype set 'hpnn'"),
    ],
)
def test_every_other_size_that_cannot_be_is_refused_in_one_sentence(name, c, d, reason):
    with pytest.raises(ConfigError) as refused:
        build_prototypes(name, c, d)
    assert reason in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "params", "reason"),
    [
        ("random", {"std": 0.0}, "std=0; expected a number above 0"),
        ("random", {"sdt": 1.0}, "Did you mean 'std'?"),
        ("equidistributed", {"sharpness": 5.0}, "sharpness=5; expected at least 10"),
        ("equidistributed", {"restarts": 0}, "restarts: expected"),
        ("gaussian_potential", {"lr": -1.0}, "lr=-1.0; expected numbers above 0"),
        ("gaussian_potential", {"subset": 10}, "subset=10; expected 2 to c=9"),
        ("gaussian_potential", {"lr": "fast"}, "lr: expected"),
        ("hpn", {"momentum": 1.0}, "momentum=1; expected lr > 0 and 0 <= momentum < 1"),
        ("hpn", {"semantic": TABLE, "neighbors": 8}, "neighbors=8; expected fewer than c - 1 = 8"),
        ("hpn", {"semantic": TABLE[:4]}, "class embeddings of shape (4, 40); expected one row"),
        ("hpn", {"semantic": TABLE * 0}, "a row that is not finite, or zero"),
        ("word_vectors", {"table": TABLE[:4]}, "a table of shape (4, 40); expected one row for"),
        ("word_vectors", {"table": TABLE[:, :2]}, "of 2 values fill 2 dimensions, got d=3"),
        ("word_vectors", {"table": TABLE * np.nan}, "values that are not finite"),
        ("word_vectors", {"table": TABLE[:, :3] * np.eye(9)[:, :3]}, "class 3 is zero in d=3"),
        ("word_vectors", {}, "none as table; expected one row of class embeddings"),
        ("word_vectors", {"file": "words.npy"}, "the unread file 'words.npy' as table"),
        ("hpn", {"semantic": "words.npy"}, "the unread file 'words.npy' as class embeddings"),
    ],
)
def test_parameters_outside_their_limits_are_refused(name, params, reason):
    with pytest.raises(ConfigError) as refused:
        build_prototypes(name, 9, 3, params=params, at="p")
    assert str(refused.value).startswith(f"p.{name}")
    assert reason in str(refused.value)


def test_the_size_alone_can_be_checked_before_a_table_is_read():
    check_prototypes("word_vectors", 9, 3)
    with pytest.raises(ConfigError, match="no such parameter"):
        check_prototypes("word_vectors", 9, 3, params={"padding": True})


def test_scipys_optimizer_is_imported_only_where_something_is_optimized():
    code = (
        "import sys\n"
        "from imprint_bench.fixed.core.prototype_set import build_prototypes\n"
        "build_prototypes('equidistributed', 100, 50)\n"
        "assert 'scipy.optimize' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)

"""Prototype sets on disk, and class embeddings from files of the user."""

import pickle

import numpy as np
import pytest

from imprint_bench.errors import ConfigError, DataError, StoreError
from imprint_bench.fixed import prototype_cache
from imprint_bench.fixed.class_embeddings import read_class_embeddings
from imprint_bench.fixed.core.prototype_set import build_prototypes
from imprint_bench.fixed.prototype_cache import cached_prototypes

TABLE = np.random.default_rng(0).normal(size=(6, 9))


@pytest.fixture
def unbuildable(monkeypatch):
    """Return a function after which making a set fails the test."""

    def refuse(*_, **__):
        raise AssertionError("made although it lies in the cache")

    return lambda: monkeypatch.setattr(prototype_cache, "build_prototypes", refuse)


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ["random", "simplex", "cross_polytope"])
def test_what_is_read_is_bit_equal_to_what_was_made(name, tmp_path, unbuildable):
    made = cached_prototypes(tmp_path / "cache", name, 6, 5, seed=3)
    direct = build_prototypes(name, 6, 5, seed=3)
    unbuildable()
    read = cached_prototypes(tmp_path / "cache", name, 6, 5, seed=3)
    for found in (made, read):
        assert found.vectors.tobytes() == direct.vectors.tobytes()
        assert found.certificate == direct.certificate
        assert (found.name, found.c, found.d, found.seed) == (name, 6, 5, 3)
        assert found.params == direct.params
        assert not found.vectors.flags.writeable


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cached_prototypes(None, "random", 6, 5)
    assert files(tmp_path) == []


def test_every_name_size_seed_and_parameter_has_a_file_of_its_own(tmp_path):
    asked = [
        ("random", 6, 5, 0, {}),
        ("random", 6, 4, 0, {}),
        ("random", 5, 5, 0, {}),
        ("random", 6, 5, 1, {}),
        ("random", 6, 5, 0, {"mean": 1.0}),
        ("simplex", 6, 5, 0, {}),
    ]
    for name, c, d, seed, params in asked * 2:
        cached_prototypes(tmp_path, name, c, d, seed=seed, params=params)
    assert len(files(tmp_path)) == len(asked)


def test_defaults_written_out_and_the_seed_of_a_set_without_randomness_change_no_file(tmp_path):
    cached_prototypes(tmp_path, "random", 6, 5)
    cached_prototypes(tmp_path, "random", 6, 5, params={"mean": 0, "std": 1.0})
    cached_prototypes(tmp_path, "kasarla", 6, 5)
    assert cached_prototypes(tmp_path, "kasarla", 6, 5, seed=1).seed == 1
    assert len(files(tmp_path)) == 2


@pytest.mark.parametrize("damage", ["cut", "changed", "text", "empty"])
def test_a_damaged_file_is_made_anew_with_a_warning(damage, tmp_path, caplog):
    made = cached_prototypes(tmp_path, "random", 6, 5)
    (path,) = files(tmp_path)
    whole = path.read_bytes()
    if damage == "changed":
        vectors = made.vectors.copy()
        vectors[0, 0] += 1e-9
        with np.load(path) as found:
            checksum = found["sha256"]
        np.savez(path, vectors=vectors, sha256=checksum)
    else:
        path.write_bytes({"cut": whole[:200], "text": b"vectors", "empty": b""}[damage])
    again = cached_prototypes(tmp_path, "random", 6, 5)
    assert again.vectors.tobytes() == made.vectors.tobytes()
    assert "is made anew" in caplog.text
    assert path.read_bytes() == whole


def test_a_new_version_of_a_set_is_made_anew(tmp_path, monkeypatch):
    cached_prototypes(tmp_path, "random", 6, 5)
    monkeypatch.setattr(prototype_cache, "version_of", lambda _: 99)
    cached_prototypes(tmp_path, "random", 6, 5)
    assert len(files(tmp_path)) == 2


def test_a_size_that_cannot_be_leaves_no_folder(tmp_path):
    with pytest.raises(ConfigError, match="6 classes need d >= 5, got d=4"):
        cached_prototypes(tmp_path / "cache", "simplex", 6, 4)
    assert not (tmp_path / "cache").exists()


def test_a_folder_that_is_a_file_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(StoreError, match="a file stands where a folder is needed"):
        cached_prototypes(tmp_path / "cache", "random", 6, 5)


# --- class embeddings


def write(path, table=TABLE):
    if path.suffix == ".npy":
        np.save(path, table)
    elif path.suffix == ".npz":
        np.savez(path, embeddings=table, names=np.array(list("abcdef")))
    else:
        np.savetxt(path, table, delimiter=",", fmt="%.17g")
    return path


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".csv"])
def test_a_table_is_read_from_every_format(suffix, tmp_path):
    table = read_class_embeddings(write(tmp_path / f"words{suffix}"), at="here")
    assert np.array_equal(table, TABLE)
    assert table.dtype == np.float64


@pytest.mark.parametrize(
    "text",
    [
        "1,2\n3,4\n",
        "x,y\n1,2\n3,4\n",
        "name,x,y\ncat,1,2\ndog,3,4\n",
        "cat, 1, 2\ndog, 3, 4\n",
    ],
)
def test_names_of_columns_and_classes_in_a_csv_file_are_left_out(text, tmp_path):
    path = tmp_path / "words.csv"
    path.write_text(text)
    assert read_class_embeddings(path, at="here").tolist() == [[1, 2], [3, 4]]


def refusal(path, content):
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, dict):
        np.savez(path, **content)
    else:
        np.save(path, content)
    with pytest.raises(DataError) as refused:
        read_class_embeddings(path, at="here")
    return str(refused.value)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("w.npy", np.ones(3), "float64 of shape (3,)"),
        ("w.npy", np.ones((0, 3)), "float64 of shape (0, 3)"),
        ("w.npy", np.array([["a"]]), "<U1 of shape (1, 1)"),
        ("w.npy", np.array([[1.0], [np.nan]]), "1 of 2 rows hold no finite numbers (first: row 1)"),
        ("w.npy", pickle.dumps(TABLE), "never loaded"),
        ("w.npy", b"", "damaged or no numpy file"),
        ("w.npz", b"PK\x03\x04 and no more", "damaged or no numpy file"),
        ("w.npz", {"a": TABLE, "b": TABLE}, "arrays a, b; expected one, or one called"),
        ("w.csv", b"", "no table of comma-separated values"),
        ("w.csv", b"1,2\n3,cat\n", "1 of 2 rows hold no finite numbers (first: row 1)"),
        ("w.txt", b"1,2\n", "a file of type .txt; write one row per class"),
    ],
)
def test_a_file_that_is_no_table_is_refused_in_one_sentence(name, content, reason, tmp_path):
    said = refusal(tmp_path / name, content)
    assert reason in said
    assert "\n" not in said


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_class_embeddings(tmp_path / "words.npy", at="here")


def test_word_vectors_come_from_a_file_and_are_cached_by_its_content(tmp_path):
    path, folder = write(tmp_path / "words.npy"), tmp_path / "cache"
    params = {"file": str(path)}
    found = cached_prototypes(folder, "word_vectors", 6, 4, params=params)
    direct = build_prototypes("word_vectors", 6, 4, params={"table": TABLE})
    assert found.vectors.tobytes() == direct.vectors.tobytes()
    assert found.params == {"file": str(path), "pad": False}

    moved = write(tmp_path / "moved.csv")
    cached_prototypes(folder, "word_vectors", 6, 4, params={"file": str(moved)})
    assert len(files(folder)) == 1
    write(path, TABLE + 1e-6 * np.eye(6, 9))
    cached_prototypes(folder, "word_vectors", 6, 4, params=params)
    assert len(files(folder)) == 2


def test_hpn_takes_its_semantics_from_a_file_too(tmp_path):
    path = write(tmp_path / "words.npz")
    params = {"semantic": str(path), "iterations": 30}
    found = cached_prototypes(tmp_path / "cache", "hpn", 6, 4, params=params)
    direct = build_prototypes("hpn", 6, 4, params={"semantic": TABLE, "iterations": 30})
    assert found.vectors.tobytes() == direct.vectors.tobytes()
    assert found.params["semantic"] == str(path)


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({}, "p.word_vectors.file: missing"),
        ({"file": 3}, "p.word_vectors.file: expected the path of a file, got 3"),
        ({"file": None, "table": None, "pad": True}, "p.word_vectors.file: missing"),
        ({"file": " "}, "p.word_vectors.file: an empty path"),
        ({"file": "a.npy", "table": TABLE}, "p.word_vectors.file: given beside table"),
    ],
)
def test_word_vectors_without_a_usable_file_are_refused(params, reason):
    with pytest.raises(ConfigError) as refused:
        cached_prototypes(None, "word_vectors", 6, 4, params=params, at="p")
    assert reason in str(refused.value)


def test_a_table_of_other_classes_is_refused_with_the_place(tmp_path):
    path = write(tmp_path / "words.npy")
    with pytest.raises(ConfigError, match=r"p\.word_vectors: a table of shape \(6, 9\)"):
        cached_prototypes(None, "word_vectors", 7, 4, params={"file": str(path)}, at="p")

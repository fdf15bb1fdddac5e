import json
import logging
import os
import pickle
import re
import shutil
import time
from dataclasses import replace

import joblib
import numpy as np
import pytest
from layouts import ROWS, pictures

from imprint_bench.data.dataset import SPLITS
from imprint_bench.data.embeddings.batch_work import embed_batch
from imprint_bench.data.embeddings.batches import Batch, Target, digest_of_labels, to_recipe
from imprint_bench.data.embeddings.cache import describe, find
from imprint_bench.data.embeddings.creation import create
from imprint_bench.data.embeddings.entry import unfinished
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.networks.computing import Computing
from imprint_bench.errors import CacheError, ConfigError, DataError, StoreError
from imprint_bench.params import Source

PIXELS = Source("raw", "pixels", {})
CONV = Source("conv", "random_conv", {"width": 4, "input_size": 8})
VERIFIED = EmbedSettings(verify=True)
SMALL = EmbedSettings(batch_size=8)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def tiny(idx_folder):
    return Source("tiny", "idx", {"folder": str(idx_folder)})


def raises_sentence(kind, message):
    return pytest.raises(kind, match=re.escape(message))


def flip(path, at=-1):
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


def never(function, items):
    raise AssertionError("embedded again")


def test_an_entry_holds_the_embeddings_and_the_labels(root, tiny):
    entry = create(root, PIXELS, tiny)
    for split in SPLITS:
        images, labels = pictures(split)
        expected = (images.reshape(len(images), -1) / 256).astype(np.float32)
        np.testing.assert_array_equal(entry.X(split), expected)
        np.testing.assert_array_equal(entry.y(split), labels)
        assert entry.n(split) == ROWS[split]
        assert entry.counts(split) == {
            0: len(labels) // 3,
            1: len(labels) // 3,
            2: len(labels) // 3,
        }
    assert entry.length == 36
    assert isinstance(entry.X("train"), np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        entry.X("train")[0] = 0


def test_an_entry_is_found_by_the_next_run_and_not_made_again(root, tiny):
    assert find(root, PIXELS, tiny) is None
    entry = create(root, PIXELS, tiny)
    assert find(root, PIXELS, tiny, VERIFIED) == entry
    assert create(root, PIXELS, tiny, each=never) == entry
    assert entry.folder == root / "tiny" / f"raw-{entry.fingerprint[:8]}"


def test_an_entry_travels_to_a_worker_as_a_few_names(root, tiny):
    entry = create(root, PIXELS, tiny)
    sent = pickle.dumps(entry)
    assert len(sent) < 1000
    np.testing.assert_array_equal(pickle.loads(sent).X("test"), entry.X("test"))


def test_the_manifest_says_what_is_there_and_how_it_was_made(root, tiny):
    entry = create(root, CONV, tiny)
    manifest = json.loads((entry.folder / "manifest.json").read_text())
    assert manifest["files"]["train_embeddings.npy"]["shape"] == [30, 64]
    assert set(manifest["files"]) == {
        f"{s}_{w}.npy" for s in SPLITS for w in ("embeddings", "labels")
    }
    assert manifest["classes"] == [0, 1, 2]
    assert manifest["dtype"] == "float32"
    assert manifest["weights"] == "untrained, weights_seed=0, width=4"
    assert manifest["preprocessing"]["size"] == 8
    assert manifest["versions"]["numpy"] == np.__version__
    assert manifest["seconds"] >= 0
    assert len(manifest["data"]) == 64
    assert sorted(p.name for p in entry.folder.parent.iterdir()) == [entry.folder.name]


def test_order_and_size_of_the_batches_do_not_change_a_bit(root, tiny):
    def backwards(function, items):
        return map(function, list(items)[::-1])

    first = create(root / "a", CONV, tiny, SMALL, each=backwards)
    second = create(root / "b", CONV, tiny, EmbedSettings(batch_size=11))
    for name in ("train_embeddings.npy", "test_embeddings.npy"):
        assert (first.folder / name).read_bytes() == (second.folder / name).read_bytes()


def test_other_processes_give_the_same_entry(root, tiny):
    def parallel(function, items):
        workers = joblib.Parallel(n_jobs=2, return_as="generator_unordered")
        return workers(joblib.delayed(function)(item) for item in items)

    first = create(root / "a", CONV, tiny, SMALL)
    second = create(root / "b", CONV, tiny, SMALL, each=parallel)
    assert (first.folder / "train_embeddings.npy").read_bytes() == (
        second.folder / "train_embeddings.npy"
    ).read_bytes()


def test_progress_counts_the_rows(root, tiny):
    seen = []
    create(root, PIXELS, tiny, SMALL, progress=seen.append)
    assert sum(seen) == sum(ROWS.values())
    assert max(seen) == 8


def test_a_description_embeds_nothing_and_agrees_with_the_entry(root, tiny):
    before = describe(root, CONV, tiny)
    assert not root.exists()
    assert not before.cached
    entry = create(root, CONV, tiny)
    after = describe(root, CONV, tiny)
    assert after.cached
    assert before.fingerprint == after.fingerprint == entry.fingerprint
    assert before.length == after.length == entry.length
    for split in SPLITS:
        np.testing.assert_array_equal(before.labels[split], after.labels[split])
        assert before.n(split) == entry.n(split)


def test_precomputed_arrays_are_taken_over(root, arrays_file):
    words = Source("words", "precomputed", {})
    bert = Source("bert", "precomputed", {"file": str(arrays_file.parent / "{dataset}.npz")})
    described = describe(root, bert, words)
    entry = create(root, bert, words, each=never)
    with np.load(arrays_file) as arrays:
        np.testing.assert_array_equal(
            entry.X("train"), arrays["train_embeddings"].astype(np.float32)
        )
        np.testing.assert_array_equal(entry.y("test"), arrays["test_labels"])
    assert described.fingerprint == entry.fingerprint
    assert described.length == entry.length == 4


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"train_labels": np.zeros(29, int)}, "29 train_labels for 30 train_embeddings"),
        ({"test_embeddings": np.zeros((12, 5))}, "have 4 values per row, test_embeddings 5"),
        ({"train_embeddings": np.zeros(30)}, "train_embeddings is float64 of shape (30,)"),
        ({"train_embeddings": np.array([["a"]] * 30)}, "train_embeddings is <U1 of shape (30, 1)"),
        ({"test_labels": np.array([{}] * 12)}, "test_labels holds Python objects (a pickle)"),
        ({"test_labels": None}, "no array 'test_labels'; it holds"),
    ],
)
def test_precomputed_arrays_that_do_not_fit_are_refused(root, arrays_file, changed, message):
    with np.load(arrays_file) as archive:
        arrays = {name: archive[name] for name in archive.files} | changed
    np.savez(arrays_file, **{name: a for name, a in arrays.items() if a is not None})
    bert = Source("bert", "precomputed", {"file": str(arrays_file)})
    with raises_sentence(DataError, message):
        create(root, bert, Source("words", "precomputed", {}))


def test_a_missing_precomputed_file_is_named(root):
    bert = Source("bert", "precomputed", {"file": "nowhere/{dataset}.npz"})
    with pytest.raises(
        DataError, match=r"^fm.bert.file for dataset words: /.*nowhere/words.npz: no"
    ):
        describe(root, bert, Source("words", "precomputed", {}))


@pytest.mark.parametrize(
    ("value", "kinds"), [(np.nan, "NaN"), (np.inf, "infinite values"), (1e300, "infinite values")]
)
def test_embeddings_that_are_not_finite_are_counted_and_not_stored(root, arrays_file, value, kinds):
    with np.load(arrays_file) as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["train_embeddings"][[17, 20, 29], 1] = value
    np.savez(arrays_file, **arrays)
    bert, words = Source("bert", "precomputed", {"file": str(arrays_file)}), "words"
    with raises_sentence(
        DataError,
        f"embeddings words/bert/train: 3 of 30 rows contain {kinds} (first: row 17); "
        f"nothing was stored; mend {arrays_file} and run again.",
    ):
        create(root, bert, Source(words, "precomputed", {}))
    assert list((root / words).iterdir()) == []


def test_a_dataset_without_images_needs_precomputed_embeddings(root):
    with raises_sentence(ConfigError, "dataset.words: has no images for fm 'raw' of kind pixels"):
        describe(root, PIXELS, Source("words", "precomputed", {}))


@pytest.mark.parametrize(
    ("params", "what"),
    [({"width": 8}, "weights"), ({"width": 4, "input_size": 16}, "preprocessing")],
)
def test_other_weights_or_preprocessing_under_one_name_are_refused(root, tiny, params, what):
    old = create(root, CONV, tiny)
    changed = Source("conv", "random_conv", {"input_size": 8} | params)
    with raises_sentence(
        CacheError,
        f"embeddings tiny/conv: cached with other {what} ({old.folder.name}); set "
        "embed.force=true to embed again into a folder of its own, or give the foundation "
        "model another name.",
    ):
        create(root, changed, tiny)
    new = create(root, changed, tiny, EmbedSettings(force=True))
    assert find(root, changed, tiny) == new
    assert find(root, CONV, tiny) == old
    assert find(root, Source("conv-2", "random_conv", changed.params), tiny) is None


def test_other_data_under_one_name_are_refused(root, tiny, idx_folder):
    create(root, PIXELS, tiny)
    flip(idx_folder / "train-labels-idx1-ubyte")
    with raises_sentence(CacheError, "embeddings tiny/raw: cached with other data (raw-"):
        find(root, PIXELS, tiny)


@pytest.mark.parametrize(
    ("spoil", "reason", "verify"),
    [
        (lambda f: os.truncate(f / "test_embeddings.npy", 500), "has 500 bytes instead of", False),
        (lambda f: flip(f / "train_embeddings.npy"), "fails its checksum", True),
        (lambda f: (f / "train_labels.npy").unlink(), "train_labels.npy is missing", False),
        (lambda f: (f / "manifest.json").unlink(), "manifest.json is missing", False),
        (lambda f: flip(f / "manifest.json", 100), "manifest.json is missing or fails", False),
    ],
)
def test_a_damaged_entry_is_set_aside_named_and_made_again(
    root, tiny, caplog, spoil, reason, verify
):
    entry = create(root, PIXELS, tiny)
    whole = (entry.folder / "train_embeddings.npy").read_bytes()
    spoil(entry.folder)
    with caplog.at_level(logging.WARNING):
        assert find(root, PIXELS, tiny, EmbedSettings(verify=verify)) is None
    assert f"embeddings tiny/{entry.folder.name}: " in caplog.text
    assert reason in caplog.text
    assert len(list((root / "quarantine").iterdir())) == 1
    again = create(root, PIXELS, tiny)
    assert (again.folder / "train_embeddings.npy").read_bytes() == whole


def test_force_embeds_again_into_the_same_folder(root, tiny):
    entry = create(root, PIXELS, tiny)
    flip(entry.folder / "train_embeddings.npy")
    assert create(root, PIXELS, tiny, EmbedSettings(force=True)) == entry
    assert find(root, PIXELS, tiny, VERIFIED) == entry
    assert [p.name for p in entry.folder.parent.iterdir()] == [entry.folder.name]


def test_unfinished_folders_of_others_stay_until_they_are_a_day_old(root, tiny):
    final = root / "tiny" / "other-12345678"
    with unfinished(final) as ours:
        theirs = ours.with_name(re.sub(r"tmp-[0-9a-f]{8}-", "tmp-00000000-", ours.name))
        theirs.mkdir()
        create(root, PIXELS, tiny)
        assert ours.is_dir()
        assert theirs.is_dir()
        old = time.time() - 90_000
        os.utime(theirs, (old, old))
        create(root, PIXELS, tiny, EmbedSettings(force=True))
        assert ours.is_dir()
        assert not theirs.exists()
        ours.rmdir()


def test_of_two_runs_that_make_one_entry_the_second_takes_the_first_ones(root, tiny):
    made = []

    def overtaken(function, items):
        made.append(create(root, PIXELS, tiny))
        return map(function, items)

    assert create(root, PIXELS, tiny, each=overtaken) == made[0]
    assert find(root, PIXELS, tiny, VERIFIED) == made[0]
    assert len(list((root / "tiny").iterdir())) == 1


def test_rows_that_nobody_embedded_are_noticed(root, tiny):
    with raises_sentence(RuntimeError, "embeddings tiny/raw/train: 24 of 30 rows were written"):
        create(root, PIXELS, tiny, SMALL, each=lambda function, items: map(function, items[:3]))


def test_a_full_disk_is_noticed_before_anything_is_embedded(root, tiny, monkeypatch):
    usage = shutil.disk_usage("/")._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with raises_sentence(StoreError, "needs 0.02 GB, 0.00 GB are free"):
        create(root, PIXELS, tiny, each=never)


def test_a_file_in_the_place_of_the_cache_is_named(root, tiny):
    root.write_text("not a folder")
    with raises_sentence(StoreError, "a file stands where a folder is needed"):
        create(root, PIXELS, tiny)


@pytest.mark.parametrize("name", ["../up", "quarantine", "", "<b>", ".hidden"])
def test_a_name_that_cannot_be_a_folder_is_refused(root, tiny, name):
    with raises_sentence(ConfigError, f"name {name!r} cannot be a folder"):
        describe(root, PIXELS, Source(name, tiny.kind, tiny.params))


def test_a_network_that_changed_since_the_run_began_is_refused(idx_folder):
    recipe = to_recipe(Source("conv", "random_conv", {}))
    dataset = to_recipe(Source("tiny", "idx", {"folder": str(idx_folder)}))
    labels = digest_of_labels({split: pictures(split)[1] for split in SPLITS})
    target = Target(recipe, "another", "nowhere", 4, "float32")
    batch = Batch(dataset, labels, "train", 0, 3, (target,), Computing(), skip=False)
    with raises_sentence(
        DataError, "fm.conv: its weights or preprocessing changed while images were"
    ):
        embed_batch(batch)
    with raises_sentence(DataError, "dataset.tiny: its files changed while images were being"):
        embed_batch(replace(batch, labels="others"))


def test_an_array_that_is_not_what_the_entry_says_is_refused(root, tiny):
    entry = create(root, PIXELS, tiny)
    np.save(entry.folder / "train_embeddings.npy", np.zeros((2, 2), np.float32))
    with raises_sentence(
        CacheError, "holds float32 of shape (2, 2) instead of float32 of shape (30, 36)"
    ):
        entry.X("train")


def test_a_real_network_on_real_images(root, shared_data, litert_network, tmp_path):
    real = np.load(shared_data / "imagenet32" / "imagenet32_100.npz")
    arrays = {f"{s}_{w}": real[f"{s}_{w}"][:40] for s in SPLITS for w in ("images", "labels")}
    np.savez(tmp_path / "part.npz", **arrays)
    fm = Source("mobilenet", "litert", {"file": str(litert_network), "weight_decay": 4e-5})
    dataset = Source("part", "npz", {"file": str(tmp_path / "part.npz")})
    described = describe(root, fm, dataset)
    entry = create(root, fm, dataset)
    assert described.weight_decay == 4e-5
    assert entry.X("train").shape == (40, 256) == (40, described.length)
    assert len(np.unique(entry.X("train"), axis=0)) > 30


def test_precomputed_arrays_do_not_pass_for_a_dataset_with_images(root, arrays_file, tiny):
    bert = Source("bert", "precomputed", {"file": str(arrays_file)})
    with raises_sentence(ConfigError, "fm.bert.file: ") as refusal:
        describe(root, bert, tiny)
    assert f"not those of dataset {tiny.name!r}; choose dataset=[precomputed]" in str(refusal.value)

"""Embedding that goes on after a kill, serves several networks, and leaves out broken images."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import joblib
import numpy as np
import pytest
import torch
from layouts import ROWS, pictures, png, write_shard

from imprint_bench.data.dataset import DATASETS, SPLITS, build_dataset
from imprint_bench.data.embeddings import batch_work, journal
from imprint_bench.data.embeddings.array_file import checksum
from imprint_bench.data.embeddings.cache import describe, find
from imprint_bench.data.embeddings.creation import create, create_all
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.data.embeddings.unfinished import progress_of
from imprint_bench.data.foundation_model import (
    FOUNDATION_MODELS,
    FoundationModel,
    Network,
    build_foundation_model,
)
from imprint_bench.data.networks.resizing import Squared
from imprint_bench.errors import CacheError, DataError, ImageError
from imprint_bench.params import Source
from imprint_bench.plugins import load
from imprint_bench.sweep.executor import strict

PIXELS = Source("raw", "pixels", {})
CONV = Source("conv", "random_conv", {"width": 4, "input_size": 8})
WIDE = Source("wide", "random_conv", {"width": 8, "input_size": 8})
SMALL = EmbedSettings(batch_size=4)
N_BATCHES = 8 + 3  # of 30 and 12 rows


@pytest.fixture
def root(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def tiny(idx_folder):
    return Source("tiny", "idx", {"folder": str(idx_folder)})


def arrays_of(entry):
    return [entry.X(s).tobytes() + entry.y(s).tobytes() for s in SPLITS]


def counting(seen):
    def each(function, items):
        for item in items:
            seen.append((item.split, item.start))
            yield function(item)

    return each


def stopped_after(n, error=KeyboardInterrupt):
    def each(function, items):
        for i, item in enumerate(items):
            if i == n:
                raise error
            yield function(item)

    return each


def in_a_child(function):
    """Call `function` in a forked process, and return how that ended."""
    child = os.fork()
    if not child:
        try:
            function()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@contextmanager
def killed_at(monkeypatch, module, name, call):
    """Kill the process when a function of a module is called for the nth time."""
    real, calls = getattr(module, name), []

    def fatal(*args, **kwargs):
        calls.append(name)
        if len(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(module, name, fatal)
        yield


@pytest.mark.parametrize(
    ("module", "name"),
    [
        (batch_work, "record"),
        (journal, "fill"),
        (journal, "not_finite"),
        (batch_work, "write_embeddings"),
    ],
)
@pytest.mark.parametrize("call", [1, 5, N_BATCHES])
def test_a_kill_at_any_moment_of_a_batch_costs_that_batch(
    root, tiny, monkeypatch, module, name, call
):
    undisturbed = create(root / "whole", CONV, tiny, SMALL)
    with killed_at(monkeypatch, module, name, call):
        assert in_a_child(lambda: create(root, CONV, tiny, SMALL)) == -signal.SIGKILL
    assert find(root, CONV, tiny) is None
    seen = []
    entry = create(root, CONV, tiny, SMALL, each=counting(seen))
    assert len(seen) == N_BATCHES - (call - 1)
    assert arrays_of(entry) == arrays_of(undisturbed)
    assert list((root / "tiny").iterdir()) == [entry.folder]
    assert {path.suffix for path in entry.folder.iterdir()} == {".npy", ".json"}


@pytest.mark.parametrize("name", ["write_labels", "publish", "leave_no_trace"])
def test_a_kill_while_an_entry_is_finished_costs_no_batch(root, tiny, monkeypatch, name):
    from imprint_bench.data.embeddings import finishing

    with killed_at(monkeypatch, finishing, name, 1):
        assert in_a_child(lambda: create(root, CONV, tiny, SMALL)) == -signal.SIGKILL
    seen = []
    entry = create(root, CONV, tiny, SMALL, each=counting(seen))
    assert seen == []
    assert find(root, CONV, tiny, EmbedSettings(verify=True)) == entry


def test_rows_that_a_power_loss_took_are_embedded_again(root, tiny):
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, tiny, SMALL, each=stopped_after(6))
    (folder,) = (root / "tiny").iterdir()
    path = folder / "train_embeddings.npy"
    content = bytearray(path.read_bytes())
    content[-30 * 64 * 4 + 64 * 4 * 9] ^= 1  # of row 9, in the third batch
    path.write_bytes(content)
    seen = []
    entry = create(root, CONV, tiny, SMALL, each=counting(seen))
    assert seen == [("train", 8), ("train", 24), ("train", 28), *(("test", i) for i in (0, 4, 8))]
    assert arrays_of(entry) == arrays_of(create(root / "whole", CONV, tiny))


def test_a_torn_line_of_the_journal_costs_its_batch_alone(root, tiny):
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, tiny, SMALL, each=stopped_after(3))
    (folder,) = (root / "tiny").iterdir()
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes()[:-20])
    for expected in (N_BATCHES - 2, N_BATCHES - 3):
        assert asked_before(root, tiny, SMALL, stop=1) == expected


def asked_before(root, dataset, settings, *, stop):
    """Embed some batches, and return how many were asked for."""
    asked = []

    def each(function, items):
        asked.extend(items)
        return stopped_after(stop)(function, asked)

    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, dataset, settings, each=each)
    return len(asked)


def test_what_was_left_for_other_data_is_thrown_away(root, tiny, idx_folder):
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, tiny, SMALL, each=stopped_after(3))
    (folder,) = (root / "tiny").iterdir()
    header, rest = (folder / "journal.jsonl").read_text().split("\n", 1)
    changed = json.dumps(json.loads(header) | {"fingerprint": "another"})
    (folder / "journal.jsonl").write_text(f"{changed}\n{rest}")
    seen = []
    create(root, CONV, tiny, SMALL, each=counting(seen))
    assert len(seen) == N_BATCHES


def test_a_forced_run_begins_anew_but_goes_on_after_its_own_kill(root, tiny):
    forced = EmbedSettings(batch_size=4, force=True)
    for settings, expected in ((SMALL, N_BATCHES), (forced, N_BATCHES), (forced, N_BATCHES - 3)):
        assert asked_before(root, tiny, settings, stop=3) == expected


def test_another_batch_size_goes_on_with_what_is_there(root, tiny):
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, tiny, SMALL, each=stopped_after(5))
    seen = []
    entry = create(root, CONV, tiny, EmbedSettings(batch_size=7), each=counting(seen))
    assert seen == [("train", 14), ("train", 21), ("train", 28), ("test", 0), ("test", 7)]
    assert arrays_of(entry) == arrays_of(create(root / "whole", CONV, tiny))


def test_the_share_that_is_done_is_known(root, tiny):
    fingerprint = describe(root, CONV, tiny).fingerprint
    final = root / "tiny" / f"conv-{fingerprint[:8]}"
    assert progress_of(final, fingerprint) is None
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, tiny, SMALL, each=stopped_after(3))
    assert progress_of(final, fingerprint) == 12 / 42
    assert progress_of(final, "another") is None


def test_what_nobody_went_on_with_for_a_month_is_removed(root, tiny):
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, tiny, SMALL, each=stopped_after(3))
    (left,) = (root / "tiny").iterdir()
    create(root, PIXELS, tiny)
    assert left.exists()
    long_ago = time.time() - 31 * 86_400
    os.utime(left / "journal.jsonl", (long_ago, long_ago))
    create(root, WIDE, tiny)
    assert not left.exists()


def test_two_processes_at_once_both_end_with_the_entry(root, tiny):
    results = joblib.Parallel(n_jobs=2)(
        joblib.delayed(create)(root, CONV, tiny, SMALL) for _ in range(2)
    )
    assert results[0] == results[1] == find(root, CONV, tiny, EmbedSettings(verify=True))
    assert list((root / "tiny").iterdir()) == [results[0].folder]


def test_several_networks_read_the_images_once_and_prepare_them_once_if_alike(
    root, tiny, monkeypatch
):
    prepared, read = [], []
    squared, images = Squared.__call__, batch_work.ImageDataset.images
    monkeypatch.setattr(
        Squared, "__call__", lambda self, x: prepared.append(self.size) or squared(self, x)
    )
    monkeypatch.setattr(
        batch_work.ImageDataset,
        "images",
        lambda self, *rows: read.append(rows) or images(self, *rows),
    )
    large = Source("large", "random_conv", {"width": 4, "input_size": 12})
    made, speeds = create_all(root, [CONV, PIXELS, WIDE, large], tiny, SMALL)
    assert len(read) == N_BATCHES
    assert sorted(prepared) == [8] * N_BATCHES + [12] * N_BATCHES
    for fm in (CONV, PIXELS, WIDE, large):
        assert arrays_of(made[fm.name]) == arrays_of(create(root / "alone", fm, tiny, SMALL))
        assert speeds[fm.name].images == sum(ROWS.values())
        assert speeds[fm.name].forward > 0
        assert speeds[fm.name].other > 0


def test_a_network_that_joins_later_is_given_what_it_lacks(root, tiny):
    with pytest.raises(KeyboardInterrupt):
        create_all(root, [CONV], tiny, SMALL, each=stopped_after(5))
    asked = []

    def each(function, items):
        for item in items:
            asked.append(len(item.targets))
            yield function(item)

    create_all(root, [CONV, WIDE], tiny, SMALL, each=each)
    assert asked == [1] * 5 + [2] * 6


def test_a_network_that_gives_no_numbers_does_not_spoil_the_others(root, tiny, monkeypatch):
    with _registered(lambda x: np.full((len(x), 5), np.nan, np.float32)) as broken:
        with pytest.raises(
            DataError, match=r"^embeddings tiny/net/train: 30 of 30 rows contain NaN"
        ):
            create_all(root, [broken, CONV], tiny, SMALL)
        assert find(root, CONV, tiny) is not None
        assert [p for p in (root / "tiny").iterdir() if p.name.startswith("net")] == []


@contextmanager
def _registered(forward, *, length=5, on_torch=False, loaded=None):
    """Let `net` be a foundation model of 8 x 8 pixels with the given forward pass."""

    def net() -> FoundationModel:
        return FoundationModel(
            "net", 1, "none", {}, 0.0, load, lambda shape: length, on_torch=on_torch
        )

    def load(computing):
        (loaded if loaded is not None else []).append(computing)
        return Network(Squared(8), forward)

    FOUNDATION_MODELS.add("net", net)
    batch_work._foundation_model.cache_clear()
    try:
        yield Source("net", "net", {})
    finally:
        del FOUNDATION_MODELS._entries["net"]
        batch_work._foundation_model.cache_clear()


@pytest.mark.parametrize("loaders", [0, 1, 2])
def test_loader_processes_give_the_embeddings_of_one_process(root, tiny, loaders):
    def forward(prepared):
        return prepared[:, :5, 0, 0].astype(np.float32)

    with _registered(forward, on_torch=True) as net:
        expected = create(root / "alone", net, tiny, SMALL)
        loading = EmbedSettings(batch_size=7, device="cpu", loaders=loaders)
        made, speeds = create_all(root, [net, CONV], tiny, loading)
    assert arrays_of(made["net"]) == arrays_of(expected)
    assert speeds["net"].alone
    assert not speeds["conv"].alone


def test_an_error_in_a_loader_process_is_told_as_it_is(root, tmp_path, parquet_folder):
    dataset = with_broken_images(parquet_folder, [9])
    with (
        _registered(lambda x: x[:, :5, 0, 0].astype(np.float32), on_torch=True) as net,
        pytest.raises(ImageError, match="row 9: the image cannot be decoded") as told,
    ):
        create(root, net, dataset, EmbedSettings(batch_size=7, device="cpu", loaders=1))
    assert "Traceback" not in str(told.value)


def test_autocast_is_part_of_the_identity_of_torch_networks_alone(root, tiny):
    lowered = EmbedSettings(autocast="bfloat16", device="cpu")
    loaded = []
    with _registered(
        lambda x: x[:, :5, 0, 0].astype(np.float32), on_torch=True, loaded=loaded
    ) as net:
        first = create(root, net, tiny)
        with pytest.raises(CacheError, match="cached with other preprocessing"):
            find(root, net, tiny, lowered)
        create(root / "lowered", net, tiny, lowered)
    assert [computing.autocast for computing in loaded] == ["none", "bfloat16"]
    assert describe(root, CONV, tiny).fingerprint == describe(root, CONV, tiny, lowered).fingerprint
    assert first.dtype == "float32"


def test_float16_halves_the_file_and_rounds_each_value(root, tiny):
    half = EmbedSettings(dtype="float16")
    exact, rounded = create(root / "a", CONV, tiny), create(root / "b", CONV, tiny, half)
    assert rounded.fingerprint != exact.fingerprint
    assert find(root / "b", CONV, tiny, half) == rounded
    for split in SPLITS:
        X = rounded.X(split)
        assert X.dtype == np.float32
        assert not X.flags.writeable
        np.testing.assert_array_equal(X, exact.X(split).astype(np.float16).astype(np.float32))
        sizes = [
            (e.folder / f"{split}_embeddings.npy").stat().st_size - 128 for e in (exact, rounded)
        ]
        assert sizes[0] == 2 * sizes[1]
    with pytest.raises(CacheError, match="cached with other dtype"):
        find(root / "a", CONV, tiny, half)


def test_values_that_float16_cannot_hold_are_refused(root, tiny):
    with (
        _registered(lambda x: np.full((len(x), 5), 7e4, np.float32)) as net,
        pytest.raises(
            DataError, match="30 of 30 rows contain values above 65504, which float16 cannot hold"
        ),
    ):
        create(root, net, tiny, EmbedSettings(dtype="float16"))


def with_broken_images(folder, rows, split="test"):
    images, labels = pictures(split, channels=3)
    blobs = [png(image) for image in images]
    for row in rows:
        blobs[row] = blobs[row][:60]
    write_shard(folder / f"{split}-00000-of-00001.parquet", blobs, labels)
    for other in folder.glob(f"{split}-*-of-00002.parquet"):
        other.unlink()
    return Source("shards", "image_parquet", {"folder": str(folder)})


SKIP = EmbedSettings(batch_size=4, on_error="skip")


def test_images_that_cannot_be_read_are_left_out_on_request(root, parquet_folder, caplog):
    whole = create(
        root / "whole", CONV, Source("shards", "image_parquet", {"folder": str(parquet_folder)})
    )
    dataset = with_broken_images(parquet_folder, [3, 9, 10, 11])
    with pytest.raises(ImageError, match="row 3: the image cannot be decoded"):
        create(root, CONV, dataset, SMALL)
    with caplog.at_level(logging.WARNING):
        entry = create(root, CONV, dataset, SKIP)
    assert "embeddings shards/conv/test: 4 of 12 images are left out:" in caplog.text
    assert "row 3: the image cannot be decoded" in caplog.text
    assert "and 1 more, which the manifest lists" in caplog.text
    kept = [i for i in range(12) if i not in (3, 9, 10, 11)]
    np.testing.assert_array_equal(entry.X("test")[kept], whole.X("test")[kept])
    np.testing.assert_array_equal(entry.y("test")[[3, 9, 10, 11]], -1)
    assert entry.n("test") == 12
    assert sum(entry.counts("test").values()) == 8
    manifest = json.loads((entry.folder / "manifest.json").read_text())
    assert set(manifest["skipped"]["test"]) == {"3", "9", "10", "11"}
    np.testing.assert_array_equal(
        describe(root, CONV, dataset, SKIP).labels["test"], entry.y("test")
    )


def test_an_entry_with_gaps_is_used_by_those_who_accept_them(root, parquet_folder):
    dataset = with_broken_images(parquet_folder, [3])
    entry = create(root, CONV, dataset, SKIP)
    assert find(root, CONV, dataset, SKIP) == entry
    assert describe(root, CONV, dataset, SKIP).fingerprint == entry.fingerprint
    whole = json.loads((entry.folder / "manifest.json").read_text())["fingerprint"]
    assert entry.fingerprint != whole  # rows of these are not taken for rows of the mended images
    with pytest.raises(
        CacheError,
        match=r"made without 1 of 12 test images that .* \(first: .*set embed.on_error=skip",
    ):
        find(root, CONV, dataset)


def test_a_dataset_without_any_image_that_can_be_read_is_refused(root, parquet_folder):
    dataset = with_broken_images(parquet_folder, range(12))
    with pytest.raises(DataError, match="test: none of 12 images can be read; the first: "):
        create(root, CONV, dataset, SKIP)


def test_a_run_that_skips_images_goes_on_after_an_interruption(root, parquet_folder):
    dataset = with_broken_images(parquet_folder, [3])
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, dataset, SKIP, each=stopped_after(10))
    entry = create(root, CONV, dataset, SKIP)
    assert entry.y("test")[3] == -1


def test_a_full_disk_in_the_middle_is_told_and_the_rest_goes_on_later(root, tiny, monkeypatch):
    from imprint_bench.errors import StoreError

    real, calls = os.write, []

    def full(file, content):
        calls.append(content)
        if len(calls) == 4:
            raise OSError(28, "No space left on device")
        return real(file, content)

    with monkeypatch.context() as patch:
        patch.setattr(journal.os, "write", full)
        with pytest.raises(StoreError, match=re.escape("no space") + "|full"):
            create(root, CONV, tiny, SMALL)
    seen = []
    create(root, CONV, tiny, SMALL, each=counting(seen))
    assert len(seen) == N_BATCHES - 3


def test_a_checksum_is_that_of_the_rows(root, tiny):
    import zlib

    entry = create(root, CONV, tiny)
    path = entry.folder / "train_embeddings.npy"
    assert checksum(path, 3, 9) == zlib.crc32(entry.X("train")[3:9].tobytes())


PLUGIN = """
import numpy as np
from imprint_bench.data.dataset import DATASETS, ImageDataset
from imprint_bench.data.foundation_model import (
    FOUNDATION_MODELS,
    FoundationModel,
    Network,
    build_foundation_model,
)
from imprint_bench.data.networks.resizing import Squared

@FOUNDATION_MODELS.register("{name}")
def mine() -> FoundationModel:
    return FoundationModel("{name}", 1, "none", {{}}, 0.0, load, lambda shape: 3)

def load(_):
    return Network(Squared(1), lambda x: x[:, 0, 0].astype(np.float32) * {factor})

@DATASETS.register("{name}")
def stripes() -> ImageDataset:
    images = np.arange(60, dtype=np.uint8).reshape(20, 3, 1, 1)
    labels = np.arange(20) % 2
    return ImageDataset(
        "stripes", lambda s: labels, lambda s, a, b: images[a:b], lambda: (3, 1, 1), lambda: "same"
    )
"""


def test_the_code_of_a_users_own_network_and_dataset_is_part_of_their_identity(root, tmp_path):
    found = []
    for number, factor in enumerate((1, 1, 2)):
        name = f"mine_{number}"
        (tmp_path / f"{name}.py").write_text(PLUGIN.format(name=name, factor=factor))
        load([str(tmp_path / f"{name}.py")])
        try:
            source = Source("mine", name, {})
            entry = create(root / str(number), source, source)
            assert len(entry.X("test")) == 20
            found.append((build_foundation_model(source), build_dataset(source)))
        finally:
            del FOUNDATION_MODELS._entries[name], DATASETS._entries[name]
    codes = [fm.preprocessing["code"] for fm, _ in found]
    assert len(set(codes)) == 3  # the names in the files differ, too
    assert len({dataset.fingerprint for _, dataset in found}) == 3


@pytest.fixture(scope="module")
def small_network(tmp_path_factory):
    """Return a network of torchvision with random weights, in a checkpoint in the real format."""
    from imprint_bench.data.networks.vision import torchvision

    torch.manual_seed(0)
    network = torchvision().models.get_model("shufflenet_v2_x0_5")
    for layer in network.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = 1.0  # one batch settles its statistics: activations do not vanish
    network.train()(torch.randn(16, 3, 64, 64))
    path = tmp_path_factory.mktemp("weights") / "shufflenet.pth"
    torch.save(network.state_dict(), path)
    params = {"model": "shufflenet_v2_x0_5", "weights": str(path)}
    return Source("shufflenet", "torchvision", params)


@pytest.mark.parametrize(
    "how",
    [
        {"batch_size": 1},
        {"batch_size": 64},
        {"batch_size": 64, "channels_last": False},
        {"batch_size": 8, "loaders": 0},
        {"batch_size": 8, "loaders": 1},
        {"batch_size": 8, "loaders": 2},
    ],
    ids=str,
)
def test_embeddings_do_not_depend_on_batch_layout_and_loaders(root, tiny, small_network, how):
    expected = create(root / "one", small_network, tiny, EmbedSettings(batch_size=5, device="cpu"))
    made = create(root / "other", small_network, tiny, EmbedSettings(device="cpu", **how))
    for split in SPLITS:
        scale = np.abs(expected.X(split)).max()
        assert scale > 0.1
        np.testing.assert_allclose(made.X(split), expected.X(split), rtol=1e-5, atol=1e-5 * scale)


def test_embeddings_do_not_depend_on_the_number_of_workers(root, tiny, small_network):
    def with_workers(n):
        return create(root / str(n), small_network, tiny, SMALL, each=strict(n))

    for split in SPLITS:
        np.testing.assert_allclose(
            with_workers(2).X(split), with_workers(1).X(split), rtol=1e-5, atol=1e-5
        )


LOADING = """
import sys
from pathlib import Path
from imprint_bench.data.embeddings.creation import create
from imprint_bench.data.embeddings.settings import EmbedSettings
from imprint_bench.params import Source

if __name__ == "__main__":
    root, weights, images = sys.argv[1:]
    fm = Source("net", "torchvision", {"model": "shufflenet_v2_x0_5", "weights": weights})
    dataset = Source("tiny", "idx", {"folder": images})
    create(Path(root), fm, dataset, EmbedSettings(batch_size=1, device="cpu", loaders=1))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_loaders_do_not_outlive_a_killed_command(root, idx_folder, small_network, tmp_path):
    script = tmp_path / "loading.py"
    script.write_text(LOADING)
    arguments = [str(root), small_network.params["weights"], str(idx_folder)]
    command = subprocess.Popen([sys.executable, str(script), *arguments])
    journals = lambda: list(root.glob("*/*/journal.jsonl"))  # noqa: E731
    while not (journals() and journals()[0].read_text().count("\n") > 3):
        assert command.poll() is None, "the command ended before it was killed"
        time.sleep(0.05)
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    assert len(children) >= 2  # the loader, and the process that tidies up after it
    command.kill()
    command.wait()
    deadline = time.monotonic() + 60
    while any(Path(f"/proc/{child}").exists() for child in children):
        assert time.monotonic() < deadline, f"{children} live on"
        time.sleep(0.1)


def test_what_was_left_out_is_read_again_by_those_who_do_not_accept_gaps(root, parquet_folder):
    dataset = with_broken_images(parquet_folder, [3])
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, dataset, SKIP, each=stopped_after(10))
    with pytest.raises(ImageError, match="row 3: the image cannot be decoded"):
        create(root, CONV, dataset, SMALL)
    assert create(root, CONV, dataset, SKIP).y("test")[3] == -1


def test_what_a_journal_says_last_is_right(root, tiny, monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        create(root, CONV, tiny, SMALL, each=stopped_after(3))
    (folder,) = (root / "tiny").iterdir()
    path = folder / "journal.jsonl"
    header, first, *others = path.read_text().splitlines()
    stale = json.loads(first) | {"skipped": {"1": "was broken"}, "bad": [1, 2, ["NaN"]]}
    path.write_text("\n".join([header, json.dumps(stale), first, *others, ""]))
    entry = create(root, CONV, tiny, SKIP)
    np.testing.assert_array_equal(entry.y("train"), pictures("train")[1])


def test_an_image_that_cannot_be_prepared_is_left_out_like_one_that_cannot_be_read(
    root, small_network, tmp_path
):
    folder = tmp_path / "shards"
    folder.mkdir()
    for split in SPLITS:
        images, labels = pictures(split, channels=3)
        blobs = [png(image) for image in images]
        blobs[5] = png(np.zeros((2, 200, 3), np.uint8))
        write_shard(folder / f"{split}-0.parquet", blobs, labels)
    dataset = Source("shards", "image_parquet", {"folder": str(folder)})
    with pytest.raises(ImageError, match="an image of 2 x 200 pixels"):
        create(root, small_network, dataset, EmbedSettings(batch_size=16, device="cpu"))
    for loaders in (None, 0):
        settings = EmbedSettings(batch_size=16, device="cpu", on_error="skip", loaders=loaders)
        entry = create(root / str(loaders), small_network, dataset, settings)
        assert np.flatnonzero(entry.y("train") == -1).tolist() == [5]
        assert np.flatnonzero(entry.y("test") == -1).tolist() == [5]


def test_the_parts_of_a_dataset_keep_their_order_in_a_worker(root, tmp_path):
    parts = {}
    for name, value in (("zz", 200), ("aa", 10)):
        images = np.full((6, 2, 2), value, np.uint8)
        arrays = {
            f"{s}_{w}": a for s in SPLITS for w, a in (("images", images), ("labels", [0, 1] * 3))
        }
        np.savez(tmp_path / f"{name}.npz", **arrays)
        parts[name] = {"npz": {"file": str(tmp_path / f"{name}.npz")}}
    both = Source("both", "concatenation", {"parts": parts})
    entry = create(root, PIXELS, both, SMALL, each=strict(2))
    expected = [200 / 256] * 6 + [10 / 256] * 6
    np.testing.assert_array_equal(entry.X("train")[:, 0], np.float32(expected))


def test_loader_processes_load_the_modules_of_the_user(root, tmp_path, small_network):
    name = "mine_for_loaders"
    (tmp_path / f"{name}.py").write_text(PLUGIN.format(name=name, factor=1))
    load([str(tmp_path / f"{name}.py")])
    try:
        settings = EmbedSettings(batch_size=16, device="cpu", loaders=1)
        assert create(root, small_network, Source("mine", name, {}), settings).n("test") == 20
    finally:
        del FOUNDATION_MODELS._entries[name], DATASETS._entries[name]


def test_an_entry_that_another_run_finished_just_now_is_taken(root, tiny, monkeypatch):
    from imprint_bench.data.embeddings import creation

    theirs = create(root, CONV, tiny, SMALL)
    answers = [None]  # of the first look, before the other run has finished
    real = creation.find
    monkeypatch.setattr(creation, "find", lambda *a: answers.pop() if answers else real(*a))
    seen = []
    assert create(root, CONV, tiny, SMALL, each=counting(seen)) == theirs
    assert seen == []
    assert list((root / "tiny").iterdir()) == [theirs.folder]

"""Datasets and networks as the command line sees them: shown, fetched, skipped, refused."""

import functools
import http.server
import re
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from layouts import pictures, png, write_idx_folder, write_shard

from imprint_bench.data.networks.vision import torchvision
from imprint_bench.sweep.store import read_rows

TINY = ("task=[all]", "gen=[mean]", "norm=l2", "seeds=[0]", "figure=[]", "table=[]", "n_jobs=1")


pytestmark = pytest.mark.usefixtures("elsewhere")  # every command in an empty folder


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text)


class _Silent(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """Serve a tiny MNIST as torchvision's mirror does, and return the folder that is served."""
    folder = write_idx_folder(tmp_path / "served", ".gz")
    handler = functools.partial(_Silent, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    mnist = torchvision().datasets.MNIST
    monkeypatch.setattr(mnist, "mirrors", [f"http://127.0.0.1:{server.server_port}/"])
    monkeypatch.setattr(mnist, "resources", [(p.name, "") for p in sorted(folder.iterdir())])
    yield folder
    server.shutdown()
    server.server_close()


def test_a_missing_dataset_is_fetched_before_it_is_embedded(run, mirror, elsewhere):
    code, _, err = run(*TINY, "dataset=[mnist]", "stages=[embed,run]")
    assert (code, err) == (0, "")
    fetched = elsewhere / "data" / "MNIST" / "raw"
    assert {p.name: p.read_bytes() for p in fetched.iterdir()} == {
        p.name: p.read_bytes() for p in mirror.iterdir()
    }
    assert set(read_rows("results")["dataset"]) == {"mnist"}


def test_a_plan_fetches_nothing(run, mirror, elsewhere):
    code, _, err = run(*TINY, "dataset=[mnist]", "stages=[plan]")
    assert code == 2
    assert "data/MNIST/raw/train-images-idx3-ubyte: no such file" in err
    assert not list(elsewhere.iterdir())


def test_without_a_network_the_file_the_folder_and_the_command_are_named(
    run, monkeypatch, elsewhere
):
    mnist = torchvision().datasets.MNIST
    monkeypatch.setattr(mnist, "mirrors", ["http://127.0.0.1:9/"])  # nobody listens there
    code, out, err = run(*TINY, "dataset=[mnist]")
    file = f"{elsewhere}/data/MNIST/raw/train-images-idx3-ubyte.gz"
    assert (code, out) == (2, "")
    assert err.startswith(f"{file}: could not be fetched from http://127.0.0.1:9/")
    assert f"curl -L -o {file} http://127.0.0.1:9/train-images-idx3-ubyte.gz" in err
    assert err.count("\n") == 1
    assert not list(elsewhere.rglob("*ubyte*"))


def test_the_stage_data_shows_what_is_there_and_writes_nothing(run, elsewhere):
    code, out, err = run("stages=[data]", "fm=[pixels,random_conv]", "dataset=[digits]")
    assert (code, err) == (0, "")
    lines = [squeezed(line) for line in out.splitlines()]
    assert "digits on disk 1,347 + 450, 10 labels, 8 x 8 x 1" in lines
    assert any(line.startswith("digits pixels to embed 64 0.5 MB 0 s") for line in lines)
    assert not list(elsewhere.iterdir())


def test_the_stage_data_knows_what_is_cached_and_what_is_half_done(run, elsewhere, monkeypatch):
    from imprint_bench.data.embeddings import batch_work

    assert run(*TINY, "fm=[pixels]", "stages=[embed]")[0] == 0
    real, calls = batch_work.record, []

    def interrupted(*args, **kwargs):
        calls.append(args)
        if len(calls) == 15:
            raise KeyboardInterrupt
        real(*args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(batch_work, "record", interrupted)
        assert run(*TINY, "fm=[random_conv]", "stages=[embed]", "embed.batch_size=64")[0] == 130
    out = squeezed(run("stages=[data]", "fm=[pixels,random_conv]")[1])
    assert "digits pixels cached 64" in out
    assert "digits random_conv 50% embedded 256" in out


def test_the_stage_data_says_what_is_missing_and_how_large_it_is(run, mirror, elsewhere):
    code, out, err = run("stages=[data]", "dataset=[mnist,imagenet32]", "fm=[mobilenet_v1_025]")
    assert (code, err) == (0, "")
    text = squeezed(out)
    assert "mnist to download 0.0 MB" in text
    assert "imagenet32 not usable" in text
    assert "mobilenet_v1_025 not usable" in text
    assert f"{elsewhere}/data/imagenet32/imagenet32_100.npz: no such file" in out
    assert "imagenet32_100.npz: no such file" in out
    assert not list(elsewhere.iterdir())


@pytest.fixture
def photos(elsewhere):
    """Write a dataset of color photos, three of which are broken."""
    folder = elsewhere / "photos"
    folder.mkdir()
    for split in ("train", "test"):
        images, labels = pictures(split, channels=3)
        blobs = [png(image) for image in images]
        for row in (4, 7, 10) if split == "train" else ():
            blobs[row] = blobs[row][:50]
        write_shard(folder / f"{split}-0.parquet", blobs, labels)
    return "+dataset.photos.image_parquet.folder=photos"


def test_broken_images_stop_a_sweep_or_are_left_out_on_request(run, photos):
    command = (*TINY, "~dataset.digits", photos, "stages=[embed,run]", "task=[all]")
    code, _, err = run(*command)
    assert code == 2
    assert "photos/train-0.parquet, row 4: the image cannot be decoded" in err
    code, out, err = run(*command, "embed.on_error=skip")
    assert (code, err) == (0, "")
    assert "embeddings photos/pixels/train: 3 of 30 images are left out:" in out
    rows = read_rows("results")
    assert set(rows["n_train"]) == {27}
    assert set(rows["n_test"]) == {12}
    code, _, err = run(*command)
    assert code == 2
    assert "made without 3 of 30 train images that could not be read" in err
    code, out, _ = run(*command, "embed.on_error=skip")
    assert "1 trials: 1 in the store, 0 to compute" in out


def npz(path: Path, train: np.ndarray, test: np.ndarray) -> str:
    arrays = {}
    for split, labels in (("train", train), ("test", test)):
        images = np.random.default_rng(0).integers(0, 256, (len(labels), 4, 4), dtype=np.uint8)
        arrays |= {f"{split}_images": images, f"{split}_labels": labels}
    np.savez(path, **arrays)
    return f"dataset.npz.file={path}"


def test_test_images_of_classes_that_were_never_seen_are_refused_unless_a_mapping_drops_them(
    run, elsewhere
):
    file = npz(elsewhere / "mine.npz", np.arange(30) % 3, np.arange(20) % 5)
    command = (*TINY, "dataset=[npz]", file, "stages=[embed,run]")
    code, _, err = run(*command)
    assert code == 2
    assert err == (
        "task all on npz: 8 test rows are of classes without training rows (3, 4); drop these "
        "with mapping=[rename], or choose a task that lists its classes.\n"
    )
    renaming = ("mapping=[rename]", "mapping.rename.labels={0:0,1:1,2:2}")
    assert run(*command, *renaming)[0] == 0
    assert run(*command, "task=[short]")[0] == 0


def test_labels_with_gaps_are_remarked_and_run(run, elsewhere):
    file = npz(elsewhere / "mine.npz", np.array([0, 1, 5] * 10), np.array([0, 1, 5] * 4))
    command = (*TINY, "dataset=[npz]", file)
    out = run(*command, "stages=[data]")[1]
    assert "npz: no training image has label 2, 3, 4." in out
    assert run(*command, "stages=[embed,run]")[0] == 0


def test_one_class_only_is_refused(run, elsewhere):
    file = npz(elsewhere / "mine.npz", np.zeros(9, int), np.zeros(4, int))
    code, _, err = run(*TINY, "dataset=[npz]", file)
    assert code == 2
    assert err == "task all on npz: 1 class; a task needs at least two.\n"


D_IN_1 = ("mapping=[d_in_1]", "mapping.d_in_1.n_labels=2", "mapping.d_in_1.d=[1,2]")


def test_d_in_1_takes_a_list_of_classes(run):
    command = (*TINY, *D_IN_1, "mapping.d_in_1.draws=3")
    code, _, err = run(*command, "mapping.d_in_1.among=[1,3,5,7]", "stages=[embed,run]")
    assert (code, err) == (0, "")
    rows = read_rows("results")
    assert set(rows["mapping"]) == {f"d_in_1-{d}-{draw}" for d in (1, 2) for draw in range(3)}


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("mapping.d_in_1.among=[1,3,5,70]", "mapping.d_in_1.among: 70 is no class of the dataset;"),
        ("mapping.d_in_1.among=[1,3,5,5]", "mapping.d_in_1.among: a class stands twice; expected"),
        (
            "mapping.d_in_1.among=[1,3,5]",
            "mapping.d_in_1.d: 2 x 2 labels need 4 classes, but there",
        ),
        ("mapping.d_in_1.d=[0]", "mapping.d_in_1.d: [0]; expected a list of whole numbers from 1"),
    ],
)
def test_a_list_of_classes_that_does_not_fit_is_refused(run, override, sentence):
    code, _, err = run(*TINY, *D_IN_1, override)
    assert code == 2
    assert err.startswith(sentence)


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        (
            "embed.device=gpu",
            "embed.device: unknown device 'gpu'; expected auto, cpu, cuda, cuda:N",
        ),
        ("embed.batch_size=0", "embed.batch_size: expected an int of at least 1, got 0."),
        ("embed.dtype=float8", "embed.dtype: expected one of float32, float16, got 'float8'."),
        ("embed.autocast=half", "embed.autocast: expected one of none, bfloat16, float16, got"),
        ("embed.on_error=ignore", "embed.on_error: expected one of fail, skip, got 'ignore'."),
        ("embed.loaders=-1", "embed.loaders: expected an int of at least 0 or nothing, got -1."),
    ],
)
def test_a_setting_that_is_none_is_refused(run, override, sentence):
    code, _, err = run(*TINY, override)
    assert code == 2
    assert err.startswith(sentence)


@pytest.mark.parametrize("place", ["my images/ü (1)", "~", "a-{split}", "a=b"])
def test_a_path_may_have_any_signs(run, elsewhere, monkeypatch, place):
    monkeypatch.setenv("HOME", str(elsewhere / "home"))
    folder = elsewhere / ("home" if place == "~" else place)
    folder.mkdir(parents=True)
    npz(folder / "mine.npz", np.arange(30) % 3, np.arange(20) % 3)
    file = f"dataset.npz.file={place}/mine.npz"
    code, _, err = run(*TINY, "dataset=[npz]", file, "stages=[embed,run]")
    assert (code, err) == (0, "")
    assert set(read_rows("results")["n_train"]) == {30}


def test_a_home_folder_in_paths_holds_for_all_that_refers_to_it(run, elsewhere, monkeypatch):
    monkeypatch.setenv("HOME", str(elsewhere / "home"))
    write_idx_folder(elsewhere / "home" / "data" / "MNIST" / "raw")
    code, _, err = run(*TINY, "dataset=[mnist]", "paths.data=~/data", "stages=[embed,run]")
    assert (code, err) == (0, "")


def test_what_was_refused_before_its_first_batch_leaves_nothing(run, photos, elsewhere):
    command = (*TINY, "~dataset.digits", photos, "stages=[embed]")
    code, _, err = run(*command, "embed.batch_size=8")
    assert code == 2
    assert "row 4: the image cannot be decoded" in err
    assert not list((elsewhere / "results" / "embeddings").rglob("*.partial"))
    code, _, err = run(*command, "embed.batch_size=2")  # two batches before the broken image
    assert code == 2
    assert len(list((elsewhere / "results" / "embeddings").rglob("*.partial"))) == 1


def test_images_that_were_left_out_stay_in_view(run, photos, elsewhere):
    command = (*TINY, "~dataset.digits", photos, "embed.on_error=skip")
    assert run(*command, "stages=[embed,run]")[0] == 0
    code, out, _ = run(*command, "stages=[embed,run,report]")
    assert code == 0
    phrase = "3 of 30 train images that could not be read (first: "
    assert f"photos/pixels: without {phrase}" in out
    page = (elsewhere / "results" / "reports" / "custom" / "index.html").read_text()
    assert "images left out" in page
    assert phrase in page
    assert "cached without 3 of 30 train images" in run(*command, "stages=[data]")[1]
    shown = run(*command, "stages=[data]", "embed.on_error=fail")[1]
    assert "cached without 3 of 30 train images; set embed.on_error=skip to use it" in shown


def test_a_message_names_the_users_own_dataset(run, elsewhere):
    folder = elsewhere / "words"
    folder.mkdir()
    for split in ("train", "test"):
        images, _ = pictures(split, channels=3)
        write_shard(folder / f"{split}-0.parquet", [png(i) for i in images], ["cat"] * len(images))
    code, _, err = run(*TINY, "~dataset.digits", "+dataset.words.image_parquet.folder=words")
    assert code == 2
    assert "dataset.words.image_parquet.class_names" in err


def test_a_mapping_of_a_class_that_is_none_is_refused(run):
    renaming = ("mapping=[rename]", "mapping.rename.labels={3:0,88:1}")
    code, _, err = run(*TINY, *renaming)
    assert code == 2
    assert err.startswith(
        "mapping.rename.labels: 88 is no class of the dataset; expected some of 0,"
    )


def test_a_multirun_over_choices_with_keys_says_how_to_have_them(run):
    code, _, err = run("-m", "fm=pixels,random_conv", "fm.random_conv.width=4")
    assert code == 2
    assert "fm.random_conv: no such key; there are pixels. A multirun gives every job" in err


def test_files_that_are_not_read_are_remarked(run, elsewhere):
    for split in ("train", "test"):
        images, labels = pictures("train", channels=3)
        for i, (image, label) in enumerate(zip(images, labels, strict=True)):
            path = elsewhere / "photos" / split / f"class {label}" / f"{i}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(image))
    (elsewhere / "photos" / "train" / "class 0" / "more.heic").write_bytes(b"heic")
    command = (*TINY, "dataset=[image_folder]", "dataset.image_folder.folder=photos")
    said = "image_folder: 1 file with another ending"
    assert said in run(*command, "stages=[data]")[1]
    code, out, _ = run(*command, "stages=[embed,run]")
    assert code == 0
    assert said in out


@pytest.fixture
def shufflenet(elsewhere):
    """Write a checkpoint of random values, and return the overrides that take it."""
    network = torchvision().models.get_model("shufflenet_v2_x0_5")
    torch.save(network.state_dict(), elsewhere / "net.pth")
    return ("fm=[torchvision]", "fm.torchvision.weights=net.pth")


@pytest.mark.parametrize(
    ("overrides", "sentence"),
    [
        (["fm.torchvision.model=resnet18"], "net.pth: does not fit the network"),
        (
            ["fm.torchvision.model=shufflenet_v2_x0_5", "embed.device=cuda:7"],
            "'cuda:7' is not there",
        ),
    ],
)
def test_weights_and_devices_that_do_not_fit_are_refused_before_anything_is_planned(
    run, shufflenet, elsewhere, overrides, sentence
):
    code, out, err = run(*TINY, *shufflenet, *overrides)
    assert (code, out) == (2, "")
    assert sentence in err
    assert [path.name for path in elsewhere.iterdir()] == ["net.pth"]


def test_a_network_of_torchvision_runs_from_its_checkpoint_to_rows(run, shufflenet):
    model = "fm.torchvision.model=shufflenet_v2_x0_5"
    code, out, err = run(*TINY, *shufflenet, model, "stages=[embed,run]", "embed.device=cpu")
    assert (code, err) == (0, "")
    assert "torchvision: " in out
    assert set(read_rows("results")["fm"]) == {"torchvision"}


def test_data_that_change_after_planning_are_refused(run, elsewhere, monkeypatch):
    from imprint_bench import study

    file = npz(elsewhere / "mine.npz", np.arange(30) % 3, np.arange(20) % 3)
    real = study.embed

    def changed(*args):
        npz(elsewhere / "mine.npz", np.arange(30)[::-1] % 3, np.arange(20) % 3)
        return real(*args)

    monkeypatch.setattr(study, "embed", changed)
    code, _, err = run(*TINY, "dataset=[npz]", file, "stages=[embed,run]")
    assert code == 2
    assert err.startswith("embeddings npz/pixels: the data or the network changed after this run")
    assert not list((elsewhere / "results" / "rows").rglob("*.parquet"))


def test_mended_images_are_computed_anew(run, photos, elsewhere):
    command = (*TINY, "~dataset.digits", photos, "embed.on_error=skip", "stages=[embed,run]")
    assert run(*command)[0] == 0
    first = set(read_rows("results")["trial_id"])
    images, labels = pictures("train", channels=3)
    write_shard(elsewhere / "photos" / "train-0.parquet", [png(i) for i in images], labels)
    assert run(*command, "embed.force=true")[0] == 0
    rows = read_rows("results")
    assert len(rows) == 2
    assert set(rows[~rows["trial_id"].isin(first)]["n_train"]) == {30}


def test_forced_jobs_of_a_multirun_embed_a_pair_once(run):
    command = (*TINY, "stages=[embed,run]", "embed.force=true")
    code, out, err = run("-m", *command, "norm.post=[none],[none,l2]")
    assert (code, err) == (0, "")
    assert "have work in common" in out
    assert out.count("embedded digits: 1797 images") == 1

import json
import shutil

import numpy as np
import pytest
from layouts import pictures, png, write_shard

from imprint_bench.core.neural_collapse import nc1
from imprint_bench.core.normalization import l2_normalize
from imprint_bench.sweep import collapse
from imprint_bench.sweep.collapse import collapse_of, in_span_of_means
from imprint_bench.sweep.embedding import described, embed
from imprint_bench.sweep.planner import make_plan

SMALL = {
    "task": {"all": {"classes": "all"}, "odd": {"classes": [9, 1, 5]}},
    "gen": {"mean": {}},
    "norm": {"pre": ["none"], "post": ["none"], "inf": ["none"]},
    "n_shot": [5],
}
THREE = {"identity": {}, "rename": {"labels": {0: 9, 4: 9, 1: 1, 2: 5}}}
JOINED = {"d_in_1": {"d": [1, 3], "draws": 2, "n_labels": 3}}


@pytest.fixture
def sweep(config):
    """Return a function that embeds a small sweep, and returns its configuration and plan."""

    def made(**groups):
        chosen = config(**SMALL | groups)
        embed(chosen)
        return chosen, make_plan(chosen, described(chosen))

    return made


@pytest.fixture
def digits_of(sweep):
    """Return L2-normalized embeddings and labels of digits as `pixels` embeds them."""
    chosen, _ = sweep()
    (entry,) = embed(chosen).values()
    return l2_normalize(np.array(entry.X("train"), np.float64)), np.array(entry.y("train"))


def by_hand(X, y):
    """Return NC1 by its definition, and by that of the published code."""
    classes = np.unique(y)
    means = np.stack([X[y == c].mean(axis=0) for c in classes])
    center = means.mean(axis=0)
    between = np.cov((means - center).T, bias=True)
    within = np.mean([np.cov(X[y == c].T, bias=True) for c in classes], axis=0)
    inverse = np.linalg.pinv(between, rcond=1e-10)
    extra = np.outer(center, center)
    return (
        np.trace(within @ inverse) / len(classes),
        np.trace((within + extra) @ inverse) / len(classes),
    )


def test_nc1_of_every_instance_is_that_of_its_mapped_rows(sweep, digits_of):
    X, y = digits_of
    found = collapse_of(*sweep(mapping=THREE, task={"odd": {"classes": [9, 1, 5]}}))
    assert found[["fm", "dataset", "task"]].drop_duplicates().to_numpy().tolist() == [
        ["pixels", "digits", "odd"]
    ]
    values = found.set_index("mapping")[["nc1", "nc1_as_published"]]
    odd = np.isin(y, [9, 1, 5])
    assert values.loc["identity"].tolist() == pytest.approx(by_hand(X[odd], y[odd]), rel=1e-9)
    renamed = np.array([THREE["rename"]["labels"].get(label, -1) for label in y.tolist()])
    kept = renamed >= 0
    expected = by_hand(X[kept], renamed[kept])
    assert values.loc["rename"].tolist() == pytest.approx(expected, rel=1e-9)


def test_each_mapping_that_joins_classes_has_its_own_value(sweep, digits_of):
    X, _ = digits_of
    chosen, plan = sweep(mapping=JOINED, task={"all": {"classes": "all"}})
    found = collapse_of(chosen, plan).set_index("mapping")["nc1"]
    assert sorted(found.index) == ["d_in_1-1-0", "d_in_1-1-1", "d_in_1-3-0", "d_in_1-3-1"]
    for mapping, value in found.items():
        labels = plan.labels["digits", mapping].train
        kept = labels >= 0
        assert value == pytest.approx(nc1(X[kept], labels[kept]), rel=1e-9)


@pytest.mark.parametrize("length", [5, 40])
def test_coordinates_among_the_means_leave_nc1_of_joined_classes_as_it_is(length):
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(8), 600)  # more rows than are held at a time
    X = (rng.normal(size=(8, length))[y] + rng.normal(size=(len(y), length)) + 3).astype(np.float32)
    rows = rng.permutation(len(y))
    Z = in_span_of_means(X, y[rows], rows=rows)
    assert Z.shape == (len(y), min(8, length))
    for joined in (y, y // 2, y % 3):
        assert nc1(Z, joined[rows]) == pytest.approx(
            nc1(l2_normalize(X.astype(np.float64)), joined), rel=1e-9
        )


def test_a_second_report_computes_nothing(sweep, monkeypatch):
    chosen, plan = sweep()
    first = collapse_of(chosen, plan)
    shutil.rmtree(chosen.paths.embeddings)
    monkeypatch.setattr(collapse, "_values", None)
    assert collapse_of(chosen, plan).equals(first)
    assert first["nc1"].notna().all()


def test_a_further_task_is_computed_beside_those_that_are_kept(sweep, monkeypatch):
    first = collapse_of(*sweep())
    computed = []
    values = collapse._values

    def noted(work):
        computed.extend(work.wanted)
        return values(work)

    monkeypatch.setattr(collapse, "_values", noted)
    even = {"even": {"classes": [0, 2]}}
    both = collapse_of(*sweep(task=SMALL["task"] | even))
    assert [c.new for c in computed] == [((0, 0), (2, 2))]
    assert both["nc1"].tolist()[:2] == first["nc1"].tolist()


def test_another_mapping_of_the_same_name_is_another_value(sweep):
    task = {"all": {"classes": "all"}}
    values = [
        collapse_of(*sweep(mapping={"rename": {"labels": labels}}, task=task))["nc1"][0]
        for labels in ({0: 0, 1: 1}, {0: 0, 2: 1}, {0: 0, 1: 1})
    ]
    assert values[0] == values[2] != values[1]


@pytest.mark.parametrize("damage", ["cut", "changed", "other"])
def test_a_damaged_file_of_values_is_computed_again(sweep, damage):
    chosen, plan = sweep()
    first = collapse_of(chosen, plan)
    (file,) = (chosen.paths.results / "collapse").iterdir()
    content = json.loads(file.read_text())
    content["values"] = {key: [0.5, 0.5] for key in content["values"]}
    text = {"cut": file.read_text()[:-5], "changed": json.dumps(content), "other": "[1]"}[damage]
    file.write_text(text)
    assert collapse_of(chosen, plan).equals(first)
    assert json.loads(file.read_text())["values"] != content["values"]


def test_without_embeddings_there_are_no_values(sweep):
    chosen, plan = sweep()
    shutil.rmtree(chosen.paths.embeddings)
    found = collapse_of(chosen, plan)
    assert len(found) == 2
    assert found[["nc1", "nc1_as_published"]].isna().all(axis=None)
    assert not (chosen.paths.results / "collapse").exists()


def test_embeddings_that_cannot_be_read_are_told_and_give_no_values(sweep, caplog):
    chosen, plan = sweep()
    (file,) = chosen.paths.embeddings.rglob("train_labels.npy")
    file.write_bytes(bytes(file.stat().st_size))
    assert collapse_of(chosen, plan)["nc1"].isna().all()
    assert "NC1 of digits/pixels: " in caplog.text
    assert "cannot be opened" in caplog.text


def test_images_that_were_skipped_do_not_count(sweep, tmp_path):
    for split in ("train", "test"):
        images, labels = pictures(split, channels=3)
        blobs = [png(image) for image in images]
        if split == "train":
            blobs[4] = b"no image"
            broken, kept = images, np.delete(np.arange(len(images)), 4)
        write_shard(tmp_path / f"{split}-00000-of-00001.parquet", blobs, labels)
    chosen, plan = sweep(
        dataset={"pictures": {"image_parquet": {"folder": str(tmp_path)}}},
        embed={"on_error": "skip"},
        task={"all": {"classes": "all"}},
        n_shot=["all"],
    )
    X, y = broken.reshape(len(broken), -1)[kept] / 255, kept % 3
    expected = nc1(l2_normalize(X), y)
    assert collapse_of(chosen, plan)["nc1"].tolist() == pytest.approx([expected], rel=1e-6)


def test_the_number_of_workers_changes_no_value(sweep):
    fms = {"pixels": {}, "random_conv": {"width": 4, "input_size": 8}}
    chosen, plan = sweep(fm=fms)
    alone = collapse_of(chosen, plan)
    shutil.rmtree(chosen.paths.results / "collapse")
    more, _ = sweep(fm=fms, n_jobs=2)
    assert collapse_of(more, plan).equals(alone)
    assert alone["fm"].tolist() == ["pixels", "pixels", "random_conv", "random_conv"]

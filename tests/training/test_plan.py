import numpy as np
import pytest
from small_sweeps import DATA, METHODS, raw_of

from imprint_bench.errors import ConfigError, DataError
from imprint_bench.training.config import read_training
from imprint_bench.training.plan import make_training_plan

DYNAMIC = {"fixed": {"prototypes": {"simplex": {}}, "assignment": {"dynamic": {}}}}


def test_the_plan_is_every_combination_less_what_does_not_exist(small):
    config = small(d=[3, 98, 99, 120], seeds=[0, 1, 2]).config
    plan = make_training_plan(config)
    # learned at four d; a simplex of 100 classes at 99 and 120 dimensions
    assert len(plan) == 3 * (4 + 2)
    assert plan.dropped["trials"].tolist() == [3, 3]
    assert plan.dropped["reason"].str.contains("100 classes need d >= 99").all()
    frame = plan.frame()
    assert set(zip(frame["method"], frame["d"], frame["seed"], strict=True)) == {
        (m, d, s)
        for m, ds in {"learned": (3, 98, 99, 120), "etf": (99, 120)}.items()
        for d in ds
        for s in range(3)
    }
    assert len(set(frame["trial_id"])) == len(frame)


def test_ids_do_not_depend_on_names_or_on_what_else_is_planned(small):
    one = make_training_plan(small().config)
    renamed = small(
        dataset={"other": DATA},
        network={"net": {"mlp": {"hidden": [16], "batch_norm": True}}},
        recipe={"r": {"epochs": 1, "batch_size": 50, "mixup": 0.0}},
        method={"mine": METHODS["etf"]},
        seeds=[1],
    ).config
    other = make_training_plan(renamed)
    frame = one.frame()
    same = frame[(frame["method"] == "etf") & (frame["seed"] == 1)]["trial_id"]
    assert same.tolist() == other.frame()["trial_id"].tolist()


@pytest.mark.parametrize(
    "changed",
    [
        {"recipe": {"short": {"epochs": 2, "batch_size": 50}}},
        {"network": {"mlp": {"hidden": [17]}}},
        {"dataset": {"tiny_pairs": {"pairs": {"of": {"digits": {}}, "n_train": 6, "n_test": 2}}}},
        {"recipe": {"short": {"epochs": 1, "batch_size": 50, "augmentation": {"flip": {}}}}},
        {"recipe": {"short": {"epochs": 1, "batch_size": 50, "optimizer": {"adamw": {}}}}},
        {"d": [100]},
        {"seeds": [2, 3]},
        {"method": {"etf": {**METHODS["etf"], "loss": {"ipm": {"balanced": True}}}}},
        {"method": {"etf": {**METHODS["etf"], "head": DYNAMIC}}},
        {"method": {"etf": {**METHODS["etf"], "head": {"cosine": {"scale": 2.0}}}}},
        {"method": {"learned": {**METHODS["learned"], "lr": 0.06}}},
    ],
    ids=str,
)
def test_whatever_changes_a_result_changes_the_id(small, changed):
    before = make_training_plan(small().config)
    after = make_training_plan(small(**changed).config)
    assert not set(before.ids.tolist()) & set(after.ids.tolist())


def test_two_names_of_one_run_are_one_run(small):
    plan = make_training_plan(small(method={"a": METHODS["etf"], "b": METHODS["etf"]}).config)
    assert len(plan) == 2
    assert plan.dropped["reason"].unique().tolist() == ["another combination comes to the same"]


def test_a_batch_that_is_larger_than_the_data_is_refused_before_anything_is_computed(small):
    config = small(recipe={"short": {"epochs": 1, "batch_size": 501}}).config
    with pytest.raises(ConfigError) as refused:
        make_training_plan(config)
    assert str(refused.value) == (
        "recipe.short.batch_size: 501 is more than the 500 training rows of tiny_pairs; expected "
        "at most so many."
    )


def test_where_nothing_is_left_the_reasons_are_told(small):
    with pytest.raises(ConfigError) as refused:
        make_training_plan(small(d=[5], method={"etf": METHODS["etf"]}).config)
    assert "no trial is left to run" in str(refused.value)
    assert "there are equidistributed" in str(refused.value)


def npz(path, train, test):
    images = {
        f"{s}_images": np.zeros((len(y), 4, 4), np.uint8)
        for s, y in (("train", train), ("test", test))
    }
    np.savez(path, **images, train_labels=np.array(train), test_labels=np.array(test))
    return {"npz": {"file": str(path)}}


def test_a_class_that_is_tested_and_never_seen_is_refused(small, tmp_path):
    data = npz(tmp_path / "x.npz", [0, 1, 1, 0] * 20, [0, 1, 2])
    with pytest.raises(DataError) as refused:
        make_training_plan(small(dataset={"gap": data}).config)
    assert str(refused.value).startswith(
        "dataset.gap: test rows of classes without training rows (2);"
    )


def test_a_single_class_is_refused(small, tmp_path):
    data = npz(tmp_path / "x.npz", [3] * 60, [3])
    with pytest.raises(DataError, match=r"dataset.one: 1 class; training needs at least two"):
        make_training_plan(small(dataset={"one": data}).config)


def test_labels_with_gaps_are_classes_in_ascending_order(small, tmp_path):
    data = npz(tmp_path / "x.npz", [7, 3, 9] * 20, [9, 3])
    plan = make_training_plan(
        small(dataset={"gaps": data}, d=[5], method={"learned": METHODS["learned"]}).config
    )
    assert plan.materials["gaps"].classes.tolist() == [3, 7, 9]


REFUSED = {
    "gen: a sweep that trains has none, got mean": {"gen": {"mean": {}}},
    "n_shot: a sweep that trains takes all rows": {"n_shot": [5]},
    "d[0]: expected an int of at least 1, got 0": {"d": [0]},
    "d: an empty list": {"d": []},
    "train.device: unknown device 'gpu'": {"train": {"device": "gpu"}},
    "train.devise: no such key": {"train": {"devise": "cpu"}},
    "recipe: nothing chosen": {"recipe": {}},
    "recipe.r.epochs": {"recipe": {"r": {"epochs": 0}}},
    "network.mine: unknown network": {"network": {"mine": {"rezznet": {}}}},
    "fmm: no such key": {"fmm": {}},
}


@pytest.mark.parametrize("sentence", REFUSED)
def test_a_wrong_configuration_gets_one_sentence_with_its_place(small, tmp_path, sentence):
    with pytest.raises(ConfigError) as refused:
        read_training(raw_of(tmp_path, **REFUSED[sentence]))
    assert str(refused.value).startswith(sentence)


def test_what_a_file_of_word_vectors_holds_is_part_of_the_id_and_not_where_it_lies(small, tmp_path):
    table = np.random.default_rng(0).normal(size=(100, 8))
    ids = []
    for name, content in (("a", table), ("b", table), ("c", table + 1)):
        np.save(tmp_path / f"{name}.npy", content)
        words = {"word_vectors": {"file": str(tmp_path / f"{name}.npy")}}
        head = {"fixed": {"prototypes": words}}
        config = small(d=[5], seeds=[0], method={"w": {**METHODS["etf"], "head": head}}).config
        ids.append(make_training_plan(config).ids.tolist())
    assert ids[0] == ids[1] != ids[2]


def test_a_file_of_word_vectors_that_is_not_there_is_told_before_anything_is_trained(small):
    head = {"fixed": {"prototypes": {"word_vectors": {"file": "/nowhere/x.npy"}}}}
    config = small(d=[5], method={"w": {**METHODS["etf"], "head": head}}).config
    with pytest.raises(DataError, match=r"/nowhere/x\.npy"):
        make_training_plan(config)


def test_word_vectors_that_are_too_short_for_some_d_are_dropped_there_with_the_reason(
    small, tmp_path
):
    np.save(tmp_path / "w.npy", np.random.default_rng(0).normal(size=(100, 8)))
    head = {"fixed": {"prototypes": {"word_vectors": {"file": str(tmp_path / "w.npy")}}}}
    config = small(d=[5, 9], seeds=[0], method={"w": {**METHODS["etf"], "head": head}}).config
    plan = make_training_plan(config)
    assert plan.frame()["d"].tolist() == [5]
    assert "d <= 8" in plan.dropped["reason"].item()


def test_a_network_is_checked_with_the_size_that_the_recipe_crops_to(small, tmp_path):
    images = {f"{s}_images": np.zeros((60, 40, 50), np.uint8) for s in ("train", "test")}
    labels = {f"{s}_labels": np.arange(60) % 3 for s in ("train", "test")}
    np.savez(tmp_path / "x.npz", **images, **labels)
    config = small(
        dataset={"photos": {"npz": {"file": str(tmp_path / "x.npz")}}},
        network={"vit": {"torchvision": {"model": "vit_b_16"}}},
        recipe={"r": {"epochs": 1, "batch_size": 50, "image_size": 224}},
        method={"learned": METHODS["learned"]},
    ).config
    assert len(make_training_plan(config)) == 2


def test_means_for_other_channels_are_told_before_anything_is_trained(small):
    recipe = {"epochs": 1, "batch_size": 50, "normalize": {"mean": [0.5] * 3, "std": [0.5] * 3}}
    with pytest.raises(ConfigError) as refused:
        make_training_plan(small(recipe={"of_color": recipe}).config)
    assert str(refused.value) == (
        "recipe.of_color.normalize: mean [0.5, 0.5, 0.5] for images of tiny_pairs, whose number of "
        "channels is 1; expected a mean per channel, data or none."
    )


@pytest.mark.parametrize("sizes", [(1, 1), (4, 4)])
def test_batch_normalization_is_not_trained_on_single_images(small, sizes):
    batch, parts = sizes
    recipe = {"r": {"epochs": 1, "batch_size": batch, "accumulate": parts}}
    with pytest.raises(ConfigError, match=r"mlp has batch normalization, which needs two images"):
        make_training_plan(small(recipe=recipe).config)
    without = {"mlp": {"hidden": [16], "batch_norm": False}}
    assert len(make_training_plan(small(recipe=recipe, network=without).config)) == 4

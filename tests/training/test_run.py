import numpy as np
import pandas as pd
import pytest
import torch
from small_sweeps import METHODS

from imprint_bench.data.dataset import build_dataset
from imprint_bench.data.foundation_model import build_foundation_model
from imprint_bench.errors import ConfigError, IncompleteError, RunFailed
from imprint_bench.fixed.core.prototype_set import PROTOTYPES, prototype_set
from imprint_bench.fixed.kept_head import load_head
from imprint_bench.fixed.prototype_cache import cached_prototypes
from imprint_bench.params import Source
from imprint_bench.training.plan import make_training_plan

TIMES = ["train_seconds"]
DYNAMIC = {
    "head": {"fixed": {"prototypes": {"random": {}}, "assignment": {"dynamic": {}}}},
    "loss": {"ipm": {}},
    "lr": 0.01,
}
DIVERGING = {"head": {"linear": {}}, "loss": {"cross_entropy": {}}, "lr": 1e30}


def test_a_sweep_trains_stores_and_reports_every_run(small, tmp_path):
    sweep = small(method={**METHODS, "dynamic": DYNAMIC})
    sweep.run()
    rows = sweep.rows()
    assert len(rows) == 6
    assert rows["status"].eq("ok").all()
    assert rows["n_train"].eq(500).all()
    assert rows["n_test"].eq(200).all()
    assert rows["accuracy"].between(0, 1).all()
    for row in rows.to_dict("records"):
        # balanced test classes: the accuracy is the mean of those of the classes
        assert np.mean(row["class_accuracy"]) == pytest.approx(row["accuracy"])
        assert len(row["epoch_loss"]) == 1
    etf = rows[rows["method"] == "etf"]
    np.testing.assert_allclose(etf["cosine_max"], -1 / 99, atol=1e-6)
    np.testing.assert_allclose(etf["cosine_mean"], -1 / 99, atol=1e-6)
    page = tmp_path / "results" / "reports" / "small" / "index.html"
    assert "equidistributed" not in page.read_text()
    assert (page.parent / "tables" / "methods.csv").is_file()


def test_runs_are_bit_equal_whatever_the_number_of_workers_and_whatever_else_runs(small):
    together = small("together", method={**METHODS, "dynamic": DYNAMIC}, n_jobs=2)
    together.run()
    alone = small("alone", method={"dynamic": DYNAMIC}, seeds=[1])
    alone.run()
    expected = alone.rows().drop(columns=TIMES).dropna(axis="columns", how="all")
    found = together.rows()
    found = found[found["trial_id"].isin(expected["trial_id"])].reset_index(drop=True)
    pd.testing.assert_frame_equal(found[expected.columns], expected, check_dtype=False)


def test_a_second_run_trains_nothing_and_a_larger_one_only_what_is_new(small, caplog):
    small(seeds=[0]).run()
    with caplog.at_level("INFO"):
        small(seeds=[0]).run()
        small(seeds=[0, 1]).run()
    told = [r.message for r in caplog.records if "to train" in r.message]
    assert told == ["2 runs: 2 in the store, 0 to train.", "4 runs: 2 in the store, 2 to train."]


def test_a_run_that_diverges_is_marked_with_its_step_and_the_others_are_kept(small):
    sweep = small(method={"learned": METHODS["learned"], "wild": DIVERGING}, seeds=[0])
    with pytest.raises((RunFailed, IncompleteError)) as failed:
        sweep.run()
    assert "in epoch 1, step" in str(failed.value)
    rows = sweep.rows().set_index("method")
    assert rows["status"].to_dict() == {"learned": "ok", "wild": "failed"}
    assert "choose a smaller lr" in rows.loc["wild", "reason"]
    before = rows.loc["learned", "train_seconds"]
    again = small(method={"learned": METHODS["learned"], "wild": DIVERGING}, seeds=[0])
    with pytest.raises((RunFailed, IncompleteError)):
        again.run()
    assert again.rows().set_index("method").loc["learned", "train_seconds"] == before


def test_shards_share_the_plan_without_gap_or_overlap(small):
    for i in (1, 2, 3):
        small(shard=f"{i}/3").run()
    whole = small()
    rows = whole.rows()
    assert set(rows["trial_id"].str.encode("ascii")) == set(
        make_training_plan(whole.config).ids.tolist()
    )
    assert rows["trial_id"].is_unique


def test_prototypes_are_made_once_and_kept(small, tmp_path):
    sweep = small(method={"dynamic": DYNAMIC})
    sweep.run()
    kept = sorted(p.name for p in (tmp_path / "results" / "prototypes").rglob("*") if p.is_file())
    assert len(kept) == 2  # one set for each seed


def test_no_checkpoint_is_left_when_all_is_done(small, tmp_path):
    small().run()
    folder = tmp_path / "results" / "checkpoints"
    assert not folder.exists() or not list(folder.iterdir())


def test_a_network_that_is_kept_embeds_as_a_foundation_model(small, tmp_path):
    sweep = small(method={"etf": METHODS["etf"]}, seeds=[0], train={"keep": True, "device": "cpu"})
    sweep.run()
    (file,) = (tmp_path / "results" / "networks").iterdir()
    fm = build_foundation_model(Source("mine", "trained", {"file": str(file)}))
    dataset = build_dataset(sweep.config.datasets[0])
    features = fm.embed(dataset.images("test", 0, 200))
    assert features.shape == (200, 99)
    # the simplex is assigned by identity: cosines with it give the accuracy of the run again
    W = cached_prototypes(tmp_path / "results" / "prototypes", "simplex", 100, 99, seed=0).vectors
    accuracy = np.mean((features @ W.T).argmax(1) == dataset.labels("test"))
    assert accuracy == pytest.approx(sweep.rows()["accuracy"].item(), abs=0.006)


@pytest.mark.parametrize("name", ["learned", "scaled", "dynamic"])
def test_a_kept_network_has_the_head_that_it_was_tested_with(small, tmp_path, name):
    scaled = {"head": {"cosine": {"scale": 16}}, "loss": {"cross_entropy": {}}, "lr": 0.05}
    methods = {"learned": METHODS["learned"], "scaled": scaled, "dynamic": DYNAMIC}
    sweep = small(
        method={name: methods[name]}, seeds=[0], train={"keep": True},
        recipe={"short": {"epochs": 3, "batch_size": 50}},
    )  # fmt: skip
    sweep.run()
    (file,) = (tmp_path / "results" / "networks").iterdir()
    fm = build_foundation_model(Source("mine", "trained", {"file": str(file)}))
    dataset = build_dataset(sweep.config.datasets[0])
    features = torch.from_numpy(fm.embed(dataset.images("test", 0, 200)))
    chosen = load_head(file).logits(features).argmax(1).numpy()
    accuracy = np.mean(chosen == dataset.labels("test"))
    assert accuracy == pytest.approx(sweep.rows()["accuracy"].item(), abs=0.006)


def test_what_the_store_has_is_trained_again_where_its_network_is_to_be_kept_and_is_not(small):
    small(seeds=[0]).run()
    kept = small(seeds=[0], train={"keep": True})
    kept.run()
    assert len(list((kept.config.paths.results / "networks").iterdir())) == 2
    before = kept.rows()["train_seconds"].tolist()
    kept.run()
    assert kept.rows()["train_seconds"].tolist() == before


def test_a_set_of_the_users_that_fails_is_named_and_the_other_runs_go_on(small):
    @prototype_set("failing")
    def failing(c, d):
        raise RuntimeError("boom")

    @prototype_set("too long")
    def too_long(c, d):
        return np.ones((c, d))

    try:
        methods = {"learned": METHODS["learned"]}
        for name in ("failing", "too long"):
            methods[name] = {**METHODS["etf"], "head": {"fixed": {"prototypes": {name: {}}}}}
        sweep = small(method=methods, seeds=[0])
        with pytest.raises((RunFailed, IncompleteError)) as failed:
            sweep.run()
    finally:
        for name in ("failing", "too long"):
            del PROTOTYPES._entries[name]
    told = str(failed.value)
    assert "prototypes.failing: fails for c=100, d=99 (RuntimeError: boom)" in told
    assert "prototypes.too long: row 0 has length 9.94987; expected rows of length 1" in told
    assert sweep.rows()["method"].tolist() == ["learned"]


TWO = {
    "concatenation": {
        "parts": {"images": {"digits": {}}, "again": {"digits": {}}},
        "labels": "offset",
    }
}


def mixed(small, folder, shares, **changed):
    recipe = {"epochs": 1, "batch_size": 50, "shares": shares}
    chosen = {"dataset": {"two": TWO}, "recipe": {"short": recipe}, "d": [20], "seeds": [0]}
    return small(folder, **{**chosen, **changed})


def test_shares_of_the_parts_of_a_dataset_are_another_training(small):
    accuracies = {}
    for folder, shares in (("joined", None), ("most", {"images": 0.9, "again": 0.1})):
        sweep = mixed(small, folder, shares, method={"learned": METHODS["learned"]})
        sweep.run()
        (row,) = sweep.rows().to_dict("records")
        assert row["n_train"] == 2 * 1347
        accuracies[folder] = np.array(row["class_accuracy"])
        assert len(accuracies[folder]) == 20
        ids = sweep.rows()["trial_id"].tolist()
        assert ids == make_training_plan(sweep.config).frame()["trial_id"].tolist()
    # the same images under two labels: what most of the batches say wins
    assert accuracies["most"][:10].mean() > 0.8 > 0.2 > accuracies["most"][10:].mean()
    assert accuracies["joined"][:10].mean() < 0.8


@pytest.mark.parametrize(
    ("shares", "changed", "sentence"),
    [
        ({"image": 0.5, "again": 0.5}, {}, "recipe.short.shares.image: two has no such part; "
         "there are images, again. Did you mean 'images'?"),
        ({"images": 0.5, "again": 0.5}, {"dataset": {"one": {"digits": {}}}},
         "recipe.short.shares: one has no parts; expected a dataset that is a concatenation"),
        ({"images": 0.999, "again": 0.001}, {}, "in a batch of 50 they are 50 of images, 0 of a"),
    ],
    ids=["no such part", "one source", "no image"],
)  # fmt: skip
def test_shares_that_do_not_fit_are_refused_before_anything_is_trained(
    small, tmp_path, shares, changed, sentence
):
    with pytest.raises(ConfigError) as caught:
        mixed(small, "wrong", shares, **changed).run()
    assert sentence in str(caught.value)
    assert not (tmp_path / "wrong" / "results" / "rows").exists()


def test_vectors_of_a_trained_head_can_be_the_prototypes_of_another(small):
    reused = {
        "first": METHODS["learned"],
        "head": {"fixed": {"prototypes": {"trained": {}}, "assignment": {"dynamic": {}}}},
        "loss": {"ipm": {}},
        "lr": 0.01,
    }
    sweep = small(method={"learned": METHODS["learned"], "reused": reused}, seeds=[0])
    sweep.run()
    rows = sweep.rows().set_index("method")
    # the vectors are those of the learned head, of another order at most: the same cosines
    for column in ("cosine_max", "cosine_min", "cosine_mean"):
        assert rows.loc["reused", column] == pytest.approx(rows.loc["learned", column], abs=1e-6)


@pytest.mark.parametrize(
    ("prototypes", "sentence"),
    [
        ({"gaussian_potential": {"t": -1.0}}, "gaussian_potential"),
        ({"hpn": {"lr": 0.0}}, "hpn"),
        ({"equidistributed": {"sharpness": 1.0}}, "equidistributed"),
        ({"random": {"std": -1.0}}, "random"),
    ],
)
def test_a_wrong_number_of_a_set_is_told_before_anything_is_trained(small, prototypes, sentence):
    head = {"fixed": {"prototypes": prototypes}}
    sweep = small(d=[10], method={**METHODS, "mine": {**METHODS["etf"], "head": head}})
    with pytest.raises(ConfigError, match=rf"^method\.mine\.head\.fixed\.prototypes\.{sentence}"):
        sweep.run()
    assert not len(sweep.rows())


def test_shares_of_a_small_first_part_fill_a_batch_with_what_comes_again(small):
    parts = {"few": {"pairs": {"of": {"digits": {}}, "n_train": 1, "n_test": 1}},
             "more": {"pairs": {"of": {"digits": {}}, "n_train": 1, "n_test": 1}}}  # fmt: skip
    recipe = {"r": {"epochs": 1, "batch_size": 500, "shares": {"few": 0.1, "more": 0.9}}}
    sweep = small(
        dataset={"two": {"concatenation": {"parts": parts}}}, recipe=recipe,
        method={"learned": METHODS["learned"]}, seeds=[0],
    )  # fmt: skip
    sweep.run()
    (row,) = sweep.rows().to_dict("records")
    assert (row["n_train"], row["status"]) == (200, "ok")

"""From the images of MNIST to the accuracies that others have measured."""

import subprocess
import sys

import pandas as pd
import pytest

from imprint_bench.sweep.store import Store

# percent, task "all": mean and k-means with everything L2-normalized, least squares without norms
EXPECTED = {
    ("mean", "l2"): 80.1,
    ("kmeans", "l2"): 87.4,
    ("least_squares", "none"): 93.4,
}


def test_mobilenet_on_mnist_reaches_the_known_accuracies(shared_data, litert_network, tmp_path):
    overrides = [
        "+sweep=mnist_mobilenet", "fm=[mobilenet_v1_025]", "task=[all]",
        "gen=[mean,kmeans,least_squares]", "gen.kmeans.k=[20]", "norm.post=[none,l2]",
        f"paths.data={shared_data}", f"paths.results={tmp_path}", "n_jobs=2",
    ]  # fmt: skip
    command = [sys.executable, "-m", "imprint_bench", *overrides]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=900)
    assert (tmp_path / "reports" / "mnist_mobilenet" / "index.html").is_file()

    rows = Store(tmp_path / "rows", tmp_path / "quarantine").read()
    assert set(rows["n_test"]) == {10_000}
    assert set(rows["n_train"]) == {60_000}
    norms = rows[["norm_pre", "norm_post", "norm_inf"]]
    for (gen, norm), percent in EXPECTED.items():
        chosen = rows[(rows["gen"] == gen) & (norms == norm).all(axis=1)]
        assert len(chosen) == 3  # seeds
        assert 100 * chosen["accuracy"].median() == pytest.approx(percent, abs=0.1)


def test_nc1_rises_with_the_number_of_imagenet_classes_under_each_label(
    shared_data, litert_network, tmp_path
):
    overrides = [
        "+sweep=nc_imagenet32", "fm=[mobilenet_v1_025]", "gen=[mean]",
        "mapping.d_in_1.d=[1,3,9]", "mapping.d_in_1.draws=3", "seeds=[0]",
        f"paths.data={shared_data}", f"paths.results={tmp_path}", "n_jobs=2",
    ]  # fmt: skip
    command = [sys.executable, "-m", "imprint_bench", *overrides]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path, timeout=900)
    folder = tmp_path / "reports" / "nc_imagenet32"
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "NC1 rises with d for 1 of 1 foundation model (Spearman&#39;s rho " in page
    means = pd.read_csv(folder / "figures" / "nc1_over_d.csv")
    assert means["d"].tolist() == [1, 3, 9]
    assert means["nc1"].is_monotonic_increasing
    assert means["nc1"].iloc[2] > 4 * means["nc1"].iloc[0]
    assert (folder / "tables" / "neural_collapse.csv").is_file()
    assert (folder / "figures" / "montage_imagenet32.svg").is_file()

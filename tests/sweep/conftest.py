import copy
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

from imprint_bench.config import Config, read
from imprint_bench.data.embeddings.cache import Description
from imprint_bench.sweep.embedding import described, embed
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.run import Outcome, run, store_of
from imprint_bench.sweep.unit import share

PLAIN = {
    "name": "test",
    "fm": {"pixels": {}},
    "dataset": {"digits": {}},
    "mapping": {"identity": {}},
    "task": {
        "all": {"classes": "all"},
        "short": {"classes": [0, 1, 2]},
        "odd": {"classes": [9, 7, 5, 3, 1]},  # not ascending: the quantile norm sees the order
    },
    "n_shot": ["all"],
    "seeds": [0, 1],
    "norm": {
        "pre": ["none", "l2"],
        "post": ["none", "l2", "quantile"],
        "inf": ["none", "l2"],
    },
    "gen": {"mean": {}, "kmeans": {"k": [1, 5]}},
    "agg": {"max": {}},
    "stages": ["embed", "plan", "run", "report"],
    "mode": "missing",
    "n_jobs": 1,
    "embed": {"force": False, "verify": False},
    "report": {"alpha": 0.05, "allow_incomplete": False},
    "table": {},
    "figure": {},
    "paths": dict.fromkeys(("data", "results", "embeddings", "rows", "reports"), "unused"),
}


# Every generator, on few rows; with mnn, quantile and a task whose classes are not ascending.
EVERY_GENERATOR = {
    "gen": {
        "mean": {},
        "kmeans": {"k": [1, 5]},
        "kmedoids": {"k": [3]},
        "cov_max": {"k": [3]},
        "random": {"k": [3]},
        "fps": {"k": [3]},
        "all": {},
        "least_squares": {"weight_decay": [0.1]},
        "k_least_squares": {"k": [2], "weight_decay": [0.1]},
    },
    "agg": {"max": {}, "mnn": {"m": [3], "metric": ["euclidean"], "weighting": ["distance"]}},
    "task": {"all": {"classes": "all"}, "odd": {"classes": [9, 7, 5, 3, 1]}},
    "n_shot": [10],
    "norm": {"pre": ["none"], "post": ["none", "quantile"], "inf": ["l2"]},
    "stages": ["embed", "run"],
}


class Sweep:
    """The small sweep of every generator, with its results in a folder."""

    def __init__(self, folder: Path, **groups):
        places = {name: str(folder / name) for name in ("embeddings", "rows", "reports")}
        paths = {"data": "unused", "results": str(folder)} | places
        self.config = read(copy.deepcopy(PLAIN) | EVERY_GENERATOR | {"paths": paths} | groups)
        self.store = store_of(self.config)

    def plan(self):
        """Return the plan, or the part of it that is the shard's."""
        plan = make_plan(self.config, described(self.config))
        return plan if self.config.shard is None else share(plan, self.config.shard)

    def run(self) -> Outcome:
        """Compute what the store lacks."""
        embeddings = embed(self.config)
        return run(self.config, self.plan(), embeddings, self.store)

    def rows(self):
        """Return the rows in the order of their ids, without the seconds."""
        rows = self.store.read().sort_values("trial_id", ignore_index=True)
        return rows.drop(columns="gen_seconds").sort_index(axis=1)


class InMemory:
    """Embeddings in memory, in place of the cache's memory maps."""

    def __init__(self, X_train, y_train, X_test, y_test):
        self._X = {"train": X_train, "test": X_test}
        self._y = {"train": y_train, "test": y_test}

    def X(self, split):
        return self._X[split]

    def y(self, split):
        return self._y[split]

    def describe(self):
        return Description(
            fm="pixels",
            dataset="digits",
            fingerprint="f" * 64,
            labels=self._y,
            length=self._X["train"].shape[1],
            weight_decay=1e-3,
            cached=True,
        )


@pytest.fixture
def plain() -> dict:
    """Return a plain configuration to change and to read."""
    return copy.deepcopy(PLAIN)


@pytest.fixture
def config(plain, tmp_path: Path):
    """Return a function that reads the configuration with some groups replaced."""

    def with_groups(**groups) -> Config:
        folders = {name: str(tmp_path / name) for name in plain["paths"]}
        return read(plain | {"paths": folders | {"results": str(tmp_path)}} | groups)

    return with_groups


@pytest.fixture(scope="session")
def sweep_in():
    """Return a function that prepares the small sweep of every generator in a folder."""
    return Sweep


@pytest.fixture(scope="session")
def whole(tmp_path_factory):
    """Return the rows of that sweep, computed at once by this process: not to be changed."""
    sweep = Sweep(tmp_path_factory.mktemp("whole"))
    outcome = sweep.run()
    rows = sweep.rows()
    assert not outcome.failed
    assert outcome.computed == len(rows) == 2 * 10 * 2 * 2 * 2  # seeds, gens, tasks, norms, aggs
    assert set(rows["status"]) == {"ok"}
    return rows


@pytest.fixture(scope="session")
def digits() -> InMemory:
    """Return 8 x 8 digits as embeddings of 64 values, all small integers: ties abound."""
    X, y = load_digits(return_X_y=True)
    X = X.astype(np.float32)
    return InMemory(X[:700], y[:700], X[700:1100], y[700:1100])


@pytest.fixture(scope="session")
def mobilenet_mnist(shared_data, litert_network) -> InMemory:
    """Return embeddings of MNIST by MobileNet v1 0.25: 150 training and 50 test rows per class."""
    from imprint_bench.data.dataset import build_dataset
    from imprint_bench.data.foundation_model import build_foundation_model
    from imprint_bench.params import Source

    model = build_foundation_model(Source("mobilenet", "litert", {"file": str(litert_network)}))
    mnist = build_dataset(Source("mnist", "idx", {"folder": str(shared_data / "MNIST" / "raw")}))
    parts = []
    for split, per_class in (("train", 150), ("test", 50)):
        y = mnist.labels(split)[:6000]
        rows = np.sort(np.concatenate([np.flatnonzero(y == c)[:per_class] for c in range(10)]))
        images = mnist.images(split, 0, 6000)[rows]
        parts += [model.embed(images), y[rows]]
    return InMemory(*parts)

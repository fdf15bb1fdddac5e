"""Sweeps that train, small enough for a test: 500 + 200 pairs of digits, one epoch."""

from pathlib import Path

import pandas as pd

from imprint_bench.reporting import Launch
from imprint_bench.studies import carry_out
from imprint_bench.sweep.run import store_of
from imprint_bench.training.config import TrainingConfig, read_training

IPM = {"ipm": {}}
STATIC = {"fixed": {"prototypes": {"simplex": {}}, "assignment": {"static": {}}}}
METHODS = {
    "learned": {"head": {"linear": {}}, "loss": {"cross_entropy": {}}, "lr": 0.05},
    "etf": {"head": STATIC, "loss": IPM, "lr": 0.01},
}
DATA = {"pairs": {"of": {"digits": {}}, "n_train": 5, "n_test": 2}}


def raw_of(tmp_path: Path, **changed: object) -> dict:
    """Return the plain configuration of a small sweep that trains."""
    results = tmp_path / "results"
    paths = {"data": "data", "results": str(results)}
    paths |= {name: str(results / name) for name in ("embeddings", "rows", "reports")}
    return {
        "name": "small",
        "dataset": {"tiny_pairs": DATA},
        "network": {"mlp": {"hidden": [16]}},
        "recipe": {"short": {"epochs": 1, "batch_size": 50}},
        "d": [99],
        "method": METHODS,
        "seeds": [0, 1],
        "train": {"device": "cpu"},
        "stages": ["embed", "plan", "run", "report"],
        "mode": "missing",
        "n_jobs": 1,
        "report": {"alpha": 0.05, "allow_incomplete": False},
        "table": {"methods": {}},
        "figure": {},
        "paths": paths,
        **changed,
    }


class Sweep:
    """A sweep that trains in a folder of its own."""

    def __init__(self, tmp_path: Path, **changed: object) -> None:
        self.raw = raw_of(tmp_path, **changed)
        self.config: TrainingConfig = read_training(self.raw)

    def run(self) -> None:
        carry_out(self.config, Launch("python -m imprint_bench", ""))

    def rows(self) -> pd.DataFrame:
        found = store_of(self.config).read()
        return found.sort_values("trial_id", ignore_index=True)

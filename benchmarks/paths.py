"""Trials per CPU second: the shared path of a sweep against the reference path.

    python -m benchmarks.paths                                    # make bench
    python -m benchmarks.paths +sweep=mnist_mobilenet paths.data=FOLDER --sample 200

Both compute the same trials in this process with one thread, and every accuracy
is compared. With --sample N the reference path computes N trials of the plan,
drawn at random, and its rate is that of the sample.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Sequence

import numpy as np
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from threadpoolctl import threadpool_limits

from imprint_bench.command_line import conf_folder
from imprint_bench.config import Config, read
from imprint_bench.sweep.bank import compute
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.planner import make_plan
from imprint_bench.sweep.reference import one_trial
from imprint_bench.sweep.run import described, embed
from imprint_bench.sweep.unit import units


def main() -> int:
    """Measure, print the two rates and their ratio; 1 if an accuracy differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, metavar="N", help="trials of the reference path")
    parser.add_argument("overrides", nargs="*", default=[], help="as for imprint_bench")
    options = parser.parse_args()
    config = _config(options.overrides or ["+sweep=bench"])
    descriptions = described(config)
    embeddings = embed(config, descriptions)
    plan = make_plan(config, descriptions)
    work = units(
        plan, np.ones(len(plan), dtype=bool), {p: e.fingerprint for p, e in embeddings.items()}
    )
    with threadpool_limits(1):
        started = time.process_time()
        rows = [r for u in work for r in compute(u, embeddings[u.key.fm, u.key.dataset])]
        shared = time.process_time() - started
        accuracies = {row["trial_id"]: row["accuracy"] for row in rows}
        chosen = _chosen(len(plan), options.sample)
        started = time.process_time()
        found = [_reference(plan, i, embeddings) for i in chosen]
        reference = time.process_time() - started
    different = sum(
        accuracy != accuracies[plan.ids[i].decode()]
        for i, accuracy in zip(chosen, found, strict=True)
    )
    rates = len(plan) / shared, len(chosen) / reference
    print(
        f"{config.name}: {len(plan)} trials on {', '.join('/'.join(p[::-1]) for p in embeddings)}"
    )
    print(
        f"machine: {platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, NumPy {np.__version__}; one thread"
    )
    for path, n, seconds in (("shared", len(plan), shared), ("reference", len(chosen), reference)):
        print(
            f"{path:>9} path: {n:6d} trials in {seconds:7.1f} CPU s = {n / seconds:8.1f} per CPU s"
        )
    print(f"ratio: {rates[0] / rates[1]:.0f}")
    print(f"accuracies that differ: {different} of {len(chosen)}")
    return int(different > 0)


def _config(overrides: Sequence[str]) -> Config:
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        raw = compose("config", overrides=list(overrides))
    return read(OmegaConf.to_container(raw, resolve=True))


def _chosen(n_trials: int, sample: int | None) -> np.ndarray:
    if sample is None or sample >= n_trials:
        return np.arange(n_trials)
    return np.sort(np.random.default_rng(0).choice(n_trials, sample, replace=False))


def _reference(plan: Plan, i: int, embeddings: dict) -> float:
    group, setting = plan.groups[plan.group_of[i]], plan.settings[plan.setting_of[i]]
    place = (group.dataset, group.mapping)
    return one_trial(
        group,
        setting,
        arrays=embeddings[group.fm, group.dataset],
        task=plan.tasks[place][setting.task],
        label_map=plan.labels[place].label_map,
    ).accuracy


if __name__ == "__main__":
    sys.exit(main())

"""How long a plan of training takes, from a few timed steps of each kind of network."""

import time
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional as F  # noqa: N812 - torch's own name for it

from imprint_bench.fixed.networks import build_network
from imprint_bench.sweep.executor import chosen_executor
from imprint_bench.training.config import TrainingConfig
from imprint_bench.training.plan import TrainingPlan, steps_of

WARM, TIMED = 1, 3  # steps


@dataclass(frozen=True)
class TrainingEstimate:
    """What is expected of a plan: `seconds` of the run on `n_workers`, and its runs."""

    seconds: float
    n_runs: int
    n_workers: int

    def __str__(self) -> str:
        minutes = self.seconds / 60
        told = f"{self.seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min"
        told = told if minutes < 180 else f"{minutes / 60:.0f} h"
        return (
            f"Estimated from timed steps on the CPU, for {self.n_runs} runs that the store lacks: "
            f"{told} with {self.n_workers} workers."
        )


def estimate(config: TrainingConfig, plan: TrainingPlan, todo: np.ndarray) -> TrainingEstimate:
    """Estimate what training the chosen runs takes; data are not read, and tests not counted.

    Parameters
    ----------
    config : TrainingConfig
    plan : TrainingPlan
    todo : ndarray of shape (trials,), bool
    """
    networks = {source.name: source for source in config.networks}
    per_step: dict[tuple, float] = {}
    total = 0.0
    for trial in (plan.trials[i] for i in np.flatnonzero(todo)):
        material, recipe = plan.materials[trial.dataset], config.recipes[trial.recipe]
        size = recipe.image_size
        shape = material.shape if size is None else (size, size, 3)
        key = (trial.network, shape, recipe.batch_size, trial.d)
        if key not in per_step:
            source = networks[trial.network]
            network = build_network(source.kind, shape, trial.d, params=source.params)
            per_step[key] = _seconds_per_step(network, shape, recipe.batch_size)
        steps = steps_of(recipe, material, at=f"recipe.{trial.recipe}", dataset=trial.dataset)
        total += per_step[key] * steps * recipe.epochs * (1 if trial.method.first is None else 2)
    n_workers = chosen_executor(config).n_workers(config.n_jobs)
    n_runs = int(todo.sum())
    return TrainingEstimate(total / max(1, min(n_workers, n_runs)), n_runs, n_workers)


def _seconds_per_step(
    network: torch.nn.Module, shape: tuple[int, int, int], batch_size: int
) -> float:
    """Return the median seconds of a step on random images, by one thread."""
    height, width, channels = shape
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(batch_size, channels, height, width, generator=generator)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3, momentum=0.9)
    before, times = torch.get_num_threads(), []
    torch.set_num_threads(1)
    try:
        for _ in range(WARM + TIMED):
            started = time.perf_counter()
            optimizer.zero_grad()
            F.normalize(network(images)).square().mean().backward()
            optimizer.step()
            times.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(before)
    return float(np.median(times[WARM:]))

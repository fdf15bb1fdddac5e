"""What a training step costs with each head and loss, against a plain linear layer.

The plain step is `torch.nn.Linear` and `torch.nn.CrossEntropyLoss` on the same network. Both
take turns: in every round each case takes some steps, in an order drawn anew, and what counts
is the median over rounds of the ratio to the plain steps of the same round. A step is forward,
loss, backward, optimizer and, where the assignment is dynamic, class means; matching classes
to prototypes, which comes once per epoch, is measured by itself.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.fresh import cpu_seconds
from imprint_bench.fixed.core.losses import LOSSES
from imprint_bench.fixed.heads.fixed import FixedPrototypeHead
from imprint_bench.fixed.heads.head import Head, build_head
from imprint_bench.fixed.networks.network import build_network

Row = dict[str, Any]
Step = Callable[[], None]
SCALE = 16.0


class Problem(NamedTuple):
    """A network, the images it takes, and how many classes and dimensions its head has."""

    network: str
    params: Mapping[str, Any]
    shape: tuple[int, int, int]
    c: int
    d: int
    batch: int
    rounds: int
    steps: int  # of each case in a round


class Case(NamedTuple):
    """A head and a loss; the assignment is empty where the head is learned."""

    head: str
    loss: str
    params: Mapping[str, Any]
    assignment: str = ""


CASES = (
    Case("linear", "cross_entropy", {}),
    Case("cosine", "cross_entropy", {}),
    Case("cosine", "cross_entropy", {"uniformity": 0.01}),
    *(
        Case("fixed", loss, params, assignment)
        for assignment in ("static", "dynamic")
        for loss, params in (
            ("ipm", {}),
            ("ipm", {"balanced": True}),
            ("dot_regression", {}),
            ("cross_entropy", {}),
        )
    ),
)


def measure(problems: Sequence[Problem]) -> list[Row]:
    """Return the cost of a step of every case on every problem, one thread.

    Returns
    -------
    list of dict with network, c, d, batch, head, loss, assignment, plain_ms, ratio, low, high,
    torch, fastest
        `low` and `high` are quartiles of the ratio over rounds, `fastest` is that of the fastest
        rounds of both, on which other processes have least effect; milliseconds are CPU time.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [row for problem in problems for row in _of_problem(problem)]
    finally:
        torch.set_num_threads(threads)


def measure_matching(sizes: Sequence[tuple[int, int]], *, repeats: int) -> list[Row]:
    """Return the CPU seconds of matching all classes anew, for sizes (c, d).

    Returns
    -------
    list of dict with c, d, cpu_seconds
    """
    rows = []
    for c, d in sizes:
        rng = np.random.default_rng(0)
        head = FixedPrototypeHead(_unit(rng, c, d), assignment="dynamic")
        assert head.means is not None
        head.means.update(torch.from_numpy(_unit(rng, c, d)).float(), torch.arange(c))
        first = head.assignment.clone()

        def call(head: FixedPrototypeHead = head, first: Tensor = first) -> None:
            head.assignment.copy_(first)
            head.reassign()

        call()  # imports scipy
        rows.append({"c": c, "d": d, "cpu_seconds": cpu_seconds(call, repeats=repeats)})
    return rows


def _of_problem(problem: Problem) -> list[Row]:
    steps = [_plain(problem), *(_stepper(problem, case) for case in CASES)]
    took = np.empty((len(steps), problem.rounds))
    for step in steps:  # the first steps allocate
        for _ in range(max(2, problem.steps)):
            step()
    rng = np.random.default_rng(0)
    for i in range(problem.rounds):
        for j in rng.permutation(len(steps)):
            began = time.process_time()
            for _ in range(problem.steps):
                steps[j]()
            took[j, i] = time.process_time() - began
    ratios, fastest = took[1:] / took[0], took.min(axis=1)
    plain_ms = 1000 * float(np.median(took[0])) / problem.steps
    return [
        _row(problem, case, plain_ms, ratio) | {"fastest": best / fastest[0]}
        for case, ratio, best in zip(CASES, ratios, fastest[1:], strict=True)
    ]


def _row(problem: Problem, case: Case, plain_ms: float, ratios: np.ndarray) -> Row:
    low, ratio, high = np.quantile(ratios, [0.25, 0.5, 0.75])
    options = " ".join(f"{name}={value}" for name, value in case.params.items())
    return {
        "network": problem.network,
        "c": problem.c,
        "d": problem.d,
        "batch": problem.batch,
        "head": case.head,
        "loss": f"{case.loss} {options}".strip(),
        "assignment": case.assignment,
        "plain_ms": plain_ms,
        "ratio": ratio,
        "low": low,
        "high": high,
        "torch": torch.__version__,
    }


def _plain(problem: Problem) -> Step:
    network, layer = _network(problem), nn.Linear(problem.d, problem.c)
    criterion = nn.CrossEntropyLoss()
    return _training(problem, network, layer, lambda h, y: criterion(layer(h), y))


def _stepper(problem: Problem, case: Case) -> Step:
    network, head = _network(problem), _head(problem, case)
    loss = partial(LOSSES[case.loss], head, **case.params)
    return _training(problem, network, head, loss, observe=partial(head.observe, copy=False))


def _training(
    problem: Problem,
    network: nn.Module,
    head: nn.Module,
    loss: Callable[[Tensor, Tensor], Tensor],
    *,
    observe: Callable[[Tensor, Tensor], None] | None = None,
) -> Step:
    """Return a function that takes one step on a fixed batch."""
    rng = torch.Generator().manual_seed(0)
    height, width, channels = problem.shape
    images = torch.rand(problem.batch, channels, height, width, generator=rng)
    labels = torch.randint(problem.c, (problem.batch,), generator=rng)
    optimizer = torch.optim.SGD(
        [*network.parameters(), *head.parameters()], lr=1e-5, momentum=0.9, fused=True
    )  # as the trainer's; so slow that no case converges and differs for that

    def step() -> None:
        features = network(images)
        value = loss(features, labels)
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        if observe is not None:
            observe(features, labels)

    return step


def _network(problem: Problem) -> nn.Module:
    return build_network(problem.network, problem.shape, problem.d, params=problem.params)


def _head(problem: Problem, case: Case) -> Head:
    c, d = problem.c, problem.d
    if case.head != "fixed":
        params = {"scale": SCALE} if case.head == "cosine" else {}
        return build_head(case.head, c, d, params=params, seed=0)
    vectors = _unit(np.random.default_rng(0), c, d)
    return FixedPrototypeHead(vectors, assignment=case.assignment, scale=SCALE)


def _unit(rng: np.random.Generator, c: int, d: int) -> np.ndarray:
    rows = rng.normal(size=(c, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)

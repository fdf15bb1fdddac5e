"""Executor `slurm`: a job array, one array task per shard of the plan, submitted by submitit.

This process prepares, submits, waits and reports. An array task reads the same
configuration, computes its shard with `n_jobs` processes and writes its rows into the
shared store. What it gets are the configurations of the sweeps that run as one, with the
number of its shard; what it gives back are numbers and sentences.
"""

import datetime as dt
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from tqdm import tqdm

from imprint_bench.errors import ConfigError, ImprintError
from imprint_bench.execution import Shard
from imprint_bench.params import AtLeast, PositiveInt
from imprint_bench.run_log import logging_to
from imprint_bench.settings import Settings
from imprint_bench.sweep.executor import EXECUTORS, Item, Results, each
from imprint_bench.sweep.marks import described_marks
from imprint_bench.sweep.planned import Planned
from imprint_bench.sweep.run import Outcome, marked_rows
from imprint_bench.sweep.store import Store

log = logging.getLogger(__name__)

Raws = Sequence[Mapping[str, Any]]

MOST_SHARDS = 1000
POLL = 0.5  # seconds between two looks at the array tasks
LATE = 10.0  # seconds that a shared folder may take to show the result of a task that ended


@EXECUTORS.register("slurm")
@dataclass(frozen=True, kw_only=True)
class Slurm:
    """A job array.

    Attributes
    ----------
    cluster : str
        ``local`` runs all array tasks on this machine at once.
    shards : int
        Array tasks, at most 1,000.
    at_once : int
        Array tasks that may run at the same time.
    partition : str or None
    minutes : int
        Time of an array task. One that needs longer is queued again and goes on.
    memory_gb : float or None
        Memory of an array task.
    cpus : int or None
        Cores of an array task; None is `n_jobs`, where that is a number.
    sbatch : mapping
        Further options of ``sbatch``.
    """

    cluster: Literal["slurm", "local"] = "slurm"
    shards: PositiveInt = 100
    at_once: PositiveInt = 256
    partition: str | None = None
    minutes: PositiveInt = 240
    memory_gb: Annotated[float, AtLeast(0)] | None = None
    cpus: PositiveInt | None = None
    sbatch: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.shards > MOST_SHARDS:
            raise ConfigError(
                f"executor.shards: expected an int of at most {MOST_SHARDS}, got {self.shards}."
            )

    def check(self) -> None:
        """Raise ConfigError unless submitit is installed and the cluster is there."""
        try:
            import submitit
        except ImportError as error:
            raise ConfigError(
                f"executor: submitit cannot be imported ({error}); pip install "
                "'imprint-bench[slurm]'."
            ) from error
        if self.cluster == "slurm" and submitit.SlurmExecutor.affinity() <= 0:
            raise ConfigError(
                "executor: no Slurm on this machine (no command srun); give this command on a "
                "login node, or run shards by hand with shard=i/N."
            )

    def n_workers(self, n_jobs: int) -> int:
        """Return the number of processes of all array tasks that may run at the same time."""
        return min(self.shards, self.at_once) * (self._cores(n_jobs) or 1)

    def each(
        self,
        function: Callable[[Item], Any],
        items: Sequence[Item],
        *,
        n_jobs: int,
        retry: bool = True,
    ) -> Results:
        """Call `function` on the cores of this machine, as an array task does with its shard."""
        return each(function, items, n_jobs=n_jobs, retry=retry)

    def run(
        self,
        compute: Callable[[Raws], Outcome],
        tasks: Mapping[Shard, Raws],
        *,
        config: Settings,
        plan: Planned,
        todo: np.ndarray,
        store: Store,
        told: str,
    ) -> Outcome:
        """Compute shards of a plan in array tasks, and wait for all of them.

        Ctrl-C cancels the array. If this process dies, the array tasks go on; the same command
        then waits for nothing that is stored.

        Parameters
        ----------
        compute : callable
            What an array task does with its configurations; at the top level of a module.
        tasks : mapping from Shard to sequence of mapping
            The shards that lack something, and the plain configurations of each.
        config : Settings
            Of the first sweep: the folder of the results, the processes of a task.
        plan : Planned
        todo : ndarray of shape (trials,), bool
            What the shards will compute.
        store : Store
        told : str
            The same in words, such as "120 trials".
        """
        started = time.monotonic()
        outcome = Outcome(found=len(plan) - int(todo.sum()))
        if tasks:
            folder = _folder(config)
            jobs = self._submit(compute, tasks, folder, n_jobs=config.n_jobs)
            log.info(
                "%s to compute in %d array task%s; their logs are in %s.",
                told, len(jobs), "" if len(jobs) == 1 else "s", folder,
            )  # fmt: skip
            try:
                _wait(jobs)
            except BaseException:
                log.warning("cancelling the array tasks; what they have written is kept.")
                _cancel(jobs, folder)
                raise
            for shard, job in zip(tasks, jobs, strict=True):
                _add(outcome, shard, job)
        marked = marked_rows(plan, store)
        outcome.n_marked, outcome.marked = len(marked), described_marks(marked)
        outcome.seconds = time.monotonic() - started
        return outcome

    def _cores(self, n_jobs: int) -> int | None:
        return self.cpus or (n_jobs if n_jobs > 0 else None)

    def _submit(
        self,
        compute: Callable[[Raws], Outcome],
        tasks: Mapping[Shard, Raws],
        folder: Path,
        *,
        n_jobs: int,
    ) -> list[Any]:
        import submitit

        executor = submitit.AutoExecutor(folder, cluster=self.cluster)
        executor.update_parameters(
            name="imprint_bench",
            timeout_min=self.minutes,
            mem_gb=self.memory_gb,
            cpus_per_task=self._cores(n_jobs),
            slurm_partition=self.partition,
            slurm_array_parallelism=self.at_once,
            slurm_additional_parameters=dict(self.sbatch) or None,
        )
        try:
            return executor.map_array(ArrayTask(compute), list(tasks.values()))
        except (submitit.core.utils.FailedJobError, OSError) as error:
            reason = str(error).strip().splitlines()[-1]
            raise ConfigError(
                f"executor: sbatch refused the array ({reason}); change the keys of executor."
            ) from error


@dataclass(frozen=True)
class ArrayTask:
    """What an array task does; with `checkpoint`, submitit queues it again when its time is up.

    Attributes
    ----------
    compute : callable
        From the plain configurations of a shard to what came of it.
    """

    compute: Callable[[Raws], Outcome]

    def __call__(self, raws: Raws) -> Outcome | str:
        """Compute the shard that plain configurations name; return a sentence if that cannot be."""
        with logging_to():
            try:
                return self.compute(raws)
            except ImprintError as error:
                return str(error)

    def checkpoint(self, raws: Raws) -> Any:
        """Return what is to be queued: the same, since the store knows what is done."""
        from submitit.helpers import DelayedSubmission

        return DelayedSubmission(self, raws)


def _folder(config: Settings) -> Path:
    now = dt.datetime.now().astimezone()
    return config.paths.results / "slurm" / f"{now:%Y-%m-%d}" / f"{now:%H-%M-%S}-{os.getpid()}"


def _wait(jobs: Sequence[Any]) -> None:
    """Wait until all jobs have ended, and their results are seen."""
    running = list(jobs)
    with tqdm(total=len(jobs), unit="task", desc="array", disable=None, leave=False) as bar:
        while running:
            time.sleep(POLL)
            left = [job for job in running if not job.done()]
            bar.update(len(running) - len(left))
            running = left
    until = time.monotonic() + LATE
    while not all(job.paths.result_pickle.exists() for job in jobs) and time.monotonic() < until:
        time.sleep(POLL)


def _cancel(jobs: Sequence[Any], folder: Path) -> None:
    """Cancel jobs, those of one array by its own number: one command instead of a thousand."""
    arrays = {job.job_id.partition("_")[0]: job for job in jobs}
    for number, job in arrays.items():
        whole = job if number == job.job_id else type(job)(folder, number)
        whole.cancel(check=False)


def _add(outcome: Outcome, shard: Shard, job: Any) -> None:
    """Add what an array task gave to the outcome of all."""
    error = "it ended without a result"
    if job.paths.result_pickle.exists() and job.exception() is None:
        result = job.result()
        if isinstance(result, Outcome):
            outcome.computed += result.computed
            outcome.failed += result.failed
            return
        error = result
    outcome.failed.append(f"shard {shard}: {error} (log: {job.paths.stderr})")

"""The shared path of a sweep against the reference path: CPU seconds, memory, accuracies.

Each path runs in a fresh process with one BLAS thread. The shared path computes every
trial. The reference path computes one trial at a time: every one where a job is small,
else a stratified sample (`strata`), from which its time for all trials is extrapolated.
Every accuracy that both computed is compared.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from benchmarks.fresh import Measured, fresh
from benchmarks.iterations import iterations_of
from benchmarks.jobs import Job, planned
from benchmarks.strata import Stratum, sample, strata_of, whole_seconds
from benchmarks.work import unique_work
from imprint_bench.sweep.bank import compute
from imprint_bench.sweep.plan import Plan
from imprint_bench.sweep.reference import one_trial
from imprint_bench.sweep.rehearsal import rehearse

Row = dict[str, Any]


class Shared(NamedTuple):
    """What the shared path gave: accuracies by trial id, and CPU seconds by generator."""

    accuracies: dict[str, float]
    seconds: dict[str, float]


class Reference(NamedTuple):
    """What the reference path gave for some trials: ids, accuracies, CPU seconds of each."""

    ids: list[str]
    accuracies: list[float]
    seconds: np.ndarray


def measure(job: Job, *, peaks: Mapping[str, float], each: int | None) -> dict[str, list[Row]]:
    """Return the rows of a job for `paths`, `generators`, `strata` and `work`.

    Parameters
    ----------
    job : Job
    peaks : mapping from dtype to GFLOP per CPU second
        Of this machine, measured in this run.
    each : int or None
        Trials of every stratum for the reference path; None takes one, or all where
        the job is small; 0 leaves the reference path out.
    """
    shared = fresh(shared_path, job)
    strata = strata_of(planned(job)[0])
    n_each = each if each is not None else (len(strata) if job.whole else 1)
    chosen = sample(strata, each=n_each) if n_each else np.empty(0, dtype=int)
    reference = fresh(reference_path, job, chosen)
    whole = whole_seconds(strata, chosen, reference.result.seconds) if len(chosen) else {}
    work = fresh(_work, job).result
    row = _row(job, shared, reference, strata, sum(whole.values()))
    gflop = sum(work.values()) / 1e9
    row["unique_gflop"] = gflop
    for dtype, speed in peaks.items():
        row[f"{dtype}_gflops"] = speed
        row[f"{dtype}_bound_seconds"] = gflop / speed
        row[f"times_{dtype}_bound"] = row["shared_cpu_seconds"] * speed / gflop
    return {
        "paths": [row],
        "generators": _by_generator(job, shared.result, strata, whole),
        "strata": _by_stratum(job, strata, chosen, reference.result.seconds),
        "work": [{"job": job.name, "piece": p, "gflop": f / 1e9} for p, f in work.items()],
    }


def shared_path(job: Job) -> Shared:
    """Compute all trials of a job in banks."""
    accuracies: dict[str, float] = {}
    seconds: dict[str, float] = defaultdict(float)
    _rehearse(job)
    for unit in planned(job)[1]:
        started = time.process_time()
        rows = compute(unit, job.embeddings[unit.key.fm, unit.key.dataset])
        seconds[unit.key.gen] += time.process_time() - started
        accuracies.update((row["trial_id"], row["accuracy"]) for row in rows)
    return Shared(accuracies, dict(seconds))


def reference_path(job: Job, chosen: np.ndarray) -> Reference:
    """Compute the chosen trials of a job one by one."""
    _rehearse(job)
    plan, _ = planned(job)
    found = Reference([], [], np.empty(len(chosen)))
    for i in chosen.tolist():
        started = time.process_time()
        found.accuracies.append(_one(plan, i, job))
        found.seconds[len(found.ids)] = time.process_time() - started
        found.ids.append(plan.ids[i].decode())
    return found


def _rehearse(job: Job) -> None:
    """Import what methods import when they are first called."""
    for config in job.configs:
        rehearse(config)


def _one(plan: Plan, i: int, job: Job) -> float:
    group, setting = plan.groups[plan.group_of[i]], plan.settings[plan.setting_of[i]]
    place = (group.dataset, group.mapping)
    return one_trial(
        group,
        setting,
        arrays=job.embeddings[group.fm, group.dataset],
        task=plan.tasks[place][setting.task],
        label_map=plan.labels[place].label_map,
    ).accuracy


def _work(job: Job) -> dict[str, float]:
    """Return the FLOPs of the unique work of a job, over all its sweeps together."""
    plan, _ = planned(job)
    maps = {place: labels.label_map for place, labels in plan.labels.items()}
    lengths = {pair: entry.length for pair, entry in job.embeddings.items()}
    return unique_work([plan], lengths, iterations_of(job.embeddings, maps))


def _row(
    job: Job, shared: Measured, reference: Measured, strata: Sequence[Stratum], whole: float
) -> Row:
    """Return both paths side by side."""
    found: Shared = shared.result
    plain: Reference = reference.result
    differ = sum(a != found.accuracies[i] for i, a in zip(plain.ids, plain.accuracies, strict=True))
    took = sum(found.seconds.values())
    compared = len(plain.ids)
    return {
        "job": job.name,
        "data": job.data,
        "length": max(entry.length for entry in job.embeddings.values()),
        "trials": len(strata),
        "strata": len(set(strata)),
        "shared_cpu_seconds": took,
        "shared_peak_mib": shared.peak_mib,
        "compared": compared,
        "differ": differ,
        "reference_cpu_seconds": float(plain.seconds.sum()),
        "reference_peak_mib": reference.peak_mib if compared else None,
        "reference_whole_cpu_seconds": whole if compared else None,
        "sharing": whole / took if compared else None,
    }


def _by_generator(
    job: Job, shared: Shared, strata: Sequence[Stratum], whole: Mapping[Stratum, float]
) -> list[Row]:
    reference: dict[str, float] = defaultdict(float)
    for stratum, seconds in whole.items():
        reference[stratum.gen] += seconds
    return [
        {
            "job": job.name,
            "gen": gen,
            "trials": sum(s.gen == gen for s in strata),
            "shared_cpu_seconds": seconds,
            "reference_whole_cpu_seconds": reference[gen] if whole else None,
            "sharing": reference[gen] / seconds if whole else None,
        }
        for gen, seconds in shared.seconds.items()
    ]


def _by_stratum(
    job: Job, strata: Sequence[Stratum], chosen: np.ndarray, seconds: np.ndarray
) -> list[Row]:
    measured = defaultdict(list)
    for i, took in zip(chosen.tolist(), seconds.tolist(), strict=True):
        measured[strata[i]].append(took)
    return [
        {
            "job": job.name,
            **stratum._asdict(),
            "trials": strata.count(stratum),
            "measured": len(measured[stratum]),
            "reference_cpu_seconds_per_trial": float(np.mean(measured[stratum])),
        }
        for stratum in measured
    ]

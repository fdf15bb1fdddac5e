"""CPU seconds, wall seconds and peak memory of a function in a process of its own."""

import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from threadpoolctl import threadpool_limits

CHECKOUT = Path(__file__).parents[1]
STATUS = Path("/proc/self/status")
ONE_THREAD = dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1"
)


class Measured(NamedTuple):
    """What a function gave, and what it took."""

    result: Any
    cpu_seconds: float  # of its process and of its children that ended
    wall_seconds: float
    peak_mib: float  # largest resident set of its process, imports and mapped files included
    before_mib: float  # the same before the function began: the imports


def fresh(function: Callable[..., Any], *args: Any) -> Measured:
    """Call a function in a new interpreter with one BLAS thread and say what it took.

    Parameters
    ----------
    function : callable
        At the top level of a module; what it imports is imported before the clock starts.
    *args
        Small, since they are sent.

    Raises
    ------
    subprocess.CalledProcessError
        If the function raises, after its traceback on the standard error.
    """
    with tempfile.TemporaryDirectory() as folder:
        call, answer = Path(folder) / "call", Path(folder) / "answer"
        call.write_bytes(pickle.dumps((function, args)))
        paths = os.pathsep.join(filter(None, (str(CHECKOUT), os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "benchmarks.fresh", str(call), str(answer)]
        subprocess.run(command, check=True, env=os.environ | ONE_THREAD | {"PYTHONPATH": paths})
        return pickle.loads(answer.read_bytes())


def cpu_seconds(function: Callable[[], Any], *, repeats: int) -> float:
    """Return the CPU seconds of the fastest of some calls in this process, with one BLAS thread."""
    best = float("inf")
    with threadpool_limits(1):
        for _ in range(repeats):
            started = time.process_time()
            function()
            best = min(best, time.process_time() - started)
    return best


def answer(call: Path) -> Measured:
    """Call what `fresh` wrote into a file; the child's half of it."""
    function, args = pickle.loads(call.read_bytes())
    with threadpool_limits(1):
        before, wall, cpu = _peak_mib(), time.perf_counter(), _cpu_seconds()
        result = function(*args)
        cpu, wall = _cpu_seconds() - cpu, time.perf_counter() - wall
    return Measured(result, cpu, wall, _peak_mib(), before)


def _cpu_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def _peak_mib() -> float:
    """Return the largest resident set of this process so far.

    Linux hands `ru_maxrss` of a parent on to what it starts; `VmHWM` begins anew.
    """
    if STATUS.exists():
        fields = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
        return int(fields["VmHWM"].split()[0]) / 2**10
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10


if __name__ == "__main__":
    # As a module of its own name, so that what it pickles is known to the parent.
    from benchmarks import fresh as itself

    Path(sys.argv[2]).write_bytes(pickle.dumps(itself.answer(Path(sys.argv[1]))))

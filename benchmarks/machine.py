"""The machine and the versions that a measurement was made with; no name of a host."""

import datetime as dt
import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# What decides the speed of matrix products; of many flags only these are named.
FLAGS = ("avx2", "fma", "avx512f", "avx512_bf16", "amx_tile", "asimd", "sve")
PACKAGES = ("imprint-bench", "numpy", "scipy", "scikit-learn", "pandas", "pyarrow", "joblib")


def describe() -> dict[str, str]:
    """Return processor, flags, cores, memory and versions, and when that was asked."""
    facts = _cpu_facts()
    flags = facts.get("flags", facts.get("Features", "")).split()
    return {
        "measured": f"{dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        "processor": facts.get("model name", "") or platform.processor() or platform.machine(),
        "flags": " ".join(flag for flag in FLAGS if flag in flags) or "unknown",
        "cores": str(os.cpu_count()),
        "memory": f"{_memory_gib():.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": _blas(),
        **{package: _version(package) for package in PACKAGES},
    }


def _cpu_facts() -> dict[str, str]:
    """Return what Linux says of the first processor."""
    if not CPU_INFO.exists():
        return {}
    lines = (line.partition(":") for line in CPU_INFO.read_text().split("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in lines}


def _memory_gib() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30


def _blas() -> str:
    """Return the library that NumPy multiplies with, and the kernels that it chose."""
    import numpy  # noqa: F401 - loads the library
    from threadpoolctl import threadpool_info

    found = (lib for lib in threadpool_info() if lib["user_api"] == "blas")
    lib = next((lib for lib in found if "numpy" in lib["filepath"]), None)
    if lib is None:
        return "unknown"
    return " ".join(
        str(lib[key]) for key in ("internal_api", "version", "architecture") if key in lib
    )


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"

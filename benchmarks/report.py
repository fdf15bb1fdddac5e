"""CSV files, figures, and the README that shows what the CSV files hold."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from benchmarks import figures
from benchmarks.pages import SECTIONS, machine_text

DIGITS = 6  # significant, of the numbers in CSV files
FIGURES = {"growth": ("growth", figures.growth), "paths": ("generators", figures.paths)}


def write(
    folder: Path, tables: Mapping[str, Sequence[Mapping[str, Any]]], machine: Mapping[str, str]
) -> None:
    """Write the tables of one run, replace older ones, and make figures and README anew.

    Parameters
    ----------
    folder : Path
        Gets ``README.md`` and ``results/``.
    tables : mapping from name to rows
        Tables that the run did not make stay as they are.
    machine : mapping from name to fact
        Kept beside every table of the run, in ``machine.csv``.
    """
    results = folder / "results"
    results.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        pd.DataFrame(list(rows)).to_csv(
            results / f"{name}.csv", index=False, float_format=f"%.{DIGITS}g"
        )
    _write_machine(results / "machine.csv", list(tables), machine)
    there = read(results)
    for name, (table, draw) in FIGURES.items():
        if table in there:
            figures.save(draw(there[table]), results, name)
    (folder / "README.md").write_text(page(there), encoding="utf-8")


def read(results: Path) -> dict[str, pd.DataFrame]:
    """Return the tables of a results folder by name."""
    return {
        path.stem: pd.read_csv(path, keep_default_na=False, na_values=[""])
        for path in sorted(results.glob("*.csv"))
    }


def page(tables: Mapping[str, pd.DataFrame]) -> str:
    """Return the README: text around the numbers of the tables, and the figures."""
    parts = [
        "# What the engine costs",
        "Written by `python -m benchmarks` (`make bench`) from the CSV files in "
        "[results](results). Everything runs with one BLAS thread; seconds are CPU seconds of "
        "processes unless they are called wall seconds; ratios are of figures of one run. "
        "`python -m benchmarks --help` lists the options.",
        machine_text(tables["machine"]),
    ]
    for needs, section in SECTIONS:
        if all(name in tables for name in needs):
            parts.append(section(tables))
    return "\n\n".join(parts) + "\n"


def _write_machine(path: Path, names: Sequence[str], machine: Mapping[str, str]) -> None:
    """Note the machine of every table; those of earlier runs keep theirs."""
    rows = pd.DataFrame([{"table": name, **machine} for name in names])
    if path.exists():
        before = pd.read_csv(path, dtype=str)
        rows = pd.concat([before[~before["table"].isin(names)], rows])
    rows.sort_values("table").to_csv(path, index=False)

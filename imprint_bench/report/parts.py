"""Tables and figures as the template needs them, and their files beside the page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from imprint_bench.analysis.build import Refusal
from imprint_bench.analysis.drawing import Drawing, write_drawing
from imprint_bench.analysis.rendering import cells, write_table
from imprint_bench.analysis.table import FRACTION, TEXT, Table
from imprint_bench.durable import explained, write_bytes
from imprint_bench.report.budget import shares
from imprint_bench.report.pictures import pictures

ROWS_SHOWN = 1000  # of one table; the CSV beside the page has all
CELLS_SHOWN = 24_000  # of all tables of a page
# What the files of a table or figure can end in: formats, and the data beside them as CSV.
FORMATS = {"table": (".csv", ".md", ".tex"), "figure": (".svg", ".pdf", ".png", ".csv")}
ENDINGS = (
    "", "_datasets", "_dots", "_exact", "_fits", "_flips", "_groups", "_instances", "_mappings",
    "_missing", "_pairs", "_seeds",
)  # fmt: skip
FILTERED = ("fm", "dataset", "task")  # columns by which the page can filter the rows of a table


@dataclass(frozen=True)
class Part:
    """A table or diagram as the template needs it."""

    id: str
    title: str
    caption: str
    files: tuple[tuple[str, str], ...] = ()  # (SVG, figures/name.svg)
    command: str = ""
    refused: bool = False
    content: Any = None  # rows of a table; markup of a picture
    columns: tuple[Mapping[str, Any], ...] = ()
    left_out: int = 0


def table_parts(tables: Sequence[Table | Refusal], folder: Path) -> list[Part]:
    """Write every table into `folder`/tables, and return them for the page."""
    sizes = [0 if isinstance(t, Refusal) else t.frame.iloc[:ROWS_SHOWN].size for t in tables]
    allowed = shares(sizes, CELLS_SHOWN)
    parts = [
        _refused(t, "table", folder)
        if isinstance(t, Refusal)
        else _table(t, most // max(1, len(t.frame.columns)), folder)
        for t, most in zip(tables, allowed, strict=True)
    ]
    _remove_earlier(tables, parts, "table", folder)
    return parts


def figure_parts(figures: Sequence[Drawing | Refusal], folder: Path) -> list[Part]:
    """Write every figure into `folder`/figures, and return them for the page."""
    parts, files, drawn = [], [], []
    for figure in figures:
        if isinstance(figure, Refusal):
            parts.append(_refused(figure, "figure", folder))
            continue
        paths = write_drawing(figure, folder / "figures")
        part = Part(
            f"figure-{figure.name}",
            figure.title,
            figure.finding if figure.picture is None else figure.caption,
            _links(paths, folder),
            figure.command,
            refused=figure.picture is None,
        )
        if figure.picture is not None:
            svg, png = (next(p for p in paths if p.suffix == s) for s in (".svg", ".png"))
            drawn.append(len(parts))
            files.append((part.id, part.title, svg, png))
        parts.append(part)
    for i, picture in zip(drawn, pictures(files), strict=True):
        parts[i] = replace(parts[i], content=picture)
    _remove_earlier(figures, parts, "figure", folder)
    return parts


def _remove_earlier(
    asked: Sequence[Table | Drawing | Refusal], parts: Sequence[Part], kind: str, folder: Path
) -> None:
    """Remove what an earlier report left of these names and this one did not write.

    Else a table of other rows would lie beside the sentence that refuses it.
    """
    written = {folder / href for part in parts for _, href in part.files}
    for one in asked:
        names = [f"{one.name}{ending}" for ending in FORMATS[kind]]
        names += [f"{one.name}{ending}.csv" for ending in ENDINGS]
        for path in {folder / f"{kind}s" / name for name in names} - written:
            with explained(path):
                path.unlink(missing_ok=True)


def _refused(refusal: Refusal, kind: str, folder: Path) -> Part:
    """Return the part that says why there is no table or figure, with the list of what lacks."""
    path = folder / f"{kind}s" / f"{refusal.name}_missing.csv"
    files: tuple[tuple[str, str], ...] = ()
    if refusal.missing is not None:
        write_bytes(path, refusal.missing.to_csv(index=False).encode())
        n = len(refusal.missing)
        what = f"the {n:,} trials" if n != 1 else "the trial"
        files = ((f"{what} without a result (CSV)", path.relative_to(folder).as_posix()),)
    return Part(
        f"{kind}-{refusal.name}", refusal.title, refusal.sentence, files, refusal.command, True
    )


def _table(table: Table, most: int, folder: Path) -> Part:
    files = _links(write_table(table, folder / "tables"), folder)
    n_rows = min(len(table.frame), max(1, most))
    shown = replace(table, frame=table.frame.iloc[:n_rows])
    values = [shown.frame[c.name].tolist() for c in table.columns]
    content = [
        {
            "oracle": i in table.oracles,
            "cells": [_cell(text, v[i]) for text, v in zip(texts, values, strict=True)],
        }
        for i, texts in enumerate(cells(shown))
    ]
    columns = tuple(
        {
            "heading": c.heading,
            "text": c.kind == TEXT,
            "falling": c.kind == FRACTION,
            "axis": c.name if c.name in FILTERED and c.kind == TEXT else "",
        }
        for c in table.columns
    )
    return Part(
        f"table-{table.name}",
        table.title,
        table.caption,
        files,
        table.command,
        content=content,
        columns=columns,
        left_out=len(table.frame) - n_rows,
    )


def _cell(text: str, value: Any) -> tuple[str, str | None]:
    """Return what a cell shows and what it is sorted by, None where that is the same."""
    if value is None or pd.isna(value):
        return text, ""
    key = f"{value:.8g}" if isinstance(value, float) else str(value)
    return text, None if key == text else key


def _links(paths: Sequence[Path], folder: Path) -> tuple[tuple[str, str], ...]:
    kinds = [p.suffix for p in paths]
    return tuple(
        (
            p.suffix[1:].upper() if kinds.count(p.suffix) == 1 else p.name,
            p.relative_to(folder).as_posix(),
        )
        for p in paths
    )

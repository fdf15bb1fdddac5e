"""One self-contained HTML page per study: summary, tables, diagrams, what was dropped, provenance.

Everything that comes from outside (names of datasets, models, reasons) is
escaped by the template, and the page's content security policy runs no script
but its own.
"""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from imprint_bench.analysis.build import Refusal
from imprint_bench.analysis.drawing import Drawing, write_drawing
from imprint_bench.analysis.labels import listed
from imprint_bench.analysis.rendering import cells, show, write_table
from imprint_bench.analysis.table import FRACTION, RANK, TEXT, Table
from imprint_bench.durable import write_bytes

TEMPLATE = "report_template.html.j2"
ROWS_SHOWN = 1000  # of one table; the CSV beside the page has all
FAILURES_SHOWN = 50
NAMES_SHOWN = 6


@dataclass(frozen=True)
class Part:
    """A table or diagram as the template needs it."""

    name: str
    title: str
    caption: str
    files: tuple[tuple[str, str], ...]  # (SVG, figures/name.svg)
    content: Any = None  # rows of a table; text of an SVG
    columns: tuple[Mapping[str, Any], ...] = ()
    left_out: int = 0


def write_report(
    folder: Path,
    *,
    name: str,
    rows: pd.DataFrame,
    tables: Sequence[Table | Refusal],
    figures: Sequence[Drawing | Refusal],
    dropped: pd.DataFrame,
    provenance: Mapping[str, Any],
    failed: Sequence[str] = (),
    marked: Sequence[str] = (),
) -> Path:
    """Write the page, and beside it every table and figure, and return the page's path.

    Parameters
    ----------
    folder : Path
        ``results/reports/<sweep>``. The page is `index.html`; tables (CSV,
        Markdown, LaTeX) lie in `tables`, figures (SVG, PDF, PNG, CSV) in `figures`.
    name : str
        The study's name.
    rows : DataFrame
        One row per trial, see `analysis.frames`.
    tables, figures : sequence
        What `analysis.build.build` returned.
    dropped : DataFrame
        Combinations that the plan left out: `reason`, and the axes; if it has
        a column `count`, a row stands for so many.
    provenance : Mapping[str, Any]
        Shown in its order; text of several lines as a block, mappings as lists.
        The entry `command` is what makes the page again.
    failed : sequence of str
        One sentence for each unit of work that failed.
    marked : sequence of str
        A line for each kind of trial that crashed or failed.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    command = provenance.get("command", "")
    page = _render(
        name=name,
        summary=summary_sentences(rows, tables, figures),
        notice=_notice(rows, failed),
        failed=[*marked, *failed][:FAILURES_SHOWN],
        n_failed=len(marked) + len(failed),
        tables=[_table_part(t, folder) for t in tables],
        figures=[_figure_part(f, folder) for f in figures],
        dropped=count_reasons(dropped),
        command=command,
        provenance={k: v for k, v in provenance.items() if k != "command"},
    )
    path = folder / "index.html"
    write_bytes(path, page.encode())
    return path


def summary_sentences(
    rows: pd.DataFrame,
    tables: Sequence[Table | Refusal],
    figures: Sequence[Drawing | Refusal],
) -> list[str]:
    """Return three sentences: what was run, what came out best, and whether that is certain."""
    best = next((t for t in tables if t.name == "best_configurations"), None)
    if best is None:
        second = "No ranking was asked for (table best_configurations)."
    elif isinstance(best, Refusal):
        second = "There is no ranking, because results are missing; the section below names them."
    else:
        second = _best_sentence(best)
    drawn = {f.name: f.finding for f in figures if isinstance(f, Drawing)}
    third = drawn.get("critical_difference", "No significance test was made.")
    return [_what_was_run(rows), second, third]


def count_reasons(dropped: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return each reason with the number of combinations it dropped and one of them, most first."""
    if dropped.empty:
        return []
    counted = dropped.assign(n=dropped.get("count", 1))
    sums = counted.groupby("reason", sort=False)["n"].sum()
    sums = sums.sort_values(ascending=False, kind="stable")
    axes = [c for c in dropped.columns if c not in ("reason", "count", "trial_id", "status")]
    firsts = dropped.drop_duplicates("reason").set_index("reason")[axes].to_dict("index")
    return [
        {"reason": reason, "count": int(n), "example": _example(firsts[reason])}
        for reason, n in sums.items()
    ]


def _example(axes: Mapping[Any, Any]) -> str:
    given = {name: value for name, value in axes.items() if pd.notna(value)}
    return ", ".join(str(v) if len(axes) == 1 else f"{n}={v}" for n, v in given.items())


def _what_was_run(rows: pd.DataFrame) -> str:
    done = rows[rows["status"] == "ok"]
    axes = {"fm": "foundation model", "dataset": "dataset", "task": "task"}
    parts = []
    for column, noun in axes.items():
        names = sorted(map(str, done[column].unique()))
        text = _count(len(names), noun)
        parts.append(f"{text} ({', '.join(names)})" if 0 < len(names) <= NAMES_SHOWN else text)
    seeds = _count(done["seed"].nunique(), "seed")
    return f"{_count(len(done), 'trial')} finished on {listed(parts)}, with {seeds}."


def _best_sentence(table: Table) -> str:
    imprinting = table.frame.drop(index=list(table.oracles))
    oracles = table.frame.loc[list(table.oracles)]
    parts = []
    if not imprinting.empty:
        top = imprinting.iloc[0]
        parts.append(
            f"The best average rank, {show(top['average_rank'], RANK)}, goes to the generator "
            f"{_named(top)}, which reaches {_percent(top)}"
        )
    if not oracles.empty:
        top = oracles.iloc[0]
        lead = "; the oracle" if parts else "Only oracles were run: the best,"
        parts.append(f"{lead} {_named(top, short=True)} reaches {_percent(top)}")
    return "".join(parts) + "."


def _named(row: pd.Series, *, short: bool = False) -> str:
    k = row.get("k")
    name = row["generator"] if k is None or pd.isna(k) else f"{row['generator']} {k}"
    triple = "/".join(str(row.get(c, "none")) for c in ("norm_pre", "norm_post", "norm_inf"))
    return name if short else f"{name} with norms {triple} and aggregation {row['aggregation']}"


def _percent(row: pd.Series) -> str:
    mean, std = row["accuracy_mean"], row["accuracy_std"]
    spread = "" if pd.isna(std) else f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{show(std, FRACTION)}"
    return f"{show(mean, FRACTION)}{spread}\N{NO-BREAK SPACE}%"


def _notice(rows: pd.DataFrame, failed: Sequence[str]) -> str:
    """Say how much is not there, or nothing."""
    counts = rows["status"].fillna("missing").value_counts()
    parts = [f"{n:,} {status}" for status, n in counts.items() if status != "ok"]
    lead = f"{_count(len(rows), 'trial')} were planned, of which {listed(parts)}." if parts else ""
    tail = f" {_count(len(failed), 'unit')} of work failed: see below." if failed else ""
    return (lead + tail).strip()


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"


def _table_part(table: Table | Refusal, folder: Path) -> Part:
    if isinstance(table, Refusal):
        return Part(table.name, table.title, table.sentence, ())
    files = _links(write_table(table, folder / "tables"), folder)
    keys = [
        [None if pd.isna(v) else v for v in table.frame[c.name].tolist()] for c in table.columns
    ]
    content = [
        {
            "oracle": i in table.oracles,
            "cells": [
                {"text": text, "key": key}
                for text, key in zip(texts, (k[i] for k in keys), strict=True)
            ],
        }
        for i, texts in enumerate(cells(table)[:ROWS_SHOWN])
    ]
    columns = tuple(
        {"heading": c.heading, "text": c.kind == TEXT, "falling": c.kind == FRACTION}
        for c in table.columns
    )
    left_out = max(0, len(table.frame) - ROWS_SHOWN)
    return Part(table.name, table.title, table.caption, files, content, columns, left_out)


def _figure_part(figure: Drawing | Refusal, folder: Path) -> Part:
    if isinstance(figure, Refusal):
        return Part(figure.name, figure.title, figure.sentence, ())
    paths = write_drawing(figure, folder / "figures")
    files = _links(paths, folder)
    if figure.picture is None:
        return Part(figure.name, figure.title, figure.finding, files)
    svg = next(p for p in paths if p.suffix == ".svg").read_text(encoding="utf-8")
    return Part(figure.name, figure.title, figure.caption, files, inline_svg(svg, figure.name))


def _links(paths: Sequence[Path], folder: Path) -> tuple[tuple[str, str], ...]:
    kinds = [p.suffix for p in paths]
    return tuple(
        (
            p.suffix[1:].upper() if kinds.count(p.suffix) == 1 else p.name,
            p.relative_to(folder).as_posix(),
        )
        for p in paths
    )


def inline_svg(svg: str, prefix: str) -> str:
    """Return an SVG file's picture for the inside of a page: no prolog, ids of its own."""
    svg = svg[svg.index("<svg") :]
    width = re.search(r'width="([\d.]+)pt"', svg)
    if width:  # on a narrow screen it scrolls, rather than shrink until nothing can be read
        least = f'<svg style="min-width: {float(width[1]):.0f}px"'
        svg = svg.replace("<svg", least, 1)
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    for before in ('id="', 'href="#', "url(#"):
        svg = svg.replace(f"{before}", f"{before}{prefix}-")
    return svg


def _render(**context: Any) -> str:
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    source = resources.files("imprint_bench").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    # The hash in the content security policy is that of the one script which may run.
    script = re.search(r"<script>(.*?)</script>", source, flags=re.DOTALL)
    digest = hashlib.sha256(script[1].encode()).digest() if script else b""
    policy = f"sha256-{base64.b64encode(digest).decode()}"
    environment.filters["markup"] = Markup
    environment.tests["a_mapping"] = lambda value: isinstance(value, Mapping)
    return environment.from_string(source).render(policy=policy, **context)

"""A table as text for a terminal, CSV, Markdown and LaTeX.

Accuracies are written in percent with two decimals everywhere. Names come from
users: each format escapes what it would otherwise read as markup.
"""

import csv
import io
import re
from pathlib import Path
from textwrap import wrap
from typing import Any

import pandas as pd

from imprint_bench.analysis.table import (
    COUNT,
    FRACTION,
    N_SHOT,
    NUMBER,
    RANK,
    SECONDS,
    TEXT,
    P,
    Table,
)
from imprint_bench.durable import write_bytes

WIDTH = 100  # of a line of prose in a terminal
NOTHING = "–"
LATEX = {
    "\\": r"\textbackslash{}",
    **{c: f"\\{c}" for c in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "±": r"$\pm$",
    "·": r"$\cdot$",
    NOTHING: "--",
}
NUMBERED = re.compile(r"^(Table|Figure|Section) [\w.]+: ")
LATEX_SIGN = re.compile("|".join(map(re.escape, LATEX)))
MARKDOWN_SIGN = re.compile(r"([\\`*_\[\]|#~])")


def show(value: Any, kind: str) -> str:
    """Return `value` as a table cell of this kind; null is a dash, a null n_shot ``all``.

    Examples
    --------
    >>> show(0.91058, "fraction"), show(None, "count"), show(60000, "count"), show(2.5, "rank")
    ('91.06', '–', '60,000', '2.50')
    >>> show(0.0004, "p"), show(0.05, "p")
    ('<0.001', '0.050')
    """
    if value is None or pd.isna(value):
        return "all" if kind == N_SHOT else NOTHING
    if kind == FRACTION:
        return f"{100 * value:.2f}"
    if kind == RANK:
        return f"{value:.2f}"
    if kind in (SECONDS, NUMBER):
        return f"{value:.2g}" if abs(value) < 0.1 else f"{value:.2f}"
    if kind == P:
        return "<0.001" if value < 0.001 else f"{value:.3f}"
    if kind in (COUNT, N_SHOT):
        return f"{value:,.0f}" if isinstance(value, int | float) else f"{value}"
    return visible(str(value))


def visible(text: str) -> str:
    """Return `text` on one line, with control characters (a terminal obeys them) written out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cells(table: Table) -> list[list[str]]:
    """Return the rows of `table` as text, one string per column."""
    columns = [[show(v, c.kind) for v in table.frame[c.name].tolist()] for c in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def to_text(table: Table, *, limit: int | None = None) -> str:
    """Return `table` for a terminal: aligned columns, oracles below a rule.

    Parameters
    ----------
    table : Table
        What to show.
    limit : int, optional
        Show at most so many rows before the oracles, and say how many there are.
    """
    body = cells(table)
    first_oracle = len(body) - len(table.oracles)
    left_out = 0 if limit is None else max(0, first_oracle - limit)
    body = body[: first_oracle - left_out] + body[first_oracle:]
    head = [visible(c.heading) for c in table.columns]
    widths = [max(map(len, column)) for column in zip(head, *body, strict=True)]

    def line(row: list[str]) -> str:
        fitted = (
            text.ljust(w) if c.kind == TEXT else text.rjust(w)
            for text, w, c in zip(row, widths, table.columns, strict=True)
        )
        return "  ".join(fitted).rstrip()

    rule = "─" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [visible(table.title), rule, line(head), rule, *map(line, body), rule]
    if table.oracles and first_oracle:
        lines.insert(4 + first_oracle - left_out, rule.replace("─", "·"))
    if left_out:
        lines.append(f"{left_out:,} more row{'' if left_out == 1 else 's'} in {table.name}.csv")
    if table.finding:
        lines += wrap(visible(table.finding), WIDTH)
    return "\n".join(lines) + "\n"


def to_csv(table: Table) -> str:
    """Return `table` as CSV under the names of its columns, with ``_percent`` where it is that."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([c.name + ("_percent" if c.kind == FRACTION else "") for c in table.columns])
    for row, exact in zip(cells(table), table.frame.to_dict("records"), strict=True):
        writer.writerow(
            _plain(text, exact[c.name], c.kind) for text, c in zip(row, table.columns, strict=True)
        )
    return out.getvalue()


def _plain(text: str, exact: Any, kind: str) -> str:
    """Return a cell as a program reads it."""
    if text == NOTHING:
        return ""
    if kind == P:  # a program reads no "<0.001"
        return f"{exact:.3g}"
    return text if kind == TEXT else text.replace(",", "")


def to_markdown(table: Table) -> str:
    """Return `table` as a Markdown table below its title, with its caption."""

    def safe(text: str) -> str:
        text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
        return MARKDOWN_SIGN.sub(r"\\\1", text)

    def line(row: list[str]) -> str:
        return "| " + " | ".join(row) + " |"

    head = line([safe(visible(c.heading)) for c in table.columns])
    rule = line([":---" if c.kind == TEXT else "---:" for c in table.columns])
    body = [line([safe(text) for text in row]) for row in cells(table)]
    title, caption = safe(visible(table.title)), safe(visible(table.caption))
    return "\n".join([f"**{title}.** {caption}", "", head, rule, *body]) + "\n"


def to_latex(table: Table) -> str:
    r"""Return `table` as a LaTeX ``table`` for the package booktabs."""

    def safe(text: str) -> str:
        return LATEX_SIGN.sub(lambda sign: LATEX[sign[0]], text)

    def line(row: list[str]) -> str:
        return " & ".join(map(safe, row)) + r" \\"

    body = [line(row) for row in cells(table)]
    if table.oracles and len(table.oracles) < len(body):
        body.insert(len(body) - len(table.oracles), r"\midrule")
    align = "".join("l" if c.kind == TEXT else "r" for c in table.columns)
    title = NUMBERED.sub("", table.title)  # LaTeX numbers its tables itself
    title = title[:1].upper() + title[1:]
    caption = safe(visible(f"{title}. {table.caption}"))
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{caption}}}",
            rf"\label{{tab:{re.sub(r'[^A-Za-z0-9]+', '-', table.name)}}}",
            r"\centering",
            rf"\begin{{tabular}}{{{align}}}",
            r"\toprule",
            line([visible(c.heading) for c in table.columns]),
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def write_table(table: Table, folder: Path) -> list[Path]:
    """Write `table` as CSV, Markdown and LaTeX, and its data, into `folder`, each atomically."""
    formats = {".csv": to_csv, ".md": to_markdown, ".tex": to_latex}
    paths = []
    for suffix, render in formats.items():
        path = folder / f"{table.name}{suffix}"
        write_bytes(path, render(table).encode())
        paths.append(path)
    for end, frame in table.data.items():
        path = folder / f"{table.name}{end}.csv"
        write_bytes(path, frame.to_csv(index=False).encode())
        paths.append(path)
    return paths

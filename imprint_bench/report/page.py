"""One self-contained HTML page per study: summary, tables, diagrams, instances, provenance.

Everything that comes from outside (names of datasets, models, reasons) is
escaped by the template, and the page's content security policy runs no script
but its own.
"""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from imprint_bench.analysis.build import Refusal
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.table import Table
from imprint_bench.durable import write_bytes
from imprint_bench.report.budget import shares
from imprint_bench.report.explorer import explorer, to_json
from imprint_bench.report.parts import figure_parts, table_parts
from imprint_bench.report.ranking import ranking
from imprint_bench.report.summary import count_reasons, notice, summary_sentences

TEMPLATE, STYLE = "page.html.j2", "page.css"
SCRIPTS = ("sort.js", "explore.js", "page.js")
FAILURES_SHOWN = 50
TEXTS_SHOWN = 400_000  # characters of the folded texts of one entry of the provenance


@dataclass(frozen=True)
class Folded:
    """A text of several lines that a reader opens; `left_out` of its lines are not on the page."""

    text: str
    n_lines: int
    left_out: int


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
        What `analysis.build.build` returned. Where a refusal names the trials
        that are missing, they are written beside the page, too.
    dropped : DataFrame
        Combinations that the plan left out: `reason`, and the axes; if it has
        a column `count`, a row stands for so many.
    provenance : Mapping[str, Any]
        Shown in its order; text of several lines as a block, mappings as lists.
        The entry `command` is what makes the page again. Texts of several lines
        in a mapping (the configuration of each sweep) are folded, and cut where
        all together are longer than a page can carry.
    failed : sequence of str
        One sentence for each unit of work that failed.
    marked : sequence of str
        A line for each kind of trial that crashed or failed.

    Raises
    ------
    StoreError
        If the folder cannot be written.
    """
    ranked = ranking(rows)
    explored = explorer(ranked)
    page = _render(
        name=name,
        summary=summary_sentences(rows, tables, figures, ranked),
        notice=notice(rows, failed),
        failed=[*marked, *failed][:FAILURES_SHOWN],
        n_failed=len(marked) + len(failed),
        tables=table_parts(tables, folder),
        figures=figure_parts(figures, folder),
        explored=explored,
        dropped=count_reasons(dropped),
        command=provenance.get("command", ""),
        provenance={k: _folded(v) for k, v in provenance.items() if k != "command"},
    )
    path = folder / "index.html"
    write_bytes(path, page.encode())
    return path


def _folded(value: Any) -> Any:
    """Return texts of several lines in a mapping as what the template folds."""
    if not isinstance(value, Mapping):
        return value
    texts = {k: v.strip() for k, v in value.items() if isinstance(v, str) and "\n" in v}
    allowed = shares([len(text) for text in texts.values()], TEXTS_SHOWN)
    folded = {k: _shortened(texts[k], most) for k, most in zip(texts, allowed, strict=True)}
    return {k: folded.get(k, v) for k, v in value.items()}


def _shortened(text: str, most: int) -> Folded:
    """Return whole lines of a text with at most so many characters."""
    n_lines = text.count("\n") + 1
    if len(text) > most:
        text = text[: text.rfind("\n", 0, most + 1) + 1].rstrip("\n")
    left_out = n_lines - (text.count("\n") + 1 if text else 0)
    return Folded(text, n_lines, left_out)


def _render(**context: Any) -> str:
    from jinja2 import Environment, PackageLoader, StrictUndefined
    from markupsafe import Markup

    environment = Environment(
        loader=PackageLoader("imprint_bench", "report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.tests["a_mapping"] = lambda value: isinstance(value, Mapping)
    environment.tests["folded"] = lambda value: isinstance(value, Folded)
    environment.filters["json"] = lambda value: Markup(to_json(value))
    # The hash in the content security policy is that of the one script which may run.
    script = "".join(map(_source, SCRIPTS))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.get_template(TEMPLATE).render(
        policy=f"sha256-{digest}", script=Markup(script), style=Markup(_source(STYLE)), **context
    )


def _source(file: str) -> str:
    return resources.files("imprint_bench.report").joinpath(file).read_text(encoding="utf-8")

"""The sentences at the top of the page, and the counts of what was dropped."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from imprint_bench.analysis.axes import IMPRINTING, TRAINING, axes_of
from imprint_bench.analysis.build import Refusal
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.labels import ORACLES, aggregation_labels, listed, spell
from imprint_bench.analysis.rendering import show, visible
from imprint_bench.analysis.table import FRACTION, RANK, Table
from imprint_bench.report.captions import count
from imprint_bench.report.ranking import Ranking

NAMES_SHOWN = 6
NO_AXES = ("reason", "count", "sweep", "trial_id", "status")  # of a dropped combination
RANKED = {"generator", "average_rank", "accuracy_mean", "accuracy_std"}  # columns of a ranking
NORMS = ("norm_pre", "norm_post", "norm_inf")
PAIRED = {"first", "second", "rank_first", "rank_second", "significant"}  # of a table of pairs


def summary_sentences(
    rows: pd.DataFrame,
    tables: Sequence[Table | Refusal],
    figures: Sequence[Drawing | Refusal],
    ranked: Ranking | None,
) -> list[str]:
    """Return three sentences: what was run, what came out best, and whether that is certain.

    What is best is read from the table `best_configurations`, or else from the
    first table that ranks generators, or else from the rows.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    tables, figures : sequence
        What `analysis.build.build` returned.
    ranked : Ranking or None
        See `ranking`.
    """
    kind = " imprinting" if axes_of(rows) is IMPRINTING else ""
    return [_what_was_run(rows), _what_is_best(tables, ranked), _how_certain(figures, kind)]


def notice(rows: pd.DataFrame, failed: Sequence[str]) -> str:
    """Say how much is not there, or nothing."""
    counts = rows["status"].fillna("missing").value_counts()
    parts = [f"{n:,} {status}" for status, n in counts.items() if status != "ok"]
    lead = f"{count(len(rows), 'trial')} were planned, of which {listed(parts)}." if parts else ""
    tail = f" {count(len(failed), 'unit')} of work failed: see below." if failed else ""
    return (lead + tail).strip()


def count_reasons(dropped: pd.DataFrame) -> list[Mapping[str, Any]]:
    """Return each reason with the number of combinations it dropped and one of them, most first.

    What several sweeps drop alike counts in each of them: each had it in its grid.

    Parameters
    ----------
    dropped : DataFrame
        `reason`, and the axes; a row stands for `count` combinations, if that is a column.
        `sweep`, if that is a column, is the name of the sweep; empty where there is one.

    Returns
    -------
    list of dict
        `reason`, `count` (over all sweeps), `example`; where sweeps are named,
        `sweeps`: pairs of a sweep and its count.
    """
    if dropped.empty:
        return []
    counted = dropped.assign(n=dropped.get("count", 1))
    sums = counted.groupby("reason", sort=False)["n"].sum()
    sums = sums.sort_values(ascending=False, kind="stable")
    axes = [c for c in dropped.columns if c not in NO_AXES]
    firsts = dropped.drop_duplicates("reason").set_index("reason")[axes].to_dict("index")
    of_sweeps = _of_sweeps(counted) if dropped.get("sweep", pd.Series([""])).ne("").any() else {}
    return [
        {"reason": reason, "count": int(n), "example": _example(firsts[reason])}
        | ({"sweeps": of_sweeps[reason]} if of_sweeps else {})
        for reason, n in sums.items()
    ]


def _of_sweeps(counted: pd.DataFrame) -> dict[Any, list[tuple[str, int]]]:
    """Return the sweeps and their counts for each reason."""
    sums = counted.groupby(["reason", "sweep"], sort=False, as_index=False)["n"].sum()
    return {
        reason: list(zip(group["sweep"].tolist(), group["n"].tolist(), strict=True))
        for reason, group in sums.groupby("reason")
    }


def _example(axes: Mapping[Any, Any]) -> str:
    given = {name: value for name, value in axes.items() if pd.notna(value)}
    return ", ".join(str(v) if len(axes) == 1 else f"{n}={v}" for n, v in given.items())


def _what_was_run(rows: pd.DataFrame) -> str:
    done = rows[rows["status"] == "ok"]
    axes = {"fm": "foundation model", "dataset": "dataset", "task": "task"}
    if axes_of(rows) is TRAINING:
        axes = {"dataset": "dataset", "network": "network", "method": "method"}
    parts = []
    for column, noun in axes.items():
        names = sorted(map(str, done[column].unique()))
        text = count(len(names), noun)
        parts.append(f"{text} ({', '.join(names)})" if 0 < len(names) <= NAMES_SHOWN else text)
    return f"{count(len(done), 'trial')} finished on {listed(parts)}, with {_seeds(done)}."


def _seeds(done: pd.DataFrame) -> str:
    """Return with how many seeds: those of all instances, or how many an instance has."""
    place = [c for c in axes_of(done).instance if c in done]
    n = done.groupby(place, dropna=False)["seed"].nunique()
    if n.empty or n.min() == done["seed"].nunique():
        return count(done["seed"].nunique(), "seed")
    return f"{n.min():,} to {n.max():,} seeds of an instance"


def _what_is_best(tables: Sequence[Table | Refusal], ranked: Ranking | None) -> str:
    asked = [t for t in tables if t.name == "best_configurations"]
    if asked and isinstance(asked[0], Refusal):
        return "There is no ranking, because results are missing; the section below names them."
    made = [t for t in [*asked, *tables] if isinstance(t, Table)]
    table = next((t for t in made if set(t.frame) >= RANKED and len(t.frame)), None)
    if table is not None:
        oracle = table.frame.reset_index(drop=True).index.isin(table.oracles)
        return _best_sentence(table.frame, oracle)
    if ranked is None or ranked.best.empty:
        return "There is no ranking, because no trial has a result."
    # Ranks are comparable among those on all main instances; the names have their k already.
    everywhere = ranked.best["everywhere"]
    best = ranked.best[everywhere] if everywhere.any() else ranked.best
    oracle = best["oracle"].to_numpy()
    if axes_of(best) is TRAINING:
        return _best_sentence(best[sorted(RANKED)], oracle, noun="method")
    frame = best.assign(aggregation=aggregation_labels(best))
    return _best_sentence(frame.drop(columns="gen_k", errors="ignore"), oracle)


def _best_sentence(frame: pd.DataFrame, oracle: Any, *, noun: str = "generator") -> str:
    """Say which generator has the best rank, and which of the oracles."""
    imprinting, oracles = frame[~oracle], frame[oracle]
    parts = []
    if not imprinting.empty:
        top = _top(imprinting)
        parts.append(
            f"The best average rank, {show(top['average_rank'], RANK)}, goes to the {noun} "
            f"{_named(top)}, which reaches {_percent(top)}"
        )
    if not oracles.empty:
        top = _top(oracles)
        lead = "; the oracle" if parts else "Only oracles were run: the best,"
        parts.append(f"{lead} {_generator(top)} reaches {_percent(top)}")
    return "".join(parts) + "."


def _top(frame: pd.DataFrame) -> pd.Series:
    return frame.sort_values("average_rank", kind="stable").iloc[0]


def _generator(row: pd.Series) -> str:
    k = row.get("k", row.get("gen_k"))  # as our tables and the paper's call it
    return str(row["generator"] if k is None or pd.isna(k) else f"{row['generator']} {k}")


def _named(row: pd.Series) -> str:
    """Return the name of a configuration, with what the row tells of it."""
    parts = [_generator(row)]
    if all(column in row for column in NORMS):
        parts.append(f"norms {'/'.join(str(row[c]) for c in NORMS)}")
    if isinstance(row.get("aggregation"), str):
        parts.append(f"aggregation {row['aggregation']}")
    return f"{parts[0]} with {listed(parts[1:])}" if parts[1:] else parts[0]


def _percent(row: pd.Series) -> str:
    mean, std = row["accuracy_mean"], row["accuracy_std"]
    spread = "" if pd.isna(std) else f"\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}{show(std, FRACTION)}"
    return f"{show(mean, FRACTION)}{spread}\N{NO-BREAK SPACE}%"


def _how_certain(figures: Sequence[Drawing | Refusal], kind: str) -> str:
    """Say what the first comparison of methods found, and how it treats the best of them."""
    named = [f for f in figures if f.name == "critical_difference"]
    for figure in [*named, *figures]:
        pairs = next(_pairs(figure), None)
        if pairs is not None and isinstance(figure, Drawing):
            return _with_best(_first_sentence(figure.finding), pairs, _labels(figure), kind)
    if not named:
        return "No significance test was made."
    if isinstance(named[0], Refusal):
        return "No significance test was made, because results are missing."
    return _first_sentence(named[0].finding) or "No significance test was made."


def _pairs(figure: Drawing | Refusal) -> Iterator[pd.DataFrame]:
    frames = figure.data.values() if isinstance(figure, Drawing) else ()
    yield from (frame for frame in frames if set(frame) >= PAIRED and len(frame))


def _first_sentence(text: str) -> str:
    head, found, _ = text.partition(". ")
    return f"{head}." if found else text


def _labels(figure: Drawing) -> Mapping[str, str]:
    """Return the configuration that each name of a figure stands for, where it says so."""
    groups = figure.data.get("_groups", pd.DataFrame())
    known = {"name", "label"} <= set(groups)
    return dict(zip(groups["name"], groups["label"], strict=True)) if known else {}


def _with_best(finding: str, pairs: pd.DataFrame, labels: Mapping[str, str], kind: str) -> str:
    """Add to what a test found how many methods the best imprinting differs from."""
    ranks = pd.concat(
        [
            pairs[["first", "rank_first"]].set_axis(["name", "rank"], axis=1),
            pairs[["second", "rank_second"]].set_axis(["name", "rank"], axis=1),
        ]
    ).drop_duplicates("name")
    oracles = tuple(spell(name) for name in ORACLES)
    shown = ranks["name"].map(lambda name: labels.get(name, str(name)))
    ours = ranks[~shown.str.startswith(oracles)]
    if ours.empty or len(ranks) < 3 or not finding:
        return finding
    best = ours.sort_values("rank", kind="stable")["name"].iloc[0]
    own = pairs[(pairs["first"] == best) | (pairs["second"] == best)]
    n = int(own["significant"].sum())
    others = f"{n:,} of the {len(own):,} others"
    lead = f"; the best{kind}, {visible(str(best))}, differs from "
    return f"{finding.rstrip('.')}{lead}{others if n else 'none of the others'}."

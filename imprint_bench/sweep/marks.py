"""Trials that crashed or failed, as the few lines that a user reads."""

import pandas as pd

from imprint_bench.sweep.store import OK

# Trials equal in those of these that they have share a line.
KIND = ("status", "reason", "fm", "dataset", "gen", "agg", "network", "method")
AXES = (
    *("fm", "dataset", "mapping", "n_shot", "network", "recipe", "d", "method", "seed"),
    *("norm_pre", "gen", "task", "norm_post", "norm_inf", "agg"),
)
NAMED = 3  # values of an axis that a line names
LINES = 20


def blamed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of trials that crashed or failed."""
    return rows[~rows["status"].isin([OK, "missing"])]


def described_marks(rows: pd.DataFrame) -> list[str]:
    """Return a line for every kind of trial that crashed or failed, the most frequent first.

    Parameters
    ----------
    rows : DataFrame
        Trials that crashed or failed: the axes, `status` and `reason`.

    Returns
    -------
    lines : list of str
        Number, status, the axes on which the trials have one value or a few, and the
        reason. At most 20 lines; the last one counts what is left out.
    """
    if rows.empty:
        return []
    rows = rows.assign(reason=rows.get("reason", "no reason is stored"))
    shared = [column for column in KIND if column in rows]
    kinds = [group for _, group in rows.groupby(shared, dropna=False, sort=True)]
    kinds.sort(key=len, reverse=True)
    lines = [_line(group) for group in kinds]
    if len(lines) <= LINES:
        return lines
    rest = sum(map(len, kinds[LINES - 1 :]))
    return [*lines[: LINES - 1], f"and {rest:,} more trials of {len(kinds) - LINES + 1} kinds"]


def _line(group: pd.DataFrame) -> str:
    names = (str(c) for c in group if c != "gen_seconds")
    params = [name for name in names if name.startswith(("gen_", "agg_"))]
    named = []
    for axis in (*(axis for axis in AXES if axis in group), *sorted(params)):
        values = group[axis].dropna().convert_dtypes().unique().tolist()  # 20.0 is 20
        if 0 < len(values) <= NAMED:
            values.sort(key=lambda value: (isinstance(value, str), value))
            named.append(f"{axis}={','.join(map(str, values))}")
    status, reason = group["status"].iloc[0], group["reason"].iloc[0]
    return f"{len(group):,} {status}: {' '.join(named)}: {reason}"

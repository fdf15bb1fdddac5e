"""Neural collapse of the instances of a study: a table, and NC1 over d.

`collapse` has a row per foundation model, dataset, mapping and task, with `nc1` and
`nc1_as_published` (see `core.neural_collapse`) of all training rows; null where the
embeddings were not at hand.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.frames import method_columns, select
from imprint_bench.analysis.labels import listed
from imprint_bench.analysis.table import COUNT, FRACTION, NUMBER, Column, Table
from imprint_bench.core.trend import mean_interval, spearman
from imprint_bench.errors import IncompleteError

KEYS = ["fm", "dataset", "mapping", "task"]
PLACE = ["fm", "dataset", "joined", "task"]  # of several mappings that join classes, one
MEASURES = ["nc1", "nc1_as_published"]
JOINING = re.compile(r"(?P<name>.+)-(?P<d>\d+)-(?P<draw>\d+)")  # as mapping d_in_1 names them
NOUNS = {"fm": "foundation model", "dataset": "dataset", "joined": "mapping", "task": "task"}
WHAT = (
    "NC1 = trace(Sigma_W Sigma_B^+) / C is the spread of L2-normalized training embeddings within "
    "their classes relative to that of the class means: 0 at full collapse."
)


def neural_collapse(
    rows: pd.DataFrame,
    collapse: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Table:
    """Return NC1 per foundation model, dataset and number d of classes joined under a label.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    collapse : DataFrame
        See the module.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out instances without NC1, instead of refusing.

    Raises
    ------
    IncompleteError
        If instances in view have no NC1.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, equation 1.
    """
    rows = select(rows, where)
    view, notes = in_view(rows, collapse, allow_incomplete=allow_incomplete)
    view = view.merge(_gains(rows), on=KEYS, how="left")
    grouped = view.groupby([*PLACE, "d"], dropna=False, sort=False)
    frame = grouped.agg(
        n_mappings=("mapping", "size"),
        nc1_mean=("nc1", "mean"),
        nc1_std=("nc1", "std"),
        published_mean=("nc1_as_published", "mean"),
        published_std=("nc1_as_published", "std"),
        kmeans_gain=("kmeans_gain", lambda gains: gains.mean(skipna=False)),
    ).reset_index()
    frame = frame.sort_values([*PLACE, "d"], kind="stable", ignore_index=True)
    columns = [
        Column("fm", "model"),
        Column("dataset", "dataset"),
        *([Column("joined", "mapping")] if _joined_tells(frame) else []),
        *([Column("task", "task")] if len(frame["task"].unique()) > 1 else []),
        *([Column("d", "d", COUNT)] if frame["d"].notna().any() else []),
        Column("n_mappings", "mappings", COUNT),
        Column("nc1_mean", "NC1", NUMBER),
        Column("nc1_std", "± std", NUMBER),
        Column("published_mean", "NC1 as published", NUMBER),
        Column("published_std", "± std", NUMBER),
    ]
    caption = (
        f"{WHAT} Mean and sample standard deviation over mappings; d is the number of original "
        "classes under each label. As published: the value that the authors' code computes, which "
        "is larger."
    )
    if frame["kmeans_gain"].notna().any():
        columns.append(Column("kmeans_gain", "k-means gain, points", FRACTION))
        caption += (
            " k-means gain: accuracy with the best k in view less that with k = 1, in percentage "
            "points (mean over mappings of the best configuration's median over seeds)."
        )
    kept = frame[[column.name for column in columns]]
    title = "Neural collapse"
    return Table("neural_collapse", title, " ".join([caption, *notes]), tuple(columns), kept)


def nc1_over_d(
    rows: pd.DataFrame,
    collapse: pd.DataFrame,
    *,
    where: Mapping[str, Any] | None = None,
    allow_incomplete: bool = False,
) -> Drawing:
    """Return NC1 over the number d of classes joined under a label, one line per network.

    Parameters
    ----------
    rows, collapse, where, allow_incomplete
        As in `neural_collapse`.

    Raises
    ------
    IncompleteError
        If instances in view have no NC1.

    References
    ----------
    Westerhoff et al., "Robust Weight Imprinting", TMLR 2025, figures 11a and 12.
    """
    name, title = "nc1_over_d", "NC1 over d"
    rows = select(rows, where)
    view, notes = in_view(rows, collapse, allow_incomplete=allow_incomplete)
    view = view[view["d"].notna()].sort_values([*PLACE, "d", "mapping"], kind="stable")
    caption = (
        f"{WHAT} Mean over the mappings that join d original classes under each label, with the "
        "95 % confidence interval (Student's t) as a band."
    )
    caption = " ".join([caption, *notes])
    telling = [column for column in PLACE if column == "fm" or len(view[column].unique()) > 1]
    view = view.assign(line=view[telling].astype(str).agg(" · ".join, axis=1))
    exact = view[["line", *KEYS, "d", *MEASURES]]
    if view["d"].nunique() < 2:
        finding = (
            "There are no mappings of two values of d in view (mapping=[d_in_1]), so there is no "
            "line to draw."
        )
        return Drawing(name, title, caption, None, {"": exact}, finding)
    data = _means(view)
    from imprint_bench.analysis.lines import draw_over_d

    picture, finding = draw_over_d(data), _trend(view, telling)
    data_files = {"": data, "_mappings": exact}
    return Drawing(name, title, f"{finding} {caption}", picture, data_files, finding)


def in_view(
    rows: pd.DataFrame, collapse: pd.DataFrame, *, allow_incomplete: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Return the instances of the rows with their NC1 and d, and sentences on what is left out.

    Raises
    ------
    IncompleteError
        If one has no NC1, unless `allow_incomplete`; or if none has.
    """
    view = rows[KEYS].drop_duplicates().merge(collapse, on=KEYS, how="left")
    lacking = view["nc1"].isna()
    notes = []
    if lacking.any():
        first = " · ".join(map(str, view.loc[lacking, KEYS].iloc[0]))
        said = f"{lacking.sum():,} of {len(view):,} instances have no NC1 (first: {first})"
        if not allow_incomplete or lacking.all():
            raise IncompleteError(
                f"neural collapse: {said}; their embeddings are not cached, embed them first."
            )
        notes.append(f"Left out: {said} (report.allow_incomplete=true).")
    return with_d(view[~lacking].reset_index(drop=True)), notes


def with_d(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame with what its mappings join: the name of all draws, and d.

    Parameters
    ----------
    frame : DataFrame
        Column `mapping`.

    Returns
    -------
    frame : DataFrame
        With `joined` (the mapping without d and draw) and `d`, null where a mapping joins nothing.
    """
    parts = frame["mapping"].astype(str).str.extract(f"^{JOINING.pattern}$")
    return frame.assign(
        joined=parts["name"].where(parts["name"].notna(), frame["mapping"]),
        d=pd.to_numeric(parts["d"]).astype("Int64"),
    )


def spelled_rhos(rhos: Sequence[float]) -> str:
    """Return rank correlations of lines as a sentence has them.

    Examples
    --------
    >>> spelled_rhos([0.5, 0.9]), spelled_rhos([0.5])
    ("Spearman's rho 0.50 to 0.90", "Spearman's rho 0.50")
    >>> spelled_rhos([float("nan")])
    "Spearman's rho undefined on 1, where NC1 or d does not change"
    """
    known = [f"{rho:.2f}" for rho in sorted(rhos) if not pd.isna(rho)]
    parts = [" to ".join(dict.fromkeys([known[0], known[-1]]))] if known else []
    if len(known) < len(rhos):
        undefined = len(rhos) - len(known)
        parts.append(f"undefined on {undefined}, where NC1 or d does not change")
    return f"Spearman's rho {', '.join(parts)}"


def _joined_tells(frame: pd.DataFrame) -> bool:
    """Tell whether the name of the mapping says what the other columns do not."""
    return len(frame["joined"].unique()) > 1 or bool(frame["d"].isna().any())


def _gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the best k of k-means gains over k = 1, per instance without n_shot.

    Instances that lack results, or one of both, are left out.
    """
    none = pd.DataFrame(columns=[*KEYS, "kmeans_gain"]).astype({"kmeans_gain": float})
    done = rows[rows["gen"] == "kmeans"]
    if "n_shot" in done:
        done = done[done["n_shot"].isna()]
    if "gen_k" not in done or done["gen_k"].nunique() < 2 or not (done["gen_k"] == 1).any():
        return none
    others = [column for column in method_columns(done) if column != "gen_k"]
    medians = done.groupby([*KEYS, "gen_k", *others], dropna=False)["accuracy"].median()
    best = medians.groupby([*KEYS, "gen_k"]).max().unstack("gen_k")  # noqa: PD010 - one value each
    lacking = done.loc[done["accuracy"].isna(), KEYS].drop_duplicates()
    best = best.drop(index=pd.MultiIndex.from_frame(lacking), errors="ignore")
    gain = best.drop(columns=1).max(axis=1) - best[1]
    return gain.astype(float).rename("kmeans_gain").reset_index()


def _means(view: pd.DataFrame) -> pd.DataFrame:
    """Return the mean NC1 of every line and d, with half the width of its interval."""
    records = []
    for (line, d), group in view.groupby(["line", "d"], sort=False):
        mean, margin = mean_interval(group["nc1"].to_numpy(dtype=float))
        published = group["nc1_as_published"].mean()
        records.append((line, d, len(group), mean, margin, published))
    columns = ["line", "d", "n_mappings", "nc1", "margin", "nc1_as_published"]
    return pd.DataFrame(records, columns=columns)


def _trend(view: pd.DataFrame, telling: list[str]) -> str:
    """Say for how many lines NC1 rises with d, and how surely."""
    rhos, sizes = [], []
    for _, line in view.groupby("line", sort=False):
        rhos.append(spearman(line["d"].to_numpy(dtype=float), line["nc1"].to_numpy(dtype=float)))
        sizes.append(len(line))
    rising = sum(rho > 0 for rho in rhos)
    plural = "" if len(rhos) == 1 else "s"
    nouns = listed(NOUNS[column] for column in telling)
    of = f"foundation model{plural}" if telling == ["fm"] else f"combination{plural} of {nouns}"
    over = f"{min(sizes):,} to {max(sizes):,}" if len(set(sizes)) > 1 else f"{sizes[0]:,}"
    lead = f"rises with d for {rising}" if rising else "does not rise with d for any"
    return f"NC1 {lead} of {len(rhos)} {of} ({spelled_rhos(rhos)} over {over} mappings)."

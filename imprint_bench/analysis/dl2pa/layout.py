"""How the tables of training runs are laid out: long, or wide over d or rho, the paper's beside."""

from collections.abc import Sequence

import pandas as pd

from imprint_bench.analysis.axes import TRAINING
from imprint_bench.analysis.dl2pa.places import SPELLED
from imprint_bench.analysis.dl2pa.published import CITATION, beside, family, paper_dataset
from imprint_bench.analysis.dl2pa.roles import MEANING, in_order
from imprint_bench.analysis.dl2pa.runs import SPREAD, Runs
from imprint_bench.analysis.table import COUNT, FRACTION, NUMBER, Column, Table
from imprint_bench.errors import IncompleteError

NOT_RUN = ""  # label and description of a row of the paper that nothing here plays
METHOD = (Column("role", "role"), Column("what", "made of"), Column("label", "method"))
NO_CLAIM = "No two methods in view bear on a claim of the paper."


def balanced(view: Runs) -> Runs:
    """Return the runs on balanced data.

    Raises
    ------
    IncompleteError
        If there are none.
    """
    kept = view.only(~view.cells["long_tailed"])
    if kept.cells.empty:
        raise IncompleteError("results: no training runs on balanced data are in view.")
    return kept


def long_tailed(view: Runs) -> Runs:
    """Return the runs on long-tailed data.

    Raises
    ------
    IncompleteError
        If there are none.
    """
    kept = view.only(view.cells["long_tailed"])
    if kept.cells.empty:
        raise IncompleteError("results: no training runs on long-tailed data are in view.")
    return kept


def playing(view: Runs, roles: Sequence[str]) -> Runs:
    """Return the runs of methods that play one of some roles.

    Raises
    ------
    IncompleteError
        If there are none.
    """
    kept = view.only(view.cells["role"].isin(roles))
    if kept.cells.empty:
        raise IncompleteError(
            f"results: no method in view plays a row of this table ({', '.join(roles)})."
        )
    return kept


def long(view: Runs, table: str) -> tuple[pd.DataFrame, tuple[Column, ...]]:
    """Return a row per method and instance, the paper's value beside; then what was not run here.

    Parameters
    ----------
    view : Runs
    table : str
        Of the paper: ``table2``.
    """
    cells = view.cells
    values, left = beside(cells, table)
    frame = cells.assign(dataset=cells["dataset"].map(family), **values)
    more = _not_run(left, frame)
    frame = in_order(pd.concat([frame, more], ignore_index=True) if len(more) else frame, "dataset")
    frame = frame.assign(difference=frame["accuracy_mean"] - frame["paper_mean"])
    papers = [
        Column("paper_mean", "paper %", FRACTION),
        Column("paper_std", "± std", FRACTION),
        Column("difference", "here less paper", FRACTION),
    ]
    columns = (
        *_places(frame),
        *METHOD,
        Column("d", "d", COUNT),
        Column("accuracy_mean", "accuracy %", FRACTION),
        Column("accuracy_std", "± std", FRACTION),
        Column("n_seeds", "seeds", COUNT),
        *(c for c in papers if frame[c.name].notna().any()),
    )
    return _finished(frame, columns), columns


def wide(
    view: Runs, table: str, *, over: str = "d", scale: bool = False
) -> tuple[pd.DataFrame, tuple[Column, ...]]:
    """Return a row per method, and for each d (or rho) its accuracy, the paper's value beside.

    Parameters
    ----------
    view : Runs
    table : str
        Of the paper: ``table1``.
    over : str
        ``d`` or ``imbalance``.
    scale : bool
        Whether the scale of the logits has a column.
    """
    cells = view.cells.assign(
        dataset=view.cells["dataset"].map(family), d=view.cells["d"].astype("Int64")
    )
    keys = [*TRAINING.place(cells, but=(over,)), "role", "what", "label", "scale"]
    steps = sorted(cells[over].dropna().unique().tolist())
    rows = cells[keys].drop_duplicates()
    absent = _roles_not_run(rows.assign(**{over: steps[0]}), table, over)
    rows = pd.concat([rows, absent], ignore_index=True) if len(absent) else rows
    rows = in_order(rows, "dataset").reset_index(drop=True)
    columns = [*_places(rows), *METHOD]
    columns += [Column("d", "d", COUNT)] if over == "imbalance" and rows["d"].notna().any() else []
    columns += [Column("scale", "s")] if scale else []
    for step in steps:
        own = cells.loc[cells[over] == step, [*keys, "accuracy_mean", "accuracy_std"]]
        found = rows.merge(own, on=keys, how="left")
        papers = beside(rows.assign(**{over: step}), table)[0]
        axis = SPELLED.get(over, over)
        name, heading = f"{axis}{step:g}", f"{axis} = {step:g}, %"
        made = {
            name: (heading, found["accuracy_mean"]),
            f"{name}_std": ("± std", found["accuracy_std"]),
            f"{name}_paper": ("paper %", papers["paper_mean"]),
            f"{name}_paper_std": ("± std", papers["paper_std"]),
        }
        for column, (title, values) in made.items():
            if "paper" not in column or values.notna().any():
                rows[column] = values.to_numpy(dtype=float)
                columns.append(Column(column, title, FRACTION))
    return _finished(rows, tuple(columns)), tuple(columns)


def finished(
    number: str,
    title: str,
    view: Runs,
    made: tuple[pd.DataFrame, tuple[Column, ...]],
    finding: Sequence[str],
    *remarks: str,
) -> Table:
    """Return the table with its caption: what it says, how to read it, what the paper's are.

    Parameters
    ----------
    number : str
        Of the paper's table: ``1``.
    title : str
    view : Runs
        What it is made from; all numbers are beside it as CSV.
    made : frame and columns
    finding : sequence of str
        What holds in these rows; empty sentences are left out.
    *remarks : str
        Further sentences of the caption.
    """
    frame, columns = made
    said = " ".join(s for s in (*finding, few_seeds(view)) if s) or NO_CLAIM
    known = any("paper" in column.name for column in columns)
    where = (
        f"Paper: {CITATION}, table {number}; its values stand where data, d and rho are its own."
        if known
        else f"The values of the paper ({CITATION}, table {number}) are of other data or d."
    )
    sentences = (said, f"Test accuracy: {SPREAD}.", MEANING, where, *remarks, *view.notes)
    caption = " ".join(s for s in sentences if s)
    name, exact = f"dl2pa_table{number}", in_order(view.cells, "dataset")
    data = {"_exact": exact.reset_index(drop=True)}
    return Table(name, f"DL2PA table {number}: {title}", caption, columns, frame, (), data, said)


def few_seeds(view: Runs) -> str:
    """Return the sentence that there is no standard error, where no cell has two seeds."""
    if (view.cells["n_seeds"] > 1).any():
        return ""
    return "With one seed there is no standard error: every difference counts."


def _places(frame: pd.DataFrame) -> list[Column]:
    """Return the columns that name an instance: the dataset, and what else tells rows apart."""
    columns = [Column("dataset", "dataset")]
    for name in TRAINING.place(frame, but=("dataset", "imbalance", "d")):
        if len(set(frame[name].dropna()) - {NOT_RUN}) > 1:
            columns.append(Column(name, name))
    if "imbalance" in frame and frame["imbalance"].notna().any():
        columns.append(Column("imbalance", "rho", NUMBER))
    return columns


def _not_run(left: pd.DataFrame, frame: pd.DataFrame) -> pd.DataFrame:
    """Return rows of the paper that nothing here plays as rows of a long table."""
    names = {paper_dataset(name): name for name in frame["dataset"]}
    made = left.rename(columns={"method": "role", "rho": "imbalance", "accuracy_mean": "paper_mean",
                                "accuracy_std": "paper_std"})  # fmt: skip
    made = made.assign(
        dataset=made["dataset"].map(names), what=NOT_RUN, label=NOT_RUN, recipe=NOT_RUN
    )
    return made[[*TRAINING.place(made), "role", "what", "label", "paper_mean", "paper_std"]]


def _roles_not_run(rows: pd.DataFrame, table: str, over: str) -> pd.DataFrame:
    """Return a row for each of the paper's methods that nothing here plays on its data."""
    _, left = beside(rows, table)
    names = {paper_dataset(name): name for name in rows["dataset"]}
    left = left.assign(dataset=left["dataset"].map(names))
    played = set(zip(rows["dataset"], rows["role"], strict=True))
    keep = [pair not in played for pair in zip(left["dataset"], left["method"], strict=True)]
    axes = ["dataset", "method", "scale", *(["d"] if over == "imbalance" else [])]
    some = left.loc[keep, axes].drop_duplicates().rename(columns={"method": "role"})
    return some.assign(network=NOT_RUN, recipe=NOT_RUN, what=NOT_RUN, label=NOT_RUN)


def _finished(frame: pd.DataFrame, columns: Sequence[Column]) -> pd.DataFrame:
    """Return the columns of a table, texts as texts and numbers as numbers."""
    out = frame[[column.name for column in columns]].reset_index(drop=True)
    for column in columns:
        if column.kind == COUNT:
            out[column.name] = pd.to_numeric(out[column.name]).astype("Int64")
        elif column.kind in (FRACTION, NUMBER):
            out[column.name] = out[column.name].astype(float)
        else:
            texts = out[column.name].astype(object)
            out[column.name] = texts.where(texts.notna() & (texts != ""), None)
    return out

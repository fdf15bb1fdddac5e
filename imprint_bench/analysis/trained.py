"""Training runs at a glance: every method on every instance, and accuracy over d."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from imprint_bench.analysis.axes import TRAINING
from imprint_bench.analysis.dl2pa.curves import curves
from imprint_bench.analysis.dl2pa.places import place_names, telling
from imprint_bench.analysis.dl2pa.runs import SPREAD, Runs, runs
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.table import COUNT, FRACTION, NUMBER, RANK, Column, Table

Where = Mapping[str, Any] | None
NAMED = 6  # places that a finding names


def methods(rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False) -> Table:
    """Return the accuracy of every method at every d, those that are best on average first.

    Parameters
    ----------
    rows : DataFrame
        One row per trial.
    where : Mapping[str, Any], optional
        Which rows are in view.
    allow_incomplete : bool
        Leave out methods where they lack results, instead of refusing.

    Raises
    ------
    IncompleteError
        If results are missing, or there are no training runs.
    """
    view = runs(rows, where=where, allow_incomplete=allow_incomplete)
    cells = view.cells
    places = TRAINING.place(cells, but=("d",))
    ranks = cells.groupby([*places, "d"], dropna=False)["accuracy_mean"].rank(ascending=False)
    keys = [*places, "label", "what"]
    frame = cells.assign(rank=ranks, variance=cells["accuracy_std"] ** 2).groupby(
        keys, sort=False, dropna=False
    ).agg(average_rank=("rank", "mean"), n_d=("d", "size"), n_seeds=("n_seeds", "min"),
          variance=("variance", "mean")).reset_index()  # fmt: skip
    frame["spread"] = frame["variance"] ** 0.5
    kinds = {"imbalance": ("rho", NUMBER)}
    columns = [Column(c, *kinds.get(c, (c,))) for c in telling(frame)]
    columns += [Column("label", "method"), Column("what", "made of")]
    for d in sorted(cells["d"].unique().tolist()):
        own = cells.loc[cells["d"] == d, [*keys, "accuracy_mean"]]
        frame[f"d{d}"] = frame[keys].merge(own, on=keys, how="left")["accuracy_mean"]
        columns.append(Column(f"d{d}", f"d = {d}, %", FRACTION))
    columns += [
        Column("spread", "± std", FRACTION),
        Column("average_rank", "avg. rank", RANK),
        Column("n_seeds", "seeds", COUNT),
    ]
    whole = frame["n_d"] == frame.groupby(places, dropna=False)["n_d"].transform("max")
    order = frame.assign(part=~whole).sort_values([*places, "part", "average_rank"], kind="stable")
    caption = " ".join(
        [
            _finding(view),
            "Test accuracy: mean over seeds, and the root mean square over the dimensions of the "
            "sample standard deviation over seeds (each is in methods_exact.csv). Average rank "
            "over the dimensions that a method is on, among all there (1 is best); methods that "
            "are on some of them only come last.",
            *view.notes,
        ]
    )
    kept = order[[column.name for column in columns]].reset_index(drop=True)
    data = {"_exact": cells.reset_index(drop=True)}
    return Table("methods", "Methods", caption, tuple(columns), kept, (), data, _finding(view))


def accuracy_over_d(
    rows: pd.DataFrame, *, where: Where = None, allow_incomplete: bool = False
) -> Drawing:
    """Return test accuracy over the dimensions of the features, one line per method.

    See `methods` for parameters and errors.
    """
    name, title = "accuracy_over_d", "Accuracy over d"
    view = runs(rows, where=where, allow_incomplete=allow_incomplete)
    cells = view.cells
    caption = " ".join([f"Test accuracy: {SPREAD} (band).", *view.notes])
    if cells["d"].nunique() < 2:
        return Drawing(name, title, caption, None, finding="One d is in view: there is no line.")
    frame = cells.assign(x=cells["d"].astype(float), what="", group=0)
    data = curves(frame, cells["label"], cells["label"]).assign(dashed=False)
    from imprint_bench.analysis.dl2pa.curve_pictures import draw_curves

    picture = draw_curves(data, x="d, dimensions", y="test accuracy (%)")
    return Drawing(name, title, f"{_finding(view)} {caption}", picture, {"": data}, _finding(view))


def _finding(view: Runs) -> str:
    """Say which method is best at the fewest and at the most dimensions of each place."""
    cells = view.cells.assign(place=place_names(view.cells))
    ordered = cells.sort_values("accuracy_mean", kind="stable")
    tops = ordered.drop_duplicates(["place", "d"], keep="last").sort_values(["place", "d"])
    of_each = tops.groupby("place")["d"]
    ends = tops[tops["d"].eq(of_each.transform("min")) | tops["d"].eq(of_each.transform("max"))]
    several = len(set(tops["place"])) > 1
    texts = [
        f"{row['place'] + ', ' if several else ''}d = {row['d']}: {row['label']} "
        f"({100 * row['accuracy_mean']:.1f} %)"
        for row in ends.head(NAMED).to_dict("records")
    ]
    more = f"; and {len(ends) - NAMED} more" if len(ends) > NAMED else ""
    return f"The highest accuracy is, at {'; '.join(texts)}{more}."

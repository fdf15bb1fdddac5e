"""Figure 3c of DL2PA: how long matching class means to prototypes takes."""

from collections.abc import Callable, Sequence

import pandas as pd

from imprint_bench.analysis.dl2pa.published import CITATION
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.labels import spell_seconds
from imprint_bench.errors import DataError
from imprint_bench.params import PositiveInt


def figure3c(
    rows: pd.DataFrame,
    matching_seconds: Callable[[int], float] | None = None,
    *,
    c: list[PositiveInt] = [10, 20, 50, 100, 200, 500, 1000, 2000, 5000],  # noqa: B006 - read only
) -> Drawing:
    """Return the seconds of one matching of class means to prototypes over the number of classes.

    Parameters
    ----------
    rows : DataFrame
        Not used.
    matching_seconds : callable
        Seconds of a matching of c classes.
    c : list of int

    Raises
    ------
    DataError
        If there is nothing that measures.

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 3c.
    """
    if matching_seconds is None:
        raise DataError(
            "dl2pa_figure3c needs seconds of matchings, which a report of fixed/geometry gives."
        )
    sizes = sorted(set(c))
    data = pd.DataFrame({"c": sizes, "seconds": [float(matching_seconds(n)) for n in sizes]})
    texts = _some(sizes)
    told = [f"{spell_seconds(data['seconds'][i])} for {sizes[i]:,} classes" for i in texts]
    finding = f"One Hungarian matching takes {', '.join(told)}."
    caption = (
        f"{finding} Wall-clock seconds on this machine, both axes logarithmic; once per epoch in "
        "the paper's main runs. The paper's curve goes to 10,000 classes and is printed without "
        f"numbers. Paper: {CITATION}, figure 3c."
    )
    from imprint_bench.analysis.dl2pa.geometry_pictures import draw_seconds

    title = "DL2PA figure 3c: seconds of a Hungarian matching"
    return Drawing("dl2pa_figure3c", title, caption, draw_seconds(data), {"": data}, finding)


def _some(sizes: Sequence[int]) -> list[int]:
    """Return the places of the first, of powers of ten and of the last."""
    tens = [i for i, n in enumerate(sizes) if str(n).strip("0") == "1" and n >= 100]
    return sorted({0, *tens, len(sizes) - 1})

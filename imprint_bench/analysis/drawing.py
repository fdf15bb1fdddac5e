"""What a finished figure is, and its files."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from imprint_bench.durable import write_bytes

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Drawing:
    """A finished figure.

    Attributes
    ----------
    name : str
        Name of its files.
    title, caption : str
        What it shows, and how to read it.
    picture : matplotlib Figure or None
        None where there is too little to draw.
    data : Mapping[str, DataFrame]
        What lies behind it; the key is the end of the CSV file's name.
    finding : str
        What it says, in one sentence; where there is no picture, why.
    command : str
        What a user types to make it again.
    """

    name: str
    title: str
    caption: str
    picture: "Figure | None"
    data: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    finding: str = ""
    command: str = ""


def write_drawing(drawing: Drawing, folder: Path) -> list[Path]:
    """Write SVG, PDF and PNG of `drawing` and its data as CSV into `folder`, atomically."""
    paths = []
    if drawing.picture is not None:
        from imprint_bench.analysis.critical_difference import save

        paths += save(drawing.picture, folder / drawing.name)
    for end, frame in drawing.data.items():
        path = folder / f"{drawing.name}{end}.csv"
        write_bytes(path, frame.to_csv(index=False).encode())
        paths.append(path)
    return paths

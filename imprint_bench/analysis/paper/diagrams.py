"""Figures 2, 5, 7, 8, 9 and A.1 to A.3 of the paper: its tables as critical-difference diagrams.

The paper's figure numbers are taken to go with its tables in this way: 2 shows table 1, 5 table
2, 7 table 3, 8 table 5, 9 table 6, and A.1 to A.3 the tables of these numbers.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import pandas as pd

from imprint_bench.analysis.comparing import HalfWidth, diagram
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.analysis.labels import instance_labels
from imprint_bench.analysis.paper.rankings import (
    ALL_NEIGHBORS,
    NEIGHBORS,
    Ranking,
    aggregations,
    generators,
    norm_triples,
    previous_work,
    proxy_norms,
)
from imprint_bench.core.comparison import Procedure

Rank = Callable[..., Ranking]

SHOWN: Mapping[str, tuple[str, Rank]] = {
    "figure2": ("Figure 2: earlier methods", previous_work),
    "figure5": ("Figure 5: generators", partial(generators, k=20)),
    "figure7": ("Figure 7: normalization of proxies", proxy_norms),
    "figure8": (
        "Figure 8: aggregations of all rows",
        partial(aggregations, gen="all", m=ALL_NEIGHBORS),
    ),
    "figure9": (
        "Figure 9: aggregations of k-means proxies",
        partial(aggregations, gen="kmeans", k=20, m=NEIGHBORS),
    ),
    "figureA1": ("Figure A.1: generators with few proxies", partial(generators, k=5)),
    "figureA2": ("Figure A.2: normalizations of the mean", partial(norm_triples, gen="mean")),
    "figureA3": (
        "Figure A.3: normalizations of k-means",
        partial(norm_triples, gen="kmeans", k=20),
    ),
}


def diagram_of(name: str) -> Callable[..., Drawing]:
    """Return the function that draws one of the figures in `SHOWN`."""
    title, rank = SHOWN[name]

    def draw(
        rows: pd.DataFrame,
        *,
        alpha: float = 0.05,
        procedure: Procedure = "wilcoxon_holm",
        rope: HalfWidth | None = None,
        allow_incomplete: bool = False,
    ) -> Drawing:
        """Return the critical-difference diagram of one of the paper's comparisons.

        Parameters
        ----------
        rows : DataFrame
            One row per trial.
        alpha, procedure, rope
            As in `comparing.critical_difference`.
        allow_incomplete : bool
            Leave out instances with missing cells, instead of refusing.

        References
        ----------
        Westerhoff et al., "Robust Weight Imprinting", TMLR 2025.
        """
        ranking = rank(rows, allow_incomplete=allow_incomplete)
        table = ranking.table
        table.index = pd.Index(instance_labels(ranking.view.instances), name="instance")
        groups = ranking.chosen[["name", "label", "average_rank", "n_instances"]]
        drawing = diagram(
            name,
            title,
            ranking.lead,
            table,
            groups=groups,
            alpha=alpha,
            procedure=procedure,
            rope=rope,
        )
        # What is compared here is given; `per` is for the figure critical_difference.
        return replace(drawing, finding=drawing.finding.partition(" What is compared")[0])

    return draw

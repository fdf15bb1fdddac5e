"""Figures 2 and 3a of DL2PA: how sets of vectors spread, no training needed."""

import numpy as np
import pandas as pd

from imprint_bench.analysis.dl2pa.geometry import (
    GAUSSIAN,
    HPN_SET,
    PUBLISHED,
    RANDOM,
    SIMPLEX,
    SPREAD,
    ZERO_SUM,
    Prototypes,
    closest_pair,
    distances,
    exists,
    gaussian_points,
    made,
    mean_cosines,
    needed,
)
from imprint_bench.analysis.dl2pa.published import CITATION, published_points
from imprint_bench.analysis.drawing import Drawing
from imprint_bench.params import PositiveInt

MEANS = np.linspace(-2.0, 2.0, 41)
ON_SPHERE = 3  # dimensions of a picture


def figure2a(
    rows: pd.DataFrame,
    prototypes: Prototypes | None = None,
    *,
    c: PositiveInt = 100,
    d: PositiveInt = 3,
    stds: list[float] = [0.1, 0.5, 0.75, 1.0],  # noqa: B006 - read only; a list is what YAML writes
    draws: PositiveInt = 10,
) -> Drawing:
    """Return the mean cosine of Gaussian points over their mean, and that of prototypes.

    Parameters
    ----------
    rows : DataFrame
        Not used: sets need no training.
    prototypes : callable
        Makes a set, see `geometry`.
    c, d : int
        How many vectors, of how many values.
    stds : list of float
        Of each value of a Gaussian point.
    draws : int
        Over which the mean cosine is averaged.

    Raises
    ------
    DataError
        If there is nothing that makes sets.

    References
    ----------
    Saadabadi et al., "Hyperspherical Classification with Dynamic Label-to-Prototype Assignment",
    CVPR 2024, figure 2a.
    """
    make = needed(prototypes, at="dl2pa_figure2a")
    level = float(made(make, PUBLISHED, c, d).certificate.mean_cosine)
    records = [
        (f"Gaussian, std = {std:g}", std, mean, _mean_cosine(c, d, mean, std, draws))
        for std in stds
        for mean in MEANS.tolist()
    ]
    records += [(PUBLISHED.name, np.nan, mean, level) for mean in (MEANS[0], MEANS[-1])]
    data = pd.DataFrame(records, columns=["line", "std", "mean", "mean_cosine"])
    finding = _beside_the_papers(data, level, c)
    caption = " ".join([
        finding,
        f"Mean cosine between {c} points in {d} dimensions over the mean of their values, by the "
        f"standard deviation (the paper's values fit that, not the variance); {draws} draws.",
        "For large |mean| it approaches 1 / (1 + 2 std^2 / |mu|^2), where |mu|^2 = d mean^2."
        if d == ON_SPHERE else "",
        ZERO_SUM,
        f"Paper: {CITATION}, figure 2a.",
    ])  # fmt: skip
    from imprint_bench.analysis.dl2pa.geometry_pictures import draw_mean_cosines

    title = "DL2PA figure 2a: mean cosine of Gaussian points and of prototypes"
    picture = draw_mean_cosines(data)
    return Drawing("dl2pa_figure2a", title, caption, picture, {"": data}, finding)


def figure2b(
    rows: pd.DataFrame, prototypes: Prototypes | None = None, *, c: PositiveInt = 100
) -> Drawing:
    """Return prototypes on the sphere: the published recipe's, and refined ones.

    See `figure2a` for parameters and errors.

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 2b.
    """
    make = needed(prototypes, at="dl2pa_figure2b")
    frames, told = [], []
    for one in (PUBLISHED, SPREAD):
        vectors = np.asarray(made(make, one, c, ON_SPHERE).vectors)
        i, j, cosine = closest_pair(vectors)
        degrees = float(np.degrees(np.arccos(np.clip(cosine, -1, 1))))
        points = pd.DataFrame(vectors, columns=["x", "y", "z"])
        closest = points.index.isin([i, j])
        frames.append(points.assign(set=one.name, closest=closest, degrees=degrees))
        told.append(f"{degrees:.1f} degrees apart in the set {one.name}")
    data = pd.concat(frames, ignore_index=True)
    finding = f"The two closest of {c} prototypes in 3 dimensions are {' and '.join(told)}."
    caption = (
        f"{finding} Each sphere is seen from the side of its closest pair, which is marked; pale: "
        "the far side. As published: Gaussian potential, t = 2, learning rate 0.1, 1,000 steps, "
        f"which barely sees the closest pair; the paper circles one. Paper: {CITATION}, figure 2b."
    )
    from imprint_bench.analysis.dl2pa.geometry_pictures import draw_spheres

    title = f"DL2PA figure 2b: {c} prototypes on the sphere"
    return Drawing("dl2pa_figure2b", title, caption, draw_spheres(data), {"": data}, finding)


def figure2c(
    rows: pd.DataFrame,
    prototypes: Prototypes | None = None,
    *,
    c: PositiveInt = 100,
    d: PositiveInt = 3,
    draws: PositiveInt = 20,
) -> Drawing:
    """Return the smallest cosine distance of prototypes and of Gaussian points.

    See `figure2a` for parameters and errors.

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 2c.
    """
    make = needed(prototypes, at="dl2pa_figure2c")
    data = distances(make, c=c, d=d, draws=draws)
    papers = published_points("figure2c")
    own = {"DL2PA": PUBLISHED.name, "Gaussian": GAUSSIAN}
    points = papers.assign(set=papers["set"].map(own)).rename(columns={"value": "paper"})
    points = points if (c, d) == (100, ON_SPHERE) else points.iloc[:0]
    told = ", ".join(f"{r.set} {r.distance:.2g}" for r in data.itertuples())
    finding = f"Smallest cosine distance (1 - largest cosine) of {c} vectors: {told}."
    caption = " ".join([
        finding,
        f"In {d} dimensions, on a logarithmic axis. Gaussian points have mean 0, where their "
        f"standard deviation does not matter: median and range of {draws} draws.",
        "Hollow: the paper's values, for Gaussian points single draws at four standard deviations."
        if len(points) else "The paper's values are of 100 vectors in 3 dimensions.",
        f"Paper: {CITATION}, figure 2c.",
    ])  # fmt: skip
    from imprint_bench.analysis.dl2pa.geometry_pictures import draw_distances

    title = "DL2PA figure 2c: smallest cosine distance"
    data = pd.concat([data, points[["set", "std", "paper"]]], ignore_index=True)
    return Drawing("dl2pa_figure2c", title, caption, draw_distances(data), {"": data}, finding)


def figure3a(
    rows: pd.DataFrame,
    prototypes: Prototypes | None = None,
    *,
    c: PositiveInt = 100,
    d: list[PositiveInt] = [100, 50],  # noqa: B006 - read only; a list is what YAML writes
) -> Drawing:
    """Return the average cosine of each prototype to the others, sorted, by set.

    See `figure2a` for parameters and errors.

    References
    ----------
    Saadabadi et al., CVPR 2024, figure 3a.
    """
    make = needed(prototypes, at="dl2pa_figure3a")
    frames = []
    for size in d:
        for one in (RANDOM, HPN_SET, PUBLISHED, SIMPLEX, SPREAD):
            if exists(one, c, size):
                values = np.sort(mean_cosines(np.asarray(made(make, one, c, size).vectors)))
                line = {"d": size, "line": one.name, "rank": range(1, c + 1)}
                frames.append(pd.DataFrame(line | {"mean_cosine": values}))
    data = pd.concat(frames, ignore_index=True)
    spans = data.groupby(["d", "line"], sort=False)["mean_cosine"].agg(lambda v: v.max() - v.min())
    texts = [
        f"at d = {size}: "
        + ", ".join(f"{name} {0.0 if v < 1e-4 else v:.2g}" for name, v in own.droplevel(0).items())
        for size, own in spans.groupby(level=0, sort=False)
    ]
    finding = (
        "From the least to the largest average cosine of a prototype to the others it is "
        f"{'; '.join(texts)}."
    )
    caption = (
        f"{finding} Average cosine of each of {c} prototypes to the others, in ascending order; "
        "dashed: -1/(c - 1), where every set lies whose vectors sum to zero. The paper's curves "
        f"are printed without numbers. Paper: {CITATION}, figure 3a."
    )
    from imprint_bench.analysis.dl2pa.geometry_pictures import draw_sorted

    title = "DL2PA figure 3a: average cosine of each prototype to the others"
    picture = draw_sorted(data, level=-1 / (c - 1))
    return Drawing("dl2pa_figure3a", title, caption, picture, {"": data}, finding)


def _beside_the_papers(data: pd.DataFrame, level: float, c: int) -> str:
    """Say which mean cosines Gaussian points have at mean 2, and prototypes; the paper's beside."""
    papers = published_points("figure2a").dropna(subset="std")
    ends = data[data["mean"] == MEANS[-1]].merge(papers[["std", "value"]], on="std")
    if ends.empty:
        return f"The mean cosine of the published prototypes is {level:.4f}."
    told = ", ".join(f"{r.mean_cosine:.2f} at std {r.std:g}" for r in ends.itertuples())
    read = ", ".join(f"{value:.2f}" for value in ends["value"])
    return (
        f"At mean 2 the mean cosine of Gaussian points is {told} (in the paper about {read}); that "
        f"of the published prototypes is {level:.4f} (in the paper -0.01), and -1/(c - 1) is "
        f"{-1 / (c - 1):.4f}."
    )


def _mean_cosine(c: int, d: int, mean: float, std: float, draws: int) -> float:
    """Return the mean cosine between Gaussian points, over some draws."""
    sums = [
        gaussian_points(c, d, mean=mean, std=std, draw=draw).sum(axis=0) for draw in range(draws)
    ]
    return float(np.mean([(s @ s - c) / (c * (c - 1)) for s in sums]))

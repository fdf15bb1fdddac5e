"""How many iterations k-means takes on the rows of a job."""

from collections.abc import Mapping

from benchmarks.work import Clustering, Iterations
from imprint_bench.core.generators.kmeans import cluster_many
from imprint_bench.core.normalization import ROW_NORMALIZATIONS
from imprint_bench.core.sampling import map_labels, n_shot_rows, rows_of
from imprint_bench.data.tasks import LabelMap
from imprint_bench.sweep.unit import Arrays


def iterations_of(
    arrays: Mapping[tuple[str, str], Arrays], label_maps: Mapping[tuple[str, str], LabelMap]
) -> Iterations:
    """Return a function that runs k-means and says how many iterations it took.

    It runs `cluster_many`, whose labels are those of scikit-learn's `KMeans`: the part
    `kmeans` of these benchmarks compares labels and iterations of both.

    Parameters
    ----------
    arrays : mapping from (fm, dataset) to Arrays
    label_maps : mapping from (dataset, mapping) to LabelMap
    """

    def count(clustering: Clustering) -> int:
        r = clustering.rows
        source = arrays[r.fm, r.dataset]
        y = map_labels(source.y("train"), label_maps[r.dataset, r.mapping])
        names = (r.dataset, r.mapping, r.label)
        drawn = 0 if r.drawn is None else r.drawn
        chosen = n_shot_rows(rows_of(y, r.label), n_shot=r.n_shot, seed=drawn, names=names)
        X = ROW_NORMALIZATIONS[r.norm_pre](source.X("train")[chosen])
        return cluster_many(X, ks=[clustering.k], seed=clustering.seed)[clustering.k].n_iter

    return count

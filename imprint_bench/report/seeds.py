"""Which seeds count on an instance that several sweeps share, each with seeds of its own."""

import numpy as np
import pandas as pd


def common_seeds(
    cell: np.ndarray, instance: np.ndarray, seed: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return which trials count, so that configurations are compared on the same seeds.

    The seeds of an instance are those that most of its configurations have; of
    sets that equally many have, the larger one, then the one that comes first.
    A configuration that has all of them is measured on them alone. One that
    lacks some keeps all of its own.

    Parameters
    ----------
    cell, instance, seed : ndarray of int64, shape (n_trials,)
        The number of a trial's pair of configuration and instance, of its
        instance, and of its seed, each >= 0. No two trials have the same cell
        and seed.

    Returns
    -------
    counts : ndarray of bool, shape (n_trials,)
        Whether the trial counts.
    own : ndarray of bool, shape (n_trials,)
        Whether its cell lacks a seed of its instance, so that it keeps its own.
    """
    order = np.lexsort((seed, cell))
    _, starts = np.unique(cell[order], return_index=True)
    groups = np.split(seed[order], starts[1:])
    sets, contents = pd.factorize(np.array([group.tobytes() for group in groups], dtype=object))
    of_set = [np.frombuffer(content, dtype=seed.dtype) for content in contents]
    used = pd.DataFrame({"instance": instance[order][starts], "set": sets})
    used = used.value_counts().rename("n").reset_index()
    used["size"] = used["set"].map({i: len(seeds) for i, seeds in enumerate(of_set)})
    used["first"] = used["set"].map({i: tuple(seeds) for i, seeds in enumerate(of_set)})
    used = used.sort_values(["n", "size", "first"], ascending=[False, False, True])
    chosen = used.drop_duplicates("instance").set_index("instance")["set"]

    n_seeds = int(seed.max(initial=0)) + 1
    pairs = [
        i * n_seeds + of_set[which] for i, which in zip(chosen.index.tolist(), chosen, strict=True)
    ]
    among = np.isin(instance * n_seeds + seed, np.concatenate(pairs))
    found = np.bincount(cell[among], minlength=int(cell.max()) + 1)
    sizes = chosen.map(lambda which: len(of_set[which]))
    own = found[cell] < sizes.loc[instance].to_numpy()
    return among | own, own

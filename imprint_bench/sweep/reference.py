"""The reference path of a sweep: one trial at a time, sharing nothing.

Tests and benchmarks hold `bank.compute` against it; nothing else uses it.
"""

import numpy as np

from imprint_bench.core.imprinting import Recipe, classify, imprint
from imprint_bench.core.metrics import Quality, quality
from imprint_bench.core.sampling import map_labels, n_shot_rows, rows_of
from imprint_bench.core.scoring import Setting
from imprint_bench.data.tasks import LabelMap, Task
from imprint_bench.sweep.plan import Group
from imprint_bench.sweep.unit import Arrays


def one_trial(
    group: Group, setting: Setting, *, arrays: Arrays, task: Task, label_map: LabelMap = None
) -> Quality:
    """Compute one trial straight from the definition.

    Parameters
    ----------
    group : Group
        Which proxies.
    setting : Setting
        What is done with them.
    arrays : Arrays
        Embeddings and original labels of the dataset.
    task : Task
        Its classes, in the order in which they are imprinted.
    label_map : mapping or None
        Of the group's mapping.
    """
    recipe = Recipe(
        gen=group.gen,
        agg=setting.agg,
        gen_params=dict(group.gen_params),
        agg_params=setting.params,
        norm_pre=group.norm_pre,
        norm_post=setting.norm_post,
        norm_inf=setting.norm_inf,
    )
    names = [(group.dataset, group.mapping, c) for c in task.classes]
    train, test = (map_labels(arrays.y(split), label_map) for split in ("train", "test"))
    rows = [
        n_shot_rows(rows_of(train, c), n_shot=group.n_shot, seed=group.seed, names=name)
        for c, name in zip(task.classes, names, strict=True)
    ]
    y = np.repeat(np.arange(len(rows)), list(map(len, rows)))
    X = arrays.X("train")[np.concatenate(rows)]
    proxies, proxy_labels = imprint(X, y, recipe=recipe, seed=group.seed, names=names)
    queries = np.concatenate([rows_of(test, c) for c in task.classes])
    targets = np.repeat(np.arange(len(rows)), [int((test == c).sum()) for c in task.classes])
    predicted = classify(arrays.X("test")[queries], proxies, proxy_labels, recipe=recipe)
    return quality(targets, predicted, n_classes=len(task.classes))

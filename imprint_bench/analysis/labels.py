"""Names that a reader understands at once: of generators, configurations and instances."""

from collections.abc import Iterable
from numbers import Real
from typing import Any

import pandas as pd

from imprint_bench.analysis.axes import TRAINING, axes_of

SPELLED = {
    "kmeans": "k-means",
    "kmedoids": "k-medoids",
    "k_least_squares": "k-least-squares",
    "cov_max": "covariance max",
}
ALL_ROWS = "all"  # the generator that takes every training row
ORACLES = frozenset({"least_squares", "k_least_squares"})  # need all classes at once: no imprinting
DEFAULT_MAPPINGS = frozenset({"", "none", "identity", "original", "default"})


def spell(name: str) -> str:
    """Return the name of a method as prose writes it.

    Examples
    --------
    >>> spell("kmeans"), spell("least_squares")
    ('k-means', 'least squares')
    """
    return SPELLED.get(name, name.replace("_", " "))


def spell_seconds(seconds: float) -> str:
    """Return seconds with two digits, or all where there are more.

    Examples
    --------
    >>> spell_seconds(0.00287), spell_seconds(1.234), spell_seconds(1234.5)
    ('0.0029 s', '1.2 s', '1,234 s')
    """
    return f"{seconds:,.0f} s" if seconds >= 100 else f"{seconds:.2g} s"


def generator_labels(methods: pd.DataFrame) -> list[str]:
    """Return a label of the generator of every row: ``k-means 20``.

    k is always shown; another parameter only where it tells two configurations
    of one generator apart.

    Parameters
    ----------
    methods : DataFrame
        Columns `gen`, `gen_k` and further `gen_<parameter>`, null where a
        generator has no such parameter.
    """
    further = [c for c in _parameters(methods, "gen_") if c != "gen_k"]
    counts = {c: methods.groupby("gen")[c].nunique(dropna=False) for c in further}
    labels = []
    for row in methods.to_dict("records"):
        parts = [spell(row["gen"])]
        if not _is_null(row.get("gen_k")):
            parts.append(f"{row['gen_k']:g}" if _is_number(row["gen_k"]) else str(row["gen_k"]))
        telling = [c for c in further if counts[c][row["gen"]] > 1 and not _is_null(row[c])]
        parts += [f"{c.removeprefix('gen_')}={_show(row[c])}" for c in telling]
        labels.append(" ".join(parts))
    return labels


def aggregation_labels(methods: pd.DataFrame) -> list[str]:
    """Return a label of the aggregation of every row: ``max``, ``mnn m=5 euclidean distance``."""
    columns = _parameters(methods, "agg_")
    return [
        " ".join(
            [spell(row["agg"])]
            + [
                spell(row[c]) if isinstance(row[c], str) else f"{c[4:]}={_show(row[c])}"
                for c in columns
                if not _is_null(row[c])
            ]
        )
        for row in methods.to_dict("records")
    ]


def method_labels(methods: pd.DataFrame) -> list[str]:
    """Return a label of every configuration: ``k-means 20 · l2/l2/l2 · max``.

    The three norms are those before generation, of the proxies, and at inference. A method
    that trains has its name, and what tells two of that name apart: ``dynamic_ce, scale=16``.
    """
    if axes_of(methods) is TRAINING:
        return _trained_labels(methods)
    triples = methods[["norm_pre", "norm_post", "norm_inf"]].astype(str).to_numpy().tolist()
    norms = ["/".join(triple) for triple in triples]
    parts = zip(generator_labels(methods), norms, aggregation_labels(methods), strict=True)
    return [" · ".join(p) for p in parts]


def group_labels(methods: pd.DataFrame, per: Iterable[str]) -> list[str]:
    """Return a label of every row by the axes that tell the rows apart: ``k-means 20 · l2``."""
    if TRAINING.leading in per:
        return method_labels(methods)
    spelled = {"gen": generator_labels, "agg": aggregation_labels}
    parts = [spelled[a](methods) if a in spelled else methods[a].astype(str) for a in per]
    return [" · ".join(p) for p in zip(*parts, strict=True)]


def instance_labels(instances: pd.DataFrame) -> list[str]:
    """Return a label of every instance: ``resnet18 · mnist · odd · 5-shot``."""
    if axes_of(instances) is TRAINING:
        return _trained_on(instances)
    hidden = DEFAULT_MAPPINGS & set(instances.get("mapping", pd.Series(dtype=object)).dropna())
    labels = []
    for row in instances.to_dict("records"):
        parts = [row["fm"], row["dataset"]]
        mapping = row.get("mapping")
        if not _is_null(mapping) and (mapping not in hidden or len(hidden) > 1):
            parts.append(mapping)
        parts.append(row["task"])
        if not _is_null(row.get("n_shot")):
            parts.append(f"{row['n_shot']:g}-shot")
        labels.append(" · ".join(map(str, parts)))
    return labels


def _trained_labels(methods: pd.DataFrame) -> list[str]:
    columns = [c for c in TRAINING.columns(methods) if c != TRAINING.leading]
    counts = {c: methods.groupby(TRAINING.leading)[c].nunique(dropna=False) for c in columns}
    labels = []
    for row in methods.to_dict("records"):
        name = row[TRAINING.leading]
        telling = [c for c in columns if counts[c][name] > 1 and not _is_null(row[c])]
        parts = [f"{c.partition('_')[2] or c}={_show(row[c])}" for c in telling]
        labels.append(", ".join([str(name).replace("_", " "), *parts]))
    return labels


def _trained_on(instances: pd.DataFrame) -> list[str]:
    shown = [c for c in TRAINING.instance if c in instances]
    if len(instances["recipe"].unique()) == 1:
        shown.remove("recipe")
    return [
        " · ".join(f"d={row[c]}" if c == "d" else str(row[c]) for c in shown)
        for row in instances.to_dict("records")
    ]


def listed(names: Iterable[str]) -> str:
    """Join names as prose does: ``a, b and c``."""
    *head, last = names
    return f"{', '.join(head)} and {last}" if head else last


def _parameters(methods: pd.DataFrame, prefix: str) -> list[str]:
    found = [c for c in methods.columns if c.startswith(prefix) and c != "gen_seconds"]
    return sorted(found)


def _is_null(value: Any) -> bool:
    return value is None or bool(pd.isna(value))


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _show(value: Any) -> str:
    return f"{value:g}" if _is_number(value) else str(value)

"""The arithmetic that no sharing can avoid: FLOPs of the unique work of a plan.

Counted are multiplications and additions of

products
    Every distinct product of queries with proxies, 2 l per pair, for `max` and for the
    Euclidean and cosine m nearest neighbors. Rows that only differ in their length
    (raw, L2-normalized) share one product; proxies for a smaller k that are the first
    of those for a larger one share theirs; so do tasks, by masking: a class meets the
    test rows of every class that is with it in some task, once. Generators without a
    seed count once for all seeds, `all` once for both `norm_pre`.
quantile products
    Proxies of a class after the quantile norm depend on the classes before it in the
    task. Every distinct beginning of a task has its own; the first class keeps its
    values and belongs to the products.
second moments
    X^T X of a class for least squares, once per `norm_pre`; symmetric, so half counts.
k-medoids distances
    X X^T of a class, once per `norm_pre`; half counts.
k-means iterations
    2 n k l per iteration that k-means takes, once for `kmeans` and `k_least_squares`.
mahalanobis
    Per distinct proxies, their scaling and task: covariance (half), Cholesky factor and
    whitening of the proxies (triangular); per scaling of the queries also the whitening of
    these, and the product.
manhattan
    2 l (subtract, add) per pair and distinct scaling; no matrix product, so the GEMM
    peak is out of its reach.

Not counted are k-means++ picks, farthest points, means, norms, sorting, voting, reading
and writing: what they take is part of the ratio to this bound.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from imprint_bench.core.generator import GENERATORS
from imprint_bench.core.scoring import Setting
from imprint_bench.sweep.plan import Group, Plan, unit_key

SCALINGS = ("none", "l2")


class Rows(NamedTuple):
    """Which training rows: those of one class, of which the seed may have drawn some."""

    fm: str
    dataset: str
    mapping: str
    label: int
    n_shot: int | None
    drawn: int | None  # the seed that drew them; None where all are taken
    norm_pre: str


class Clustering(NamedTuple):
    """A k-means problem."""

    rows: Rows
    seed: int
    k: int


class Proxies(NamedTuple):
    """Proxies of one class, in one form; the largest k stands for nested ones."""

    rows: Rows
    gen: str
    params: tuple[tuple[str, Any], ...]
    seed: int | None
    form: tuple  # what norms and metric make of them that no scaling can share


Iterations = Callable[[Clustering], int]


def unique_work(
    plans: Iterable[Plan], lengths: Mapping[tuple[str, str], int], iterations: Iterations
) -> dict[str, float]:
    """Return the FLOPs of the unique work of some plans together, by piece.

    Parameters
    ----------
    plans : iterable of Plan
    lengths : mapping from (fm, dataset) to the length l of an embedding
    iterations : callable
        Iterations that k-means takes for a `Clustering`; see `benchmarks.iterations`.
    """
    count = _Count(lengths)
    for plan in plans:
        pairs = np.unique(np.stack([plan.group_of, plan.setting_of], axis=1), axis=0)
        for i, j in pairs.tolist():
            count.add(plan, plan.groups[i], plan.settings[j])
    return count.flops(iterations)


class _Count:
    """Collects distinct pieces of work while it walks through trials."""

    def __init__(self, lengths: Mapping[tuple[str, str], int]) -> None:
        self.lengths = lengths
        self.train: dict[Rows, int] = {}
        self.test: dict[tuple, int] = {}
        self.blocks: dict[str, dict[Proxies, set[int]]] = defaultdict(lambda: defaultdict(set))
        self.sizes: dict[Proxies, int] = {}
        self.whitenings: dict[Proxies, tuple[int, int]] = {}
        self.whitened: dict[tuple[Proxies, str], tuple[int, int, int]] = {}
        self.moments: set[Rows] = set()
        self.medoids: set[Rows] = set()
        self.clusterings: set[Clustering] = set()
        self.seen: set[tuple] = set()
        self.counts: dict[tuple, tuple[dict[int, int], dict[int, int]]] = {}

    def add(self, plan: Plan, group: Group, setting: Setting) -> None:
        """Add what one trial needs; m and weighting change nothing."""
        metric = setting.params.get("metric", "")
        of_setting = (setting.task, setting.norm_post, setting.norm_inf, metric)
        if (group, of_setting) in self.seen:
            return
        self.seen.add((group, of_setting))
        place = (group.dataset, group.mapping)
        if place not in self.counts:
            self.counts[place] = plan.labels[place].train_counts, plan.labels[place].test_counts
        (train, test), classes = self.counts[place], plan.tasks[place][setting.task].classes
        rows = [_rows(group, c) for c in classes]
        for c, r in zip(classes, rows, strict=True):
            self.train[r] = train[c] if group.n_shot is None else min(train[c], group.n_shot)
            self.test[group.fm, *place, c] = test.get(c, 0)
        self._generate(group, rows)
        if metric == "mahalanobis":
            self._whiten(group, setting, rows)
        else:
            self._multiply(group, setting, classes, rows)

    def _generate(self, group: Group, rows: list[Rows]) -> None:
        k = dict(group.gen_params).get("k", 1)
        if group.gen.endswith("least_squares"):
            self.moments.update(rows)
        if group.gen == "kmedoids":
            self.medoids.update(rows)
        if group.gen in ("kmeans", "k_least_squares") and k > 1:
            self.clusterings.update(Clustering(r, group.seed, k) for r in rows)

    def _multiply(
        self, group: Group, setting: Setting, classes: tuple[int, ...], rows: list[Rows]
    ) -> None:
        for i, r in enumerate(rows):
            piece, form = _form(group, setting, classes[: i + 1])
            proxies = _proxies(group, r, form)
            self.blocks[piece][proxies].update(classes)
            size = GENERATORS[group.gen].count(self.train[r], dict(group.gen_params))
            self.sizes[proxies] = max(size, self.sizes.get(proxies, 0))

    def _whiten(self, group: Group, setting: Setting, rows: list[Rows]) -> None:
        kind = "scaled" if setting.norm_post in SCALINGS else "own"
        form = (kind, _scaling(group, setting.norm_post), setting.task)
        params = dict(group.gen_params)
        P = sum(GENERATORS[group.gen].count(self.train[r], params) for r in rows)
        Q = sum(self.test[r.fm, r.dataset, r.mapping, r.label] for r in rows)
        proxies = _proxies(group, rows[0], form)._replace(params=group.gen_params)
        length = self.lengths[group.fm, group.dataset]
        self.whitenings[proxies] = (P, length)
        self.whitened[proxies, setting.norm_inf] = (P, Q, length)

    def flops(self, iterations: Iterations) -> dict[str, float]:
        """Return the FLOPs of every piece that there is."""
        found: dict[str, float] = defaultdict(float)
        for piece, blocks in self.blocks.items():
            for proxies, classes in blocks.items():
                r = proxies.rows
                queries = sum(self.test[r.fm, r.dataset, r.mapping, c] for c in classes)
                found[piece] += 2.0 * self._length(r) * self.sizes[proxies] * queries
        for r in self.moments:
            found["second moments"] += 1.0 * self.train[r] * self._length(r) ** 2
        for r in self.medoids:
            found["k-medoids distances"] += 1.0 * self.train[r] ** 2 * self._length(r)
        for c in self.clusterings:
            if c.k <= self.train[c.rows]:
                once = 2.0 * self.train[c.rows] * c.k * self._length(c.rows)
                found["k-means iterations"] += once * iterations(c)
        for P, length in self.whitenings.values():
            found["mahalanobis"] += 2.0 * P * length**2 + length**3 / 3
        for P, Q, length in self.whitened.values():
            found["mahalanobis"] += Q * length**2 + 2.0 * P * Q * length
        return dict(found)

    def _length(self, rows: Rows) -> int:
        return self.lengths[rows.fm, rows.dataset]


def _rows(group: Group, label: int) -> Rows:
    drawn = None if group.n_shot is None else group.seed
    place = (group.fm, group.dataset, group.mapping)
    return Rows(*place, label, group.n_shot, drawn, group.norm_pre)


def _proxies(group: Group, rows: Rows, form: tuple) -> Proxies:
    key, generator = unit_key(group), GENERATORS[group.gen]
    if generator.every_row and form[0] not in ("quantile", "own"):
        rows = rows._replace(norm_pre="any")  # `form` has what is left of it
    params = key.other_params if generator.nested else group.gen_params
    return Proxies(rows, group.gen, params, key.seed, form)


def _form(group: Group, setting: Setting, prefix: tuple[int, ...]) -> tuple[str, tuple]:
    """Return the piece of work that a class is part of, and what sets its proxies apart.

    Proxies of a generator of all classes of a task belong to the task.
    """
    joint = (setting.task,) if GENERATORS[group.gen].scope == "task" else ()
    inf = "" if setting.norm_inf in SCALINGS else setting.norm_inf
    if setting.norm_post == "quantile" and len(prefix) > 1:
        return "quantile products", ("quantile", prefix, inf, *joint)
    if setting.norm_post not in (*SCALINGS, "quantile"):
        return "products", ("own", setting.norm_post, setting.task, inf, *joint)
    if setting.params.get("metric") == "manhattan":
        post = "none" if setting.norm_post == "quantile" else setting.norm_post
        scaling = _scaling(group, post)
        return "manhattan", ("scaled", scaling, setting.norm_inf, *joint)
    return "products", ("scaled", inf, *joint)


def _scaling(group: Group, norm_post: str) -> str:
    """Return what distances see of the norms: rows of `all` are normalized before or after."""
    if GENERATORS[group.gen].every_row and norm_post in SCALINGS:
        return "l2" if "l2" in (group.norm_pre, norm_post) else "none"
    return norm_post

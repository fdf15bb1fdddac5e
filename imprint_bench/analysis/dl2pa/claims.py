"""Which of the paper's claims hold in the rows at hand: a sentence each.

Methods are compared on one instance alone (dataset, rho, network, recipe and d); what comes out
is then put together over networks and recipes.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd

from imprint_bench.analysis.dl2pa.differences import (
    Difference,
    best,
    difference,
    static_pairs,
    verdicts,
    weighted_pairs,
)
from imprint_bench.analysis.dl2pa.places import SPELLED, instances, over
from imprint_bench.analysis.dl2pa.roles import DL2PA, ETF, HPN, PSC, STATIC
from imprint_bench.analysis.labels import listed

FEW = 0.1  # of c: d << c up to here
AGREE = 0.02  # two accuracies that are less apart agree
UNSCALED = " s = 1"  # the end of the name of a method whose logits have no scale
ALIKE = "ETF, HPN and equidistributed prototypes agree at d >= c - 1"


def dynamic_beats_static(cells: pd.DataFrame) -> str:
    """Say whether dynamic assignment beats the same prototypes held static where d << c."""
    pairs = static_pairs(cells[cells["role"] == DL2PA].pipe(_with_static, cells))
    sentences = []
    for dataset, own in pairs.groupby("dataset", sort=False):
        found = _differences(own, "d")
        few = own["d"].astype(float) <= FEW * own["n_classes"].fillna(own["d"].max())
        small = [one for one, is_few in zip(found, few, strict=True) if is_few]
        claim = f"Dynamic beats static assignment at d << c (d <= c / {1 / FEW:g}){over(own)}"
        held = _held(claim, [one.verdict == 1 for one in small])
        sentences.append(f"{_on(dataset, pairs)}{held}: {verdicts(found)}.")
    return " ".join(sentences)


def _with_static(dynamic: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return dynamic methods with those static ones that have their prototypes."""
    static = cells[cells.get("assignment", pd.Series(None, cells.index)) == "static"]
    return pd.concat([dynamic, static[static["prototypes"].isin(dynamic["prototypes"])]])


def _differences(pairs: pd.DataFrame, axis: str) -> list[Difference]:
    """Return the differences of pairs, their places along an axis."""
    values = pairs[[axis, "difference", "error"]].to_numpy(dtype=float).tolist()
    return [Difference(f"{place:g}", value, error) for place, value, error in values]


def sets_agree(cells: pd.DataFrame) -> str:
    """Say whether fixed sets of vectors agree where the simplex exists, d >= c - 1."""
    alike = cells[cells["role"].isin([ETF, HPN, STATIC, DL2PA])]
    alike = alike[~alike["prototypes"].isin(["random", "orthogonal"])]
    alike = alike[alike["d"].astype(float) >= alike["n_classes"] - 1]
    sentences = []
    for dataset, own in alike.groupby("dataset", sort=False):
        at = {str(d): list(_extremes(of_d)) for d, of_d in own.groupby("d")}
        held = [told.value < AGREE or not told.verdict for all_ in at.values() for told, _ in all_]
        texts = []
        for d, found in at.items():
            if found:
                told, names = max(found, key=lambda one: one[0].value)
                beyond = "beyond" if told.verdict else "within"
                texts.append(
                    f"at d = {d} the largest difference is {100 * told.value:.1f} points ({names}),"
                    f" {beyond} 2 standard errors"
                )
        if texts:
            claim = _held(f"{ALIKE}{over(own)}", held)
            sentences.append(f"{_on(dataset, alike)}{claim}: {'; '.join(texts)}.")
    return " ".join(sentences)


def _extremes(cells: pd.DataFrame) -> Iterator[tuple[Difference, str]]:
    """Yield the largest difference between sets on every instance, and which two it is of."""
    for own in instances(cells):
        if min(len(set(own["what"])), len(set(own["role"]))) > 1:
            top = best(own)
            low = best(own.drop(index=top.name), least=True)
            yield difference(top, low, top["d"]), f"{top['label']} over {low['label']}"


def against_scales(cells: pd.DataFrame, rivals: Sequence[str] = (PSC,)) -> str:
    """Say what dynamic assignment with IPM gains over methods under CE, by their scale.

    Parameters
    ----------
    cells : DataFrame
        See `Runs`.
    rivals : sequence of str
        Roles under CE: learned weights, or fixed ones.
    """
    sentences = []
    for dataset, own in cells.groupby("dataset", sort=False):
        texts, ends = [], []
        for role in rivals:
            found = [gains for at in instances(own) if (gains := _gains(at, role))]
            for name in sorted({name for gains in found for name in gains}):
                told = verdicts(gains[name] for gains in found if name in gains)
                texts.append(f"against {name}: {told}")
            ends.append(_depends(role, found))
        if texts:
            lead = f"{_on(dataset, cells)}DL2PA (the best of its sets{over(own)})"
            sentences.append(" ".join([f"{lead} {'; '.join(texts)}.", *filter(None, ends)]))
    return " ".join(sentences)


def _gains(instance: pd.DataFrame, role: str) -> dict[str, Difference]:
    """Return what DL2PA gains on an instance over the best of each name under CE."""
    ours, theirs = (instance[instance["role"] == one] for one in (DL2PA, role))
    if ours.empty or theirs.empty:
        return {}
    names = theirs.apply(_rival, axis=1)
    top = best(ours)
    return {str(name): difference(top, best(own), top["d"]) for name, own in theirs.groupby(names)}


def _rival(cell: pd.Series) -> str:
    """Return what a method under CE is called where scales are told apart."""
    if not cell["scale"]:
        return "PSC linear" if cell["role"] == PSC else f"{cell['role']} on features as they are"
    return f"{'PSC cosine' if cell['role'] == PSC else cell['role']} s = {cell['scale']}"


def _depends(role: str, found: list[dict[str, Difference]]) -> str:
    """Say whether the gain over a role is there against an unscaled softmax alone.

    Parameters
    ----------
    role : str
    found : list of dict
        Of each instance the gain over each method of that role, see `_gains`.
    """
    kept: dict[str, bool] = {}  # by d: whether each instance keeps the gain against all scales
    for gains in found:
        scaled = [one.verdict for name, one in gains.items() if not name.endswith(UNSCALED)]
        unscaled = [one for name, one in gains.items() if name.endswith(UNSCALED)]
        if scaled and unscaled and unscaled[0].verdict == 1:
            d = unscaled[0].place
            kept[d] = kept.get(d, True) and min(scaled) == 1
    yes, no = (sorted((d for d in kept if kept[d] is which), key=float) for which in (True, False))
    if not yes:
        depends = f"So the gain over {role} depends on an unscaled softmax (s = 1) at d = "
        return f"{depends}{listed(no)}." if no else ""
    text = f"The gain over {role} does not depend on an unscaled softmax at d = {listed(yes)}"
    return f"{text}; at d = {listed(no)} it does." if no else f"{text}."


def role_against(
    cells: pd.DataFrame, a: str, b: str, *, axis: str = "d", by: Sequence[str] = ("dataset",)
) -> str:
    """Say how the best method of one role stands against the best of another, place by place.

    Parameters
    ----------
    cells : DataFrame
        See `Runs`.
    a, b : str
        Roles.
    axis : str
        ``d`` or ``imbalance``: what tells places apart; of the other each value has a sentence.
    by : sequence of str
        Columns of which each combination has a sentence.
    """
    other = "imbalance" if axis == "d" else "d"
    sentences = []
    for (*names, value), own in cells.groupby([*by, other], dropna=False):
        pairs = [
            (best(first), best(second))
            for at in instances(own)
            if len(first := at[at["role"] == a]) and len(second := at[at["role"] == b])
        ]
        if pairs:
            found = [difference(*pair, f"{pair[0][axis]:g}") for pair in pairs]
            many = over(pd.DataFrame([first for first, _ in pairs]))
            lead = "".join(_on(n, cells, column) for n, column in zip(names, by, strict=True))
            told = verdicts(found, SPELLED.get(axis, axis))
            sentences.append(f"{lead}{a} against {b}{_at(other, value)}{many}: {told}.")
    return " ".join(sentences)


def weighting(cells: pd.DataFrame) -> str:
    """Say what the weights of classes in the loss bring by themselves: prototypes are the same.

    Parameters
    ----------
    cells : DataFrame
        See `Runs`; `family` is the dataset without its rho.
    """
    pairs = weighted_pairs(cells)
    pairs = pairs.merge(cells[["dataset", "family"]].drop_duplicates(), on="dataset")
    axis = "imbalance" if pairs["imbalance"].notna().all() else "d"
    other = "d" if axis == "imbalance" else "imbalance"
    texts = []
    for (name, value), own in pairs.groupby(["family", other], dropna=False):
        told = verdicts(_differences(own, axis), SPELLED.get(axis, axis))
        place = f"{_on(name, pairs, 'family')}{_at(other, value).strip()}"
        texts.append(f"{place}{over(own)} {told}".strip())
    if not texts:
        return ""
    lead = "What weighting the classes in the loss brings by itself (DL2PA's has it, PSC's has not)"
    return f"{lead}, on the same prototypes: {'; '.join(texts)}."


def _at(column: str, value: Any) -> str:
    """Return where a sentence is about: `` at d = 9``; nothing where there is no such value."""
    return "" if pd.isna(value) else f" at {SPELLED.get(column, column)} = {value:g}"


def _held(claim: str, each: list[bool]) -> str:
    if not each:
        return f"{claim}: no such d is in view"
    return f"{claim}: {'holds' if all(each) else 'holds in part' if any(each) else 'does not hold'}"


def _on(dataset: object, among: pd.DataFrame, column: str = "dataset") -> str:
    return f"{dataset}: " if len(set(among[column])) > 1 else ""

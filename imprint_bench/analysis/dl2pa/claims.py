"""Which of the paper's claims hold in the rows at hand: a sentence each."""

from collections.abc import Sequence

import pandas as pd

from imprint_bench.analysis.dl2pa.differences import (
    Difference,
    best,
    difference,
    static_pairs,
    verdicts,
)
from imprint_bench.analysis.dl2pa.roles import (
    DL2PA,
    ETF,
    HPN,
    PSC,
    STATIC,
)
from imprint_bench.analysis.labels import listed

FEW = 0.1  # of c: d << c up to here
AGREE = 0.02  # two accuracies that are less apart agree
UNSCALED = " s = 1"  # the end of the name of a method whose logits have no scale
ALIKE = "ETF, HPN and equidistributed prototypes agree at d >= c - 1"


def one_seed(cells: pd.DataFrame) -> str:
    """Return the sentence that there is no standard error, where no cell has two seeds."""
    if (cells["n_seeds"] > 1).any():
        return ""
    return "With one seed there is no standard error: every difference counts."


def dynamic_beats_static(cells: pd.DataFrame) -> str:
    """Say whether dynamic assignment beats the same prototypes held static where d << c."""
    pairs = static_pairs(cells[cells["role"] == DL2PA].pipe(_with_static, cells))
    sentences = []
    for dataset, own in pairs.groupby("dataset", sort=False):
        found = [
            Difference(f"{d:g}", float(value), float(error))
            for d, value, error in own[["d", "difference", "error"]].to_numpy(dtype=float)
        ]
        few = own["d"].astype(float) <= FEW * own["n_classes"].fillna(own["d"].max())
        small = [one for one, is_few in zip(found, few, strict=True) if is_few]
        claim = f"Dynamic beats static assignment at d << c (d <= c / {1 / FEW:g})"
        held = _held(claim, [one.verdict == 1 for one in small])
        sentences.append(f"{_on(dataset, pairs)}{held}: {verdicts(found)}.")
    return " ".join(sentences)


def _with_static(dynamic: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return dynamic methods with those static ones that have their prototypes."""
    static = cells[cells.get("assignment", pd.Series(None, cells.index)) == "static"]
    return pd.concat([dynamic, static[static["prototypes"].isin(dynamic["prototypes"])]])


def sets_agree(cells: pd.DataFrame) -> str:
    """Say whether fixed sets of vectors agree where the simplex exists, d >= c - 1."""
    alike = cells[cells["role"].isin([ETF, HPN, STATIC, DL2PA])]
    alike = alike[~alike["prototypes"].isin(["random", "orthogonal"])]
    alike = alike[alike["d"].astype(float) >= alike["n_classes"] - 1]
    sentences = []
    for (dataset, d), own in alike.groupby(["dataset", "d"], sort=False):
        if own["what"].nunique() < 2 or own["role"].nunique() < 2:
            continue
        top, low = best(own), best(own, least=True)
        told = difference(top, low, d)
        beyond = "beyond" if told.verdict else "within"
        held = _held(ALIKE, [told.value < AGREE or not told.verdict])
        sentences.append(
            f"{_on(dataset, alike)}{held}: at d = {d} the largest difference is "
            f"{100 * told.value:.1f} points ({top['label']} over {low['label']}), {beyond} "
            "2 standard errors."
        )
    return " ".join(sentences)


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
        found: dict[str, dict[str, list[Difference]]] = {}  # by role, then by name
        for place, at in own.groupby("d"):
            ours = at[at["role"] == DL2PA]
            if ours.empty:
                continue
            top = best(ours)
            for _, rival in at[at["role"].isin(rivals)].iterrows():
                of_role = found.setdefault(rival["role"], {})
                of_role.setdefault(_rival(rival), []).append(difference(top, rival, place))
        if not found:
            continue
        told = "; ".join(
            f"against {name}: {verdicts(differences)}"
            for role in rivals
            for name, differences in sorted(found.get(role, {}).items())
        )
        ends = " ".join(filter(None, (_depends(*one) for one in found.items())))
        lead = f"{_on(dataset, cells)}DL2PA (the best of its sets)"
        sentences.append(f"{lead} {told}. {ends}".strip())
    return " ".join(sentences)


def _rival(cell: pd.Series) -> str:
    """Return what a method under CE is called where scales are told apart."""
    if not cell["scale"]:
        return "PSC linear" if cell["role"] == PSC else f"{cell['role']} on features as they are"
    return f"{'PSC cosine' if cell['role'] == PSC else cell['role']} s = {cell['scale']}"


def _depends(role: str, found: dict[str, list[Difference]]) -> str:
    """Say whether the gain over a role is there against an unscaled softmax alone."""
    wins = {name: {d.place for d in all_ if d.verdict == 1} for name, all_ in found.items()}
    unscaled = set().union(*(w for n, w in wins.items() if n.endswith(UNSCALED)))
    scaled = [w for n, w in wins.items() if not n.endswith(UNSCALED)]
    if not unscaled or not scaled:
        return ""
    everywhere = unscaled.intersection(*scaled)
    if not everywhere:
        return f"So the gain over {role} depends on an unscaled softmax (s = 1)."
    kept, lost = (sorted(places, key=float) for places in (everywhere, unscaled - everywhere))
    text = f"The gain over {role} does not depend on an unscaled softmax at d = {listed(kept)}"
    return f"{text}; at d = {listed(lost)} it does." if lost else f"{text}."


def role_against(cells: pd.DataFrame, a: str, b: str, *, axis: str = "d") -> str:
    """Say how the best method of one role stands against the best of another, place by place.

    Parameters
    ----------
    cells : DataFrame
        See `Runs`.
    a, b : str
        Roles.
    axis : str
        ``d`` or ``imbalance``: what tells places apart.
    """
    sentences = []
    column = "family" if axis == "imbalance" else "dataset"
    for dataset, own in cells.groupby(column, sort=False):
        found = []
        for place, at in own.groupby(axis):
            tops = [at[at["role"] == role] for role in (a, b)]
            if all(len(top) for top in tops):
                first, second = map(best, tops)
                found.append(difference(first, second, f"{place:g}"))
        if found:
            name = {"imbalance": "rho"}.get(axis, axis)
            told = verdicts(found, name)
            sentences.append(f"{_on(dataset, cells, column)}{a} against {b}: {told}.")
    return " ".join(sentences)


def best_against(cells: pd.DataFrame, a: str, b: str, *, by: str) -> str:
    """Say how the best method of one role stands against the best of another, whatever their d.

    Parameters
    ----------
    cells : DataFrame
        See `Runs`.
    a, b : str
        Roles.
    by : str
        ``network`` or ``dataset``: what they are compared within.
    """
    texts = []
    for name, own in cells.groupby(by, sort=True):
        tops = [own[own["role"] == role] for role in (a, b)]
        if all(len(top) for top in tops):
            first, second = map(best, tops)
            told = difference(first, second, name)
            verdict = {1: "better", -1: "worse", 0: "within 2 standard errors"}[told.verdict]
            rival = f"{second['what']}, d = {second['d']}"
            texts.append(f"{name}, {verdict} ({100 * told.value:+.1f} points over {rival})")
    return f"{a} against {b}, the best of each: {'; '.join(texts)}." if texts else ""


def _held(claim: str, each: list[bool]) -> str:
    if not each:
        return f"{claim}: no such d is in view"
    return f"{claim}: {'holds' if all(each) else 'holds in part' if any(each) else 'does not hold'}"


def _on(dataset: object, among: pd.DataFrame, column: str = "dataset") -> str:
    return f"{dataset}: " if len(set(among[column])) > 1 else ""

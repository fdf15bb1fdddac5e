"""Which of the paper's rows a method plays, by what it is made of and not by its name."""

from typing import Any

import numpy as np
import pandas as pd

from imprint_bench.analysis.labels import spell

PSC, PSC_UNIFORM = "PSC", "PSC*"
WORD2VEC, HPN, ETF, STATIC = "Word2Vec", "HPN", "ETF", "other set, static"
REUSED, REUSED_STATIC = "PSC's weights, dynamic", "PSC's weights, static"
OTHER_DYNAMIC, DL2PA = "other set, dynamic", "DL2PA"
FIXED_CE, DYNAMIC_CE = "fixed W + CE", "dynamic W + CE"
# In the order of reading: learned heads, fixed sets, the paper's own.
ROLES = (
    *(PSC, PSC_UNIFORM, WORD2VEC, HPN, ETF, STATIC, REUSED_STATIC, FIXED_CE, DYNAMIC_CE),
    *(OTHER_DYNAMIC, REUSED, DL2PA),
)
MEANING = (
    "PSC: learned weights (linear or cosine) under CE; PSC*: with the uniformity term. DL2PA: "
    "equidistributed prototypes, assigned dynamically, under a loss of the cosine to the own "
    "prototype alone (IPM); ETF, HPN, Word2Vec and other sets are fixed and static under such a "
    "loss."
)
PULLING = frozenset({"ipm", "dot_regression", "hpn"})  # losses of the own prototype alone
NOT_SPREAD = frozenset({"word_vectors", "hpn", "random", "orthogonal"})
SIMPLEXES = frozenset({"simplex", "d_simplex", "kasarla"})  # one up to a rotation
REUSE = ("trained", "learned", "psc")  # in the name of a set that is the weights of a trained head
LOSSES = {"cross_entropy": "CE", "ipm": "IPM", "dot_regression": "DR", "hpn": "HPN's loss"}


def role_of(methods: pd.DataFrame) -> pd.Series:
    """Return the role of every method.

    Parameters
    ----------
    methods : DataFrame
        `head`, `prototypes` (null: learned), `assignment`, `loss` and, where there is one,
        `loss_uniformity`.

    Returns
    -------
    role : Series
        One of `ROLES`.
    """
    sets = _text(methods, "prototypes")
    learned = (sets == "") | (_text(methods, "head") != "fixed")
    pulling = _text(methods, "loss").isin(PULLING)
    dynamic = _text(methods, "assignment") == "dynamic"
    reused = sets.map(lambda name: any(part in name for part in REUSE))
    uniform = pd.to_numeric(methods.get("loss_uniformity", pd.Series(0.0, methods.index)))
    rules = [
        (learned & (uniform.astype(float) > 0), PSC_UNIFORM),
        (learned, PSC),
        (~pulling & ~dynamic, FIXED_CE),
        (~pulling, DYNAMIC_CE),
        (dynamic & reused, REUSED),
        (dynamic & sets.isin(NOT_SPREAD), OTHER_DYNAMIC),
        (dynamic, DL2PA),
        (reused, REUSED_STATIC),
        (sets == "word_vectors", WORD2VEC),
        (sets == "hpn", HPN),
        (sets.isin(SIMPLEXES), ETF),
    ]
    conditions, names = zip(*rules, strict=True)
    chosen = np.select([c.to_numpy(dtype=bool) for c in conditions], names, default=STATIC)
    return pd.Series(chosen, methods.index, dtype=object)


def scale_of(methods: pd.DataFrame) -> pd.Series:
    """Return the scale of cosines under CE as text, ``16`` or ``learnable``; empty for others.

    Where features are not normalized, their lengths play the scale.
    """
    scale = methods.get("head_scale", pd.Series(None, methods.index, dtype=object))
    cosines = (_text(methods, "head") != "linear") & ~_unbounded(methods)
    shown = scale.map(_number).where(cosines & (_text(methods, "loss") == "cross_entropy"), "")
    return shown.astype(object)


def _unbounded(methods: pd.DataFrame) -> pd.Series:
    """Return which methods have fixed vectors and features as they are."""
    return _text(methods, "head_normalize_features").str.lower() == "false"


def describe(methods: pd.DataFrame) -> pd.Series:
    """Return what every method is made of: ``hpn · static · IPM``, ``cosine · CE, s = 16``."""
    texts = []
    columns = (scale_of(methods), role_of(methods), _unbounded(methods))
    for row, scale, role, free in zip(methods.to_dict("records"), *columns, strict=True):
        learned = role in (PSC, PSC_UNIFORM)
        parts = [row["head"]] if learned else [row["prototypes"], row.get("assignment")]
        loss = LOSSES.get(row["loss"], spell(str(row["loss"])))
        if role == PSC_UNIFORM:
            loss += f" + {float(row['loss_uniformity']):g} L_uni"
        if scale:
            loss += f", s = {scale}"
        if free:
            loss += ", features as they are"
        texts.append(" · ".join([*(spell(str(p)) for p in parts if pd.notna(p)), loss]))
    return pd.Series(texts, methods.index, dtype=object)


def in_order(frame: pd.DataFrame, *by: str) -> pd.DataFrame:
    """Return rows sorted by further columns, then by role (last what was not run), then by d."""
    place = {role: i for i, role in enumerate(ROLES)}
    keyed = frame.assign(
        place=frame["role"].map(place).fillna(len(ROLES)), not_run=frame["label"].eq("")
    )
    keys = [*by, "place", "not_run", *(c for c in ("what", "label", "d") if c in frame)]
    return keyed.sort_values(keys, kind="stable").drop(columns=["place", "not_run"])


def _text(frame: pd.DataFrame, column: str) -> pd.Series:
    if column not in frame:
        return pd.Series("", frame.index)
    return frame[column].astype(object).where(frame[column].notna(), "").astype(str)


def _number(value: Any) -> str:
    """Return a scale as text: 1.0 and ``1`` are the same."""
    if pd.isna(value):
        return ""
    try:
        return f"{float(value):g}"
    except ValueError:
        return str(value)

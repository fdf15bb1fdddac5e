"""The columns of a row of a training run: where it was, and what was trained."""

import pandas as pd

INSTANCE = ("dataset", "imbalance", "network", "recipe", "d")
KINDS = ("head", "prototypes", "assignment", "loss")


def parameter_columns(rows: pd.DataFrame) -> list[str]:
    """Return the columns of parameters: of head, prototypes, assignment and loss, then `lr`."""
    found = [c for kind in KINDS for c in sorted(map(str, rows)) if c.startswith(f"{kind}_")]
    return [*found, *(c for c in ("lr",) if c in rows)]


def kinds(rows: pd.DataFrame) -> list[str]:
    """Return the columns that name head, prototypes, assignment and loss."""
    return [kind for kind in KINDS if kind in rows]


def place_label(instance: pd.Series) -> str:
    """Return a label of an instance: ``cifar100 · resnet32 · d = 50``."""
    parts = [str(instance[c]) for c in ("dataset", "network", "recipe") if pd.notna(instance[c])]
    if pd.notna(instance["imbalance"]):
        parts.append(f"rho = {instance['imbalance']:g}")
    return " · ".join([*parts, f"d = {instance['d']}"])

"""What the page needs to filter instances and to compare generators on them, as compact JSON."""

import json
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from imprint_bench.report.captions import sentences
from imprint_bench.report.ranking import Ranking

VALUES = 150_000  # accuracies in a page, at most: some 1.5 MB
DECIMALS = 8  # accuracies that differ do so by 1e-7 or more: order and ties survive
NUMBER = re.compile(r"([0-9]+)")
AXES = ("fm", "dataset", "task", "setting", "variant")
NOUNS = {
    "generator": {"fm": "model", "dataset": "dataset", "task": "task", "setting": "setting"},
    "method": {"fm": "network", "dataset": "dataset", "task": "dimension", "setting": "recipe"},
}


def explorer(ranked: Ranking | None) -> Mapping[str, Any] | None:
    """Return axes, instances and accuracies for the page; None where nothing can be compared.

    Parameters
    ----------
    ranked : Ranking or None

    Returns
    -------
    dict
        `noun` (what is compared) and `nouns` (what each axis is called); `axes` (the
        names on each axis) and `codes` (per axis, the position of each instance's
        name); `main` (the settings in which configurations
        were ranked); `generators` (name, configuration, whether an oracle,
        whether on all main instances: those first, and of both the oracles
        last); `chosen` (the first that is no oracle); `caption`; `accuracy` (a
        list of instances per generator, null where there is no result), or None
        where there are more than `VALUES`; `n_instances`.
    """
    if ranked is None or ranked.best.empty:
        return None
    frame, best = ranked.instances, ranked.best
    main = set(frame.loc[frame["main"], "setting"])
    coded = {axis: _coded(frame[axis].astype(str).tolist(), main) for axis in AXES}
    oracle, everywhere = (best[c].to_numpy(dtype=bool) for c in ("oracle", "everywhere"))
    columns = np.lexsort((oracle, ~everywhere))
    noun = str(best["noun"].iloc[0])
    return {
        "noun": noun,
        "nouns": NOUNS[noun],
        "axes": {axis: names for axis, (names, _) in coded.items()},
        "codes": {axis: codes for axis, (_, codes) in coded.items()},
        "main": [i for i, name in enumerate(coded["setting"][0]) if name in main],
        "generators": [
            {
                "name": row["generator"],
                "configuration": row["label"],
                "oracle": row["oracle"],
                "everywhere": row["everywhere"],
            }
            for row in best.iloc[columns].to_dict("records")
        ],
        "chosen": int(np.argmin(oracle[columns])),
        "caption": " ".join(sentences(ranked)),
        "accuracy": (
            [_values(ranked.accuracy[:, c]) for c in columns]
            if ranked.accuracy.size <= VALUES
            else None
        ),
        "n_instances": len(frame),
    }


def to_json(value: Any) -> str:
    r"""Return JSON that may stand in a ``<script>``: no sign in it can end that or begin a tag.

    Examples
    --------
    >>> to_json(["</script>", 0.5])
    '["\\u003c/script\\u003e",0.5]'
    """
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _coded(values: list[str], first: set[str]) -> tuple[list[str], list[int]]:
    """Return the names among values, numbers in them by size, and the place of each value's."""
    keys = {v: [int(p) if i % 2 else p for i, p in enumerate(NUMBER.split(v))] for v in values}
    names = sorted(keys, key=lambda v: (v not in first, keys[v]))
    place = {name: i for i, name in enumerate(names)}
    return names, [place[v] for v in values]


def _values(column: np.ndarray) -> list[float | None]:
    return [None if np.isnan(v) else v for v in np.round(column, DECIMALS).tolist()]

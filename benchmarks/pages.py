"""The sections of the README: each takes the tables and returns Markdown."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

Tables = Mapping[str, pd.DataFrame]
Section = Callable[[Tables], str]


def machine_text(machine: pd.DataFrame) -> str:
    """Return what the tables were measured with, once for every run that is among them."""
    parts = []
    facts = [name for name in machine.columns if name != "table"]
    for _, of_run in machine.groupby("measured", sort=True):
        first = of_run.iloc[0]
        listed = "; ".join(f"{name} {first[name]}" for name in facts if name != "measured")
        parts.append(f"Measured {first['measured']} ({', '.join(of_run['table'])}): {listed}.")
    return "\n\n".join(parts)


def gemm(tables: Tables) -> str:
    """Return the section on the GEMM peak."""
    best = tables["gemm"].sort_values("gflops").groupby("dtype").tail(1).sort_values("dtype")
    peaks = ", ".join(
        f"{row.gflops:.0f} GFLOP/s in {row.dtype} ({row.n} x {row.n})" for row in best.itertuples()
    )
    return f"## GEMM peak\n\nThe fastest square product of one thread: {peaks}."


def paths(tables: Tables) -> str:
    """Return the section on the shared and the reference path."""
    table = tables["paths"]
    shown = pd.DataFrame(
        {
            "job": table["job"],
            "data": table["data"],
            "trials": table["trials"].map("{:,}".format),
            "shared CPU s": table["shared_cpu_seconds"].map(_short),
            "reference CPU s": table["reference_whole_cpu_seconds"].map(_short),
            "sharing": table["sharing"].map(_times),
            "shared MiB": table["shared_peak_mib"].map(_short),
            "reference MiB": table["reference_peak_mib"].map(_short),
            "compared": table["compared"].map("{:,}".format),
            "differ": table["differ"],
        }
    )
    sampled = table[(table["compared"] < table["trials"]) & (table["compared"] > 0)]
    notes = [
        f"On `{row.job}` it computed {row.compared:,} trials, from all "
        f"{row.strata:,} strata, in {_short(row.reference_cpu_seconds)} CPU s."
        for row in sampled.itertuples()
    ]
    extrapolated = (
        "Where fewer trials are compared than there are, the reference path computed a stratified "
        "sample, and its seconds are extrapolated stratum by stratum (foundation model, dataset, "
        "mapping, task, n_shot, generator, k, quantile norm or not, aggregation, metric): the mean "
        "of the sampled trials of a stratum times its trials, not a mean over all. "
    )
    parts = [
        "## Shared and reference path",
        "The shared path computes all trials in banks; the reference path computes one trial "
        "at a time from the definition. `compared` trials were computed by both, and of "
        "`differ` of them the accuracies differ in any bit. Each path runs in a process of its "
        "own; MiB is the largest resident memory of that process, mapped embeddings and "
        "imports included.",
        _markdown(shown),
        extrapolated + " ".join(notes) if notes else "",
        "![CPU seconds of both paths by generator](results/paths.svg)",
    ]
    return "\n\n".join(part for part in parts if part)


def work(tables: Tables) -> str:
    """Return the section on the unique work."""
    table, pieces = tables["paths"], tables["work"]
    bounds = pd.DataFrame({"job": table["job"], "unique GFLOP": table["unique_gflop"].map(_short)})
    for dtype in ("float32", "float64"):
        bounds[f"at {dtype} peak, s"] = table[f"{dtype}_bound_seconds"].map(_short)
        bounds[f"shared / {dtype} bound"] = table[f"times_{dtype}_bound"].map(_times)
    wide = pieces.pivot_table(index="piece", columns="job", values="gflop", sort=False)
    return "\n\n".join(
        [
            "## Unique work",
            "The FLOPs that no sharing can avoid, as `benchmarks/work.py` defines and counts them, "
            "the time that they take at the GEMM peak measured in the same run, and the shared "
            "path's CPU seconds as a multiple of that. The sweeps of a job are computed as "
            "one plan, as a multirun computes them.",
            _markdown(bounds),
            "GFLOP by piece:",
            _markdown(wide.map(_short).reset_index()),
        ]
    )


def scaling(tables: Tables) -> str:
    """Return the section on workers."""
    table = tables["scaling"]
    shown = table.assign(
        trials=table["trials"].map("{:,}".format),
        wall_seconds=table["wall_seconds"].map(_short),
        speedup=table["speedup"].map(_times),
    )
    return (
        "## Workers\n\nWall seconds of one job into a fresh store, start of the worker processes "
        f"included, planning and embedding not.\n\n{_markdown(shown)}"
    )


def store(tables: Tables) -> str:
    """Return the section on many trials."""
    table = tables["store"]
    shown = pd.DataFrame(
        {
            "step": table["step"],
            "trials": table["trials"].map("{:,}".format),
            "parts": table["parts"],
            "CPU s": table["cpu_seconds"].map(_short),
            "of them planning": table["planning_cpu_seconds"].map(_short),
            "wall s": table["wall_seconds"].map(_short),
            "peak MiB": table["peak_mib"].map(_short),
        }
    )
    size = table["mib_on_disk"].dropna().iloc[-1]
    return (
        "## Many trials\n\nMade-up rows in the real store. Every step is a process of its own and "
        "plans first; resuming finds nothing to do; loading joins all rows to the plan; "
        "reporting loads, and makes every table and figure but those of the paper (not the page); "
        f"writing includes making the rows up. The store has {_short(size)} MiB.\n\n"
        + _markdown(shown)
    )


def page(tables: Tables) -> str:
    """Return the section on the page of a report."""
    table = tables["page"]
    shown = pd.DataFrame(
        {
            "rows": table["rows"].map("{:,}".format),
            "instances": table["instances"],
            "tables": table["tables"],
            "figures": table["pictures"],
            "making them, CPU s": table["views_cpu_seconds"].map(_short),
            "writing all, CPU s": table["page_cpu_seconds"].map(_short),
            "of them ranking": table["ranking_cpu_seconds"].map(_short),
            "peak MiB": table["peak_mib"].map(_short),
            "page MB": table["page_mb"].map(_short),
            "load, ms": table["load_ms"].map(_short),
            "filter, ms": table["redraw_ms"].map(_short),
        }
    )
    (row,) = table.itertuples()
    told = (
        "It was not opened: Chromium or playwright is missing here."
        if table["load_ms"].isna().any()
        else f"Opened in headless {row.browser}, wall ms at a load average of "
        f"{row.load_average:.1f}: until the load event, and from a click on a filter until what "
        "it changes is drawn; medians of several."
    )
    return (
        "## The page of a report\n\nMade-up rows, every table and figure that needs nothing but "
        "rows, some of them for each foundation model, too. Writing all is the page and the files "
        f"beside it; ranking was measured by itself. {row.refused} more tables and figures say "
        f"that the rows are not enough for them. {told}\n\n{_markdown(shown)}"
    )


def kmeans(tables: Tables) -> str:
    """Return the section on k-means and k-medoids."""
    table = tables["kmeans"]
    grouped = table.groupby(["method", "rows", "length", "k"], sort=False)
    total = grouped[["cpu_seconds", "theirs_cpu_seconds", "equal", "of"]].sum().reset_index()
    shown = pd.DataFrame(
        {
            "method": total["method"],
            "rows x length": [
                f"{r} x {n}" for r, n in zip(total["rows"], total["length"], strict=True)
            ],
            "k": total["k"],
            "ours, CPU s": total["cpu_seconds"].map(_short),
            "theirs, CPU s": total["theirs_cpu_seconds"].map(_short),
            "ratio": (total["theirs_cpu_seconds"] / total["cpu_seconds"]).map(_times),
            "equal": [f"{e:,} of {n:,}" for e, n in zip(total["equal"], total["of"], strict=True)],
        }
    )
    without = (
        ""
        if "kmedoids" in set(table["method"])
        else (" k-medoids is left out: scikit-learn-extra cannot be imported here.")
    )
    problems = ", ".join(dict.fromkeys(table["problem"]))
    return (
        "## k-means and k-medoids\n\nAgainst scikit-learn's `KMeans` in float64 (`equal`: labels "
        "of rows) and scikit-learn-extra's `KMedoids` (`equal`: medoids); the last line of each "
        f"method is all k together. Summed over these classes: {problems}.{without}"
        f"\n\n{_markdown(shown)}"
    )


def growth(tables: Tables) -> str:
    """Return the section on growth."""
    curves = tables["growth"].drop_duplicates(["kind", "axis", "gen"])
    shown = curves[["axis", "kind", "gen", "exponent", "expected"]]
    return (
        "## Growth\n\nCost on made-up embeddings while one size is varied and the others stand: "
        "of a generator alone on one class (`proxies`), and of a whole unit of work with `max` and "
        "`mnn` (`bank`). The exponent is that of a power law through the last three points; "
        "`expected` is the one for sizes at which what every call costs no longer counts.\n\n"
        "![CPU seconds over each size](results/growth.svg)\n\n"
        + _markdown(shown.assign(exponent=shown["exponent"].map("{:.2f}".format)))
    )


def embedding(tables: Tables) -> str:
    """Return the section on embedding."""
    table, (half,) = tables["embedding"], tables["dtypes"].itertuples()
    shown = pd.DataFrame(
        {
            "dataset": table["dataset"],
            "foundation model": table["fm"],
            "embedding": table["together"].map({True: "together", False: "alone"}),
            "images": table["images"],
            "network s": table["forward_seconds"].map(_short),
            "all else s": table["other_seconds"].map(_short),
            "all else / network": table["overhead"].map("{:.1%}".format),
            "images per second": table["images_per_second"].map("{:,.0f}".format),
        }
    )
    return (
        "## Embedding\n\nOne process, one thread, the first training images: reading, decoding, "
        "resizing and writing against the network itself. Together means that all foundation "
        f"models embed a batch that is read once.\n\n{_markdown(shown)}\n\nEmbeddings stored in "
        f"float16 (`embed.dtype=float16`) instead of float32: of {half.trials:,} trials on "
        f"{half.data}, "
        f"{half.equal:,} have the same accuracy; the mean difference is {half.mean_points:.4f} "
        f"percentage points, the largest {half.most_points:.2f}."
    )


def head_step(tables: Tables) -> str:
    """Return the section on training steps."""
    table = tables["head_step"]
    shown = pd.DataFrame(
        {
            "network": table["network"],
            "c x d": [f"{c} x {d}" for c, d in zip(table["c"], table["d"], strict=True)],
            "plain step, ms": table["plain_ms"].map(_short),
            "head": table["head"],
            "loss": table["loss"],
            "assignment": table["assignment"].fillna("-"),
            "overhead": (table["ratio"] - 1).map("{:+.1%}".format),
            "quartiles": [
                f"{low - 1:+.1%} to {high - 1:+.1%}"
                for low, high in zip(table["low"], table["high"], strict=True)
            ],
            "fastest": (table["fastest"] - 1).map("{:+.1%}".format),
        }
    )
    times = ", ".join(
        f"{_short(1000 * row.cpu_seconds)} ms for {row.c:,} classes in {row.d} dimensions"
        for row in tables["matching"].itertuples()
    )
    return (
        "## Training steps\n\nA whole step on batches of "
        f"{table['batch'].iloc[0]} images (forward, loss, backward, optimizer, class means), "
        "against the same network with `torch.nn.Linear` and `torch.nn.CrossEntropyLoss`: all take "
        "turns, and the overhead is the median over rounds of the ratio to the plain steps of the "
        "same round, `fastest` that of the fastest rounds of both. "
        f"torch {table['torch'].iloc[0]}. Matching classes to prototypes, once per epoch, takes "
        f"{times} (CPU time).\n\n{_markdown(shown)}"
    )


def prototypes(tables: Tables) -> str:
    """Return the section on prototype sets."""
    table = tables["prototypes"]
    shown = pd.DataFrame(
        {
            "classes x dimensions": [
                f"{c:,} x {d:,}" for c, d in zip(table["c"], table["d"], strict=True)
            ],
            "max cosine": table["max_cosine"].map(_cosine),
            "bound": table["bound"].map(_cosine),
            "bound by": table["bound_name"],
            "shipped by DL2PA": table["shipped"].map(_cosine),
            "best known": table["known"].map(_cosine),
            "CPU s": table["cpu_seconds"].map(_short),
            "wall s": table["wall_seconds"].map(_short),
            "peak MiB": table["peak_mib"].map(_short),
            "of them imports": table["before_mib"].map(_short),
        }
    )
    return (
        "## Prototype sets\n\n`equidistributed` with its defaults and seed 0: the largest cosine "
        "of two prototypes, the proven lower bound on it, the one of the set that DL2PA ships, and "
        "the one of the best configuration known. Each set is made in a process of its own; its "
        "certificate with the bound is in the seconds.\n\n" + _markdown(shown)
    )


SECTIONS: tuple[tuple[tuple[str, ...], Section], ...] = (
    (("paths", "generators"), paths),
    (("gemm",), gemm),
    (("paths", "work"), work),
    (("scaling",), scaling),
    (("embedding", "dtypes"), embedding),
    (("store",), store),
    (("page",), page),
    (("kmeans",), kmeans),
    (("growth",), growth),
    (("head_step", "matching"), head_step),
    (("prototypes",), prototypes),
)


def _markdown(table: pd.DataFrame) -> str:
    rows = [list(map(str, table.columns)), ["---"] * len(table.columns)]
    rows += [list(map(str, row)) for row in table.itertuples(index=False)]
    return "\n".join("| " + " | ".join(row) + " |" for row in rows)


def _short(value: Any) -> str:
    """Return a number with three digits that count, or whole where it is large."""
    if pd.isna(value):
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _cosine(value: Any) -> str:
    return "-" if pd.isna(value) else f"{value:.4f}"


def _times(value: Any) -> str:
    return "-" if pd.isna(value) else f"{_short(value)}x"

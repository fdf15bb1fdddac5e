"""`python -m benchmarks`: measure, write CSV files and figures, and show them in a README."""

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.fresh import CHECKOUT, ONE_THREAD
from imprint_bench.errors import ConfigError, ImprintError, did_you_mean

PARTS = {
    "paths": "the shared against the reference path, with the GEMM peak and the unique work",
    "gemm": "the GEMM peak alone",
    "embedding": "what embedding costs beside the networks, and what float16 changes",
    "scaling": "wall seconds with one worker and with two",
    "store": "planning, writing, resuming, loading and reporting 500,000 trials",
    "page": "writing, opening and filtering the page of 500,000 trials",
    "kmeans": "k-means and k-medoids against scikit-learn and scikit-learn-extra",
    "growth": "cost against rows, length, k, tasks and test rows",
    "head_step": "a training step with each head and loss against a plain linear layer",
    "prototypes": "making equidistributed prototypes, and how near they come to the bounds",
}
EPILOG = "\n".join(
    [
        "parts:",
        *(f"  {name:10} {text}" for name, text in PARTS.items()),
        "",
        "OVERRIDES are those of imprint_bench. Without any, paths are compared on digits.",
        "paths.data=FOLDER, which needs MNIST/raw, cifar10, imagenet32 and litert in it, adds the",
        "grids of the paper's section 5.1 on mobilenet_v1_050 and MNIST, uses them for scaling,",
        "and real images for embedding; the reference path then takes many minutes. +sweep=NAME",
        "compares the paths on that sweep alone.",
        "paths.results=FOLDER is where embeddings are cached (default: results).",
        "The exit code is 1 if an accuracy differs, 2 if the command line is wrong.",
    ]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what the command line asks for; 1 if an accuracy differs, 2 for a mistake."""
    options = _parser().parse_intermixed_args(arguments)
    os.environ.update(ONE_THREAD)  # before a library reads it
    try:
        return _measure(options)
    except ImprintError as error:
        print(error, file=sys.stderr)
        return error.exit_code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Measure the engine, write CSV files and figures, and show them in a README.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--only", metavar="PARTS", help="some parts, such as gemm,scaling")
    parser.add_argument(
        "--quick", action="store_true",
        help="small sizes, under a minute, without the paper's grids: shows that everything runs, "
        "and gives no figure worth quoting",
    )  # fmt: skip
    parser.add_argument(
        "--sample", type=int, metavar="N",
        help="trials of every stratum for the reference path, 0 for none of it (default: all on "
        "digits, else 1)",
    )  # fmt: skip
    parser.add_argument(
        "--to", type=Path, metavar="FOLDER",
        help="gets README.md and results/ (default: benchmarks, with --quick build/benchmarks)",
    )  # fmt: skip
    parser.add_argument("overrides", nargs="*", metavar="OVERRIDES", help="see below")
    return parser


def _measure(options: argparse.Namespace) -> int:
    chosen = _chosen(options.only)
    if options.sample is not None and options.sample < 0:
        raise ConfigError(f"--sample: expected a number of at least 0, got {options.sample}.")
    from benchmarks import parts, report  # after the number of threads is set

    default = CHECKOUT / ("build/benchmarks" if options.quick else "benchmarks")
    with tempfile.TemporaryDirectory() as scratch:
        asked = parts.Asked(
            parts=chosen,
            overrides=tuple(options.overrides),
            quick=options.quick,
            each=options.sample,
            scratch=Path(scratch),
        )
        folder, facts, differ = options.to or default, parts.machine_of(asked), 0
        # Written part by part: a run that is stopped leaves what it has measured.
        for tables in parts.measure(asked, say=_say):
            report.write(folder, tables, facts)
            differ = max([differ, *(row["differ"] for row in tables.get("paths", []))])
    print(folder / "README.md")
    return int(differ > 0)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _chosen(only: str | None) -> tuple[str, ...]:
    """Return the names of the parts, in the order in which they run."""
    if only is None:
        return tuple(PARTS)
    asked = only.split(",")
    for name in asked:
        if name not in PARTS:
            known = ", ".join(PARTS)
            raise ConfigError(
                f"--only: no part {name!r}; there are {known}.{did_you_mean(name, PARTS)}"
            )
    return tuple(name for name in PARTS if name in asked)


if __name__ == "__main__":
    sys.exit(main())

"""The command: ``python -m imprint_bench +sweep=quickstart``."""

import os
import sys
from collections.abc import Sequence

from imprint_bench import __version__
from imprint_bench.command_line import check, parse
from imprint_bench.composing import compose
from imprint_bench.errors import ImprintError
from imprint_bench.jobs import run_jobs, tell


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line and exit: 0 done, 1 failed, 2 a mistake in what was asked for.

    Parameters
    ----------
    arguments : sequence of str, optional
        Without the name of the program; those of the process if left out.
    """
    try:
        sys.exit(_run(sys.argv[1:] if arguments is None else arguments))
    except ImprintError as error:
        tell(error)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # whoever read the output has left, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except KeyboardInterrupt:
        tell("interrupted; what was finished is stored, run again to go on.")
        sys.exit(130)


def _run(arguments: Sequence[str]) -> int:
    options = parse(arguments)
    if options.version:
        sys.stdout.write(f"imprint_bench {__version__}\n")
        return 0
    check(options)
    return run_jobs(compose(options))


if __name__ == "__main__":
    main()

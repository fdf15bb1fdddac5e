"""Where messages go: to the terminal, and with times and traces to a file of the run."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from imprint_bench.durable import explained


@contextmanager
def logging_to(path: Path | None) -> Iterator[None]:
    """Show the messages of this package, and warnings of others, while the block runs.

    Parameters
    ----------
    path : Path or None
        File to which everything is added, with tracebacks of failed units; None writes no file.

    Raises
    ------
    StoreError
        If the file cannot be written.
    """
    terminal = logging.StreamHandler(sys.stdout)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    terminal.setLevel(logging.INFO)
    handlers: list[logging.Handler] = [terminal]
    if path is not None:
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = logging.FileHandler(path, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.append(file)
    ours, root = logging.getLogger("imprint_bench"), logging.getLogger()
    with ExitStack() as stack:
        stack.callback(ours.setLevel, ours.level)
        ours.setLevel(logging.DEBUG)
        for handler in handlers:
            root.addHandler(handler)
            stack.callback(handler.close)
            stack.callback(root.removeHandler, handler)
        yield

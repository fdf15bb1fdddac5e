"""Where messages go: to the terminal, and with times and traces to a file of the run."""

import logging
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from io import TextIOWrapper
from pathlib import Path
from types import MappingProxyType

from imprint_bench.durable import explained


class _RunFile(logging.FileHandler):
    """A file that comes into being with the first message, so that a refused run leaves none."""

    def __init__(self, path: Path, header: str) -> None:
        self.header = header
        super().__init__(path, encoding="utf-8", delay=True)

    def _open(self) -> TextIOWrapper:
        path = Path(self.baseFilename)
        with explained(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            is_new = not path.exists()
            file = super()._open()
            if is_new:
                file.write(self.header)
            return file


class _Terminal(logging.StreamHandler):
    """Standard output; that nobody reads it any more ends the program without a traceback."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Let a broken pipe through; any other failure is printed, as logging does."""
        if isinstance(sys.exc_info()[1], BrokenPipeError):
            raise
        super().handleError(record)


@contextmanager
def logging_to(files: Mapping[Path, str] = MappingProxyType({})) -> Iterator[None]:
    """Show the messages of this package, and warnings of others, while the block runs.

    Parameters
    ----------
    files : mapping from Path to str
        Files to which everything is added, with tracebacks of failed units, and what each
        of them starts with.

    Raises
    ------
    StoreError
        At the first message, if a file cannot be written.
    """
    terminal = _Terminal(sys.stdout)
    terminal.setFormatter(logging.Formatter("%(message)s"))
    terminal.setLevel(logging.INFO)
    handlers: list[logging.Handler] = [terminal]
    for path, header in files.items():
        file = _RunFile(path, header)
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        handlers.insert(0, file)  # it may refuse, then nothing is shown
    ours, root = logging.getLogger("imprint_bench"), logging.getLogger()
    with ExitStack() as stack:
        stack.callback(ours.setLevel, ours.level)
        ours.setLevel(logging.DEBUG)
        for handler in handlers:
            root.addHandler(handler)
            stack.callback(handler.close)
            stack.callback(root.removeHandler, handler)
        yield

"""One address of the network: opened, read block by block, or the reason why not."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPException
from typing import IO, Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

SCHEMES = ("https", "http", "file")
BLOCK = 1 << 20  # bytes
AGENT = {"User-Agent": "imprint-bench"}


class Unreachable(Exception):  # noqa: N818 - becomes a DataError when no mirror is left
    """Why one address did not give the file."""


def opened(url: str, seconds: float, *, method: str = "GET") -> Any:
    """Open a URL and return its answer, to be used in a ``with`` statement.

    Parameters
    ----------
    url : str
        Of one of `SCHEMES`.
    seconds : float
        Without a byte, after which the connection is given up.
    method : str
        "GET", or "HEAD" for the size only.

    Raises
    ------
    Unreachable
        If there is no answer, or one that says no.
    """
    if urlsplit(url).scheme not in SCHEMES:
        raise Unreachable(f"expected an address that starts with one of {', '.join(SCHEMES)}")
    with _explained():
        return urlopen(Request(url, headers=AGENT, method=method), timeout=seconds)


def blocks(answer: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of an answer; raise Unreachable if the connection breaks."""
    while True:
        with _explained():
            block = answer.read(BLOCK)
        if not block:
            return
        yield block


@contextmanager
def _explained() -> Iterator[None]:
    """Turn what the network raises into Unreachable."""
    try:
        yield
    except HTTPError as error:
        error.close()
        raise Unreachable(f"HTTP error {error.code} {error.reason}") from error
    except URLError as error:
        reason = getattr(error.reason, "strerror", None) or error.reason
        raise Unreachable(f"no connection: {reason}") from error
    except (OSError, HTTPException, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise Unreachable(f"the connection was cut: {text}") from error


def promised(answer: Any) -> int | None:
    """Return the size in bytes that the answer promises, or None."""
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None

"""Standard output: one that is closed or full is an error, one that nobody reads any more is none.

`commands.main` ends quietly on a BrokenPipeError; every other failure to write is an OutputError.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

from tcpvitals.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def output_errors() -> Iterator[None]:
    """Whatever goes wrong in the block has gone wrong with the output."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        message = f"cannot write the output: {error.strerror}"
        raise OutputError(message) from error


def standard_output() -> TextIO:
    """Standard output as it is, for those that write again and again.

    Raises:
        OutputError: it was closed before we began.
    """
    if sys.stdout is None:
        message = "cannot write the output: standard output is closed"
        raise OutputError(message)
    return sys.stdout


def escaping_output() -> TextIO:
    """Standard output for whole prints at a time; what it cannot show is escaped, not fatal.

    Raises:
        OutputError: it was closed before we began.
    """
    stream = standard_output()
    encoding = "ascii" if stream.isatty() and _is_ascii(os.environ) else stream.encoding
    stream.reconfigure(  # type: ignore[attr-defined]
        encoding=encoding, errors="backslashreplace", line_buffering=False
    )
    return stream


def _is_ascii(environment: Mapping[str, str]) -> bool:
    """Whether the locale C was asked for; Python takes it, as one that is not set, for UTF-8."""
    kind = environment.get("LC_CTYPE")
    if kind == "C.UTF-8":  # which Python itself writes over C (PEP 538)
        kind = None
    chosen = environment.get("LC_ALL") or kind or environment.get("LANG")
    return chosen in {"C", "POSIX"}


def write(text: str) -> None:
    """Write to standard output, all of it and now.

    Raises:
        OutputError: it is closed, full or gone.
    """
    stream = standard_output()
    with output_errors():
        stream.write(text)
        stream.flush()

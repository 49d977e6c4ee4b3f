"""The log of `serve`: lines on standard error, none of which makes its author wait."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Final

from tcpvitals.commands.background import BackgroundWriter

if TYPE_CHECKING:
    from typing import Self, TextIO

# A pipe takes so many bytes whole: lines of several writers are not mixed.
_LONGEST: Final = select.PIPE_BUF
_CUT: Final = b"... (cut)\n"


class Log:
    """A context manager: lines are written inside of it, and wait before."""

    def __init__(self, stream: TextIO | None) -> None:
        """Write to `stream`, None for nowhere."""
        self._writer = BackgroundWriter(stream, lambda lost: _line(f"log lines lost: {lost}"))

    def __enter__(self) -> Self:
        """Begin to write."""
        self._writer.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        """Write what waits, for a second at most, and end."""
        self._writer.__exit__(*error)

    def report(self, line: str) -> None:
        """Have a line written, cut if it is too long for a pipe; returns at once, in any thread."""
        self._writer.write(_line(line))


def _line(text: str) -> str:
    """Return a whole line of at most PIPE_BUF bytes."""
    data = f"tcpvitals: {text}\n".encode(errors="backslashreplace")
    if len(data) > _LONGEST:
        data = data[: _LONGEST - len(_CUT)] + _CUT
    return data.decode(errors="ignore")

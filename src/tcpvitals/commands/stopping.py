"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second does not ask."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType
    from typing import TextIO

# What select() still takes is more than this.
_ENDLESS: Final = 1e9
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Made once, at start: from then on the signals set it instead of ending the process."""

    def __init__(self, stream: TextIO | None = None) -> None:
        """Take the signals over.

        Args:
            stream: where output goes, if it is to begin on a new line after Ctrl-C: on a terminal
                a "^C" stands where it would be.
        """
        self._terminal = None if stream is None else _terminal_of(stream)
        # A descriptor and not a threading.Event: a handler must not wait for a lock that the
        # code it interrupted may hold.
        self._readable, self._writable = os.pipe()
        self.made = False
        for number in _SIGNALS:
            signal.signal(number, self._on_signal)

    @property
    def fd(self) -> int:
        """Readable once a signal came, for those who wait in another way."""
        return self._readable

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self.made:
            raise KeyboardInterrupt
        self.made = True
        if number == signal.SIGINT and self._terminal is not None:
            # Here, and not before the next output, which may be under way.  What cannot be
            # written is for that to report.
            with suppress(OSError):
                os.write(self._terminal, b"\n")
        os.write(self._writable, b"!")

    def wait_until(self, deadline: float, source: int | None = None) -> bool:
        """Sleep until `deadline` (time.monotonic()) or a signal; whether it was a signal.

        With the file descriptor `source`, until there is something to be read there, too.
        """
        left = deadline - time.monotonic()
        sources = [self._readable] if source is None else [self._readable, source]
        # An endless wait is one without a time-out.
        readable, _, _ = select.select(sources, [], [], max(0.0, left) if left < _ENDLESS else None)
        return self._readable in readable


def _terminal_of(stream: TextIO) -> int | None:
    """Return the descriptor of a stream that is a terminal."""
    with suppress(OSError):  # of one that has no descriptor
        return stream.fileno() if stream.isatty() else None
    return None

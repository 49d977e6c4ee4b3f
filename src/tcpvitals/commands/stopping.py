"""Ctrl-C and SIGTERM: the first asks for an orderly end, the second does not ask."""

from __future__ import annotations

import os
import select
import signal
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types import FrameType

# What select() still takes is more than this.
_ENDLESS: Final = 1e9
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class StopRequest:
    """Made once, at start: from then on the signals set it instead of ending the process."""

    def __init__(self) -> None:
        """Take the signals over."""
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

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self.made:
            raise KeyboardInterrupt
        self.made = True
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

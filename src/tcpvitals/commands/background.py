"""Writes to a stream in a thread of its own: the one place that waits for a slow reader.

A pipe that is not read, a stopped terminal or a full disk stops neither HTTP nor refreshes.  What
waits is bounded; what found no room, or could not be written, is counted and reported afterwards.
"""

from __future__ import annotations

import os
import select
import threading
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self, TextIO

_MOST_BYTES: Final = 256 * 1024
# Allowed at the end for what still waits.
_LAST_WRITES_S: Final = 1.0


class _Text(NamedTuple):
    data: bytes
    stands_for: int  # texts; more than 1 in a report of lost ones


class BackgroundWriter:
    """A context manager: the thread runs inside of it; what comes before waits for it."""

    def __init__(
        self, stream: TextIO | None, lost: Callable[[int], str], most_bytes: int = _MOST_BYTES
    ) -> None:
        """Write to `stream`, None for nowhere.

        Args:
            stream: a file with a descriptor; nothing else may be buffered in it.
            lost: returns the text that reports a number of lost texts.
            most_bytes: how much may wait.
        """
        self._fd = -1 if stream is None else stream.fileno()
        self._encoding = "ascii" if stream is None else stream.encoding
        self._lost_text, self._most_bytes = lost, most_bytes
        self._changed = threading.Condition()
        self._waiting: deque[_Text] = deque()
        self._waiting_bytes = 0
        self._lost = 0
        self._is_failing = False
        self._is_ending = False
        self._thread = threading.Thread(target=self._run, name="writer", daemon=True)

    def __enter__(self) -> Self:
        """Begin to write."""
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        """Write what waits, for a second at most, and end."""
        with self._changed:
            self._is_ending = True
            self._changed.notify()
        self._thread.join(_LAST_WRITES_S)

    def write(self, text: str) -> None:
        """Have it written as soon as possible; returns at once, in any thread."""
        if self._fd < 0:
            return
        with self._changed:
            # Lost ones are reported where they would have been: after what waited then.
            if not self._take(*self._report_of_lost(), self._text(text, 1)):
                self._lost += 1
            self._changed.notify()

    def _text(self, text: str, stands_for: int) -> _Text:
        return _Text(text.encode(self._encoding, "backslashreplace"), stands_for)

    def _report_of_lost(self) -> list[_Text]:
        return [self._text(self._lost_text(self._lost), self._lost)] if self._lost else []

    def _take(self, *texts: _Text) -> bool:
        """Take a text, after a report of the lost ones if there are any; whether there was room."""
        size = sum(len(text.data) for text in texts)
        if self._waiting_bytes + size > self._most_bytes:
            return False
        self._waiting.extend(texts)
        self._waiting_bytes += size
        self._lost = 0
        return True

    # In the thread

    def _run(self) -> None:
        while text := self._next():
            try:
                self._write(text.data)
                self._is_failing = False
            except OSError:
                self._is_failing = True
                with self._changed:
                    self._lost += text.stands_for

    def _next(self) -> _Text | None:
        """Wait for a text; None at the end."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_ending or self._can_report())
            if not self._waiting and self._can_report():
                self._take(*self._report_of_lost())
            if not self._waiting:
                return None
            text = self._waiting.popleft()
            self._waiting_bytes -= len(text.data)
            return text

    def _can_report(self) -> bool:
        """Whether to report lost texts now: while writing fails, it is tried with the next one."""
        return self._lost > 0 and not self._is_failing

    def _write(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:  # another process made the file non-blocking
                select.select([], [self._fd], [])

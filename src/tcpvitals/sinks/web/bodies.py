"""Bounds what slow readers keep in memory, and counts those that are dropped for it.

Readers of the same body share it.  A body that is no longer the newest stays for as long as one
reads it; when all together are too many bytes, the readers of the oldest are dropped.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Body: TypeAlias = bytes | memoryview

# One line for all that are dropped meanwhile.
_REPORT_S: Final = 60.0


class Reader(Protocol):
    """A connection that a body is sent to."""

    def abort_as_slow(self) -> None:
        """Drop it, because it reads too slowly."""


class Bodies:
    """The bodies that are being sent."""

    def __init__(self, most_bytes: int) -> None:
        """Keep at most so many bytes, or one body that is larger."""
        self._most_bytes = most_bytes
        # By identity, the oldest first.
        self._sent: dict[int, tuple[Body, set[Reader]]] = {}

    @property
    def total_bytes(self) -> int:
        """Return the bytes of all bodies, each counted once."""
        return sum(len(body) for body, _ in self._sent.values())

    @contextmanager
    def sending(self, body: Body, reader: Reader) -> Iterator[None]:
        """Keep a body while a reader gets it; for a new one, readers of old ones may be dropped."""
        _, readers = self._sent.setdefault(id(body), (body, set()))
        readers.add(reader)
        while self.total_bytes > self._most_bytes and len(self._sent) > 1:
            self._drop_oldest()
        try:
            yield
        finally:
            readers.discard(reader)
            if not readers:
                self._sent.pop(id(body), None)

    def _drop_oldest(self) -> None:
        _, readers = self._sent.pop(next(iter(self._sent)))
        for reader in tuple(readers):
            reader.abort_as_slow()


class SlowReaders:
    """Counts the connections that were dropped because they read too slowly."""

    def __init__(self, report: Callable[[str], None]) -> None:
        """Report how many there were, once a minute if there were any."""
        self._report = report
        self._count = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self) -> None:
        """Count one."""
        self._count += 1
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_REPORT_S, self.flush)

    def flush(self) -> None:
        """Report those that have not been reported."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._count:
            self._report(f"connections dropped because they read too slowly: {self._count}")
            self._count = 0

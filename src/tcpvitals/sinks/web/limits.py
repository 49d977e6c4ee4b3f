"""How much of us a client may take up: time, connections, bytes.  And who goes when it is full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a connection may cost.

    `deadline_s` is absolute: from the accept, or from the first byte after an idle time, until the
    whole answer is with the kernel.  Neither slow requests nor slow readers can stretch it.
    """

    deadline_s: float = 10.0
    idle_s: float = 75.0
    connections: int = 512
    header_bytes: int = 16 * 1024
    # What a client may send within one deadline, bodies that we refuse but read over included.
    received_bytes: int = 1024 * 1024
    stop_s: float = 2.0


class Standing(NamedTuple):
    """What a connection has to say for itself; the smallest goes first when room is needed.

    `asked`: it was given a page, or is being given one; no refusal counts.  `since` (seconds of
    the loop's clock): when it began what it does now.
    """

    asked: bool
    busy: bool
    since: float


class Limited(Protocol):
    """A connection as the limits see it."""

    def standing(self) -> Standing:
        """Return what speaks for keeping it."""

    def shutdown(self) -> None:
        """Close it, after the answer if one is being given."""

    def abort(self) -> None:
        """Drop it at once, without waiting for anything to be sent."""


class Connections:
    """All connections there are, at most so many."""

    def __init__(self, most: int) -> None:
        """Hold at most `most`."""
        self._most = most
        self._all: set[Limited] = set()

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._all)

    def __iter__(self) -> Iterator[Limited]:
        """Go over those there are now; they may leave meanwhile."""
        return iter(tuple(self._all))

    def admit(self, newcomer: Limited) -> None:
        """Take one in; when full, for the one that has least to say for itself.

        That is the oldest of those that never asked for a page, else the longest idle: whoever
        fills the house with connections loses those, and an honest scraper always gets in.
        """
        while len(self._all) >= self._most:
            least = min(self._all, key=lambda one: one.standing())
            self.forget(least)
            least.abort()
        self._all.add(newcomer)

    def forget(self, one: Limited) -> None:
        """Note that it is gone; a second time is no harm."""
        self._all.discard(one)

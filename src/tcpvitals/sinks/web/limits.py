"""How much of us a client may take up: time, connections, bytes.  And who goes when it is full."""

from __future__ import annotations

import time
from dataclasses import dataclass
from enum import Enum
from itertools import islice
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a connection may cost.

    `deadline_s` is absolute: from the accept, or from the first byte after an idle time, until the
    whole answer is with the kernel.  Neither slow requests nor slow readers can stretch it.
    """

    deadline_s: float = 10.0
    idle_s: float = 75.0
    connections: int = 512
    # asyncio accepts as many in a turn of the loop before it reads from any.  Were it as many as
    # there may be, a flood would push an honest client out before its request was seen.
    accepts: int = 16
    header_bytes: int = 16 * 1024
    # What a client may send within one deadline, bodies that we refuse but read over included.
    received_bytes: int = 1024 * 1024
    # Of answers that are being sent, each body once; one body alone may be larger.
    bodies_bytes: int = 64 * 1024 * 1024
    stop_s: float = 2.0


# A large answer is sent in pieces; so much of it waits for a slow reader, once more for TLS.
PIECE_BYTES: Final = 32 * 1024


# Turns of the loop between an accept and the connection it makes, and between dropping one, with
# TLS for instance, and its socket being closed.
TURNS: Final = 4
_FILES_PER_ACCEPT: Final = 16


def limits_for(files: int) -> Limits:
    """Return the limits for a server that may open so many files.

    What is accepted in a turn of the loop is a file before it is a connection that counts, and what
    is dropped for it is one for a moment longer; these are kept apart.
    """
    usual = Limits()
    accepts = max(1, min(usual.accepts, files // _FILES_PER_ACCEPT))
    connections = max(1, min(usual.connections, files - accepts * TURNS))
    return Limits(accepts=accepts, connections=connections)


class Stage(Enum):
    """What a connection does."""

    REFUSED = "refused"
    """Idle; it was given nothing but refusals."""
    IDLE = "idle"
    """Idle; it was given a page."""
    ASKING = "asking"
    """Its request is awaited: from the accept on, or from the first byte after an idle time."""
    ANSWERING = "answering"


_IDLE: Final = (Stage.REFUSED, Stage.IDLE)
# For the last bytes of an answer to arrive; dropping a connection before would take them back.
_ARRIVAL_S: Final = 1.0
# The part of all connections that those which ask may have, whatever the others do.
_ASKING_SHARE: Final = 4


class Limited(Protocol):
    """A connection as the limits see it."""

    def shutdown(self) -> None:
        """Close it, after the answer if one is being given."""

    def abort(self) -> None:
        """Drop it at once, without waiting for anything to be sent."""


class Connections:
    """All connections there are, at most so many."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        """Hold at most `most`; `clock` is in seconds."""
        self._most, self._clock = most, clock
        self._kept_asking = most // _ASKING_SHARE
        self._stages: dict[Limited, Stage] = {}
        # Those of each stage, and since when, in the order in which they came into it.
        self._in: dict[Stage, dict[Limited, float]] = {stage: {} for stage in Stage}

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._stages)

    def __iter__(self) -> Iterator[Limited]:
        """Go over those there are now; they may leave meanwhile."""
        return iter(tuple(self._stages))

    def admit(self, newcomer: Limited) -> None:
        """Take one in that will ask; when full, drop another for it."""
        while len(self._stages) >= self._most:
            dropped = next(iter(self._in[self._next_dropped()]))
            self.forget(dropped)
            dropped.abort()
        self._put(newcomer, Stage.ASKING)

    def move(self, one: Limited, stage: Stage) -> None:
        """Note that it begins something else, now."""
        if one in self._stages:
            self.forget(one)
            self._put(one, stage)

    def forget(self, one: Limited) -> None:
        """Note that it is gone; a second time is no harm."""
        stage = self._stages.pop(one, None)
        if stage is not None:
            del self._in[stage][one]

    def _put(self, one: Limited, stage: Stage) -> None:
        self._stages[one] = stage
        self._in[stage][one] = self._clock()

    def _next_dropped(self) -> Stage:
        """Return the stage whose oldest is dropped.

        Idle ones go first, once their answer has had the time to arrive.  Then those that ask: they
        may be many and never do.  But a quarter of all is theirs, so that neither clients that
        ask all the time nor slow readers can keep requests out.
        """
        due = self._clock() - _ARRIVAL_S
        for stage in _IDLE:
            if any(since <= due for since in islice(self._in[stage].values(), 1)):
                return stage
        if len(self._in[Stage.ASKING]) > self._kept_asking:
            return Stage.ASKING
        return next(stage for stage in (*_IDLE, Stage.ANSWERING, Stage.ASKING) if self._in[stage])

"""When to print: absolute deadlines, from the start to the end."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tcpvitals.commands.stopping import StopRequest

_MEANWHILE_S: Final = 0.5


class Schedule:
    """Deadlines (time.monotonic()) every `interval_s` until `duration_s` is over.

    They are absolute, so that slow prints do not add up; one that is missed is left out.  Without
    an interval there is only the end, without a duration that is never.
    """

    def __init__(self, interval_s: float | None, duration_s: float | None) -> None:
        """Start now."""
        self._start = time.monotonic()
        self._interval_s = interval_s or math.inf
        self._count = 0
        self.end = self._start + (duration_s or math.inf)
        self.due = self._start
        self.move_on()

    def move_on(self) -> None:
        """Go to the next deadline, or to the first that is not yet over."""
        passed = int((time.monotonic() - self._start) / self._interval_s)
        self._count = max(self._count, passed) + 1
        self.due = min(self._start + self._count * self._interval_s, self.end)


def moments(
    interval_s: float | None,
    duration_s: float | None,
    stop: StopRequest,
    *,
    at_once: bool,
    meanwhile: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """At once if wanted, every interval, and at the end; `meanwhile` is called twice a second.

    The last is never left out, so that nothing counted up to the end goes unseen.
    """
    schedule = Schedule(interval_s, duration_s)
    if at_once:
        yield
    while not _wait(stop, schedule.due, meanwhile) and schedule.due < schedule.end:
        yield
        schedule.move_on()
    yield


def _wait(stop: StopRequest, due: float, meanwhile: Callable[[], None]) -> bool:
    """Wait for a deadline; whether a signal came first."""
    until = -math.inf
    while until < due:
        until = min(due, time.monotonic() + _MEANWHILE_S)
        if stop.wait_until(until):
            return True
        meanwhile()
    return False

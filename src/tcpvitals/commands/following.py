"""Events as they happen: shown, with what was lost, until the end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, Protocol

from tcpvitals.commands.naming import Naming
from tcpvitals.commands.output import output_errors
from tcpvitals.sources.live import boot_time_ns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tcpvitals.commands.moments import Schedule
    from tcpvitals.commands.stopping import StopRequest
    from tcpvitals.model.event import Event
    from tcpvitals.model.names import Names
    from tcpvitals.sources.live import LiveSockets

# So often owners are looked for and losses told while nothing happens.
_IDLE_S: Final = 0.5


class EventSink(Protocol):
    """Whatever can show events."""

    def show(self, events: Sequence[Event], names: Names, losses: Mapping[str, int]) -> None:
        """Show some, and what was lost up to them."""

    def lost(self, losses: Mapping[str, int], now_ns: int) -> None:
        """Say what was lost up to now (boot time)."""


class Follower:
    """Shows events, and says so when some were lost."""

    def __init__(self, live: LiveSockets, sink: EventSink) -> None:
        """Follow a source."""
        self._live, self._sink = live, sink
        self._naming = Naming()
        self._told: Mapping[str, int] = {}

    def follow(
        self, stop: StopRequest, schedule: Schedule, at_each: Callable[[], None] = lambda: None
    ) -> None:
        """Until the end or a signal; `at_each` is called at every deadline and at the end."""
        with output_errors():
            self._sink.show([], self._naming.names(), {})  # the headings
        stopped = False
        while not stopped and time.monotonic() < schedule.end:
            until = min(time.monotonic() + _IDLE_S, schedule.due)
            stopped = stop.wait_until(until, self._live.events_fd)
            self._show_some()
            if schedule.due <= time.monotonic() < schedule.end:
                at_each()
                schedule.move_on()
        self._show_rest()
        at_each()

    def _show_some(self) -> int:
        events = self._live.events()
        losses = self._live.losses()
        self._live.keep_up()
        with output_errors():
            if events:
                self._sink.show(events, self._naming.for_events(events), losses)
            if any(count != self._told.get(reason, 0) for reason, count in losses.items()):
                self._told = losses
                self._sink.lost(losses, boot_time_ns())
        return len(events)

    def _show_rest(self) -> None:
        """What had happened when the end came, and no more: there may be no end of it."""
        end_s = time.monotonic() + 1
        while self._show_some() and time.monotonic() < end_s:
            pass

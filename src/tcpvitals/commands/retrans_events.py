"""`tcpvitals retrans` without groups: each retransmission as it happens."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, TextIO

from tcpvitals.commands.following import Follower
from tcpvitals.commands.moments import Schedule
from tcpvitals.commands.wall import wall_clock
from tcpvitals.sinks.eventjson import EventJsonSink
from tcpvitals.sinks.retransmissions import RetransmissionsSink

if TYPE_CHECKING:
    from tcpvitals.commands.retrans_options import RetransOptions
    from tcpvitals.commands.stopping import StopRequest
    from tcpvitals.commands.verifying import Verifier
    from tcpvitals.sources.live import LiveSockets


def tell(
    live: LiveSockets,
    options: RetransOptions,
    verifier: Verifier,
    stop: StopRequest,
    stream: TextIO,
) -> None:
    """Show events until the end, and how they compare with the kernel's counters."""
    follower = Follower(live, _make_sink(options, stream))
    schedule = Schedule(options.interval_s, options.duration_s)
    follower.follow(stop, schedule, lambda: verifier.show(live))


def _make_sink(options: RetransOptions, stream: TextIO) -> EventJsonSink | RetransmissionsSink:
    wall = wall_clock()
    if options.json:
        return EventJsonSink(stream=stream, wall=wall)
    size = shutil.get_terminal_size if stream.isatty() else None
    return RetransmissionsSink(stream=stream, wall=wall, size=size, wide=options.wide)

"""Every step of this host's TCP connections from one state to the next, with the time it took.

Options and columns are those of bcc's tcpstates; PID and COMM are those of the socket's owner.

For example:
  tcpvitals states                  all of them
  tcpvitals states -L 22,80         of the local ports 22 and 80
  tcpvitals states -D 443 -Tw       to the remote port 443, with the time of day, wide
  tcpvitals states --json -d 60     for a program to read, a minute long
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from tcpvitals.commands import states_options
from tcpvitals.commands.options import on_this_host
from tcpvitals.commands.output import escaping_output

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tcpvitals.commands.states_options import StatesOptions


def main(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> int:
    """Run until the duration is over or a signal comes."""
    options = states_options.parse(parser, arguments)
    selection = on_this_host(options.selection, options.netns)
    return _run(replace(options, selection=selection), escaping_output())


def _run(options: StatesOptions, stream: TextIO) -> int:
    # Not before the options are known to be good: these bring numpy with them.
    from tcpvitals.commands.following import Follower  # noqa: PLC0415
    from tcpvitals.commands.moments import Schedule  # noqa: PLC0415
    from tcpvitals.commands.stopping import StopRequest  # noqa: PLC0415
    from tcpvitals.commands.wall import wall_clock  # noqa: PLC0415
    from tcpvitals.kernel.plan import make_plan  # noqa: PLC0415
    from tcpvitals.kernel.probe import collect_facts  # noqa: PLC0415
    from tcpvitals.kernel.settings import Request, Telling  # noqa: PLC0415
    from tcpvitals.model.key import Grouping  # noqa: PLC0415
    from tcpvitals.sinks.eventjson import EventJsonSink  # noqa: PLC0415
    from tcpvitals.sinks.states import StatesSink  # noqa: PLC0415
    from tcpvitals.sources.live import LiveSockets  # noqa: PLC0415

    stop = StopRequest(stream)
    request = Request(
        Grouping(),
        options.selection,
        telling=frozenset({Telling.STATES}),
        ring_bytes=options.ring_bytes,
    )
    plan = make_plan(collect_facts(), None, request.groups, rtt=False)
    wall = wall_clock()
    sink = (
        EventJsonSink(stream=stream, wall=wall)
        if options.json
        else StatesSink(stream=stream, wall=wall, wide=options.wide, timestamp=options.timestamp)
    )
    with LiveSockets(request, plan, idle_s=60) as live:
        Follower(live, sink).follow(stop, Schedule(None, options.duration_s))
    return 0

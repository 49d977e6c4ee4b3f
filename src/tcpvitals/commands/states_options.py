"""The options of `tcpvitals states`: those of tcpstates, and ours."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tcpvitals.commands.options import add_buffer, add_duration, add_filters, selection

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from tcpvitals.model.selection import Selection


@dataclass(frozen=True, slots=True)
class StatesOptions:
    """Which state changes, and how to show them."""

    selection: Selection
    netns: str | None
    ring_bytes: int
    duration_s: float | None
    timestamp: bool
    wide: bool
    json: bool


def parse(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> StatesOptions:
    """Read the command line.

    Raises:
        UsageError: it asks for something that does not exist or contradicts itself.
    """
    add_filters(parser, lport=("-L", "--localport"), rport=("-D", "--remoteport"))
    output = parser.add_argument_group("output")
    add_duration(output)
    output.add_argument("-T", "--timestamp", action="store_true", help="time of day with each line")
    output.add_argument(
        "-w", "--wide", action="store_true", help="room for whole IPv6 addresses and names"
    )
    output.add_argument("--json", action="store_true", help="one JSON object a line")
    add_buffer(output)
    given = parser.parse_args(arguments)
    return StatesOptions(
        selection=selection(given),
        netns=given.netns,
        ring_bytes=given.buffer,
        duration_s=given.duration,
        timestamp=given.timestamp,
        wide=given.wide,
        json=given.json,
    )

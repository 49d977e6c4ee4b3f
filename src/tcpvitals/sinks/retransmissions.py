"""Retransmissions as text: a line for each.

About 130 columns for IPv4; a longer address pushes the rest of its line to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.event import Retransmission, state_name
from tcpvitals.model.names import UNKNOWN
from tcpvitals.model.printable import printable
from tcpvitals.sinks.cells import clock, command, endpoint, error_name, process_id, shortened
from tcpvitals.sinks.figures import human
from tcpvitals.sinks.remarks import lost_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tcpvitals.model.event import Event
    from tcpvitals.model.names import Names

_NETNS_WIDTH: Final = 12
_TIME: Final = "{:<12} "
_NETNS: Final = f"{{:<{_NETNS_WIDTH}}} "
_REST: Final = "{:<7} {:<15.15} {:<2} {:<21} {:<21} {:<12} {:<10} {:>4} {:>5} {:>3} {:>6} {:>4}{}\n"
_HEADINGS: Final = (
    *("PID", "COMM", "IP", "LADDR:LPORT", "RADDR:RPORT", "STATE", "CAUSE"),
    *("SEGS", "BYTES", "TRY", "SRTT", "CWND", ""),
)


@dataclass(slots=True)
class _SoFar:
    """What this run has shown: its header, if there was one, and events of which namespaces."""

    headed: bool = False
    many: bool = False
    namespaces: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetransmissionsSink:
    """Writes a line for each retransmission, under a header that the first `show` writes.

    A column for the network namespace appears, with a new header, once there are several: either
    the names of several are known, or events came from several.  `wall` turns boot time (ns) into
    local time.
    """

    stream: TextIO
    wall: Callable[[int], datetime]
    _so_far: _SoFar = field(default_factory=_SoFar, init=False, repr=False, compare=False)

    def show(self, events: Sequence[Event], names: Names, _losses: Mapping[str, int]) -> None:
        """Write the retransmissions among the events; `lost` tells of losses, not each line."""
        chosen = [event for event in events if isinstance(event, Retransmission)]
        header = self._header(chosen, names)
        rows = self._rows_with_netns(chosen, names) if self._so_far.many else self._rows(chosen)
        self.stream.write(header + "".join(rows))
        self.stream.flush()

    def lost(self, counts: Mapping[str, int], _now_ns: int) -> None:
        """Write one line: events were lost, of each kind so many."""
        line = lost_line(counts)
        self.stream.write(f"{line}\n" if line else "")
        self.stream.flush()

    def _header(self, events: list[Retransmission], names: Names) -> str:
        """Return the header if it is due: at first, and when it changes."""
        so_far = self._so_far
        before = so_far.headed, so_far.many
        if not so_far.many:
            so_far.namespaces.update(event.ends.netns for event in events)
            so_far.many = max(len(so_far.namespaces), len(names.netns)) > 1
        so_far.headed = True
        if before == (True, so_far.many):
            return ""
        netns = _NETNS.format("NETNS") if so_far.many else ""
        return _TIME.format("TIME") + netns + _REST.format(*_HEADINGS)

    def _rows(self, events: list[Retransmission]) -> list[str]:
        row = (_TIME + _REST).format
        return [row(clock(self.wall(event.time_ns)), *_cells(event)) for event in events]

    def _rows_with_netns(self, events: list[Retransmission], names: Names) -> list[str]:
        row = (_TIME + _NETNS + _REST).format
        inodes = {event.ends.netns for event in events}
        netns = {
            inode: shortened(printable(names.namespace(inode)), _NETNS_WIDTH) for inode in inodes
        }
        return [
            row(clock(self.wall(event.time_ns)), netns[event.ends.netns], *_cells(event))
            for event in events
        ]


def _cells(event: Retransmission) -> tuple[str | int, ...]:
    ends, owner = event.ends, event.owner
    return (
        process_id(owner),
        command(owner),
        ends.family,
        endpoint(ends.laddr, ends.lport),
        endpoint(ends.raddr, ends.rport),
        state_name(event.state),
        event.cause,
        event.segments,
        event.bytes,
        event.attempt,
        human(event.srtt_us).replace(" ", "") if event.srtt_us else UNKNOWN,
        event.cwnd,
        f" !{error_name(event.errno)}" if event.errno else "",
    )

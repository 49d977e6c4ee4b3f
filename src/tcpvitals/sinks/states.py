"""State changes as text: the table of tcpstates, of bcc and libbpf-tools.

A time in the old state that nobody knows is `-`; they show 0.000 for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.event import StateChange, state_name
from tcpvitals.model.names import UNKNOWN
from tcpvitals.sinks.cells import address_text, clock, command, process_id
from tcpvitals.sinks.remarks import write_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tcpvitals.model.event import Event
    from tcpvitals.model.names import Names

_HEADINGS: Final = (
    *("SKADDR", "PID", "COMM", "IP", "LADDR", "LPORT", "RADDR", "RPORT"),
    *("OLDSTATE", "NEWSTATE", "MS"),
)
_NARROW: Final = "{0:<16} {1:<7} {2:<10.10} {4:<15} {5:<5} {6:<15} {7:<5} {8:<11} -> {9:<11} {10}\n"
_WIDE: Final = (
    "{0:<16} {1:<7} {2:<16.16} {3:<2} {4:<39} {5:<5} {6:<39} {7:<5} {8:<11} -> {9:<11} {10}\n"
)
_SECONDS: Final = len("03:04:05")


@dataclass(slots=True)
class _SoFar:
    """Whether this run has shown its header."""

    headed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class StatesSink:
    """Writes a row for each state change, under a header that the first `show` writes.

    `wide` has room for IPv6 addresses and the whole command, and a column for the IP version;
    without it a long address pushes the rest of its row.  `timestamp` puts the time of day first.
    `wall` turns boot time (ns) into local time.
    """

    stream: TextIO
    wall: Callable[[int], datetime]
    wide: bool = False
    timestamp: bool = False
    _so_far: _SoFar = field(default_factory=_SoFar, init=False, repr=False, compare=False)

    def show(self, events: Sequence[Event], _names: Names, _losses: Mapping[str, int]) -> None:
        """Write the state changes among the events; `lost` tells of losses, not each row."""
        header = self._header()
        row = (_WIDE if self.wide else _NARROW).format
        rows = [
            self._time(event) + row(*_cells(event))
            for event in events
            if isinstance(event, StateChange)
        ]
        self.stream.write(header + "".join(rows))
        self.stream.flush()

    def lost(self, counts: Mapping[str, int], _now_ns: int) -> None:
        """Write one line: events were lost, of each kind so many."""
        write_lost(self.stream, counts)

    def _header(self) -> str:
        if self._so_far.headed:
            return ""
        self._so_far.headed = True
        time = f"{'TIME(s)':<{_SECONDS}} " if self.timestamp else ""
        return time + (_WIDE if self.wide else _NARROW).format(*_HEADINGS)

    def _time(self, event: StateChange) -> str:
        return f"{clock(self.wall(event.time_ns))[:_SECONDS]} " if self.timestamp else ""


def _cells(event: StateChange) -> tuple[str | int, ...]:
    ends, owner = event.ends, event.owner
    return (
        f"{event.socket:x}",
        process_id(owner),
        command(owner),
        ends.family,
        address_text(ends.laddr),
        ends.lport,
        address_text(ends.raddr),
        ends.rport,
        state_name(event.old_state),
        state_name(event.new_state),
        UNKNOWN if event.took_ns is None else f"{event.took_ns / 1e6:.3f}",
    )

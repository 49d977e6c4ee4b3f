"""Retransmissions as text: a line for each.

About 130 columns for IPv4; a longer address pushes the rest of its line to the right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.event import Retransmission, state_name
from tcpvitals.model.names import UNKNOWN
from tcpvitals.model.printable import printable
from tcpvitals.sinks.cells import clock, command, endpoint, error_name, process_id, shortened
from tcpvitals.sinks.figures import human
from tcpvitals.sinks.remarks import write_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tcpvitals.model.event import Event
    from tcpvitals.model.names import Names

_NETNS_WIDTH: Final = 12
# Heading and format of each column, in the order of `_cells`; the last one marks what failed.
_COLUMNS: Final = (
    ("TIME", "{:<12}"),
    ("NETNS", f"{{:<{_NETNS_WIDTH}}}"),
    ("PID", "{:<7}"),
    ("COMM", "{:<15.15}"),
    ("IP", "{:<2}"),
    ("LADDR:LPORT", "{:<21}"),
    ("RADDR:RPORT", "{:<21}"),
    ("STATE", "{:<12}"),
    ("CAUSE", "{:<10}"),
    ("SEGS", "{:>4}"),
    ("BYTES", "{:>5}"),
    ("TRY", "{:>3}"),
    ("SRTT", "{:>6}"),
    ("CWND", "{:>4}"),
)
# What a narrow terminal does without, the first first.
_LEFT_OUT: Final = ("CWND", "SRTT", "IP", "BYTES", "STATE", "COMM", "SEGS", "NETNS")


@dataclass(slots=True)
class _SoFar:
    """What this run has shown: which columns, if any, and events of which namespaces."""

    columns: tuple[int, ...] = ()
    many: bool = False
    namespaces: set[int] = field(default_factory=set)


@dataclass(frozen=True, slots=True, kw_only=True)
class RetransmissionsSink:
    """Writes a line for each retransmission, under a header that the first `show` writes.

    A column for the network namespace appears, with a new header, once there are several: either
    the names of several are known, or events came from several.  `wall` turns boot time (ns) into
    local time.  `width` returns how many columns a terminal has, asked with each header: what does
    not fit is left out.
    """

    stream: TextIO
    wall: Callable[[int], datetime]
    width: Callable[[], int] | None = None
    _so_far: _SoFar = field(default_factory=_SoFar, init=False, repr=False, compare=False)

    def show(self, events: Sequence[Event], names: Names, _losses: Mapping[str, int]) -> None:
        """Write the retransmissions among the events; `lost` tells of losses, not each line."""
        chosen = [event for event in events if isinstance(event, Retransmission)]
        header = self._header(chosen, names)
        self.stream.write(header + "".join(self._rows(chosen, names)))
        self.stream.flush()

    def lost(self, counts: Mapping[str, int], _now_ns: int) -> None:
        """Write one line: events were lost, of each kind so many."""
        write_lost(self.stream, counts)

    def _header(self, events: list[Retransmission], names: Names) -> str:
        """Return the header if it is due: at first, and when it changes."""
        so_far = self._so_far
        many_before = so_far.many
        if not so_far.many:
            so_far.namespaces.update(event.ends.netns for event in events)
            so_far.many = max(len(so_far.namespaces), len(names.netns)) > 1
        if so_far.columns and so_far.many == many_before:
            return ""
        so_far.columns = _fitting(self.width() if self.width else None, netns=so_far.many)
        headings = itemgetter(*so_far.columns)([heading for heading, _ in _COLUMNS])
        return _row_format(so_far.columns).format(*headings, "")

    def _rows(self, events: list[Retransmission], names: Names) -> list[str]:
        row, chosen = _row_format(self._so_far.columns).format, itemgetter(*self._so_far.columns)
        netns = {
            inode: shortened(printable(names.namespace(inode)), _NETNS_WIDTH)
            for inode in {event.ends.netns for event in events}
        }
        return [
            row(
                *chosen((clock(self.wall(event.time_ns)), netns[event.ends.netns], *_cells(event))),
                f" !{error_name(event.errno)}" if event.errno else "",
            )
            for event in events
        ]


def _row_format(columns: tuple[int, ...]) -> str:
    return " ".join(_COLUMNS[column][1] for column in columns) + "{}\n"


def _fitting(width: int | None, *, netns: bool) -> tuple[int, ...]:
    """Return the columns that a terminal has room for; all of them where it is none."""
    left_out = set() if netns else {"NETNS"}
    for name in ("", *_LEFT_OUT):
        left_out.add(name)
        columns = tuple(at for at, (heading, _) in enumerate(_COLUMNS) if heading not in left_out)
        line = _row_format(columns).format(*[""] * len(columns), "").removesuffix("\n")
        if width is None or len(line) <= width:
            break
    return columns


def _cells(event: Retransmission) -> tuple[str | int, ...]:
    """All but time and namespace."""
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
    )

"""Retransmissions as text: a line for each, or two on a terminal too narrow for one.

About 145 columns in one line, 80 in two, for IPv4; a longer address pushes the rest of its line to
the right.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.event import Retransmission, state_name
from tcpvitals.model.names import UNKNOWN
from tcpvitals.model.printable import printable
from tcpvitals.sinks.cells import clock, command, connection, error_name, process_id, shortened
from tcpvitals.sinks.characters import ellipsis
from tcpvitals.sinks.figures import human
from tcpvitals.sinks.remarks import write_lost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from tcpvitals.model.event import Event
    from tcpvitals.model.names import Names

_NETNS_WIDTH: Final = 12
# Heading and format of each column, in the order of `_cells`.
_COLUMNS: Final = (
    ("TIME", "{:<12}"),
    ("NETNS", f"{{:<{_NETNS_WIDTH}}}"),
    ("PID", "{:<7}"),
    ("COMM", "{:<15.15}"),
    ("LADDR:LPORT > RADDR:RPORT", "{:<45}"),
    ("STATE", "{:<12}"),
    ("CAUSE", "{:<10}"),
    ("SEGS", "{:>4}"),
    ("BYTES", "{:>5}"),
    ("TRY", "{:>3}"),
    ("SRTT", "{:>6}"),
    ("CWND", "{:>4}"),
)
_HEADINGS: Final = tuple(heading for heading, _ in _COLUMNS)
# What a narrow terminal shows in the first of two lines: the connection, and what happened to it.
_FIRST: Final = (0, 4, 6, 7, 9)
_SECOND: Final = tuple(at for at in range(len(_COLUMNS)) if at not in _FIRST)
_INDENT: Final = " " * 13  # the second line begins under the connection


@dataclass(frozen=True, slots=True)
class _Shape:
    """How an event is laid out: the format of a row, which ends with what failed, and its cells."""

    lines: int
    row: str
    cells: Callable[[tuple[str | int, ...]], tuple[str | int, ...]]

    @property
    def heading(self) -> str:
        """The headings, as a row of them."""
        return self.row.format(*self.cells(_HEADINGS), failed="")

    @property
    def columns(self) -> int:
        """How many columns its lines take."""
        empty = self.row.format(*[""] * len(_COLUMNS), failed="")
        return max(map(len, empty.split("\n")))


def _formats(columns: Sequence[int]) -> str:
    return " ".join(_COLUMNS[column][1] for column in columns)


_ONE_LINE: Final = _Shape(1, f"{_formats(range(len(_COLUMNS)))}{{failed}}\n", tuple)
_TWO_LINES: Final = _Shape(
    2,
    f"{_formats(_FIRST)}{{failed}}\n{_INDENT}{_formats(_SECOND)}\n",
    itemgetter(*_FIRST, *_SECOND),
)


@dataclass(slots=True)
class _Screen:
    """How events are laid out since the last headings, and how many more until the next ones."""

    shape: _Shape = _ONE_LINE
    room: int = 0
    headed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetransmissionsSink:
    """Writes a row for each retransmission, under headings that the first `show` writes.

    `wall` turns boot time (ns) into local time.  `size` returns columns and lines of the terminal
    (as shutil.get_terminal_size does); it is asked with each heading, which each screen has, and a
    row takes two lines if it has to, unless `wide`.  Without `size` there is one heading.
    """

    stream: TextIO
    wall: Callable[[int], datetime]
    size: Callable[[], tuple[int, int]] | None = None
    wide: bool = False
    _screen: _Screen = field(default_factory=_Screen, init=False, repr=False, compare=False)

    def show(self, events: Sequence[Event], names: Names, _losses: Mapping[str, int]) -> None:
        """Write the retransmissions among the events; `lost` tells of losses, not each row."""
        left = [event for event in events if isinstance(event, Retransmission)]
        namespaces = self._namespaces(left, names)
        text = "" if self._screen.headed else self._new_screen()
        while left:
            if not self._screen.room:
                text += self._new_screen()
            some = left[: self._screen.room] if self.size else left
            text += "".join(self._rows(some, namespaces))
            self._screen.room -= len(some) if self.size else 0
            left = left[len(some) :]
        self.stream.write(text)
        self.stream.flush()

    def lost(self, counts: Mapping[str, int], _now_ns: int) -> None:
        """Write one line: events were lost, of each kind so many."""
        write_lost(self.stream, counts)

    def _new_screen(self) -> str:
        """Return the headings, once it is known what fits."""
        columns, lines = self.size() if self.size else (_ONE_LINE.columns, 2)
        screen, fits = self._screen, self.wide or _ONE_LINE.columns <= columns
        screen.shape = _ONE_LINE if fits else _TWO_LINES
        # The headings take as much as a row, and the cursor a line.
        screen.room = max(1, (lines - 1) // screen.shape.lines - 1)
        screen.headed = True
        return screen.shape.heading

    def _namespaces(self, events: list[Retransmission], names: Names) -> dict[int, str]:
        """Return what to write for each namespace: as much of its name as there is room for."""
        found = {event.ends.netns for event in events}
        whole = {inode: printable(names.namespace(inode)) for inode in found}
        if self.wide or not self.size:
            return whole
        mark = ellipsis(self.stream)
        return {inode: shortened(name, _NETNS_WIDTH, mark) for inode, name in whole.items()}

    def _rows(self, events: list[Retransmission], netns: dict[int, str]) -> list[str]:
        row, cells = self._screen.shape.row.format, self._screen.shape.cells
        return [
            row(
                *cells((clock(self.wall(event.time_ns)), netns[event.ends.netns], *_cells(event))),
                failed=f" !{error_name(event.errno)}" if event.errno else "",
            )
            for event in events
        ]


def _cells(event: Retransmission) -> tuple[str | int, ...]:
    """All but time and namespace."""
    owner = event.owner
    return (
        process_id(owner),
        command(owner),
        connection(event.ends),
        state_name(event.state),
        event.cause,
        event.segments,
        event.bytes,
        event.attempt,
        human(event.srtt_us).replace(" ", "") if event.srtt_us else UNKNOWN,
        event.cwnd,
    )

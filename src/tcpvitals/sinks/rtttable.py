"""Round-trip times for other programs to read: a line for each group, times in one unit."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.columns import RttColumn
from tcpvitals.model.key import Grouping
from tcpvitals.model.measurement import Measurement
from tcpvitals.model.names import UNKNOWN
from tcpvitals.model.rtt_report import figures
from tcpvitals.sinks.figures import in_unit
from tcpvitals.sinks.notes import notes
from tcpvitals.sinks.piped import piped
from tcpvitals.sinks.rows import RowLayout, TextTable
from tcpvitals.sinks.titles import SPACE_IN_NAME, group, heading

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.context import Contexts
    from tcpvitals.model.measurement import Unit
    from tcpvitals.model.rtt import Counters
    from tcpvitals.model.rtt_report import RttPrint

_GAP: Final = " "


@dataclass(frozen=True, slots=True, kw_only=True)
class RttTableSink:
    """Writes a row for each group with samples, `top` at most, and a blank line after each print.

    Of clean samples, how many were taken in all, the minimum RTT and the handshake's stand beside.
    With `timestamp`, each row begins with the time of day.
    """

    stream: TextIO
    measurement: Measurement = field(default_factory=Measurement)
    grouping: Grouping = field(default_factory=Grouping)
    timestamp: bool = False
    top: int | None = None

    def show(self, print_: RttPrint) -> None:
        """Write one print."""
        groups = print_.rows()
        rows = groups[: self.top]
        remarks = notes(print_, len(groups) - len(rows))
        lines = piped(
            self._table(print_, rows), remarks, print_.wall_time if self.timestamp else None
        )
        self.stream.write("\n".join([*lines, "", ""]))
        self.stream.flush()

    def _table(self, print_: RttPrint, rows: list[int]) -> TextTable:
        keys, names = print_.shown.keys, print_.names
        titles = [heading(self.grouping)]
        titles += [group(keys[row], self.grouping, names, SPACE_IN_NAME) for row in rows]
        columns = _columns(print_.shown.table.take(rows), self.measurement.unit)
        widths = [max(map(len, column)) for column in columns]
        layout = RowLayout(max(map(len, titles)), widths, None, _GAP)
        head, *lines = [
            layout.lines(
                title, [f"{cell:>{width}}" for cell, width in zip(cells, widths, strict=True)]
            )
            for title, *cells in zip(titles, *columns, strict=True)
        ]
        return TextTable(head, lines)


def _columns(table: Counters, unit: Unit) -> list[list[str]]:
    """Return the columns of figures, each with its heading, which has the unit."""
    columns = [_column(table, column, unit) for column in RttColumn]
    return columns + (_beside(table.contexts, unit) if table.contexts else [])


def _column(table: Counters, column: RttColumn, unit: Unit) -> list[str]:
    found = figures(table, column).tolist()
    if column is RttColumn.COUNT:
        return [column.upper(), *(f"{one:.0f}" for one in found)]
    return _times(column, found, unit)


def _times(name: str, us: Sequence[float | None], unit: Unit) -> list[str]:
    cells = (UNKNOWN if one is None or isnan(one) else in_unit(one, unit) for one in us)
    return [f"{name}_{unit}".upper(), *cells]


def _beside(contexts: Contexts, unit: Unit) -> list[list[str]]:
    each = [contexts.row(row) for row in range(len(contexts.samples))]
    return [
        ["SAMPLES", *(str(one.samples) for one in each)],
        _times("min_rtt", [one.floor_us for one in each], unit),
        _times("handshake", [one.mean_handshake_us for one in each], unit),
    ]

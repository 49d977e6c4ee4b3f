"""Totals of each group as a table: what was sent, what was sent again, and why.

A figure of a cause, of D-SACKs or of failures that is 0 is a dot, so that the others are seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.key import Grouping
from tcpvitals.model.names import UNKNOWN
from tcpvitals.model.totals import CAUSES
from tcpvitals.sinks.cells import group, heading, shortened
from tcpvitals.sinks.totalsnotes import notes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.totals import Totals
    from tcpvitals.model.totals_report import TotalsPrint

_HEADINGS: Final = (
    *("SENT", "RETRANS", "RATIO%"),
    *("RTO", "FAST", "SLOW", "TLP", "SYN", "SYNACK", "OTHER"),
    *("DSACK", "FAILED"),
)
_TOTAL: Final = "total"
_ZERO: Final = "."
_GAP: Final = "  "
_LEAST_KEY_WIDTH: Final = len("255.255.255.255")


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalsSink:
    """Writes a row for each group, what hurts most first.

    With more than one, a last row has the total of all that was counted, hidden groups included.
    `size` returns columns and lines of the terminal (as shutil.get_terminal_size does) and is
    asked at each print; without it keys are never cut and all rows are shown.  As many rows are
    shown as fit, unless `top` names a number or `everything` asks for all.
    """

    stream: TextIO
    grouping: Grouping = field(default_factory=Grouping)
    top: int | None = None
    size: Callable[[], tuple[int, int]] | None = None
    timestamp: bool = False
    everything: bool = False

    def show(self, print_: TotalsPrint) -> None:
        """Write one print, with a blank line after it."""
        self.stream.write(self.text(print_))
        self.stream.flush()

    def text(self, print_: TotalsPrint) -> str:
        """Return what `show` writes."""
        width, height = self.size() if self.size else (None, None)
        active = print_.rows()
        rows = active[: self._limit(print_, len(active), height)]
        lines = [f"{print_.wall_time:%H:%M:%S}"] if self.timestamp else []
        if rows:
            lines += _lines(self._cells(print_, rows), width)
        lines += notes(print_, len(active) - len(rows))
        return "\n".join([*lines, "", ""])

    def _limit(self, print_: TotalsPrint, groups: int, height: int | None) -> int | None:
        if self.everything or self.top is not None or height is None:
            return self.top
        # The headings, the total, the blank line at the end and the cursor's own line.
        room = height - 3 - (groups > 1) - self.timestamp - len(notes(print_, 0))
        return None if groups <= room else max(1, room - 1)

    def _cells(self, print_: TotalsPrint, rows: list[int]) -> list[tuple[str, ...]]:
        shown = print_.shown
        cells: list[tuple[str, ...]] = [(heading(self.grouping), *_HEADINGS)]
        for row in rows:
            title = group(shown.keys[row], self.grouping, print_.names)
            cells.append((title, *_figures(print_, shown.table.row(row))))
        if len(rows) > 1:
            cells.append((_TOTAL, *_figures(print_, shown.total())))
        return cells


def _figures(print_: TotalsPrint, totals: Totals) -> tuple[str, ...]:
    ratio = totals.ratio
    return (
        str(totals["segments_sent"]),
        str(totals["segments_retransmitted"]),
        UNKNOWN if ratio is None else f"{100 * ratio:.2f}",
        *(_dotted(totals[cause]) for cause in CAUSES),
        _dotted(totals["segments_unnecessary"]),
        _dotted(print_.failed(totals)),
    )


def _dotted(count: int) -> str:
    return str(count) if count else _ZERO


def _lines(cells: list[tuple[str, ...]], width: int | None) -> list[str]:
    """Lay out the rows, the headings first; all lines are cut where even that is too wide."""
    titles, *columns = zip(*cells, strict=True)
    wanted = max(map(len, titles))
    if width is not None:
        columns = _fitting(columns, width - len(_GAP) - min(wanted, _LEAST_KEY_WIDTH))
        room = width - len(_GAP) - _width(columns)
        wanted = min(wanted, max(room, _LEAST_KEY_WIDTH))
    aligned = [_aligned(column) for column in columns]
    figures = [" ".join(row) for row in zip(*aligned, strict=True)]
    pairs = zip(titles, figures, strict=True)
    return [f"{shortened(title, wanted):<{wanted}}{_GAP}{row}"[:width] for title, row in pairs]


def _fitting(columns: list[tuple[str, ...]], width: int) -> list[tuple[str, ...]]:
    """Leave out columns of nothing but dots, the last first, as long as the rest is too wide."""
    left = list(columns)
    for column in reversed(columns):
        if _width(left) > width and set(column[1:]) == {_ZERO}:
            left.remove(column)
    return left


def _width(columns: list[tuple[str, ...]]) -> int:
    return sum(max(map(len, column)) for column in columns) + len(columns) - 1


def _aligned(column: tuple[str, ...]) -> list[str]:
    width = max(map(len, column))
    return [f"{cell:>{width}}" for cell in column]

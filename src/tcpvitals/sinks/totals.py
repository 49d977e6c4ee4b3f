"""Totals of each group as a table: what was sent, what was retransmitted, and why.

A figure of a cause, of D-SACKs or of failures that is 0 is a dot, so that the others are seen.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TextIO

from tcpvitals.model.columns import TotalsColumn
from tcpvitals.model.key import Grouping
from tcpvitals.model.names import UNKNOWN
from tcpvitals.sinks.folding import folded
from tcpvitals.sinks.rows import RowLayout, TextTable
from tcpvitals.sinks.titles import group, heading
from tcpvitals.sinks.totalsnotes import notes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tcpvitals.model.totals import Totals
    from tcpvitals.model.totals_report import TotalsPrint

_COLUMNS: Final = tuple(TotalsColumn)
# Of these a 0 says something.
_NEVER_DOTTED: Final = {TotalsColumn.SENT, TotalsColumn.RETRANS}
_TOTAL: Final = "total"
_ZERO: Final = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class TotalsSink:
    """Writes a row for each group with retransmissions, what hurts most first.

    With more than one group, a last row has the total of all that was counted, hidden groups
    included.  `size` returns columns and lines of the terminal (as shutil.get_terminal_size does)
    and is asked at each print; without it nothing depends on them.  What does not fit the columns
    is folded, unless `wide`.  As many rows are shown as fit the lines, unless `top` names a number
    or `everything` asks for all groups, those without retransmissions included.
    """

    stream: TextIO
    grouping: Grouping = field(default_factory=Grouping)
    top: int | None = None
    size: Callable[[], tuple[int, int]] | None = None
    timestamp: bool = False
    everything: bool = False
    wide: bool = False

    def show(self, print_: TotalsPrint) -> None:
        """Write one print, with a blank line after it."""
        self.stream.write(self.text(print_))
        self.stream.flush()

    def text(self, print_: TotalsPrint) -> str:
        """Return what `show` writes."""
        width, height = self.size() if self.size else (None, None)
        active = print_.rows()
        listed = self._listed(print_, active)
        limit = self.top if self.top or self.everything else height
        table, left_out = self._table(print_, listed[:limit], width, has_total=len(active) > 1)

        def remarks(hidden: int) -> list[str]:
            lines = notes(print_, hidden, quiet=len(active) - len(listed))
            return folded([*left_out, *lines], width)

        lines = [f"{print_.wall_time:%H:%M:%S}"] if self.timestamp else []
        if width is None or height is None or limit != height:
            lines += [*table.lines(), *remarks(len(listed) - len(table.rows))]
        else:
            # The blank line at the end, and the cursor's own.
            room = height - 2 - self.timestamp
            lines += table.on_screen(len(listed), remarks, room, width)
        return "\n".join([*lines, "", ""])

    def _listed(self, print_: TotalsPrint, active: list[int]) -> list[int]:
        """Return the groups that deserve a row."""
        if self.everything or not self.grouping.fields:
            return active
        quiet = print_.shown.table.quiet
        return [row for row in active if not quiet[row]]

    def _table(
        self, print_: TotalsPrint, rows: list[int], width: int | None, *, has_total: bool
    ) -> tuple[TextTable, list[str]]:
        """Return the table, and what is to be said of columns that are not in it."""
        shown = print_.shown
        titles = [heading(self.grouping)]
        titles += [group(shown.keys[row], self.grouping, print_.names) for row in rows]
        totals = [shown.table.row(row) for row in rows]
        if has_total:
            titles.append(_TOTAL)
            totals.append(shown.total())
        columns = [_column(print_, column, totals) for column in _COLUMNS]
        return _laid_out(titles, columns, None if self.wide else width, has_total=has_total)


def _column(print_: TotalsPrint, column: TotalsColumn, totals: Sequence[Totals]) -> list[str]:
    """Return the heading and all figures, of the same width."""
    if column is TotalsColumn.RATIO:
        cells = ["RATIO%", *(_percent(one.ratio) for one in totals)]
    else:
        figures = (print_.figure(column, one) for one in totals)
        cells = [column.upper(), *(_dotted(column, figure) for figure in figures)]
    width = max(map(len, cells))
    return [f"{cell:>{width}}" for cell in cells]


def _percent(ratio: float | None) -> str:
    return UNKNOWN if ratio is None else f"{100 * ratio:.2f}"


def _dotted(column: TotalsColumn, count: float | None) -> str:
    return str(count) if count or column in _NEVER_DOTTED else _ZERO


def _laid_out(
    titles: Sequence[str], columns: list[list[str]], width: int | None, *, has_total: bool
) -> tuple[TextTable, list[str]]:
    """Lay the rows out, the headings first; columns of nothing but zeroes may give way to titles.

    Only where titles then have room beside the figures, and only as many as it takes.
    """
    kept = _beside_titles(titles, columns, width)
    layout = _layout(titles, kept, width)
    head, *rows = [
        layout.lines(title, cells)
        for title, cells in zip(titles, zip(*kept, strict=True), strict=True)
    ]
    foot = rows.pop() if has_total else []
    left_out = " ".join(column[0].strip() for column in columns if column not in kept)
    remarks = [f"0 everywhere, not shown: {left_out} (-w shows all)"] if left_out else []
    return TextTable(head, rows, foot), remarks


def _beside_titles(
    titles: Sequence[str], columns: list[list[str]], width: int | None
) -> list[list[str]]:
    """Return the columns without as many zeroes, the last first, as make one line of a row."""
    kept = list(columns)
    for column in reversed(columns):
        if not _layout(titles, kept, width).stacked:
            break
        if all(cell.strip() == _ZERO for cell in column[1:]):
            kept.remove(column)
    return columns if _layout(titles, kept, width).stacked else kept


def _layout(titles: Sequence[str], columns: list[list[str]], width: int | None) -> RowLayout:
    return RowLayout(max(map(len, titles)), [len(column[0]) for column in columns], width, " ")

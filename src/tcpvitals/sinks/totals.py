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
from tcpvitals.sinks.piped import filled, piped
from tcpvitals.sinks.rows import RowLayout, TextTable
from tcpvitals.sinks.titles import SPACE_IN_NAME, group, heading
from tcpvitals.sinks.totalsnotes import notes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tcpvitals.model.totals import Totals
    from tcpvitals.model.totals_report import TotalsPrint

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
    or `everything` asks for all groups, those without retransmissions included.  `hints` names
    options that show more.
    """

    stream: TextIO
    grouping: Grouping = field(default_factory=Grouping)
    top: int | None = None
    size: Callable[[], tuple[int, int]] | None = None
    timestamp: bool = False
    everything: bool = False
    wide: bool = False
    hints: bool = True

    def show(self, print_: TotalsPrint) -> None:
        """Write one print, with a blank line after it."""
        self.stream.write(self.text(print_))
        self.stream.flush()

    def text(self, print_: TotalsPrint) -> str:
        """Return what `show` writes."""
        lines = self._on_terminal(print_, *self.size()) if self.size else self._piped(print_)
        return "\n".join([*lines, "", ""])

    def _piped(self, print_: TotalsPrint) -> list[str]:
        listed, quiet = self._listed(print_)
        rows = listed[: self.top]
        titles = self._titles(print_, rows, SPACE_IN_NAME)
        if listed and len(listed) + quiet > 1:
            titles.append(filled(_TOTAL, titles[0]))
        columns = _columns(print_, rows, len(titles), zero="0")
        table, _ = _laid_out(titles, columns, None, len(rows))
        remarks = notes(print_, len(listed) - len(rows), quiet)
        return piped(table, remarks, print_.wall_time if self.timestamp else None)

    def _on_terminal(self, print_: TotalsPrint, width: int, height: int) -> list[str]:
        listed, quiet = self._listed(print_)
        has_limit = bool(self.top or self.everything)
        rows = listed[: self.top if has_limit else height]
        titles = self._titles(print_, rows, " ")
        if listed and len(listed) + quiet > 1:
            titles.append(_TOTAL)
        columns = _columns(print_, rows, len(titles), zero=_ZERO)
        table, left_out = _laid_out(titles, columns, None if self.wide else width, len(rows))

        def remarks(hidden: int) -> list[str]:
            said = notes(print_, hidden, quiet, hints=self.hints)
            return folded([*self._not_shown(left_out), *said], width)

        clock = [f"{print_.wall_time:%H:%M:%S}"] if self.timestamp else []
        if has_limit:
            return [*clock, *table.lines(), *remarks(len(listed) - len(rows))]
        # The blank line at the end, and the cursor's own.
        room = height - 2 - self.timestamp
        return [*clock, *table.on_screen(len(listed), remarks, room, width)]

    def _not_shown(self, columns: list[str]) -> list[str]:
        """Say which columns are left out, if there are any."""
        hint = " (-w shows all)" if self.hints else ""
        return [f"0 everywhere, not shown: {' '.join(columns)}{hint}"] if columns else []

    def _listed(self, print_: TotalsPrint) -> tuple[list[int], int]:
        """Return the groups that deserve a row, and how many others were active."""
        active = print_.rows()
        if self.everything or not self.grouping.fields:
            return active, 0
        quiet = print_.shown.table.quiet
        listed = [row for row in active if not quiet[row]]
        return listed, len(active) - len(listed)

    def _titles(self, print_: TotalsPrint, rows: list[int], space: str) -> list[str]:
        keys, names = print_.shown.keys, print_.names
        groups = (group(keys[row], self.grouping, names, space) for row in rows)
        return [heading(self.grouping), *groups]


def _columns(print_: TotalsPrint, rows: list[int], titles: int, *, zero: str) -> list[list[str]]:
    """Return all columns, for as many rows as there are titles; one more is the total."""
    totals = [print_.shown.table.row(row) for row in rows]
    if titles - 1 > len(rows):
        totals.append(print_.shown.total())
    return [_column(print_, column, totals, zero) for column in TotalsColumn]


def _column(
    print_: TotalsPrint, column: TotalsColumn, totals: Sequence[Totals], zero: str
) -> list[str]:
    """Return the heading and all figures, of the same width."""
    if column is TotalsColumn.RATIO:
        cells = ["RATIO%", *(_percent(one.ratio) for one in totals)]
    else:
        none = "0" if column in _NEVER_DOTTED else zero
        figures = (print_.figure(column, one) for one in totals)
        cells = [column.upper(), *(str(one) if one else none for one in figures)]
    width = max(map(len, cells))
    return [f"{cell:>{width}}" for cell in cells]


def _percent(ratio: float | None) -> str:
    return UNKNOWN if ratio is None else f"{100 * ratio:.2f}"


def _laid_out(
    titles: Sequence[str], columns: list[list[str]], width: int | None, groups: int
) -> tuple[TextTable, list[str]]:
    """Return the table, and the headings of columns that are not in it.

    Columns of nothing but zeroes may give way to titles: only where titles then have room beside
    the figures, and only as many as it takes.
    """
    kept = _beside_titles(titles, columns, width)
    layout = _layout(titles, kept, width)
    head, *rows = [
        layout.lines(title, cells)
        for title, cells in zip(titles, zip(*kept, strict=True), strict=True)
    ]
    left_out = [column[0].strip() for column in columns if column not in kept]
    return TextTable(head, rows[:groups], [line for row in rows[groups:] for line in row]), left_out


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

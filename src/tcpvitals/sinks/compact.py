"""The picture for a terminal: one row a group, so that many groups can be compared by eye.

A row has the group's key, its distribution as a sparkline over an axis that all rows share, p50,
p99 and count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from tcpvitals.model.key import Grouping
from tcpvitals.model.measurement import Measurement
from tcpvitals.sinks.characters import blocks
from tcpvitals.sinks.folding import folded
from tcpvitals.sinks.notes import notes
from tcpvitals.sinks.picture import picture
from tcpvitals.sinks.rows import TextTable
from tcpvitals.sinks.titles import group, heading

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.rtt_report import RttPrint


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactSink:
    """Writes a row for each group with samples, the newest and busiest first.

    `size` returns columns and lines of the terminal (as shutil.get_terminal_size does) and is
    asked at each print.  As many rows are shown as fit, unless `top` names a number or
    `everything` asks for all.  `color` marks the p99 by NEAR_US and FAR_US, `hints` names options
    that show more.
    """

    stream: TextIO
    size: Callable[[], tuple[int, int]]
    measurement: Measurement = field(default_factory=Measurement)
    grouping: Grouping = field(default_factory=Grouping)
    timestamp: bool = False
    color: bool = False
    top: int | None = None
    everything: bool = False
    hints: bool = True

    def show(self, print_: RttPrint) -> None:
        """Write one print, with a blank line after it."""
        self.stream.write(self.text(print_))
        self.stream.flush()

    def text(self, print_: RttPrint) -> str:
        """Return what `show` writes."""
        width, height = self.size()
        groups = print_.rows()
        limit = self.top if self.top or self.everything else height
        table = self._table(print_, groups[:limit], width)

        def remarks(hidden: int) -> list[str]:
            return folded(notes(print_, hidden, hints=self.hints), width)

        lines = [f"{print_.wall_time:%H:%M:%S}"] if self.timestamp else []
        if self.top or self.everything:
            lines += [*table.lines(), *remarks(len(groups) - len(table.rows))]
        else:
            # The blank line at the end, and the cursor's own.
            lines += table.on_screen(len(groups), remarks, height - 2 - self.timestamp, width)
        return "\n".join([*lines, "", ""])

    def _table(self, print_: RttPrint, rows: list[int], width: int) -> TextTable:
        if not rows:
            return TextTable()
        shown = print_.shown
        return picture(
            heading(self.grouping),
            [group(shown.keys[row], self.grouping, print_.names) for row in rows],
            shown.table.take(rows),
            width=width,
            blocks=blocks(self.stream),
            color=self.color,
        )

"""The picture for a terminal: one row a group, so that many groups can be compared by eye.

A row has the group's key, its distribution as a sparkline over an axis that all rows share, p50,
p99 and count.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TextIO

from tcpvitals.model.key import Grouping
from tcpvitals.model.measurement import Measurement
from tcpvitals.sinks.cells import group, heading
from tcpvitals.sinks.notes import notes
from tcpvitals.sinks.picture import picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from tcpvitals.model.rtt_report import RttPrint


@dataclass(frozen=True, slots=True, kw_only=True)
class CompactSink:
    """Writes a row for each group with samples, the newest and busiest first.

    `size` returns columns and lines of the terminal (as shutil.get_terminal_size does) and is
    asked at each print.  As many rows are shown as fit, unless `top` names a number or
    `everything` asks for all.  `color` marks the p99: green, yellow from 10 ms, red from 100 ms.
    """

    stream: TextIO
    size: Callable[[], tuple[int, int]]
    measurement: Measurement = field(default_factory=Measurement)
    grouping: Grouping = field(default_factory=Grouping)
    timestamp: bool = False
    color: bool = False
    top: int | None = None
    everything: bool = False

    def show(self, print_: RttPrint) -> None:
        """Write one print, with a blank line after it."""
        self.stream.write(self.text(print_))
        self.stream.flush()

    def text(self, print_: RttPrint) -> str:
        """Return what `show` writes."""
        width, height = self.size()
        with_samples = print_.rows()
        rows = with_samples[: self._limit(print_, len(with_samples), height)]
        lines = [f"{print_.wall_time:%H:%M:%S}"] if self.timestamp else []
        if rows:
            lines += self._table(print_, rows, width)
        lines += notes(print_, len(with_samples) - len(rows))
        return "\n".join([*lines, "", ""])

    def _limit(self, print_: RttPrint, groups: int, height: int) -> int | None:
        if self.everything or self.top is not None:
            return self.top
        # The legend, the blank line at the end and the cursor's own line take three.
        room = height - 3 - self.timestamp - len(notes(print_, 0))
        return None if groups <= room else max(1, room - 1)

    def _table(self, print_: RttPrint, rows: list[int], width: int) -> list[str]:
        shown = print_.shown
        return picture(
            heading(self.grouping),
            [group(shown.keys[row], self.grouping, print_.names) for row in rows],
            shown.table.take(rows),
            width,
            color=self.color,
        )

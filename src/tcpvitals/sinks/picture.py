"""A table of groups that fits a width: key, sparkline, p50, p99, count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tcpvitals.model.histogram import fold_log2
from tcpvitals.sinks.cells import shortened
from tcpvitals.sinks.figures import human
from tcpvitals.sinks.sparkline import Axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.rtt import Counters

_GAP = "  "
_TIME_WIDTH = len("12.3 ms")
_LEAST_COUNT_WIDTH = len("count")
_LEAST_KEY_WIDTH = len("255.255.255.255")
_CELLS = (8, 4, 2, 1)

_PLAIN, _RED, _GREEN, _YELLOW = "\x1b[0m", "\x1b[31m", "\x1b[32m", "\x1b[33m"
# A path within one city stays below 10 ms, one within a continent below 100 ms.
_NEAR_US, _FAR_US = 10_000, 100_000


@dataclass(frozen=True, slots=True)
class _Row:
    """One line before it is laid out; `color` goes around the p99, and may be empty."""

    title: str
    picture: str
    p50: str
    p99: str
    count: str
    color: str = ""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The widths of the columns; without an axis there is no room for sparklines."""

    width: int
    key: int
    count: int
    axis: Axis | None

    @classmethod
    def of(cls, width: int, titles: Sequence[str], counts: Sequence[str], axis: Axis) -> _Layout:
        """Give the key what it wants as far as the axis then still has a column for each slot."""
        count = max(_LEAST_COUNT_WIDTH, *map(len, counts))
        room = width - 2 * (_TIME_WIDTH + len(_GAP)) - count - len(_GAP)
        wanted = max(map(len, titles))
        key = min(wanted, max(room - len(_GAP) - axis.width, _LEAST_KEY_WIDTH), max(room, 1))
        columns = (room - key - len(_GAP)) // axis.slots
        cell = next((cell for cell in _CELLS if cell <= columns), 1)
        fitted = replace(axis, cell=cell)
        return cls(width, key, count, fitted if key + len(_GAP) + fitted.width <= room else None)

    def line(self, row: _Row) -> str:
        """Lay out one line; in a terminal too narrow for the figures it is cut, without colour."""
        cells = [f"{shortened(row.title, self.key):<{self.key}}"]
        if self.axis:
            cells.append(f"{row.picture:<{self.axis.width}}")
        cells += [f"{row.p50:>{_TIME_WIDTH}}", f"{row.p99:>{_TIME_WIDTH}}"]
        cells.append(f"{row.count:>{self.count}}")
        if row.color and len(_GAP.join(cells)) <= self.width:
            cells[-2] = f"{row.color}{cells[-2]}{_PLAIN}"
            return _GAP.join(cells)
        return _GAP.join(cells)[: self.width]


def picture(
    heading: str,
    titles: Sequence[str],
    counters: Counters,
    width: int,
    *,
    color: bool,
) -> list[str]:
    """Return the heading with the axis, and a line for each group; each group has samples."""
    slots = fold_log2(counters.buckets)
    counts = [str(count) for count in counters.counts]
    layout = _Layout.of(width, (heading, *titles), counts, Axis.of(slots))
    axis = layout.axis
    lines = [_Row(heading, axis.legend(counters.unit) if axis else "", "p50", "p99", "count")]
    times_us = (counters.quantiles((0.5, 0.99)) * counters.unit.divisor).tolist()
    rows = zip(titles, counters.buckets, times_us, counts, strict=True)
    for title, row, (p50, p99), count in rows:
        drawn = axis.sparkline(row) if axis else ""
        tint = _color(p99) if color else ""
        lines.append(_Row(title, drawn, human(p50), human(p99), count, tint))
    return [layout.line(line) for line in lines]


def _color(p99_us: float) -> str:
    if p99_us < _NEAR_US:
        return _GREEN
    return _YELLOW if p99_us < _FAR_US else _RED

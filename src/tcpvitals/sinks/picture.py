"""A table of groups that fits a width: key, sparkline, p50, p99, count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import TYPE_CHECKING

from tcpvitals.model.histogram import fold_log2
from tcpvitals.sinks.cells import shortened
from tcpvitals.sinks.figures import human, human_or_none
from tcpvitals.sinks.sparkline import Axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.context import Context
    from tcpvitals.model.rtt import Counters

_GAP = "  "
_TIME_WIDTH = len("12.3 ms")
_TIMES = ("p50", "p99")
_ALL, _CLEAN = ("count",), ("min", "handshake", "clean")
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
    figures: Sequence[str]
    color: str = ""


@dataclass(frozen=True, slots=True)
class _Layout:
    """The widths of the columns; without an axis there is no room for sparklines."""

    width: int
    key: int
    figures: Sequence[int]
    axis: Axis | None

    @classmethod
    def of(cls, width: int, rows: Sequence[_Row], axis: Axis) -> _Layout:
        """Give the key what it wants as far as the axis then still has a column for each slot."""
        columns = zip(*(row.figures for row in rows), strict=True)
        figures = [max(map(len, column)) for column in columns]
        figures[: len(_TIMES)] = (max(_TIME_WIDTH, one) for one in figures[: len(_TIMES)])
        room = width - sum(figures) - len(figures) * len(_GAP)
        wanted = max(len(row.title) for row in rows)
        key = min(wanted, max(room - len(_GAP) - axis.width, _LEAST_KEY_WIDTH), max(room, 1))
        columns_left = (room - key - len(_GAP)) // axis.slots
        cell = next((cell for cell in _CELLS if cell <= columns_left), 1)
        fitted = replace(axis, cell=cell)
        return cls(width, key, figures, fitted if key + len(_GAP) + fitted.width <= room else None)

    def line(self, row: _Row) -> str:
        """Lay out one line; in a terminal too narrow for the figures it is cut, without colour."""
        cells = [f"{shortened(row.title, self.key):<{self.key}}"]
        if self.axis:
            cells.append(f"{row.picture:<{self.axis.width}}")
        first = len(cells)
        cells += [f"{one:>{width}}" for one, width in zip(row.figures, self.figures, strict=True)]
        if row.color and len(_GAP.join(cells)) <= self.width:
            p99 = first + _TIMES.index("p99")
            cells[p99] = f"{row.color}{cells[p99]}{_PLAIN}"
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
    """Return the heading with the axis, and a line for each group; each group has samples.

    Of clean samples, min RTT and the handshake's stand beside, and how many were clean.
    """
    axis = Axis.of(fold_log2(counters.buckets))
    p99s_us = (counters.quantiles((0.99,))[:, 0] * counters.unit.divisor).tolist()
    figures = _figures(counters)
    rows = [
        _Row(title, "", cells, _color(p99) if color else "")
        for title, cells, p99 in zip(titles, figures, p99s_us, strict=True)
    ]
    top = _Row(heading, "", _headings(counters))
    layout = _Layout.of(width, [top, *rows], axis)
    if layout.axis is None:
        return [layout.line(row) for row in (top, *rows)]
    drawn = map(layout.axis.sparkline, counters.buckets)
    rows = [replace(row, picture=one) for row, one in zip(rows, drawn, strict=True)]
    top = replace(top, picture=layout.axis.legend(counters.unit))
    return [layout.line(row) for row in (top, *rows)]


def _headings(counters: Counters) -> list[str]:
    return [*_TIMES, *(_CLEAN if counters.contexts else _ALL)]


def _figures(counters: Counters) -> list[list[str]]:
    """The cells of each group, under their headings."""
    times_us = (counters.quantiles((0.5, 0.99)) * counters.unit.divisor).tolist()
    rows = [[human(one) for one in row] for row in times_us]
    contexts = counters.contexts
    if not contexts:
        return [[*row, str(size)] for row, size in zip(rows, counters.sizes, strict=True)]
    beside = zip(
        rows,
        map(contexts.row, range(len(rows))),
        counters.sizes.tolist(),
        strict=True,
    )
    return [[*row, *_beside(context, size)] for row, context, size in beside]


def _beside(context: Context, clean: int) -> tuple[str, str, str]:
    return (
        human_or_none(context.floor_us),
        human_or_none(context.mean_handshake_us),
        f"{clean}/{context.samples}",
    )


def _color(p99_us: float) -> str:
    if isnan(p99_us):
        return ""
    if p99_us < _NEAR_US:
        return _GREEN
    return _YELLOW if p99_us < _FAR_US else _RED

"""A table of groups that fits a width: title, sparkline, p50, p99, count."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isnan
from typing import TYPE_CHECKING

from tcpvitals.model.histogram import fold_log2
from tcpvitals.sinks.figures import human, human_or_none
from tcpvitals.sinks.folding import INDENT
from tcpvitals.sinks.rows import TITLE_GAP, RowLayout, TextTable
from tcpvitals.sinks.sparkline import Axis

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.context import Context
    from tcpvitals.model.rtt import Counters

_GAP = "  "
_TIME_WIDTH = len("12.3 ms")
_TIMES = ("p50", "p99")
_ALL, _CLEAN = ("count",), ("min", "handshake", "clean")
_CELLS = (8, 4, 2, 1)

# No red: that is for what was lost.
_PLAIN, _GREEN, _YELLOW, _MAGENTA = "\x1b[0m", "\x1b[32m", "\x1b[33m", "\x1b[35m"
# A path within one city stays below 10 ms, one within a continent below 100 ms.  The help of `rtt`
# says so, too.
NEAR_US, FAR_US = 10_000, 100_000


def picture(  # noqa: PLR0913 - all but the first three by name
    heading: str,
    titles: Sequence[str],
    counters: Counters,
    *,
    width: int,
    blocks: str,
    color: bool,
) -> TextTable:
    """Return the heading with the axis, and the lines of each group; each group has samples.

    Of clean samples, min RTT and the handshake's stand beside, and how many were clean.
    """
    columns = _columns(counters, color=color)
    layout = _Layout.of(width, [heading, *titles], columns, Axis.of(fold_log2(counters.buckets)))
    axis = layout.axis
    pictures = [
        axis.legend(counters.unit),
        *(axis.sparkline(one, blocks) for one in counters.buckets),
    ]
    head, *rows = [
        layout.rows.lines(title, [f"{one:<{axis.width}}", *cells])
        for title, one, *cells in zip([heading, *titles], pictures, *columns, strict=True)
    ]
    return TextTable(head, rows)


@dataclass(frozen=True, slots=True)
class _Layout:
    """How wide the axis and all else is."""

    axis: Axis
    rows: RowLayout

    @classmethod
    def of(
        cls, width: int, titles: Sequence[str], columns: Sequence[Sequence[str]], axis: Axis
    ) -> _Layout:
        """Give the titles what they want; the axis, a column for each slot at least, the rest."""
        title = max(map(len, titles))
        figures = [len(column[0]) for column in columns]
        least = RowLayout(title, [axis.width, *figures], width, _GAP)
        before = len(INDENT) if least.stacked else title + len(TITLE_GAP)
        room = width - before - sum(figures) - len(_GAP) * len(figures)
        cell = next((cell for cell in _CELLS if cell * axis.slots <= room), 1)
        fitted = replace(axis, cell=cell)
        return cls(fitted, replace(least, cells=[fitted.width, *figures]))


def _columns(counters: Counters, *, color: bool) -> list[list[str]]:
    """Return the columns of figures, each with its heading, and each padded to its width."""
    rows = [_headings(counters), *_figures(counters)]
    columns = [_padded(column) for column in zip(*rows, strict=True)]
    if color:
        p99s_us = (counters.quantiles((0.99,))[:, 0] * counters.unit.divisor).tolist()
        at = _TIMES.index("p99")
        head, *cells = columns[at]
        columns[at] = [head, *map(_colored, cells, p99s_us)]
    return columns


def _padded(column: Sequence[str]) -> list[str]:
    is_time = column[0] in _TIMES
    width = max(*map(len, column), _TIME_WIDTH if is_time else 0)
    return [f"{cell:>{width}}" for cell in column]


def _colored(cell: str, p99_us: float) -> str:
    color = _color(p99_us)
    return f"{color}{cell}{_PLAIN}" if color else cell


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
    if p99_us < NEAR_US:
        return _GREEN
    return _YELLOW if p99_us < FAR_US else _MAGENTA

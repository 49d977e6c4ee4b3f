"""Rows of a title and cells, put into lines that fit a terminal; no text is cut off.

While title and cells of all rows fit, a row is a line.  Else each title has a line of its own, as
addresses in `ss` have, and the cells are under it, in as many lines as they take.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from tcpvitals.sinks.folding import INDENT, folded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

TITLE_GAP: Final = "  "

_COLOR: Final = re.compile(r"\x1b\[\d+m")


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The widths of the title and the cells, and of the terminal: None if lines may be of any."""

    title: int
    cells: Sequence[int]
    width: int | None
    gap: str

    @property
    def stacked(self) -> bool:
        """Whether titles have lines of their own."""
        return self.width is not None and self.title + self.beside > self.width

    @property
    def beside(self) -> int:
        """How much a line needs beside its title."""
        return len(TITLE_GAP) + sum(self.cells) + len(self.gap) * (len(self.cells) - 1)

    def lines(self, title: str, cells: Sequence[str]) -> list[str]:
        """Return the lines of a row, whose cells are padded to their widths."""
        if not self.stacked:
            return [f"{title:<{self.title}}{TITLE_GAP}{self.gap.join(cells)}"]
        parts = (self.gap.join(cells[start:end]) for start, end in self._parts())
        return [*folded([title], self.width), *(f"{INDENT}{part}" for part in parts)]

    def _parts(self) -> list[tuple[int, int]]:
        """Return which cells stand in one line: as many as fit, one at least."""
        parts: list[tuple[int, int]] = []
        start, used = 0, len(INDENT)
        for at, cell in enumerate(self.cells):
            wanted = used + len(self.gap) * (at > start) + cell
            if at > start and self.width is not None and wanted > self.width:
                parts.append((start, at))
                start, wanted = at, len(INDENT) + cell
            used = wanted
        return [*parts, (start, len(self.cells))]


@dataclass(frozen=True, slots=True)
class TextTable:
    """A table laid out: the lines of the headings, of each row, and of a last row, if there is."""

    head: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    foot: Sequence[str] = ()

    def lines(self, rows: int | None = None) -> list[str]:
        """Return all lines, or those with so many of the rows; none of a table without rows."""
        shown = [line for row in self.rows[:rows] for line in row]
        return [*self.head, *shown, *self.foot] if shown else []

    def on_screen(
        self, groups: int, remarks: Callable[[int], list[str]], room: int, columns: int
    ) -> list[str]:
        """Return as many rows as fit `room` lines, one at least, and the remarks.

        Args:
            groups: how many there are, with those of which there is no row.
            remarks: returns the remarks for a number of groups that are not shown.
            room: how many lines there are.
            columns: how many the terminal has; it folds a longer line itself.
        """
        room -= len(self.head) + len(self.foot)
        shown = self._fitting(room - len(remarks(0)), columns)
        if shown < groups and self.rows:
            shown = self._fitting(room - len(remarks(groups)), columns)
        return [*self.lines(shown), *remarks(groups - shown if self.rows else 0)]

    def _fitting(self, room: int, columns: int) -> int:
        heights = (sum(_height(line, columns) for line in row) for row in self.rows)
        return max(1, sum(end <= room for end in accumulate(heights)))


def _height(line: str, columns: int) -> int:
    """Return how many lines of a terminal a line takes; colours take no room."""
    return max(1, -(-len(_COLOR.sub("", line)) // columns))

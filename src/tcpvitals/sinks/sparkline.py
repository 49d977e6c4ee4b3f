"""Distributions drawn in one line each, over an axis that all lines share.

The axis has a stretch of 1, 2, 4 or 8 columns for each log2 slot, cut into equal parts: with more
than one column a slot's fine buckets show, and two peaks within a power of two stay two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.histogram import bucket_index, log2_edges

if TYPE_CHECKING:
    from tcpvitals.model.histogram import Counts
    from tcpvitals.model.measurement import Unit

LEGEND_ROOM = 7
"""Columns that the legend needs for its first label, "|131ms" and a space."""


@dataclass(frozen=True, slots=True)
class Axis:
    """The log2 slots from `first` to `last`, `cell` columns each: 1, 2, 4 or 8."""

    first: int
    last: int
    cell: int = 1

    @classmethod
    def of(cls, slots: Counts) -> Axis:
        """Return the axis that shows all samples of the rows [R, 27]; of a slot without any."""
        filled = np.flatnonzero(slots.any(axis=0))
        return cls(int(filled[0]), int(filled[-1])) if len(filled) else cls(0, 0)

    @property
    def slots(self) -> int:
        """How many slots it shows."""
        return self.last - self.first + 1

    @property
    def width(self) -> int:
        """How many columns it takes, with its legend."""
        return max(self.slots * self.cell, LEGEND_ROOM)

    def sparkline(self, buckets: Counts, blocks: str) -> str:
        """Draw one row of fine buckets [384]: a block's height is its share of the row's fullest.

        A column with any sample at all has a block; only an empty one is blank.

        Args:
            buckets: the row.
            blocks: characters to draw it with, from an empty one to the full one.
        """
        full = len(blocks) - 1
        columns = [
            count
            for slot in range(self.first, self.last + 1)
            for count in self._columns(buckets, slot)
        ]
        most = max(1, *columns)
        return "".join(blocks[-(-count * full // most)] for count in columns)

    def _columns(self, buckets: Counts, slot: int) -> list[int]:
        """One slot's counts, column by column; below 16 a bucket may be wider than a column."""
        low, high = (int(bucket_index(edge)) for edge in log2_edges(slot))
        counts = buckets[low : high + 1]
        if len(counts) < self.cell:
            return [int(count) for count in counts.repeat(self.cell // len(counts))]
        return [int(count) for count in counts.reshape(self.cell, -1).sum(axis=1)]

    def legend(self, unit: Unit) -> str:
        """Label the lower edges of some slots: "|64us   |1ms"; a label is rounded to its unit."""
        text = ""
        for slot in range(self.first, self.last + 1):
            column = (slot - self.first) * self.cell
            label = f"|{_edge(log2_edges(slot)[0] * unit.divisor)}"
            if (not text or column > len(text)) and column + len(label) <= self.width:
                text = text.ljust(column) + label
        return text


def _edge(us: int) -> str:
    name, scale = next(
        (each for each in (("s", 1_000_000), ("ms", 1000)) if us >= each[1]), ("us", 1)
    )
    return f"{us / scale:.0f}{name}"

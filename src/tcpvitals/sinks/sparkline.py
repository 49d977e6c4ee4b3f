"""Distributions drawn in one line each, over an axis that all lines share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.histogram import log2_edges

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.model.histogram import Counts
    from tcpvitals.model.measurement import Unit

LEGEND_ROOM = 7
"""Columns that the legend needs for its first label, "|131ms" and a space."""

_BLOCKS = " ▁▂▃▄▅▆▇█"
_FULL = len(_BLOCKS) - 1


@dataclass(frozen=True, slots=True)
class Axis:
    """The log2 slots from `first` to `last`, `cell` columns each."""

    first: int
    last: int
    cell: int = 1

    @classmethod
    def of(cls, slots: Counts) -> Axis:
        """Return the axis that shows all samples of the rows [R, 27], of which some has any."""
        filled = np.flatnonzero(slots.any(axis=0))
        return cls(int(filled[0]), int(filled[-1]))

    @property
    def slots(self) -> int:
        """How many slots it shows."""
        return self.last - self.first + 1

    @property
    def width(self) -> int:
        """How many columns it takes, with its legend."""
        return max(self.slots * self.cell, LEGEND_ROOM)

    def sparkline(self, slots: Sequence[int]) -> str:
        """Draw one row [27]: a block's height is the slot's share of the row's fullest slot.

        A slot with any sample at all has a block; only an empty one is blank.
        """
        most = max(1, *slots)
        heights = (-(-count * _FULL // most) for count in slots[self.first : self.last + 1])
        return "".join(_BLOCKS[height] * self.cell for height in heights)

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

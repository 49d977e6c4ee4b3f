"""One print of totals: what a sink is given to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datetime import datetime

    from tcpvitals.model.names import Names
    from tcpvitals.model.totals import Totals, TotalsInterval


@dataclass(frozen=True, slots=True, eq=False)
class TotalsPrint:
    """The totals of one print, from one snapshot.

    `cumulative` is since the start and `recent` since the print before; `delta` says that the
    recent ones are to be shown.  `wall_time` knows its time zone.  Groups whose retransmission
    ratio is below `min_ratio` (0 to 1) are left out.  `shows_errors` says that the kernel's
    tracepoint also fires for retransmissions that did not leave this host.
    """

    wall_time: datetime
    cumulative: TotalsInterval
    recent: TotalsInterval
    delta: bool
    names: Names
    min_ratio: float
    shows_errors: bool

    def __post_init__(self) -> None:
        """Refuse a time without zone, and intervals of different snapshots, with a ValueError."""
        if self.wall_time.utcoffset() is None:
            message = "the wall time has no time zone"
            raise ValueError(message)
        if not np.array_equal(self.cumulative.table.ids, self.recent.table.ids):
            message = "the two intervals of a print must end with the same snapshot"
            raise ValueError(message)

    @property
    def shown(self) -> TotalsInterval:
        """The interval to show."""
        return self.recent if self.delta else self.cumulative

    def rows(self) -> list[int]:
        """Return the rows of the groups to show, what hurts most first."""
        return self.shown.worst(self.min_ratio)

    def failed(self, totals: Totals) -> int:
        """Return how many segments did not leave this host.

        Where the tracepoint is silent about them, they are what the kernel counted and we did not
        see.
        """
        seen = totals["segments_failed"]
        return seen if self.shows_errors else seen + _unseen(totals)

    def unattributed(self, totals: Totals) -> int:
        """Return how many segments the kernel counted that we should have seen, but did not."""
        return _unseen(totals) if self.shows_errors else 0


def _unseen(totals: Totals) -> int:
    seen = sum(totals.by_cause().values()) + totals["segments_failed"]
    # The two are counted one after the other, and may be read in between.
    return max(0, totals["segments_retransmitted"] - seen)

"""One print: what a sink is given to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.snapshot import busiest

if TYPE_CHECKING:
    from datetime import datetime

    from tcpvitals.model.names import Names
    from tcpvitals.model.snapshot import Interval


@dataclass(frozen=True, slots=True, eq=False)
class Print:
    """The figures of one print, from one snapshot.

    `cumulative` is since the start and `recent` since the print before; `delta` says that the
    recent ones are to be shown.  `wall_time` knows its time zone.
    """

    wall_time: datetime
    cumulative: Interval
    recent: Interval
    delta: bool
    names: Names

    def __post_init__(self) -> None:
        """Refuse a time without zone, and intervals of different snapshots, with a ValueError."""
        if self.wall_time.utcoffset() is None:
            msg = "the wall time has no time zone"
            raise ValueError(msg)
        if not np.array_equal(self.cumulative.counters.ids, self.recent.counters.ids):
            msg = "the two intervals of a print must end with the same snapshot"
            raise ValueError(msg)

    @property
    def shown(self) -> Interval:
        """The interval to show."""
        return self.recent if self.delta else self.cumulative

    def rows(self) -> list[int]:
        """Return the rows of the groups that have samples to show, newest and busiest first."""
        order = busiest(self.recent, self.cumulative)
        return [int(row) for row in order[self.shown.counters.counts[order] > 0]]

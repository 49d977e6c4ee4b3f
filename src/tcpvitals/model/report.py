"""One print: what a sink is given to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from tcpvitals.model.snapshot import Sum, Table

if TYPE_CHECKING:
    from datetime import datetime

    from tcpvitals.model.names import Names
    from tcpvitals.model.snapshot import Interval

_Total = TypeVar("_Total", bound=Sum)
_Table = TypeVar("_Table", bound=Table[Any])


@dataclass(frozen=True, slots=True, eq=False)
class Print(Generic[_Table, _Total]):
    """The figures of one print, from one snapshot.

    `cumulative` is since the start and `recent` since the print before; `delta` says that the
    recent ones are to be shown.  `wall_time` knows its time zone.
    """

    wall_time: datetime
    cumulative: Interval[_Table, _Total]
    recent: Interval[_Table, _Total]
    delta: bool
    names: Names

    def __post_init__(self) -> None:
        """Refuse a time without zone, and intervals of different snapshots, with a ValueError."""
        if self.wall_time.utcoffset() is None:
            message = "the wall time has no time zone"
            raise ValueError(message)
        if not np.array_equal(self.cumulative.table.ids, self.recent.table.ids):
            message = "the two intervals of a print must end with the same snapshot"
            raise ValueError(message)

    @property
    def shown(self) -> Interval[_Table, _Total]:
        """The interval to show."""
        return self.recent if self.delta else self.cumulative

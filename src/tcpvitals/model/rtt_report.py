"""One print of round-trip times: which groups are shown, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.report import Print
from tcpvitals.model.rtt import Counters, Distribution

if TYPE_CHECKING:
    from tcpvitals.model.histogram import Indices
    from tcpvitals.model.rtt import RttInterval


@dataclass(frozen=True, slots=True, eq=False)
class RttPrint(Print[Counters, Distribution]):
    """The histograms of one print."""

    def rows(self) -> list[int]:
        """Return the rows of the groups with samples, clean or not, newest and busiest first."""
        order = busiest(self.recent, self.cumulative)
        return [int(row) for row in order[self.shown.table.counts[order] > 0]]


def busiest(recent: RttInterval, cumulative: RttInterval) -> Indices:
    """Return rows of groups in the order they deserve to be seen.

    The most samples recently first; idle groups follow, and equals are ordered, by the most
    samples in all, and then by identity so that the order never flickers.  Both intervals are
    of the same snapshot.
    """
    in_all = cumulative.table.counts.astype(np.int64)
    lately = recent.table.counts.astype(np.int64)
    return np.lexsort((recent.table.ids, -in_all, -lately))

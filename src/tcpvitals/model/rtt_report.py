"""One print of round-trip times: which groups are shown, and in which order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.model.columns import PERCENTILES, RttColumn
from tcpvitals.model.report import Print
from tcpvitals.model.rtt import Counters, Distribution

if TYPE_CHECKING:
    from tcpvitals.model.histogram import Floats, Indices
    from tcpvitals.model.rtt import RttInterval


@dataclass(frozen=True, slots=True, eq=False)
class RttPrint(Print[Counters, Distribution]):
    """The histograms of one print.

    `sort` is the column to order groups by, None for the newest and busiest first.
    """

    sort: RttColumn | None = None

    def rows(self) -> list[int]:
        """Return the rows of the groups with samples, clean or not, the most of `sort` first."""
        order = busiest(self.recent, self.cumulative)
        order = order[self.shown.table.counts[order] > 0]
        if self.sort is not None:
            # What is not a number, a percentile of too few samples, comes last.
            order = order[np.argsort(-figures(self.shown.table, self.sort)[order], kind="stable")]
        return [int(row) for row in order]


def figures(table: Counters, column: RttColumn) -> Floats:
    """Return what each group has in a column: float[G], times in microseconds.

    It is nan without samples, or for a percentile of too few.
    """
    if column in PERCENTILES:
        return table.quantiles([PERCENTILES[column]])[:, 0] * table.unit.divisor
    sizes = table.sizes.astype(np.float64)
    if column is RttColumn.COUNT:
        return sizes
    sums = {RttColumn.MIN: table.min_us, RttColumn.MAX: table.max_us, RttColumn.AVG: table.sum_us}
    found = sums[column] / (sizes if column is RttColumn.AVG else 1.0)
    return np.where(sizes > 0, found, np.nan)


def busiest(recent: RttInterval, cumulative: RttInterval) -> Indices:
    """Return rows of groups in the order they deserve to be seen.

    The most samples recently first; idle groups follow, and equals are ordered, by the most
    samples in all, and then by identity so that the order never flickers.  Both intervals are
    of the same snapshot.
    """
    in_all = cumulative.table.counts.astype(np.int64)
    lately = recent.table.counts.astype(np.int64)
    return np.lexsort((recent.table.ids, -in_all, -lately))

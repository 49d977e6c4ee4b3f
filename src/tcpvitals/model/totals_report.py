"""One print of totals: what a sink is given to show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tcpvitals.model.columns import TotalsColumn
from tcpvitals.model.event import Cause
from tcpvitals.model.report import Print
from tcpvitals.model.totals import Totals, TotalsTable

_FIELDS: Final = {
    TotalsColumn.SENT: "segments_sent",
    TotalsColumn.RETRANS: "segments_retransmitted",
    TotalsColumn.RTO: Cause.RTO,
    TotalsColumn.FAST: Cause.FAST,
    TotalsColumn.SLOW: Cause.SLOW_START,
    TotalsColumn.TLP: Cause.TLP,
    TotalsColumn.SYN: Cause.SYN,
    TotalsColumn.SYNACK: Cause.SYNACK,
    TotalsColumn.OTHER: Cause.OTHER,
    TotalsColumn.DSACK: "segments_unnecessary",
}


@dataclass(frozen=True, slots=True, eq=False)
class TotalsPrint(Print[TotalsTable, Totals]):
    """The totals of one print.

    Groups whose retransmission ratio is below `min_ratio` (0 to 1) are left out.  `shows_errors`
    says that the kernel's tracepoint also fires for retransmissions that did not leave this host.
    `sort` is the column to order groups by, None for what hurts most first.
    """

    min_ratio: float
    shows_errors: bool
    sort: TotalsColumn | None = None

    def rows(self) -> list[int]:
        """Return the rows of the groups to show, the most of `sort` first."""
        rows = self.shown.table.worst(self.min_ratio)
        column = self.sort
        if column is None:
            return rows
        figures = {row: self.figure(column, self.shown.table.row(row)) or 0.0 for row in rows}
        return sorted(rows, key=lambda row: -figures[row])

    def figure(self, column: TotalsColumn, totals: Totals) -> float | None:
        """Return what a group has in a column; None if nothing was sent whose ratio it could be."""
        match column:
            case TotalsColumn.RATIO:
                return totals.ratio
            case TotalsColumn.FAILED:
                return self.failed(totals)
            case _:
                return totals[_FIELDS[column]]

    def failed(self, totals: Totals) -> int:
        """Return how many segments did not leave this host.

        Where the tracepoint is silent about them, they are what the kernel counted and we did not
        see.
        """
        seen = totals["segments_failed"]
        return seen if self.shows_errors else seen + totals.without_cause

    def unattributed(self, totals: Totals) -> int:
        """Return how many segments the kernel counted whose cause was not seen."""
        return totals.unattributed(shows_errors=self.shows_errors)

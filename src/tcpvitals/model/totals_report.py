"""One print of totals: what a sink is given to show."""

from __future__ import annotations

from dataclasses import dataclass

from tcpvitals.model.report import Print
from tcpvitals.model.totals import Totals, TotalsTable


@dataclass(frozen=True, slots=True, eq=False)
class TotalsPrint(Print[TotalsTable, Totals]):
    """The totals of one print.

    Groups whose retransmission ratio is below `min_ratio` (0 to 1) are left out.  `shows_errors`
    says that the kernel's tracepoint also fires for retransmissions that did not leave this host.
    """

    min_ratio: float
    shows_errors: bool

    def rows(self) -> list[int]:
        """Return the rows of the groups to show, what hurts most first."""
        return self.shown.table.worst(self.min_ratio)

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

"""Groups and flows at one moment, so that both have the same retransmitted segments.

Programs add to a group and then to a flow, and the two arrays are copied one after the other.  So a
copy counts only if the sums agree: then nothing was added in between.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tcpvitals.kernel.group_table import GroupTable
    from tcpvitals.kernel.vitals_counters import FlowCounters, VitalsCounters
    from tcpvitals.model.vitals import FlowsTable, VitalsTable, VitalsTotal

# A copy takes some microseconds.  A program that was preempted between its two additions takes
# milliseconds: then it pays to wait.
_AT_ONCE, _TRIES, _PAUSE_S = 10, 60, 0.001
_ALL_ONES: Final = 2**64 - 1


class FlowsBesideGroups:
    """The counters of both tables."""

    def __init__(
        self,
        groups: tuple[GroupTable[VitalsTable, VitalsTotal], VitalsCounters],
        flows: tuple[GroupTable[FlowsTable, int], FlowCounters] | None,
    ) -> None:
        """Hold these; without flows there is nothing that must agree."""
        self._groups, self._flows = groups, flows

    def hold(self) -> None:
        """Until the next time, both tables are read as they stand now; sockets were just settled.

        Where additions never pause for as long as a copy takes, the last copy has to do.
        """
        for attempt in range(_TRIES):
            if self._copy():
                return
            if attempt >= _AT_ONCE:
                time.sleep(_PAUSE_S)

    def _copy(self) -> bool:
        """Copy both; whether they agree.  A sum may step back below 0, modulo 2**64."""
        table, counters = self._groups
        groups = counters.hold_totals(table.end)
        groups += table.given_back.totals["segments_retransmitted"]
        if not self._flows:
            return True
        flow_table, flow_counters = self._flows
        flows = flow_counters.hold(flow_table.end) + flow_table.given_back
        return groups & _ALL_ONES == flows & _ALL_ONES

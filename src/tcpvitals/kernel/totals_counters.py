"""The totals where the kernel half keeps them, of groups and of network namespaces, by slot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.kernel.group_table import Held, map_records
from tcpvitals.model.totals import CAUSES, FIELDS, TotalsTable

if TYPE_CHECKING:
    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.kernel.group_table import Records, Slots
    from tcpvitals.kernel.libbpf import Map
    from tcpvitals.model.event import Cause
    from tcpvitals.model.histogram import Counts


class CauseNumbers:
    """Causes by the numbers of `enum cause` in records.h."""

    def __init__(self, layouts: Layouts) -> None:
        """Read the enum."""
        numbers = layouts.enum("cause")
        self.of: Final[dict[Cause, int]] = {
            cause: numbers[f"CAUSE_{cause.name}"] for cause in CAUSES
        }
        self.cause: Final[dict[int, Cause]] = {at: cause for cause, at in self.of.items()}


class TotalsCounters:
    """The totals of one table's groups, by slot."""

    def __init__(self, layouts: Layouts, counters: Map, slots: int) -> None:
        """Map them all: a slot's are less than a cache page's thirtieth."""
        self._causes = CauseNumbers(layouts)
        self._other = layouts.enum("slot")["SLOT_OTHER"]
        self._records = map_records(counters, layouts.struct("retrans_counters"), slots)
        self._held = Held(self._records)

    def read(self, slots: Slots, ids: Counts) -> TotalsTable:
        """The totals of some slots."""
        return TotalsTable(ids, columns(self._held.at(slots), self._causes))

    def hold(self, end: int) -> int:
        """Until the next time, read what slots below `end` have now; their retransmitted segments.

        Those of the slot UNRESOLVED are of no group.
        """
        retransmitted = self._held.hold(end)["segments_retransmitted"]
        return int(retransmitted[self._other :].sum(dtype=np.uint64))

    def move_on(self, slot: int, generation: int) -> None:
        """Nothing to do: programs look a generation up beside the key."""

    def clear(self, slot: int) -> None:
        """Zero a slot's totals."""
        self._records[slot : slot + 1].view(np.uint8)[:] = 0


def columns(records: Records, causes: CauseNumbers) -> Counts:
    """Records of struct retrans_counters as uint64[..., FIELDS]."""
    plain = [records[name] for name in FIELDS[: -len(CAUSES)]]
    by_cause = [records["by_cause"][..., causes.of[cause]] for cause in CAUSES]
    return np.stack([*plain, *by_cause], axis=-1).astype(np.uint64)

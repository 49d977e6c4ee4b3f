"""All that a group counts at once: histograms, its totals, and its open connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tcpvitals.kernel.group_table import Held, map_records
from tcpvitals.kernel.rtt_counters import RttCounters
from tcpvitals.kernel.totals_counters import TotalsCounters
from tcpvitals.model.measurement import Unit
from tcpvitals.model.vitals import FlowsTable, VitalsTable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.kernel.group_table import Slots
    from tcpvitals.kernel.libbpf import Map
    from tcpvitals.kernel.rtt_counters import Shape
    from tcpvitals.model.histogram import Counts
    from tcpvitals.model.measurement import Sample

_U64 = np.dtype([("count", np.uint64)])


class VitalsCounters:
    """The vitals of one loaded object's groups, by slot."""

    def __init__(
        self,
        layouts: Layouts,
        maps: tuple[Map, Map, Map],
        shape: Shape,
        samples: Sequence[Sample],
        histogram_records: int,
    ) -> None:
        """Map them; `maps` are those of histograms, of totals and of open connections.

        Each sample's histogram begins so many records after the one before.
        """
        counters, totals, live = maps
        self._histograms = {
            sample: RttCounters(
                layouts, counters, shape, Unit.US, skipped=number * histogram_records
            )
            for number, sample in enumerate(samples)
        }
        self._totals = TotalsCounters(layouts, totals, shape.slots)
        self._live = map_records(live, _U64, shape.slots)["count"]

    def begin_census(self) -> None:
        """Before the iterator counts what is open: forget what it counted last time."""
        self._live[:] = 0

    def hold_totals(self, end: int) -> int:
        """As `TotalsCounters.hold`."""
        return self._totals.hold(end)

    def read(self, slots: Slots, ids: Counts) -> VitalsTable:
        """The vitals of some slots, in ascending order."""
        histograms = {sample: one.read(slots, ids) for sample, one in self._histograms.items()}
        return VitalsTable(ids, histograms, self._totals.read(slots, ids), self._live[slots])

    def move_on(self, slot: int, generation: int) -> None:
        """Programs compare the generation beside the histograms."""
        for one in self._histograms.values():
            one.move_on(slot, generation)

    def clear(self, slot: int) -> None:
        """Zero all of a slot."""
        for one in self._histograms.values():
            one.clear(slot)
        self._totals.clear(slot)


class FlowCounters:
    """Segments sent again by the flows of one loaded object, by slot."""

    def __init__(self, segments: Map, slots: int) -> None:
        """Map them."""
        records = map_records(segments, _U64, slots)
        self._segments, self._held = records["count"], Held(records)

    def read(self, slots: Slots, ids: Counts) -> FlowsTable:
        """Those of some slots."""
        return FlowsTable(ids, self._held.at(slots)["count"])

    def hold(self, end: int) -> int:
        """Until the next time, read what slots below `end` have now; their sum."""
        return int(self._held.hold(end)["count"].sum(dtype=np.uint64))

    def move_on(self, slot: int, generation: int) -> None:
        """Nothing to do: programs look the slot up each time."""

    def clear(self, slot: int) -> None:
        """Zero a slot."""
        self._segments[slot] = 0

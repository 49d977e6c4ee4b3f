"""The groups' histograms where the kernel half keeps them: sharded by CPU for the first slots."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from tcpvitals.kernel.group_table import map_records
from tcpvitals.model.context import COUNTS, Contexts
from tcpvitals.model.rtt import Counters, believable

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.kernel.group_table import Records, Slots
    from tcpvitals.kernel.libbpf import Map
    from tcpvitals.model.histogram import Counts
    from tcpvitals.model.measurement import Unit

_ALL_ONES: Final = np.uint64(0xFFFF_FFFF)


@dataclass(frozen=True, slots=True)
class Shape:
    """How many slots there are, and how their counters are laid out; as `Plan` has it."""

    slots: int
    shards: int
    sharded_slots: int

    def starts(self, slots: Slots) -> Slots:
        """The first record of each slot (`counters_of` in counters.h)."""
        rest = self.sharded_slots * (self.shards - 1) + slots
        return np.where(slots < self.sharded_slots, slots * self.shards, rest)

    def end(self, slots: int) -> int:
        """How many records the first `slots` slots have."""
        sharded = min(slots, self.sharded_slots)
        return sharded * self.shards + slots - sharded


class RttCounters:
    """The histograms of one loaded object, by slot."""

    def __init__(  # noqa: PLR0913 - the last two by name
        self,
        layouts: Layouts,
        counters: Map,
        shape: Shape,
        unit: Unit,
        *,
        skipped: int = 0,
        with_context: bool = False,
    ) -> None:
        """Map those that every object has; `skipped` records are of other histograms.

        With context, what stands beside clean samples is read, too.
        """
        self._map, self._shape, self._unit, self._skipped = counters, shape, unit, skipped
        self._with_context = with_context
        self._record = layouts.struct("rtt_counters")
        first = layouts.enum("slot")["SLOT_FIRST"]
        self._records = map_records(counters, self._record, shape.end(first + 1), skipped)

    def read(self, slots: Slots, ids: Counts) -> Counters:
        """The counters of some slots, in ascending order, their shards added up."""
        if not len(slots):
            return Counters.empty(self._unit, Contexts.empty() if self._with_context else None)
        self._map_up_to(self._shape.end(int(slots[-1]) + 1))
        sharded = int(np.searchsorted(slots, self._shape.sharded_slots))
        starts = self._shape.starts(slots)
        shards, rest = self._at(starts[:sharded], self._shape.shards), self._at(starts[sharded:], 1)

        def merged(name: str, merge: np.ufunc) -> Counts:
            out = np.empty((len(slots), *self._records[name].shape[1:]), np.uint64)
            merge.reduce(shards[name], axis=1, out=out[:sharded])
            merge.reduce(rest[name], axis=1, out=out[sharded:])
            return out

        counters = Counters(
            ids=ids,
            buckets=merged("buckets", np.add),
            sum_us=merged("sum_us", np.add),
            min_us=_ALL_ONES - merged("min_us_complement", np.maximum),
            max_us=merged("max_us", np.maximum),
            unit=self._unit,
            contexts=_contexts(merged) if self._with_context else None,
        )
        return believable(counters)

    def _at(self, starts: Slots, each: int) -> npt.NDArray[np.void]:
        """So many records from each start on [starts, each]; those of neighbours are not copied."""
        if len(starts) and starts[-1] - starts[0] == each * (len(starts) - 1):
            return self._records[starts[0] : starts[-1] + each].reshape(-1, each)
        records: npt.NDArray[np.void] = self._records[starts[:, np.newaxis] + np.arange(each)]
        return records

    def move_on(self, slot: int, generation: int) -> None:
        """Programs compare the generation beside the counters with that of the socket."""
        self._records_of(slot)["generation"] = generation

    def clear(self, slot: int) -> None:
        """Zero all but the generation, which must not look like an older one for a moment."""
        records = self._records_of(slot)
        for name in self._record.names or ():
            if name != "generation":
                records[name] = 0

    def _records_of(self, slot: int) -> Records:
        start, end = self._shape.end(slot), self._shape.end(slot + 1)
        self._map_up_to(end)
        return self._records[start:end]

    def _map_up_to(self, end: int) -> None:
        """Mapped memory counts as ours: map no more than was handed out, doubling as it grows."""
        if end > len(self._records):
            most = self._shape.end(self._shape.slots)
            length = min(most, max(end, 2 * len(self._records)))
            self._records = map_records(self._map, self._record, length, self._skipped)


def _contexts(merged: Callable[[str, np.ufunc], Counts]) -> Contexts:
    counts = np.stack([merged(name, np.add) for name in COUNTS], axis=-1)
    return Contexts(counts, _ALL_ONES - merged("floor_us_complement", np.maximum))

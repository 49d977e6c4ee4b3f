"""The groups' slots and counters, seen from user space: mapped memory as numpy arrays.

Owns who has which slot: hands out free ones, reads the counters where the kernel left them, takes
back the slots of idle groups when free ones run short.  Knows nothing of programs and hooks.

A slot is taken back in two steps.  First its generation moves on and its key is forgotten, so that
its sockets look for a place of their own at their next segment; what it counted is part of
`retired` from then on.  A while later, when no program can still be at it, it is zeroed and handed
out again.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from tcpvitals.kernel.keys import decode_key
from tcpvitals.model.snapshot import Counters, Distribution, believable

if TYPE_CHECKING:
    from tcpvitals.kernel.btf import Layouts
    from tcpvitals.kernel.libbpf import Map
    from tcpvitals.model.key import Grouping, GroupKey
    from tcpvitals.model.measurement import Unit

Records: TypeAlias = np.ndarray[tuple[int], np.dtype[np.void]]
Slots: TypeAlias = npt.NDArray[np.intp]
Counts: TypeAlias = npt.NDArray[np.uint64]

_ALL_ONES: Final = 0xFFFF_FFFF
# Slots are taken back when fewer than an eighth are free, until a quarter is.
_LOW, _ENOUGH = 8, 4
# A program runs for a microsecond; preempted in the middle, for some milliseconds.
_GRACE_NS: Final = 500_000_000


@dataclass(frozen=True, slots=True)
class TableMaps:
    """The maps of one loaded object that make up the table."""

    groups: Map
    counters: Map
    places: Map
    free_slots: Map


@dataclass(frozen=True, slots=True)
class TableShape:
    """How many slots there are, and how their counters are laid out; as `Plan` has it."""

    slots: int
    shards: int
    sharded_slots: int


@dataclass(frozen=True, slots=True)
class Reading:
    """What the table held at one moment."""

    keys: tuple[GroupKey, ...]
    counters: Counters
    other: Distribution
    retired: Distribution


class GroupTable:
    """The groups of one loaded object."""

    def __init__(  # noqa: PLR0913, PLR0917 - made in one place
        self,
        layouts: Layouts,
        maps: TableMaps,
        shape: TableShape,
        grouping: Grouping,
        unit: Unit,
        idle_limit_ns: int,
    ) -> None:
        """Map the groups and fill the queue of free slots; before anything is attached.

        Groups without a sample for `idle_limit_ns` may lose their slot when slots run short.
        """
        slot = layouts.enum("slot")
        self._other, self._first = slot["SLOT_OTHER"], slot["SLOT_FIRST"]
        self._maps, self._shape = maps, shape
        self._grouping, self._unit = grouping, unit
        self._idle_limit_ns = idle_limit_ns
        self._groups = _map_records(maps.groups, layouts.struct("group"), shape.slots)
        self._record = layouts.struct("rtt_counters")
        self._counters = _map_records(maps.counters, self._record, self._end(self._first + 1))
        self._keys: dict[tuple[int, int], GroupKey] = {}
        self._last_counts = np.zeros(shape.slots, np.uint64)
        self._active_ns = np.zeros(shape.slots, np.int64)
        self._leaving: Slots = np.zeros(0, np.intp)
        self._left_ns = 0
        self._retired = Distribution.empty()
        self._give_first_slots()

    @property
    def limit(self) -> int:
        """How many groups there may be."""
        return self._shape.slots - self._first

    def read(self, now_ns: int) -> Reading:
        """All groups' counters at this moment (boot time), and slots taken back where due."""
        used = np.setdiff1d(np.flatnonzero(self._groups["in_use"]), self._leaving)
        counters = self._sum_shards(used)
        other = self._sum_shards(np.array([self._other])).row(0)
        retired = self._retired + self._sum_shards(self._leaving).total()
        reading = Reading(self._decode_keys(used, now_ns), counters, other, retired)
        self._note_activity(used, counters.counts, now_ns)
        if len(self._leaving):
            self._finish_leaving(now_ns)
        else:
            self._start_leaving(used, now_ns)
        return reading

    # --- where records are ---------------------------------------------------------------

    def _starts(self, slots: Slots) -> Slots:
        """The first record of each slot (`counters_of` in counters.h)."""
        shape = self._shape
        rest = shape.sharded_slots * (shape.shards - 1) + slots
        return np.where(slots < shape.sharded_slots, slots * shape.shards, rest)

    def _end(self, slots: int) -> int:
        """How many records the first `slots` slots have."""
        shape = self._shape
        sharded = min(slots, shape.sharded_slots)
        return sharded * shape.shards + slots - sharded

    def _records_of(self, slot: int) -> Records:
        start, end = self._end(slot), self._end(slot + 1)
        self._map_up_to(end)
        return self._counters[start:end]

    def _map_up_to(self, end: int) -> None:
        """Mapped memory counts as ours: map no more than was handed out, doubling as it grows."""
        if end > len(self._counters):
            most = self._end(self._shape.slots)
            length = min(most, max(end, 2 * len(self._counters)))
            self._counters = _map_records(self._maps.counters, self._record, length)

    # --- reading -------------------------------------------------------------------------

    def _sum_shards(self, slots: Slots) -> Counters:
        """The counters of some slots, in ascending order, their shards added up."""
        if not len(slots):
            return Counters.empty()
        self._map_up_to(self._end(int(slots[-1]) + 1))
        sharded = int(np.searchsorted(slots, self._shape.sharded_slots))
        starts = self._starts(slots)
        first, rest = starts[:sharded], self._counters[starts[sharded:]]
        shards = self._counters[first[:, np.newaxis] + np.arange(self._shape.shards)]
        buckets = np.concatenate([shards["buckets"].sum(axis=1), rest["buckets"]])
        sums = np.concatenate([shards["sum_us"].sum(axis=1), rest["sum_us"]])
        highs = np.concatenate([shards["max_us"].max(axis=1), rest["max_us"]])
        lows = np.concatenate([shards["min_us_complement"].max(axis=1), rest["min_us_complement"]])
        return self._as_counters(slots, buckets, sums, lows, highs)

    def _as_counters(
        self, slots: Slots, buckets: Counts, sums: Counts, lows: Counts, highs: Counts
    ) -> Counters:
        generations = self._groups["generation"][slots].astype(np.uint64)
        counters = Counters(
            ids=slots.astype(np.uint64) << np.uint64(32) | generations,
            buckets=buckets,
            sum_us=sums,
            min_us=(_ALL_ONES - lows).astype(np.uint64),
            max_us=highs.astype(np.uint64),
        )
        return believable(counters, self._unit)

    def _decode_keys(self, used: Slots, now_ns: int) -> tuple[GroupKey, ...]:
        """Decoded once in a group's life, which begins as active."""
        generations = self._groups["generation"][used].tolist()
        names = list(zip(used.tolist(), generations, strict=True))
        fresh = {
            name: decode_key(self._groups["key"][name[0]], self._grouping)
            for name in names
            if name not in self._keys
        }
        self._active_ns[[slot for slot, _ in fresh]] = now_ns
        self._keys = {name: fresh.get(name) or self._keys[name] for name in names}
        return tuple(self._keys.values())

    # --- handing out and taking back -----------------------------------------------------

    def _give_first_slots(self) -> None:
        if not self._grouping.fields:
            self._groups["in_use"][self._first] = 1  # the whole host needs no looking up
            return
        for slot in range(self._first, self._shape.slots):
            self._give(slot)

    def _give(self, slot: int) -> None:
        self._maps.free_slots.update(b"", slot.to_bytes(4, "little"))

    def _note_activity(self, used: Slots, counts: Counts, now_ns: int) -> None:
        active = used[counts != self._last_counts[used]]
        self._active_ns[active] = now_ns
        self._last_counts[used] = counts

    def _start_leaving(self, used: Slots, now_ns: int) -> None:
        free = self.limit - len(used)
        if not self._grouping.fields or free * _LOW >= self.limit:
            return
        idle = used[now_ns - self._active_ns[used] >= self._idle_limit_ns]
        longest_first = idle[np.argsort(self._active_ns[idle], kind="stable")]
        self._leaving = np.sort(longest_first[: max(1, self.limit // _ENOUGH - free)])
        self._left_ns = now_ns
        for slot in self._leaving.tolist():
            self._move_on(slot)
            self._maps.places.delete(self._groups["key"][slot].tobytes())

    def _move_on(self, slot: int) -> None:
        generation = int(self._groups["generation"][slot]) + 1 & _ALL_ONES
        self._groups["generation"][slot] = generation
        self._records_of(slot)["generation"] = generation

    def _finish_leaving(self, now_ns: int) -> None:
        if now_ns - self._left_ns < _GRACE_NS:
            return
        self._retired += self._sum_shards(self._leaving).total()
        for slot in self._leaving.tolist():
            self._clear(slot)
            self._give(slot)
        self._leaving = np.zeros(0, np.intp)
        self._move_on(self._other)  # its sockets may now find a slot of their own

    def _clear(self, slot: int) -> None:
        """Zero all but the generation, which must not look like an older one for a moment."""
        records = self._records_of(slot)
        for name in self._record.names or ():
            if name != "generation":
                records[name] = 0
        self._groups["in_use"][slot] = 0
        self._last_counts[slot] = 0


def _map_records(source: Map, record: np.dtype[np.void], length: int) -> Records:
    memory = mmap.mmap(source.fd, length * record.itemsize)
    return np.frombuffer(memory, record, length)

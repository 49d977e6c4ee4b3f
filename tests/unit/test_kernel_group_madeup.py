"""Does to memory what the BPF programs do, so that the table can be read without a kernel."""

from __future__ import annotations

import mmap
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from test_kernel_madeup import FakeMap, layouts

from tcpvitals.kernel.group_table import GroupTable, Reading, TableMaps
from tcpvitals.kernel.rtt_counters import RttCounters, Shape
from tcpvitals.model.histogram import bucket_index
from tcpvitals.model.key import Field, Grouping
from tcpvitals.model.measurement import Unit
from tcpvitals.model.snapshot import Counters, Distribution, Snapshot

if TYPE_CHECKING:
    from typing import Self

SECOND = 1_000_000_000
GRACE = SECOND // 2
IDLE = 60 * SECOND
BY_PORT = Grouping((Field.LPORT,))
UNRESOLVED, OTHER, FIRST = 0, 1, 2
ALL_ONES = 0xFFFFFFFF


class Places(FakeMap):
    """The hash of keys to slots and generations."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__("places")
        self.of_key: dict[bytes, tuple[int, int]] = {}

    def delete(self, key: bytes) -> bool:
        """Forget a key."""
        super().delete(key)
        return self.of_key.pop(key, None) is not None


@dataclass
class Segment:
    """A program that found its record, and has yet to count there."""

    record: int
    value_us: int
    since_ns: int


@dataclass
class MadeUpPrograms:
    """The programs of one loaded object, its sockets, and the table that reads them.

    A socket's local port is its number, so each socket has a group of its own; without grouping
    all share one.  `samples` is the truth, `landed` what has been counted so far.
    """

    shape: Shape
    grouping: Grouping = BY_PORT
    now_ns: int = 100 * SECOND
    sockets: dict[int, tuple[int, int]] = field(default_factory=dict)
    stalled: list[Segment] = field(default_factory=list)
    landed: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the maps, and the table that reads them."""
        group, record = layouts().struct("group"), layouts().struct("rtt_counters")
        slots = self.shape.slots
        records = slots + self.shape.sharded_slots * (self.shape.shards - 1)
        self.places, self.free = Places(), FakeMap("free_slots")
        self._memory = FakeMap("groups", slots * group.itemsize)
        self._counter_memory = FakeMap("counters", records * record.itemsize)
        self.groups = np.frombuffer(mmap.mmap(self._memory.fd, self._memory.size), group)
        counters = mmap.mmap(self._counter_memory.fd, self._counter_memory.size)
        self.counters = np.frombuffer(counters, record)
        maps = TableMaps(self._memory, self.places, self.free)
        store = RttCounters(layouts(), self._counter_memory, self.shape, Unit.US)
        self.table: GroupTable[Counters, Distribution] = GroupTable(
            layouts(), maps, slots, self.grouping, store, IDLE
        )

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the maps."""
        self._memory.close()
        self._counter_memory.close()

    # --- what happens in the kernel ------------------------------------------------------

    def segment(self, socket: int, value_us: int, cpu: int = 0, times: int = 1) -> None:
        """Let a segment arrive and be counted."""
        record = self._record(socket, cpu)
        for _ in range(times):
            self._land(record, value_us)

    def stall(self, socket: int, value_us: int, cpu: int = 0) -> None:
        """Let a segment arrive, and its program be preempted just before it counts."""
        self.stalled.append(Segment(self._record(socket, cpu), value_us, self.now_ns))

    def pass_time(self, seconds: float) -> None:
        """Let time pass; no program is preempted for as long as the grace period."""
        self.now_ns += round(seconds * SECOND)
        late = [s for s in self.stalled if self.now_ns - s.since_ns >= GRACE]
        self.stalled = [s for s in self.stalled if s not in late]
        for segment in late:
            self._land(segment.record, segment.value_us)

    def _record(self, socket: int, cpu: int) -> int:
        """`count_group` of rtt.h up to where it counts."""
        if not self.grouping.fields:
            return self._index(FIRST, cpu)
        slot, generation = self.sockets.get(socket, (UNRESOLVED, 0))
        moved_on = self.counters["generation"][self._index(slot, cpu)] != generation
        if slot == UNRESOLVED or moved_on:
            slot, generation = self.sockets[socket] = self._place(socket)
        return self._index(slot, cpu)

    def _place(self, socket: int) -> tuple[int, int]:
        """`place_of_key` and `add_group` of groups.h."""
        key = np.zeros(1, layouts().struct("group_key"))
        key["lport"] = socket
        place = self.places.of_key.get(key.tobytes())
        if place:
            return place
        if not self.free.pushed:
            return OTHER, int(self.groups["generation"][OTHER])
        slot = self.free.pushed.pop(0)
        self.groups["key"][slot] = key[0]
        place = slot, int(self.groups["generation"][slot])
        self.places.of_key[key.tobytes()] = place
        self.groups["in_use"][slot] = 1
        return place

    def _index(self, slot: int, cpu: int) -> int:
        """`counters_of` of counters.h."""
        shape = self.shape
        if slot < shape.sharded_slots:
            return slot * shape.shards + cpu % shape.shards
        return shape.sharded_slots * (shape.shards - 1) + slot

    def _land(self, record: int, value_us: int) -> None:
        """`add_sample` of counters.h."""
        to = self.counters
        to["buckets"][record, int(bucket_index(value_us))] += 1
        to["sum_us"][record] += value_us
        to["max_us"][record] = max(int(to["max_us"][record]), value_us)
        complement = int(to["min_us_complement"][record])
        to["min_us_complement"][record] = max(complement, ALL_ONES - value_us)
        self.landed.append(value_us)

    # --- what user space sees ------------------------------------------------------------

    def read(self) -> Reading[Counters, Distribution]:
        """Read the table now."""
        return self.table.read(self.now_ns)

    def snapshot(self) -> Snapshot:
        """Read the table now, as `LiveRtt` does."""
        reading = self.read()
        return Snapshot(
            taken_ns=self.now_ns,
            keys=reading.keys,
            counters=reading.figures,
            other=reading.other,
            retired=reading.retired,
            losses={},
            groups_limit=self.table.limit,
            unit=Unit.US,
        )


def programs(limit: int, shards: int = 1, grouping: Grouping = BY_PORT) -> MadeUpPrograms:
    """Return programs with room for so many groups, the first of which have shards."""
    slots = limit + FIRST
    return MadeUpPrograms(Shape(slots, shards, min(slots, 4)), grouping)


def test_the_made_up_programs_count_as_they_should() -> None:
    with programs(limit=2, shards=2) as made_up:
        made_up.segment(socket=7, value_us=20, cpu=1)
        made_up.segment(socket=8, value_us=30)
        made_up.segment(socket=9, value_us=40)
        assert made_up.sockets == {7: (2, 0), 8: (3, 0), 9: (OTHER, 0)}
        assert made_up.counters["sum_us"].tolist() == [0, 0, 40, 0, 0, 20, 30, 0]
        assert made_up.landed == [20, 30, 40]

"""Does to memory what the BPF programs do, so that the table can be read without a kernel."""

from __future__ import annotations

import mmap
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from test_kernel_madeup import FakeMap, layouts

from tcpvitals.kernel.group_table import GroupTable, TableMaps
from tcpvitals.kernel.rtt_counters import RttCounters, Shape
from tcpvitals.model.histogram import bucket_index
from tcpvitals.model.key import Field, Grouping
from tcpvitals.model.measurement import Unit
from tcpvitals.model.rtt import Counters, Distribution
from tcpvitals.model.snapshot import Snapshot
from tcpvitals.model.totals import Totals, TotalsTable

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from tcpvitals.kernel.group_table import Reading, Records, Store

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


_Table = TypeVar("_Table", Counters, TotalsTable)
_Total = TypeVar("_Total", Distribution, Totals)


class Programs(ABC, Generic[_Table, _Total]):
    """The programs of one loaded object, its sockets, and the table that reads them.

    A socket's local port is its number, so each socket has a group of its own; without grouping
    all share one.
    """

    def __init__(self, slots: int, grouping: Grouping) -> None:
        """Make the groups' maps, and the table."""
        self.slots, self.grouping, self.now_ns = slots, grouping, 100 * SECOND
        self.sockets: dict[int, tuple[int, int]] = {}
        self._stalled: list[tuple[int, Callable[[], None]]] = []
        self._opened: list[FakeMap] = []
        self.places, self.free = Places(), FakeMap("free_slots")
        groups, self.groups = self.array("groups", slots, layouts().struct("group"))
        maps = TableMaps(groups, self.places, self.free)
        self.table: GroupTable[_Table, _Total] = GroupTable(
            layouts(), maps, slots, grouping, self.store(), IDLE
        )

    @abstractmethod
    def store(self) -> Store[_Table]:
        """Make the maps that the programs count in, and what reads them."""

    def array(self, name: str, length: int, record: np.dtype[np.void]) -> tuple[FakeMap, Records]:
        """Make a map of so many records, and what the programs see of it."""
        made = FakeMap(name, length * record.itemsize)
        self._opened.append(made)
        return made, np.frombuffer(mmap.mmap(made.fd, made.size), record)

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the maps."""
        for one in self._opened:
            one.close()

    # --- what happens in the kernel ------------------------------------------------------

    def preempted(self, rest: Callable[[], None]) -> None:
        """Let a program be preempted just before it does the rest."""
        self._stalled.append((self.now_ns, rest))

    def pass_time(self, seconds: float) -> None:
        """Let time pass; no program is preempted for as long as the grace period."""
        self.now_ns += round(seconds * SECOND)
        before, self._stalled = self._stalled, []
        for since_ns, rest in before:
            if self.now_ns - since_ns >= GRACE:
                rest()
            else:
                self._stalled.append((since_ns, rest))

    def place(self, socket: int) -> tuple[int, int]:
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

    # --- what user space sees ------------------------------------------------------------

    def read(self) -> Reading[_Table, _Total]:
        """Read the table now."""
        return self.table.read(self.now_ns)

    def snapshot(self) -> Snapshot[_Table, _Total]:
        """Read the table now, as the sources do."""
        reading = self.read()
        return Snapshot(
            taken_ns=self.now_ns,
            keys=reading.keys,
            table=reading.figures,
            other=reading.other,
            retired=reading.retired,
            losses={},
            groups_limit=self.table.limit,
        )


class MadeUpPrograms(Programs[Counters, Distribution]):
    """The programs that take samples; `landed` is the truth: what has been counted so far."""

    def __init__(self, shape: Shape, grouping: Grouping = BY_PORT) -> None:
        """Make the maps, and the table that reads them."""
        self.shape = shape
        self.landed: list[int] = []
        super().__init__(shape.slots, grouping)

    def store(self) -> RttCounters:
        """Make the histograms."""
        records = self.slots + self.shape.sharded_slots * (self.shape.shards - 1)
        record = layouts().struct("rtt_counters")
        memory, self.counters = self.array("counters", records, record)
        return RttCounters(layouts(), memory, self.shape, Unit.US)

    def segment(self, socket: int, value_us: int, cpu: int = 0) -> None:
        """Let a segment arrive and be counted."""
        self._land(self._record(socket, cpu), value_us)

    def stall(self, socket: int, value_us: int, cpu: int = 0) -> None:
        """Let a segment arrive, and its program be preempted just before it counts."""
        self.preempted(partial(self._land, self._record(socket, cpu), value_us))

    def _record(self, socket: int, cpu: int) -> int:
        """`count_group` of rtt.h up to where it counts."""
        if not self.grouping.fields:
            return self._index(FIRST, cpu)
        slot, generation = self.sockets.get(socket, (UNRESOLVED, 0))
        moved_on = self.counters["generation"][self._index(slot, cpu)] != generation
        if slot == UNRESOLVED or moved_on:
            slot, _ = self.sockets[socket] = self.place(socket)
        return self._index(slot, cpu)

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

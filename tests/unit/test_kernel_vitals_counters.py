"""All that a group counts at once, in memory as the programs write it."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_kernel_group_madeup import FIRST, IDLE, OTHER, SECOND, Places
from test_kernel_madeup import FakeMap, host, layouts

from tcpvitals.kernel.group_table import GroupTable, TableMaps
from tcpvitals.kernel.plan import Plan, make_plan
from tcpvitals.kernel.rtt_counters import Shape
from tcpvitals.kernel.vitals_counters import FlowCounters, VitalsCounters
from tcpvitals.model.key import Field, Grouping
from tcpvitals.model.measurement import Sample
from tcpvitals.model.vitals import ENDS, VitalsTable, VitalsTotal

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMIT = 8
BY_PORT = Grouping((Field.LPORT,))
SAMPLES = (Sample.SRTT, Sample.RTT, Sample.NETWORK)
RECORD = layouts().struct("rtt_counters")
TOTALS = layouts().struct("retrans_counters")
GROUP = layouts().struct("group")


def plan() -> Plan:
    """Return the plan of a host of four CPUs."""
    return make_plan(host(), None, LIMIT)


@dataclass
class Memory:
    """The maps, and what the programs see of them."""

    maps: tuple[FakeMap, FakeMap, FakeMap]
    histograms: np.ndarray[tuple[int], np.dtype[np.void]]
    totals: np.ndarray[tuple[int], np.dtype[np.void]]
    live: np.ndarray[tuple[int], np.dtype[np.uint64]]
    counters: VitalsCounters


@pytest.fixture
def memory() -> Iterator[Memory]:
    """Return memory for the vitals of all slots."""
    chosen = plan()
    apart = chosen.histogram_records(RECORD.itemsize)
    maps = (
        FakeMap("counters", 3 * apart * RECORD.itemsize),
        FakeMap("retrans_counters", chosen.slots * TOTALS.itemsize),
        FakeMap("live", chosen.slots * 8),
    )
    seen = [mmap.mmap(one.fd, one.size) for one in maps]
    shape = Shape(chosen.slots, chosen.shards, chosen.sharded_slots)
    yield Memory(
        maps,
        np.frombuffer(seen[0], RECORD),
        np.frombuffer(seen[1], TOTALS),
        np.frombuffer(seen[2], np.uint64),
        VitalsCounters(layouts(), maps, shape, SAMPLES, apart),
    )
    for one in maps:
        one.close()


def read(memory: Memory, slot: int) -> VitalsTable:
    """Return the vitals of one slot."""
    return memory.counters.read(np.array([slot]), np.array([7], np.uint64))


def test_each_histogram_begins_at_a_page_after_all_records_of_the_one_before() -> None:
    apart = plan().histogram_records(RECORD.itemsize)
    assert apart >= plan().counter_records
    assert apart * RECORD.itemsize % mmap.ALLOCATIONGRANULARITY == 0
    assert (apart - plan().counter_records) * RECORD.itemsize < 64 * mmap.ALLOCATIONGRANULARITY


def test_a_slots_histograms_are_those_of_its_shards_in_the_order_of_the_samples(
    memory: Memory,
) -> None:
    apart, shards = plan().histogram_records(RECORD.itemsize), plan().shards
    for number in range(3):
        for shard in range(shards):
            record = memory.histograms[number * apart + FIRST * shards + shard]
            record["buckets"][10] = 100 * (number + 1) + shard
    table = read(memory, FIRST)
    counts = [int(table.histograms[sample].counts[0]) for sample in SAMPLES]
    assert counts == [shards * 100 * n + sum(range(shards)) for n in (1, 2, 3)]


def test_a_new_census_forgets_the_old_one(memory: Memory) -> None:
    memory.live[FIRST] = 3
    assert int(read(memory, FIRST).live[0]) == 3
    memory.counters.begin_census()
    assert memory.live.sum() == 0


def test_a_slot_that_is_cleared_has_nothing_but_its_generation(memory: Memory) -> None:
    memory.counters.move_on(FIRST, 5)
    for name in ("segments_sent", "connections_opened"):
        memory.totals[name][FIRST] = 9
    memory.histograms["buckets"][:, 3] = 1
    memory.counters.clear(FIRST)
    total = read(memory, FIRST).total()
    assert total.totals.values.sum() == 0
    assert [one.count for one in total.histograms.values()] == [0, 0, 0]
    apart, shards = plan().histogram_records(RECORD.itemsize), plan().shards
    places = [number * apart + FIRST * shards for number in range(3)]
    assert memory.histograms["generation"][places].tolist() == [5, 5, 5]
    assert read(memory, OTHER).histograms[Sample.SRTT].counts[0] == shards


def test_a_group_with_open_connections_keeps_its_slot_however_idle(memory: Memory) -> None:
    slots = plan().slots
    groups, places, free = FakeMap("groups", slots * GROUP.itemsize), Places(), FakeMap("free")
    seen = np.frombuffer(mmap.mmap(groups.fd, groups.size), GROUP)
    table: GroupTable[VitalsTable, VitalsTotal] = GroupTable(
        layouts(), TableMaps(groups, places, free), slots, BY_PORT, memory.counters, IDLE
    )
    for slot in range(FIRST, slots):
        seen["key"]["lport"][slot] = slot
        seen["in_use"][slot] = 1
    memory.live[FIRST] = 1
    now_ns = 100 * SECOND
    for _ in range(10):
        reading = table.read(now_ns)
        now_ns += IDLE
    assert [key.lport for key in reading.keys][:2] == [FIRST, FIRST + 3]
    groups.close()


def test_flows_are_counted_by_slot_and_forgotten_with_it() -> None:
    segments = FakeMap("flow_segments", 5 * 8)
    seen = np.frombuffer(mmap.mmap(segments.fd, segments.size), np.uint64)
    flows = FlowCounters(segments, 5)
    seen[:] = [0, 7, 1, 2, 3]
    table = flows.read(np.array([2, 4]), np.array([20, 40], np.uint64))
    assert table.segments.tolist() == [1, 3]
    assert table.total() == 4
    flows.clear(4)
    assert seen.tolist() == [0, 7, 1, 2, 0]
    assert ENDS.fields == (Field.LADDR, Field.RADDR, Field.LPORT, Field.RPORT)
    segments.close()

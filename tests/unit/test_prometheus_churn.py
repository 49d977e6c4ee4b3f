"""An hour of groups and flows that come and go: nothing is lost, and no counter goes backwards."""

from __future__ import annotations

import mmap
import random
from collections import Counter
from dataclasses import dataclass, replace
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from prometheus_madeup import HOST, SECOND, USUAL, edges, options, shown, snapshot
from test_kernel_group_madeup import Places
from test_kernel_madeup import FakeMap, host, layouts

from tcpvitals.kernel.group_table import GroupTable, TableMaps
from tcpvitals.kernel.plan import NO_GROUPS, make_plan
from tcpvitals.kernel.rtt_counters import Shape
from tcpvitals.kernel.totals_counters import CauseNumbers
from tcpvitals.kernel.vitals_counters import FlowCounters, VitalsCounters
from tcpvitals.model.event import Cause
from tcpvitals.model.histogram import bucket_index
from tcpvitals.model.measurement import USUAL_HISTOGRAMS
from tcpvitals.model.vitals import (
    ENDS,
    FlowsSnapshot,
    VitalsSnapshot,
)
from tcpvitals.sinks.prometheus import Exposition

if TYPE_CHECKING:
    from typing import Self

    from tcpvitals.kernel.group_table import Store
    from tcpvitals.model.key import Grouping

GROUPS: Final = 64
FLOWS: Final = 64
FLOWS_SHOWN: Final = 16
REFRESH_S: Final = 5
REFRESHES: Final = 720
QUIET: Final = 13
# In the first part somebody looks at every refresh, and then at one in three.
ASKED_OFTEN: Final = 180
IDLE_S: Final = 30
ARRIVALS: Final = 8
PEERS: Final = 20_000
EDGES_S: Final = (0.001, 0.01, 0.1)
HISTOGRAMS: Final = (
    "tcpvitals_rtt_seconds",
    "tcpvitals_network_rtt_seconds",
)
# What steps back for a moment, or waits for a cause, is exact only once it is quiet again.
LATE: Final = ("tcpvitals_sent_segments_total", "tcpvitals_retransmitted_segments_total")
GROWING: Final = ("_total", "_bucket", "_count", "_sum")


def seen(memory: FakeMap, record: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401 - whatever is a dtype
    """Map memory as the programs do."""
    return np.frombuffer(mmap.mmap(memory.fd, memory.size), record)


class MadeUpTable:
    """The slots of groups or flows, and what `place_of_key` of groups.h does to them."""

    def __init__(self, slots: int, grouping: Grouping, store: Store[Any]) -> None:
        """Make the maps, and the table that reads them."""
        self.places, self.free = Places(), FakeMap("free_slots")
        self.memory = FakeMap("groups", slots * layouts().struct("group").itemsize)
        self.groups = seen(self.memory, layouts().struct("group"))
        maps = TableMaps(self.memory, self.places, self.free)
        self.table: GroupTable[Any, Any] = GroupTable(
            layouts(), maps, slots, grouping, store, IDLE_S * SECOND
        )

    def place(self, key: np.void) -> int:
        """Return the slot of a key, which gets one if there is a free one."""
        name = key.tobytes()
        known = self.places.of_key.get(name)
        if known:
            return known[0]
        if not self.free.pushed:
            return 1
        slot = self.free.pushed.pop(0)
        self.groups["key"][slot] = key
        self.places.of_key[name] = slot, int(self.groups["generation"][slot])
        self.groups["in_use"][slot] = 1
        return slot


@dataclass
class Peer:
    """Connections to one address until a tick.

    `back` is what a counter stepped back by, `unexplained` what has no cause yet, in which slot.
    """

    group: np.void
    flow: np.void
    ends: int
    connections: int
    back: int = 0
    unexplained: tuple[int, int] = 0, 0


def peer(number: int, ends: int, connections: int) -> Peer:
    """Return connections to the address of that number."""
    group, flow = np.zeros(2, layouts().struct("group_key"))
    remote = int.from_bytes(IPv4Address(0x0A000001 + (number << 8)).packed, "little")
    for key in (group, flow):
        key["family"], key["raddr"]["words_be"][0] = 4, remote
    group["raddr"]["words_be"][0] = remote & 0xFFFFFF  # the prefix
    group["netns_inode"], group["service_port"], group["role_scope"] = HOST, 443, 1 + number % 2
    flow["laddr"]["words_be"][0], flow["rport"] = 0x0100000A, 443
    return Peer(group, flow, ends, connections)


class MadeUpHost:
    """A kernel half, what it counts, and `truth`: all that was ever counted, by metric."""

    def __init__(self) -> None:
        """Begin with nothing."""
        plan, record = make_plan(host(), None, GROUPS), layouts().struct("rtt_counters")
        self._apart = plan.histogram_records(record.itemsize)
        self._shape = Shape(plan.slots, plan.shards, plan.sharded_slots)
        totals = layouts().struct("retrans_counters")
        self.maps = (
            FakeMap("counters", len(USUAL_HISTOGRAMS) * self._apart * record.itemsize),
            FakeMap("retrans_counters", plan.slots * totals.itemsize),
            FakeMap("live", plan.slots * 8),
            FakeMap("flow_segments", (FLOWS + NO_GROUPS) * 8),
        )
        histograms, counters, live, segments = self.maps
        self._store = VitalsCounters(
            layouts(), (histograms, counters, live), self._shape, USUAL_HISTOGRAMS, self._apart
        )
        self.groups = MadeUpTable(plan.slots, USUAL, self._store)
        flows = FLOWS + NO_GROUPS
        self.flows = MadeUpTable(flows, ENDS, FlowCounters(segments, flows))
        self._histograms, self._totals = seen(histograms, record), seen(counters, totals)
        self._live, self._segments = seen(live, np.uint64), seen(segments, np.uint64)
        self._causes = CauseNumbers(layouts()).of
        self.truth: Counter[str] = Counter()

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Close the maps."""
        for one in (*self.maps, self.groups.memory, self.flows.memory):
            one.close()

    # --- what happens in the kernel ------------------------------------------------------

    def count(self, slot: int, field: str, by: int) -> None:
        """Add to one of the totals."""
        self._totals[field][slot : slot + 1] += np.int64(by).astype(np.uint64)

    def samples(self, slot: int, value_us: int, times: int, cpu: int) -> None:
        """Count so many of the same value, in each histogram."""
        at, bucket = self._shape.end(slot), int(bucket_index(value_us))
        if slot < self._shape.sharded_slots:
            at += cpu % self._shape.shards
        for number, name in enumerate(HISTOGRAMS):
            to, record = self._histograms, number * self._apart + at
            to["buckets"][record, bucket] += times
            to["sum_us"][record] += np.uint64(value_us * times)
            to["max_us"][record] = max(int(to["max_us"][record]), value_us)
            complement = max(int(to["min_us_complement"][record]), 0xFFFFFFFF - value_us)
            to["min_us_complement"][record] = complement
            self.truth[f"{name}_count"] += times

    def send(self, slot: int, segments: int) -> None:
        """Send new data."""
        self.count(slot, "segments_sent", segments)
        self.count(slot, "bytes_sent", 1000 * segments)
        self.truth["tcpvitals_sent_segments_total"] += segments
        self.truth["tcpvitals_sent_bytes_total"] += 1000 * segments

    def send_again(self, slot: int, flow: int, segments: int) -> None:
        """Count segments that were sent again; why is told by `explain`."""
        self.count(slot, "segments_retransmitted", segments)
        self._segments[flow] += np.uint64(segments)
        self.truth["tcp_retransmissions_total"] += segments
        self.truth["tcpvitals_retransmitted_segments_total"] += segments

    def explain(self, slot: int, cause: Cause, segments: int) -> None:
        """Tell why so many were."""
        self._totals["by_cause"][slot, self._causes[cause]] += np.uint64(segments)

    def open(self, slot: int, connections: int) -> None:
        """Open connections."""
        self.count(slot, "connections_opened", connections)
        self.truth["tcpvitals_connections_opened_total"] += connections

    def close(self, slot: int, connections: int) -> None:
        """Close them."""
        self.count(slot, "connections_closed", connections)
        self.truth["tcpvitals_connections_closed_total"] += connections

    # --- what user space sees ------------------------------------------------------------

    def look(self, now_ns: int, peers: list[Peer]) -> VitalsSnapshot:
        """Read everything, as `LiveVitals` does."""
        self._store.begin_census()
        for peer in peers:
            self._live[self.groups.place(peer.group)] += np.uint64(peer.connections)
        reading = self.groups.table.read(now_ns)
        flows = self.flows.table.read(now_ns)
        return replace(
            snapshot({}),
            taken_ns=now_ns,
            keys=reading.keys,
            table=reading.figures,
            other=reading.other,
            retired=reading.retired,
            groups_limit=self.groups.table.limit,
            flows=FlowsSnapshot(flows.keys, flows.figures, flows.other, flows.retired, FLOWS),
        )


class Traffic:
    """Peers that come, talk and go."""

    def __init__(self, kernel: MadeUpHost, seed: int) -> None:
        """Begin with nobody."""
        self._kernel, self._dice = kernel, random.Random(seed)  # noqa: S311 - dice
        self._remembered: list[Peer] = []
        self.peers: list[Peer] = []
        self.keys: set[bytes] = set()

    def tick(self, now: int, *, arrivals: int = ARRIVALS) -> None:
        """Let a refresh's worth of everything happen."""
        for _ in range(arrivals):
            fresh = self._arrive(now)
            self.keys.add(fresh.group.tobytes())
            self.peers.append(fresh)
        for one in self.peers:
            self._talk(one)
            if now % 2:
                self.explain(one)  # else only after the refresh, which for one group is rare
        self._leave([one for one in self.peers if one.ends <= now])
        self.peers = [one for one in self.peers if one.ends > now]

    def _leave(self, leaving: list[Peer]) -> None:
        for one in leaving:
            self._make_good(one)
            self.explain(one)
            self._kernel.close(self._kernel.groups.place(one.group), one.connections)
        self._remembered += leaving

    def _arrive(self, now: int) -> Peer:
        """Some have been here before."""
        dice = self._dice
        number = dice.randrange(PEERS if dice.random() < 0.8 else ARRIVALS)
        fresh = peer(number, now + dice.randint(0, 8), dice.randint(1, 3))
        self._kernel.open(self._kernel.groups.place(fresh.group), fresh.connections)
        return fresh

    def _talk(self, one: Peer) -> None:
        kernel, dice = self._kernel, self._dice
        self._make_good(one)
        slot = kernel.groups.place(one.group)
        kernel.send(slot, dice.randint(1, 100))
        kernel.samples(slot, dice.randint(10, 1_000_000), dice.randint(1, 9), dice.randrange(4))
        if dice.random() < 0.3:
            segments = dice.randint(1, 5)
            kernel.send_again(slot, kernel.flows.place(one.flow), segments)
            one.unexplained = slot, segments
        if dice.random() < 0.5:
            one.back = dice.randint(1, 9)
            kernel.count(slot, "segments_sent", -one.back)

    def _make_good(self, one: Peer) -> None:
        slot = self._kernel.groups.place(one.group)
        self._kernel.count(slot, "segments_sent", one.back)
        one.back = 0

    def explain(self, one: Peer) -> None:
        """Tell causes, in the slot where the segments were counted a moment earlier."""
        slot, segments = one.unexplained
        self._kernel.explain(slot, self._dice.choice(list(Cause)[:6]), segments)
        one.unexplained = 0, 0

    def stragglers(self) -> list[tuple[int, int]]:
        """Return where programs are about to count for peers that have been gone for long."""
        kernel = self._kernel
        idle, self._remembered = self._remembered[:-40], self._remembered[-200:]
        found = self._dice.sample(idle, min(2, len(idle)))
        return [(kernel.groups.place(one.group), kernel.flows.place(one.flow)) for one in found]

    def land(self, stragglers: list[tuple[int, int]]) -> None:
        """Let them count, whatever became of the slots meanwhile; and causes be told."""
        for one in self.peers:
            self.explain(one)
        for slot, flow in stragglers:
            self._kernel.send(slot, 3)
            self._kernel.samples(slot, 77, 1, 0)
            self._kernel.send_again(slot, flow, 1)
            self._kernel.explain(slot, Cause.RTO, 1)


def exposed(text: str) -> dict[str, float]:
    """Return counters by how their series is written; the official parser is tried elsewhere."""
    lines = (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
    return {
        series: float(value)
        for series, _, value in lines
        if series.partition("{")[0].endswith(GROWING)
    }


def sums(page: dict[str, float]) -> Counter[str]:
    """Return the sum over all series of each name."""
    found: Counter[str] = Counter()
    for series, value in page.items():
        found[series.partition("{")[0]] += int(value)
    return found


def backwards(before: dict[str, float], now: dict[str, float]) -> list[str]:
    """Return the series that are in both and lower now."""
    return [one for one, value in now.items() if value < before.get(one, 0)]


def check_bounds(page: dict[str, float]) -> None:
    """Nothing has more series than it may."""
    series = Counter(one.partition("{")[0] for one in page)
    assert series["tcpvitals_sent_bytes_total"] <= GROUPS + 2
    assert series["tcp_retransmissions_total"] <= FLOWS_SHOWN + 2
    for histogram in HISTOGRAMS:
        assert series[f"{histogram}_bucket"] <= (GROUPS + 2) * (len(EDGES_S) + 1)


def test_in_an_hour_of_churn_slots_are_recycled_and_counters_only_grow() -> None:
    exposition = Exposition(options(edges=edges(*EDGES_S), flows_shown=FLOWS_SHOWN))
    page: dict[str, float] = {}
    with MadeUpHost() as kernel:
        traffic = Traffic(kernel, seed=1)
        for now in range(REFRESHES + QUIET):
            traffic.tick(now, arrivals=ARRIVALS if now < REFRESHES else 0)
            late = traffic.stragglers() if now < REFRESHES else []
            exposition.show(kernel.look((100 + now * REFRESH_S) * SECOND, traffic.peers))
            truth = Counter(kernel.truth)
            traffic.land(late)
            if now < ASKED_OFTEN or now % 3 == 0:
                before, page = page, exposed(shown(exposition))
                assert backwards(before, page) == []
                check_bounds(page)
                found = sums(page)
                assert {one: found[one] for one in truth if one not in LATE} == {
                    one: truth[one] for one in truth if one not in LATE
                }
        assert {one: found[one] for one in LATE} == {one: truth[one] for one in LATE}
        check_churn(kernel, traffic)


def check_churn(kernel: MadeUpHost, traffic: Traffic) -> None:
    """It was an hour worth the name."""
    assert len(traffic.keys) > 3000
    for table, slots in ((kernel.groups, GROUPS), (kernel.flows, FLOWS)):
        generations = table.groups["generation"][NO_GROUPS : NO_GROUPS + slots]
        assert generations.min() >= 10
        assert len(table.places.deleted) == generations.sum() > 1000

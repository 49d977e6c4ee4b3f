"""Totals of groups whose slots change hands: whatever was added is in exactly one place."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernel_group_madeup import BY_PORT, FIRST, UNRESOLVED, Programs
from test_kernel_madeup import layouts

from tcpvitals.kernel.totals_counters import CauseNumbers, TotalsCounters
from tcpvitals.model.event import Cause
from tcpvitals.model.key import Grouping, GroupKey
from tcpvitals.model.snapshot import between
from tcpvitals.model.totals import Totals, TotalsTable

LIMIT = 8
CAUSE = CauseNumbers(layouts()).of


class MadeUpTotals(Programs[TotalsTable, Totals]):
    """The programs that count totals; `landed` is the truth: sent, retransmitted, by cause."""

    def __init__(self, limit: int = LIMIT, grouping: Grouping = BY_PORT) -> None:
        """Make the maps, and the table that reads them."""
        self.limit = limit
        self.landed: dict[str, int] = {}
        super().__init__(limit + FIRST, grouping)

    def store(self) -> TotalsCounters:
        """Make the totals."""
        record = layouts().struct("retrans_counters")
        memory, self.counters = self.array("retrans_counters", self.slots, record)
        return TotalsCounters(layouts(), memory, self.slots)

    def send(self, socket: int, sent: int, again: int = 0, cause: Cause = Cause.RTO) -> None:
        """Let a socket's totals be brought up to date."""
        self._land(self._slot(socket), sent, again, cause)

    def stall(self, socket: int, sent: int, again: int = 0, cause: Cause = Cause.RTO) -> None:
        """Do the same with a program that is preempted just before it adds."""
        self.preempted(partial(self._land, self._slot(socket), sent, again, cause))

    def _slot(self, socket: int) -> int:
        """`totals_slot` of totals.h."""
        if not self.grouping.fields:
            return FIRST
        slot, generation = self.sockets.get(socket, (UNRESOLVED, 0))
        if slot == UNRESOLVED or self.groups["generation"][slot] != generation:
            slot, _ = self.sockets[socket] = self.place(socket)
        return slot

    def _land(self, slot: int, sent: int, again: int, cause: Cause) -> None:
        """`add_step` of totals.h, and the cause."""
        added = {"segments_sent": sent, "segments_retransmitted": again}
        for name, count in added.items():
            self.counters[name][slot] += count
        self.counters["by_cause"][slot, CAUSE[cause]] += again
        for name, count in (*added.items(), (cause.value, again)):
            self.landed[name] = self.landed.get(name, 0) + count


def counted(totals: Totals) -> dict[str, int]:
    """Return what is not 0."""
    names = ("segments_sent", "segments_retransmitted", *Cause)
    return {str(name): totals[name] for name in names if totals[name]}


def fill(made_up: MadeUpTotals) -> None:
    """Give every group there may be something to send, and read, so that they are seen active."""
    for port in range(made_up.limit):
        made_up.send(port, 10, 1, Cause.FAST)
    made_up.read()


def test_a_group_has_the_totals_of_its_sockets_and_no_others() -> None:
    with MadeUpTotals() as made_up:
        made_up.send(443, 100, 3, Cause.TLP)
        made_up.send(80, 7)
        made_up.send(443, 50, 2, Cause.RTO)
        reading = made_up.read()
        assert reading.keys == (GroupKey(lport=443), GroupKey(lport=80))
        assert counted(reading.figures.row(0)) == {
            "segments_sent": 150,
            "segments_retransmitted": 5,
            "tlp": 3,
            "rto": 2,
        }
        assert counted(reading.figures.row(1)) == {"segments_sent": 7}
        assert counted(reading.other) == counted(reading.retired) == {}


def test_what_finds_no_slot_is_counted_as_other() -> None:
    with MadeUpTotals(limit=2) as made_up:
        for port in range(5):
            made_up.send(port, 10 + port)
        reading = made_up.read()
        assert reading.keys == (GroupKey(lport=0), GroupKey(lport=1))
        assert counted(reading.other) == {"segments_sent": 12 + 13 + 14}


def test_the_whole_host_is_one_group_and_never_retired() -> None:
    with MadeUpTotals(limit=1, grouping=Grouping()) as made_up:
        for port in range(3):
            made_up.send(port, 10)
            made_up.pass_time(3600)
            made_up.read()
        reading = made_up.read()
        assert reading.keys == (GroupKey(),)
        assert counted(reading.figures.row(0)) == {"segments_sent": 30}
        assert counted(reading.retired) == {}


def test_groups_that_send_nothing_are_retired_with_all_that_they_sent() -> None:
    with MadeUpTotals() as made_up:
        fill(made_up)
        made_up.pass_time(60)
        made_up.read()
        made_up.pass_time(1)
        reading = made_up.read()
        assert [key.lport for key in reading.keys] == [2, 3, 4, 5, 6, 7]
        assert counted(reading.retired) == {
            "segments_sent": 20,
            "segments_retransmitted": 2,
            "fast": 2,
        }
        assert made_up.free.pushed == [2, 3]


@pytest.mark.parametrize(("sent", "again"), [(1, 0), (0, 1)])
def test_who_sends_anything_new_or_old_is_not_idle(sent: int, again: int) -> None:
    with MadeUpTotals() as made_up:
        fill(made_up)
        made_up.pass_time(59)
        made_up.send(0, sent, again)
        made_up.read()
        made_up.pass_time(1)
        for _ in range(2):
            made_up.read()
            made_up.pass_time(1)
        assert [key.lport for key in made_up.read().keys] == [0, 3, 4, 5, 6, 7]


def test_a_slot_that_is_handed_out_again_starts_at_nothing_under_another_identity() -> None:
    with MadeUpTotals() as made_up:
        fill(made_up)
        [before, *_] = made_up.read().figures.ids.tolist()
        made_up.pass_time(60)
        for _ in range(2):
            made_up.read()
            made_up.pass_time(1)
        made_up.send(99, 5)
        reading = made_up.read()
        assert reading.keys[0] == GroupKey(lport=99)
        assert counted(reading.figures.row(0)) == {"segments_sent": 5}
        assert int(reading.figures.ids[0]) == before + 1


def test_what_a_late_program_adds_to_a_slot_taken_back_is_retired_with_it() -> None:
    with MadeUpTotals() as made_up:
        fill(made_up)
        made_up.pass_time(60)
        made_up.stall(0, 77)
        made_up.read()
        made_up.pass_time(0.6)
        assert counted(made_up.read().retired)["segments_sent"] == 20 + 77
        assert counted(made_up.read().retired)["segments_sent"] == 20 + 77


STEPS = st.tuples(
    st.sampled_from(["send", "send", "stall"]),
    st.integers(0, 2 * LIMIT),
    st.integers(0, 2**31 - 1),
    st.integers(0, 1000),
    st.sampled_from(Cause),
)
READS = st.tuples(st.just("read"), st.sampled_from([0.0, 0.1, 0.3, 0.6, 10.0, 61.0]))


@settings(deadline=None, max_examples=100)
@given(st.lists(st.one_of(STEPS, STEPS, READS), max_size=120))
def test_groups_other_and_retired_are_all_that_was_ever_added(
    steps: list[tuple[Any, ...]],
) -> None:
    with MadeUpTotals() as made_up:
        earlier, seen = made_up.snapshot(), dict(made_up.landed)
        for action, *what in [*steps, ("read", 1.0)]:
            if action != "read":
                getattr(made_up, action)(*what)
                continue
            made_up.pass_time(what[0])
            now = made_up.snapshot()
            truth = {name: count for name, count in made_up.landed.items() if count}
            assert counted(now.total()) == truth
            fresh = {name: count - seen.get(name, 0) for name, count in made_up.landed.items()}
            assert counted(between(now, earlier).total()) == {
                name: count for name, count in fresh.items() if count
            }
            earlier, seen = now, dict(made_up.landed)

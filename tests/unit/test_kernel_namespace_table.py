"""Slots of network namespaces: totals by identity, and what becomes of those that are gone."""

from __future__ import annotations

import mmap
from contextlib import ExitStack
from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_kernel_group_madeup import FIRST, SECOND, Places
from test_kernel_madeup import FakeMap, layouts

from tcpvitals.kernel.group_table import TableMaps
from tcpvitals.kernel.namespace_lives import Seen
from tcpvitals.kernel.namespace_table import NamespaceTable
from tcpvitals.model.namespaces import Netns

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tcpvitals.kernel.group_table import Records

A, A_AGAIN, B = Netns(0xF0000001, 2**63), Netns(0xF0000001, 5), Netns(0xF0000002, 7)
LIMIT = 4


class MadeUpNamespaces:
    """The programs' side of the maps, and the table."""

    def __init__(self, stack: ExitStack) -> None:
        """Make all."""
        slots = LIMIT + FIRST
        self.places, self.free = Places(), FakeMap("free")
        group, counters = layouts().struct("group"), layouts().struct("retrans_counters")
        maps: list[tuple[FakeMap, Records]] = []
        for name, record in (("g", group), ("c", counters), ("h", np.dtype([("held", "<u8")]))):
            made = FakeMap(name, slots * record.itemsize)
            stack.callback(made.close)
            maps.append((made, np.frombuffer(mmap.mmap(made.fd, made.size), record)))
        (groups, self.groups), (totals, self.counters), (held, self.held) = maps
        table = TableMaps(groups, self.places, self.free)
        self.table = NamespaceTable(layouts(), table, totals, held, slots)
        self.now_ns = 0

    def count(self, one: Netns, segments: int) -> None:
        """`namespace_totals` of namespaces.h, and an addition."""
        key = np.zeros(1, layouts().struct("group_key"))
        key["netns_inode"], key["netns_cookie"] = one
        slot, _ = self.places.of_key.get(key.tobytes(), (1, 0))
        if slot == 1 and self.free.pushed:
            slot = self.free.pushed.pop(0)
            self.groups["key"][slot], self.groups["in_use"][slot] = key[0], 1
            self.places.of_key[key.tobytes()] = slot, 0
        self.counters["segments_retransmitted"][slot] += segments

    def look(self, *processes: Netns, held: tuple[int, ...] = ()) -> None:
        """A second later."""

        def mark() -> None:
            self.held["held"][list(held)] = 1

        self.now_ns += SECOND
        self.table.look(Seen(frozenset(processes), frozenset()), mark, self.now_ns)

    def seen(self) -> tuple[dict[Netns, int], int, int, int]:
        """What each has, `other`, `retired`, and how many are gone."""
        found = self.table.read()
        name = "segments_retransmitted"
        each = {one: totals[name] for one, totals in found.each.items()}
        return each, found.other[name], found.retired[name], found.gone


@pytest.fixture
def made_up() -> Iterator[MadeUpNamespaces]:
    """Return made-up namespaces."""
    with ExitStack() as stack:
        yield MadeUpNamespaces(stack)


def test_each_has_its_totals_by_inode_number_and_cookie(made_up: MadeUpNamespaces) -> None:
    for one, segments in ((A, 1), (A_AGAIN, 20), (B, 300), (A, 4000)):
        made_up.count(one, segments)
    assert made_up.seen() == ({A: 4001, A_AGAIN: 20, B: 300}, 0, 0, 0)


def test_the_totals_of_one_that_is_gone_are_retired_and_its_slot_is_used_again(
    made_up: MadeUpNamespaces,
) -> None:
    for one, segments in ((A, 1), (B, 300)):
        made_up.count(one, segments)
    for expected in (({A: 1, B: 300}, 0, 0, 0), ({B: 300}, 0, 1, 1), ({B: 300}, 0, 1, 1)):
        made_up.look(B)
        assert made_up.seen() == expected
    assert FIRST in made_up.free.pushed
    for number in range(3):
        made_up.count(Netns(9, number), 10)
    assert made_up.seen()[1:] == (0, 1, 1)


def test_what_comes_in_the_grace_period_is_retired_too(made_up: MadeUpNamespaces) -> None:
    made_up.count(A, 1)
    made_up.look()
    made_up.look()
    made_up.counters["segments_retransmitted"][FIRST] += 5
    made_up.look()
    assert made_up.seen() == ({}, 0, 6, 1)


def test_one_that_comes_back_has_a_slot_of_its_own_and_nothing_counts_twice(
    made_up: MadeUpNamespaces,
) -> None:
    made_up.count(A, 1)
    made_up.look()
    made_up.look()
    made_up.count(A, 20)
    assert made_up.seen() == ({A: 20}, 0, 1, 1)
    made_up.look(A)
    assert made_up.seen() == ({A: 20}, 0, 1, 1)


def test_one_that_a_socket_holds_stays(made_up: MadeUpNamespaces) -> None:
    made_up.count(A, 1)
    for _ in range(4):
        made_up.look(held=(FIRST,))
    assert made_up.seen() == ({A: 1}, 0, 0, 0)


def test_16600_leave_nothing_but_their_sum(made_up: MadeUpNamespaces) -> None:
    for number in range(16_600 // 2):
        for inode in (1, 2):
            made_up.count(Netns(inode, number), 1)
        made_up.look()
        made_up.look()
    made_up.look()
    assert made_up.seen() == ({}, 0, 16_600, 16_600)
    assert (len(made_up.free.pushed), made_up.places.of_key) == (LIMIT, {})


def test_past_the_limit_they_are_counted_together(made_up: MadeUpNamespaces) -> None:
    for number in range(6):
        made_up.count(Netns(number + 1, 1), 10)
    each, other, _, _ = made_up.seen()
    assert (len(each), other) == (LIMIT, 20)
    assert made_up.table.is_filling

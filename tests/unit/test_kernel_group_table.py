"""Slots: what is read from them, and how they change hands."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from test_kernel_group_madeup import (
    ALL_ONES,
    BY_PORT,
    FIRST,
    OTHER,
    MadeUpPrograms,
    programs,
)
from test_kernel_madeup import layouts

from tcpvitals.kernel.rtt_counters import Shape
from tcpvitals.model.histogram import bucket_index
from tcpvitals.model.key import Grouping, GroupKey
from tcpvitals.model.names import Names

if TYPE_CHECKING:
    from tcpvitals.kernel.group_table import Reading
    from tcpvitals.model.rtt import Counters, Distribution

RECORD_BYTES = layouts().struct("rtt_counters").itemsize
PAGE = 4096


def ports(reading: Reading[Counters, Distribution]) -> list[int | None]:
    """Return the groups' ports, in the order of their slots."""
    return [key.lport for key in reading.keys]


def test_before_the_first_segment_there_is_nothing() -> None:
    with programs(limit=8) as made_up:
        reading = made_up.read()
        assert reading.keys == ()
        assert len(reading.figures) == 0
        assert reading.other.count == reading.retired.count == 0


def test_all_slots_but_those_of_no_group_are_free_at_first_in_order() -> None:
    with programs(limit=5) as made_up:
        assert made_up.free.pushed == [2, 3, 4, 5, 6]
        assert made_up.table.limit == 5


def test_a_group_has_the_samples_of_its_sockets_and_no_others() -> None:
    with programs(limit=8) as made_up:
        for value_us in (10, 1000, 20):
            made_up.segment(443, value_us)
        made_up.segment(80, 7)
        reading = made_up.read()
        assert reading.keys == (GroupKey(lport=443), GroupKey(lport=80))
        first, second = reading.figures.row(0), reading.figures.row(1)
        assert (first.count, first.sum_us, first.min_us, first.max_us) == (3, 1030, 10, 1000)
        assert first.buckets[bucket_index([10, 20, 1000])].tolist() == [1, 1, 1]
        assert (second.count, second.sum_us, second.min_us, second.max_us) == (1, 7, 7, 7)


@pytest.mark.parametrize("shards", [1, 2, 4, 64])
def test_shards_are_added_up_and_their_extremes_compared(shards: int) -> None:
    with programs(limit=8, shards=shards) as made_up:
        for cpu in range(64):
            made_up.segment(443, 100 + cpu, cpu=cpu)
        row = made_up.read().figures.row(0)
        assert (row.count, row.min_us, row.max_us) == (64, 100, 163)
        assert row.sum_us == sum(range(100, 164))


def test_a_shard_without_samples_does_not_become_the_minimum() -> None:
    with programs(limit=8, shards=4) as made_up:
        made_up.segment(443, 5000, cpu=3)
        row = made_up.read().figures.row(0)
        assert (row.min_us, row.max_us) == (5000, 5000)


@pytest.mark.parametrize("value_us", [0, ALL_ONES])
def test_the_smallest_and_the_largest_sample_there_can_be_are_kept(value_us: int) -> None:
    with programs(limit=8) as made_up:
        made_up.segment(443, value_us)
        row = made_up.read().figures.row(0)
        assert (row.count, row.sum_us, row.min_us, row.max_us) == (1, value_us, value_us, value_us)


def test_slots_past_the_sharded_ones_are_read_where_they_are() -> None:
    with MadeUpPrograms(Shape(slots=40, shards=4, sharded_slots=4)) as made_up:
        for port in range(38):
            made_up.segment(port, 1000 + port, cpu=port)
        reading = made_up.read()
        assert ports(reading) == list(range(38))
        assert reading.figures.sum_us.tolist() == [1000 + port for port in range(38)]


def test_the_whole_host_is_one_group_from_the_start() -> None:
    with programs(limit=1, shards=2, grouping=Grouping()) as made_up:
        assert made_up.free.pushed == []
        assert made_up.read().keys == (GroupKey(),)
        made_up.segment(1, 10, cpu=0)
        made_up.segment(2, 30, cpu=1)
        row = made_up.read().figures.row(0)
        assert (row.count, row.sum_us) == (2, 40)


def test_the_whole_host_is_never_retired() -> None:
    with programs(limit=1, grouping=Grouping()) as made_up:
        made_up.segment(1, 10)
        for _ in range(5):
            made_up.read()
            made_up.pass_time(3600)
        reading = made_up.read()
        assert (reading.figures.counts.tolist(), reading.retired.count) == ([1], 0)


def test_what_finds_no_slot_is_counted_as_other() -> None:
    with programs(limit=2) as made_up:
        for port in range(5):
            made_up.segment(port, 10 + port)
        reading = made_up.read()
        assert ports(reading) == [0, 1]
        assert (reading.other.count, reading.other.sum_us) == (3, 12 + 13 + 14)
        assert (reading.other.min_us, reading.other.max_us) == (12, 14)


# --- memory ------------------------------------------------------------------------------


def mapped_bytes() -> int:
    """Return how much of made-up counters is mapped, by the test or by the table."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    areas = (line.split()[0].split("-") for line in lines if "memfd:counters" in line)
    return sum(int(end, 16) - int(start, 16) for start, end in areas)


def test_no_more_is_mapped_than_twice_what_was_handed_out() -> None:
    before = mapped_bytes()
    with MadeUpPrograms(Shape(slots=1002, shards=1, sharded_slots=4)) as made_up:
        by_programs = -(-1002 * RECORD_BYTES // PAGE) * PAGE
        for groups in (1, 10, 100, 1000):
            for port in range(groups):
                made_up.segment(port, 10)
            assert made_up.read().figures.counts.sum() == len(made_up.landed)
            by_table = mapped_bytes() - before - by_programs
            assert groups * RECORD_BYTES <= by_table + PAGE
            assert by_table <= 2 * (groups + FIRST) * RECORD_BYTES + PAGE


# --- taking back -------------------------------------------------------------------------


def fill(made_up: MadeUpPrograms, groups: int) -> None:
    """Give a sample to each of so many groups, and read, so that they are seen active."""
    for port in range(groups):
        made_up.segment(port, 10)
    made_up.read()


def test_idle_groups_keep_their_slots_while_there_are_enough_free_ones() -> None:
    with programs(limit=16) as made_up:
        fill(made_up, 14)
        made_up.pass_time(3600)
        made_up.read()
        assert len(made_up.read().keys) == 14


def test_busy_groups_keep_their_slots_however_few_are_free() -> None:
    with programs(limit=16) as made_up:
        for _ in range(5):
            fill(made_up, 16)
            made_up.pass_time(59)
        reading = made_up.read()
        assert (len(reading.keys), reading.retired.count) == (16, 0)


def test_when_slots_run_short_those_idle_longest_go_until_a_quarter_is_free() -> None:
    with programs(limit=16) as made_up:
        for port in range(16):
            made_up.segment(port, 10)
            made_up.read()
            made_up.pass_time(1)
        made_up.pass_time(3600)
        assert len(made_up.read().keys) == 16  # seen for the last time
        reading = made_up.read()
        assert ports(reading) == list(range(4, 16))
        assert reading.retired.count == 4


def test_a_slot_is_handed_out_again_only_when_no_program_can_still_be_at_it() -> None:
    with programs(limit=16) as made_up:
        fill(made_up, 16)
        made_up.pass_time(60)
        made_up.read()
        assert made_up.free.pushed == []
        made_up.pass_time(0.499)
        made_up.read()
        assert made_up.free.pushed == []
        made_up.pass_time(0.001)
        made_up.read()
        assert made_up.free.pushed == [2, 3, 4, 5]


def test_what_a_late_program_counts_in_a_slot_taken_back_is_retired_with_it() -> None:
    with programs(limit=16) as made_up:
        fill(made_up, 16)
        made_up.pass_time(60)
        made_up.stall(0, 77)
        made_up.read()
        made_up.pass_time(0.6)
        reading = made_up.read()
        assert (reading.retired.count, reading.retired.sum_us) == (5, 4 * 10 + 77)
        assert made_up.read().retired.count == 5


def test_a_slot_taken_back_starts_afresh_under_another_identity() -> None:
    with programs(limit=16) as made_up:
        fill(made_up, 16)
        before = dict(zip(ports(made_up.read()), made_up.read().figures.ids.tolist(), strict=True))
        made_up.pass_time(60)
        for _ in range(3):
            made_up.read()
            made_up.pass_time(1)
        made_up.segment(99, 5)
        reading = made_up.read()
        assert reading.keys[0] == GroupKey(lport=99)
        row = reading.figures.row(0)
        assert (row.count, row.sum_us, row.min_us, row.max_us) == (1, 5, 5, 5)
        assert int(reading.figures.ids[0]) not in before.values()
        assert int(reading.figures.ids[0]) >> 32 == before[0] >> 32 == FIRST


def test_a_socket_whose_slot_was_taken_back_gets_another_and_keeps_its_key() -> None:
    with programs(limit=16) as made_up:
        fill(made_up, 16)
        made_up.pass_time(60)
        for _ in range(3):
            made_up.read()
            made_up.pass_time(1)
        made_up.segment(3, 20)
        reading = made_up.read()
        assert sorted(p for p in ports(reading) if p is not None) == list(range(3, 16))
        assert reading.retired.count == 4


def test_sockets_without_a_group_get_one_when_slots_are_free_again() -> None:
    with programs(limit=16) as made_up:
        fill(made_up, 16)
        made_up.segment(99, 5)
        assert made_up.sockets[99][0] == OTHER
        made_up.pass_time(60)
        made_up.read()
        made_up.pass_time(1)
        made_up.read()
        made_up.segment(99, 6)
        reading = made_up.read()
        assert 99 in ports(reading)
        assert (reading.other.count, reading.other.sum_us) == (1, 5)


def test_the_key_of_a_slot_taken_back_is_forgotten_whole() -> None:
    with programs(limit=16) as made_up:
        fill(made_up, 16)
        keys = made_up.groups["key"].copy()
        made_up.pass_time(60)
        made_up.read()
        assert made_up.places.deleted == [keys[slot].tobytes() for slot in (2, 3, 4, 5)]


def test_a_slot_that_is_cleared_keeps_its_generation_in_every_shard() -> None:
    with programs(limit=16, shards=4) as made_up:
        fill(made_up, 16)
        made_up.pass_time(60)
        made_up.read()
        made_up.pass_time(1)
        made_up.read()
        first = made_up.counters[FIRST * 4 : FIRST * 4 + 4]
        assert first["generation"].tolist() == [1, 1, 1, 1]
        assert not first["buckets"].any()
        assert not np.concatenate([first["sum_us"], first["max_us"]]).any()
        assert made_up.groups["generation"][FIRST] == 1


def test_a_generation_starts_anew_after_the_last_one() -> None:
    with programs(limit=16) as made_up:
        made_up.groups["generation"][FIRST] = ALL_ONES
        made_up.counters["generation"][FIRST] = ALL_ONES
        fill(made_up, 16)
        made_up.pass_time(60)
        made_up.read()
        assert made_up.groups["generation"][FIRST] == 0


def test_grouping_is_what_was_asked_for() -> None:
    with programs(limit=8) as made_up:
        made_up.segment(443, 10)
        assert made_up.read().keys[0].labels(BY_PORT, Names()) == {"lport": "443"}


# --- at the edges ------------------------------------------------------------------------


@pytest.mark.parametrize("limit", [1, 4, 7])
def test_a_table_of_few_slots_takes_them_back_too(limit: int) -> None:
    with programs(limit=limit) as made_up:
        fill(made_up, limit)
        for _ in range(3):
            made_up.pass_time(3600)
            made_up.read()
        made_up.segment(99, 5)
        assert 99 in ports(made_up.read())


def test_a_new_group_is_not_idle_before_its_first_sample() -> None:
    with programs(limit=16) as made_up:
        fill(made_up, 15)
        made_up.pass_time(1)
        made_up.stall(99, 5)  # a group, and nothing counted there yet
        made_up.read()
        assert 99 in ports(made_up.read())


def test_extremes_that_lost_a_race_are_not_believed() -> None:
    with programs(limit=8) as made_up:
        made_up.segment(443, 1000)
        record = made_up.sockets[443][0]
        made_up.counters["max_us"][record] = 0
        made_up.counters["min_us_complement"][record] = 0
        row = made_up.read().figures.row(0)
        low, high = 992, 1023  # the edges of the bucket of 1000
        assert row.min_us is not None
        assert row.max_us is not None
        assert low <= row.min_us <= row.max_us <= high

"""Totals in memory as the programs write them, read as columns; and zeroed again."""

from __future__ import annotations

import mmap
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_kernel_madeup import OBJECTS, FakeMap, layouts

from tcpvitals.kernel.totals_counters import (
    CauseNumbers,
    TotalsCounters,
    columns,
)
from tcpvitals.model.event import Cause
from tcpvitals.model.totals import CAUSES, FIELDS

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOTS = 5
RECORD = layouts().struct("retrans_counters")
COUNTS = st.integers(0, 2**64 - 1)


@pytest.fixture
def memory() -> Iterator[FakeMap]:
    """Return a map with room for the totals of all slots."""
    made = FakeMap("retrans_counters", SLOTS * RECORD.itemsize)
    yield made
    made.close()


def written(memory: FakeMap) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Return the records as the programs have them."""
    return np.frombuffer(mmap.mmap(memory.fd, memory.size), RECORD)


def slots(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    """Return these slots."""
    return np.array(numbers, np.intp)


def ids(*numbers: int) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    """Return these identities."""
    return np.array(numbers, np.uint64)


def record(number: int) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    """Return a record whose every field has a figure of its own: hundreds, then causes."""
    made = np.zeros(1, RECORD)
    for at, name in enumerate(FIELDS[: -len(CAUSES)]):
        made[name] = number * 10_000 + at
    made["by_cause"] = [number * 10_000 + 100 + at for at in range(len(CAUSES))]
    return made


def expected(number: int) -> dict[str, int]:
    """Return what the columns of such a record are, causes by their numbers in records.h."""
    plain = {name: number * 10_000 + at for at, name in enumerate(FIELDS[: -len(CAUSES)])}
    order = ("other", "rto", "fast", "slow-start", "tlp", "syn", "synack")
    return plain | {name: number * 10_000 + 100 + at for at, name in enumerate(order)}


# --- causes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OBJECTS)
def test_every_cause_has_the_number_of_records_h(name: str) -> None:
    numbers = CauseNumbers(layouts(name))
    assert numbers.of == {
        Cause.OTHER: 0,
        Cause.RTO: 1,
        Cause.FAST: 2,
        Cause.SLOW_START: 3,
        Cause.TLP: 4,
        Cause.SYN: 5,
        Cause.SYNACK: 6,
    }
    assert numbers.cause == {number: cause for cause, number in numbers.of.items()}


@pytest.mark.parametrize("name", OBJECTS)
def test_a_record_has_as_many_causes_as_there_are(name: str) -> None:
    made = np.zeros(1, layouts(name).struct("retrans_counters"))
    assert made["by_cause"].shape == (1, layouts(name).enum("cause")["CAUSES"])
    assert len(CAUSES) == layouts(name).enum("cause")["CAUSES"]


# --- columns -----------------------------------------------------------------------------


def test_every_field_lands_in_its_own_column() -> None:
    [row] = columns(record(3), CauseNumbers(layouts()))
    assert dict(zip(FIELDS, row.tolist(), strict=True)) == expected(3)


def test_every_field_of_a_record_is_in_some_column() -> None:
    assert set(RECORD.names or ()) == {*FIELDS[: -len(CAUSES)], "by_cause"}


def test_no_records_are_no_rows_of_all_columns() -> None:
    found = columns(np.zeros(0, RECORD), CauseNumbers(layouts()))
    assert found.shape == (0, len(FIELDS))
    assert found.dtype == np.dtype(np.uint64)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(FIELDS[: -len(CAUSES)]), COUNTS))
def test_counts_are_whole_up_to_the_largest_that_the_kernel_has(counts: dict[str, int]) -> None:
    made = np.zeros(1, RECORD)
    for name, count in counts.items():
        made[name] = count
    [row] = columns(made, CauseNumbers(layouts()))
    found = dict(zip(FIELDS, row.tolist(), strict=True))
    assert {name: count for name, count in found.items() if count} == {
        name: count for name, count in counts.items() if count
    }


# --- of groups, by slot ------------------------------------------------------------------


def test_only_the_slots_asked_for_are_read_under_their_identities(memory: FakeMap) -> None:
    store = TotalsCounters(layouts(), memory, SLOTS)
    for slot in range(SLOTS):
        written(memory)[slot] = record(slot + 1)[0]
    table = store.read(slots(1, 4), ids(77, 2**63))
    assert table.ids.tolist() == [77, 2**63]
    rows = [dict(zip(FIELDS, row, strict=True)) for row in table.values.tolist()]
    assert rows == [expected(2), expected(5)]


def test_what_is_added_later_does_not_change_what_was_read(memory: FakeMap) -> None:
    store = TotalsCounters(layouts(), memory, SLOTS)
    before = store.read(slots(2), ids(2))
    written(memory)["segments_sent"][2] = 5
    assert before.row(0)["segments_sent"] == 0
    assert store.read(slots(2), ids(2)).row(0)["segments_sent"] == 5


def test_a_slot_that_is_cleared_is_all_zeroes_and_its_neighbours_are_as_before(
    memory: FakeMap,
) -> None:
    store = TotalsCounters(layouts(), memory, SLOTS)
    for slot in range(SLOTS):
        written(memory)[slot] = record(slot + 1)[0]
    store.clear(3)
    assert written(memory)[3].tobytes() == bytes(RECORD.itemsize)
    rest = [written(memory)[slot].tobytes() for slot in (0, 1, 2, 4)]
    assert rest == [record(slot + 1).tobytes() for slot in (0, 1, 2, 4)]


def test_a_new_generation_leaves_what_late_programs_still_count_there(memory: FakeMap) -> None:
    store = TotalsCounters(layouts(), memory, SLOTS)
    written(memory)[2] = record(9)[0]
    store.move_on(2, 1)
    assert written(memory)[2].tobytes() == record(9).tobytes()


# --- of network namespaces, by key -------------------------------------------------------

"""Totals: what they say, what is between two of them, and how a print takes them.

The made-up totals here also serve the tests of sinks.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpvitals.model.event import Cause
from tcpvitals.model.key import GroupKey
from tcpvitals.model.names import Names
from tcpvitals.model.snapshot import Snapshot, between
from tcpvitals.model.totals import FIELDS, Totals, TotalsSnapshot, TotalsTable
from tcpvitals.model.totals_report import TotalsPrint

if TYPE_CHECKING:
    from collections.abc import Mapping

NOON = datetime(2024, 5, 6, 12, 34, 56, 789_000, tzinfo=UTC)
SECOND = 10**9
NONE_LOST = {"socket_state": 0}
NOTHING: Mapping[str, int] = {}
NO_NAMES = Names()

COUNTS = st.dictionaries(st.sampled_from(FIELDS), st.integers(0, 2**40))
GROUPS = st.dictionaries(st.integers(0, 9), COUNTS)


def totals(counts: Mapping[str, int] = NOTHING) -> Totals:
    """Return totals of {field: count}; what is not named is 0."""
    assert set(counts) <= set(FIELDS)
    return Totals(np.array([counts.get(name, 0) for name in FIELDS], np.uint64))


def table(groups: Mapping[int, Mapping[str, int]]) -> TotalsTable:
    """Return the totals of groups {identity: {field: count}}."""
    values = np.array([totals(counts).values for counts in groups.values()], np.uint64)
    return TotalsTable(np.array(list(groups), np.uint64), values.reshape(-1, len(FIELDS)))


def snapshot(
    groups: Mapping[str, Mapping[str, int]] | Mapping[GroupKey, Mapping[str, int]],
    *,
    seconds: int = 10,
    other: Mapping[str, int] = NOTHING,
    retired: Mapping[str, int] = NOTHING,
    losses: Mapping[str, int] = NONE_LOST,
) -> TotalsSnapshot:
    """Return a snapshot of groups {key: {field: count}}, the key one or a remote address."""
    return Snapshot(
        seconds * SECOND,
        tuple(
            key if isinstance(key, GroupKey) else GroupKey(raddr=ip_address(key)) for key in groups
        ),
        table(dict(enumerate(groups.values()))),
        totals(other),
        totals(retired),
        losses,
        groups_limit=64,
    )


def print_of(
    of: TotalsSnapshot,
    *,
    names: Names = NO_NAMES,
    min_ratio: float = 0,
    shows_errors: bool = True,
) -> TotalsPrint:
    """Return the first print of a run that started at 0."""
    interval = of.since_start(0)
    return TotalsPrint(
        NOON,
        interval,
        interval,
        delta=False,
        names=names,
        min_ratio=min_ratio,
        shows_errors=shows_errors,
    )


def delta_print(earlier: TotalsSnapshot, later: TotalsSnapshot) -> TotalsPrint:
    """Return the print of a second snapshot, of what happened since the first."""
    return replace(print_of(later), recent=between(later, earlier), delta=True)


def by_identity(groups: Mapping[int, Mapping[str, int]], seconds: int = 10) -> TotalsSnapshot:
    """Return a snapshot of groups {identity: {field: count}}."""
    made = snapshot({}, seconds=seconds)
    keys = tuple(GroupKey(rport=identity) for identity in groups)
    return replace(made, keys=keys, table=table(groups))


def test_the_ratio_is_of_segments_sent() -> None:
    """Retransmitted segments without data are sent ones, too, though the kernel does not say so."""
    data = totals({"segments_sent": 200, "segments_retransmitted": 4})
    handshakes = totals({"segments_retransmitted": 3, "segments_control": 3})
    mixed = data + handshakes

    assert (data.ratio, handshakes.ratio, mixed.ratio) == (0.02, 1.0, 7 / 203)


def test_there_is_no_ratio_of_nothing_and_none_above_1() -> None:
    """The one before a connection's first segment, the other when it is read half-way."""
    halfway = totals({"segments_sent": 1, "segments_retransmitted": 2})

    assert (Totals.empty().ratio, halfway.ratio) == (None, 1.0)


@settings(deadline=None)
@given(COUNTS)
def test_a_ratio_is_never_outside_0_and_1(counts: dict[str, int]) -> None:
    """Whatever the kernel's counters say at the moment they are read."""
    ratio = totals(counts).ratio

    assert ratio is None or 0 <= ratio <= 1


def test_each_cause_has_its_segments() -> None:
    """By its name, in the order they are shown."""
    made = totals({"rto": 1, "fast": 2, "slow-start": 3, "tlp": 4, "syn": 5, "synack": 6})

    assert made.by_cause() == dict(zip(Cause, (1, 2, 3, 4, 5, 6, 0), strict=True))


def test_columns_and_keys_of_different_groups_are_refused() -> None:
    """A figure would stand beside another group's name."""
    with pytest.raises(ValueError, match=rf"of \(2,\) groups are \(1, {len(FIELDS)}\)"):
        TotalsTable(np.zeros(2, np.uint64), np.zeros((1, len(FIELDS)), np.uint64))
    with pytest.raises(ValueError, match="1 keys for a table of 0 groups"):
        replace(snapshot({}), keys=(GroupKey(),))


def test_the_worst_has_most_retransmissions_and_then_the_highest_ratio() -> None:
    """Equals stay in the order of their identity; idle groups are left out."""
    groups = {
        "10.0.0.1": {"segments_sent": 100, "segments_retransmitted": 1},
        "10.0.0.2": {"segments_sent": 10, "segments_retransmitted": 1},
        "10.0.0.3": {},
        "10.0.0.4": {"segments_sent": 9000, "segments_retransmitted": 5},
        "10.0.0.5": {"segments_sent": 100, "segments_retransmitted": 1},
        "10.0.0.6": {"attempts_put_off": 1},
    }

    assert snapshot(groups).table.worst() == [3, 1, 0, 4, 5]


def test_groups_below_the_least_ratio_are_left_out() -> None:
    """Those that have it are not, nor those that sent nothing if there is none."""
    groups = {
        "10.0.0.1": {"segments_sent": 1000, "segments_retransmitted": 19},
        "10.0.0.2": {"segments_sent": 1000, "segments_retransmitted": 20},
        "10.0.0.3": {"attempts_put_off": 1},
    }
    table_ = snapshot(groups).table

    assert (table_.worst(0.02), table_.worst()) == ([1], [1, 0, 2])


def test_between_two_snapshots_is_what_was_counted_there() -> None:
    """Group by group, with the time and the losses of the interval alone."""
    earlier = snapshot({"10.0.0.1": {"segments_sent": 5}}, losses={"socket_state": 1})
    groups = {"10.0.0.1": {"segments_sent": 7}, "10.0.0.2": {"segments_sent": 3}}
    later = snapshot(
        groups, seconds=12, other={"rto": 4}, losses={"socket_state": 3, "namespaces": 1}
    )
    interval = between(later, earlier)

    assert interval.table.column("segments_sent").tolist() == [2, 3]
    assert interval.other["rto"] == 4
    assert interval.losses == {"socket_state": 2, "namespaces": 1}
    assert interval.seconds == 2.0


def test_what_a_retired_group_had_before_is_not_counted_again() -> None:
    """Its last segments are in the interval, its first ones were in the one before."""
    earlier = by_identity({1: {"segments_sent": 5}, 2: {"segments_sent": 8}})
    later = replace(by_identity({2: {"segments_sent": 9}}), retired=totals({"segments_sent": 6}))
    interval = between(later, earlier)

    assert interval.retired["segments_sent"] == 1
    assert interval.table.column("segments_sent").tolist() == [1]


def test_a_counter_read_in_the_middle_of_an_addition_never_runs_backwards() -> None:
    """The next interval has what this one lacks."""
    earlier, later = (
        by_identity({1: {"segments_sent": count}}, seconds) for count, seconds in ((5, 1), (4, 2))
    )

    assert between(later, earlier).table.column("segments_sent").tolist() == [0]


@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (snapshot({}, seconds=9), snapshot({}, seconds=10)),
        (snapshot({}), snapshot({}, losses={"socket_state": 1})),
    ],
)
def test_what_is_not_later_is_refused(later: TotalsSnapshot, earlier: TotalsSnapshot) -> None:
    """A loss of less than nothing would come out of it."""
    with pytest.raises(ValueError, match=r"snapshots are not two|ran backwards"):
        between(later, earlier)


@settings(deadline=None)
@given(GROUPS, GROUPS, st.sets(st.integers(0, 9)))
def test_intervals_add_up_to_what_there_was(
    first: dict[int, dict[str, int]], more: dict[int, dict[str, int]], gone: set[int]
) -> None:
    """Though groups come, go and are retired in between."""
    earlier = by_identity(first)
    grown = {
        identity: {
            name: first.get(identity, {}).get(name, 0) + more.get(identity, {}).get(name, 0)
            for name in FIELDS
        }
        for identity in {*first, *more}
    }
    retired = [totals(counts) for identity, counts in grown.items() if identity in gone]
    later = replace(
        by_identity(
            {identity: counts for identity, counts in grown.items() if identity not in gone}
        ),
        retired=sum(retired, Totals.empty()),
    )
    added = sum((totals(counts) for counts in more.values()), Totals.empty())

    assert between(later, earlier).total().values.tolist() == added.values.tolist()


SEEN = {"segments_retransmitted": 10, "rto": 3, "synack": 2, "segments_failed": 1}


@pytest.mark.parametrize(("shows_errors", "expected"), [(True, (1, 4)), (False, (5, 0))])
def test_what_the_kernel_counted_and_nobody_saw_has_failed_or_is_unattributed(
    shows_errors: bool,  # noqa: FBT001
    expected: tuple[int, int],
) -> None:
    """It depends on whether the tracepoint would have told us of a failure."""
    print_ = print_of(snapshot({}), shows_errors=shows_errors)
    made = totals(SEEN)

    assert expected == (print_.failed(made), print_.unattributed(made))


@settings(deadline=None)
@given(COUNTS, st.booleans())
def test_every_retransmission_has_a_cause_or_failed_or_is_unattributed(
    counts: dict[str, int],
    shows_errors: bool,  # noqa: FBT001
) -> None:
    """None is there twice; what was seen before the kernel counted it is in no excess."""
    print_ = print_of(snapshot({}), shows_errors=shows_errors)
    made = totals(counts)
    seen = sum(made.by_cause().values()) + made["segments_failed"]
    shown = sum(made.by_cause().values()) + print_.failed(made) + print_.unattributed(made)

    assert shown == max(seen, made["segments_retransmitted"])


def test_a_print_shows_the_interval_that_was_asked_for() -> None:
    """Its groups, the worst first, and those alone that are as bad as was asked for."""
    groups = {
        "10.0.0.1": {"segments_sent": 100, "segments_retransmitted": 1},
        "10.0.0.2": {"segments_sent": 100, "segments_retransmitted": 50},
    }
    first = snapshot(groups)
    print_ = delta_print(first, first)

    assert (print_.shown.total()["segments_sent"], print_.rows()) == (0, [])
    assert replace(print_, delta=False).rows() == [1, 0]
    assert replace(print_, delta=False, min_ratio=0.5).rows() == [1]


def test_a_print_without_zone_or_of_two_runs_is_refused() -> None:
    """It would show another group's figures, or a time that nobody can place."""
    print_ = print_of(snapshot({"10.0.0.1": {}}))
    with pytest.raises(ValueError, match="no time zone"):
        replace(print_, wall_time=NOON.replace(tzinfo=None))
    with pytest.raises(ValueError, match="the same snapshot"):
        replace(print_, recent=snapshot({}).since_start(0))
